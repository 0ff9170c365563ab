//! Bodies about what a shop has besides goods, orders and customers.

use serde_json::{Map, Value, json};

use super::order::address;
use super::{Renderer, lower, number_in, number_of, tags};
use crate::catalog::two_decimals;
use crate::gid::Gid;
use crate::store::target;

impl Renderer<'_> {
    /// The body of a topic about the shop's settings; nothing when it is none of them.
    pub(super) fn settings(&self, kind: &str, gid: Gid, document: &Value) -> Option<Value> {
        Some(match kind {
            "locations" => self.location(gid, document),
            "markets" => json!({
                "id": gid.number(),
                "name": document["name"],
                "type": lower(&document["type"]),
                "status": lower(&document["status"]),
            }),
            "profiles" => json!({
                "id": gid.number(),
                "admin_graphql_api_id": gid.to_string(),
                "name": document["name"],
                "default": document["default"],
                "profile_type": null,
                "version": document["version"],
            }),
            "metafield_definitions" => self.definition(gid, document),
            "companies" => self.company(gid, document),
            "company_locations" => self.company_location(gid, document),
            "company_contacts" => json!({
                "admin_graphql_api_id": gid.to_string(),
                "customer_admin_graphql_api_id": document["customer"]["$ref"],
                "title": document["title"],
                "locale": document["locale"],
                "company": self.company_of(document),
                "created_at": self.instant(document, "createdAt"),
                "updated_at": self.instant(document, "updatedAt"),
            }),
            "selling_plan_groups" => self.selling_plan_group(gid, document),
            "draft_orders" => self.draft_order(gid, document),
            "shop" => self.whole_shop(gid, document),
            _ => return None,
        })
    }

    /// The body about one that is gone: mostly its id alone.
    pub(super) fn settings_gone(&self, kind: &str, gid: Gid, document: &Value) -> Option<Value> {
        Some(match kind {
            "locations" | "markets" | "draft_orders" => json!({ "id": gid.number() }),
            "selling_plan_groups" => json!({
                "id": gid.number(), "admin_graphql_api_id": gid.to_string(),
            }),
            "metafield_definitions" => json!({
                "id": gid.to_string(),
                "type": "ShopifyMetafields::Types::SingleLineTextFieldType",
                "created_by_app_id": null,
            }),
            _ => return self.settings(kind, gid, document),
        })
    }

    fn location(&self, gid: Gid, location: &Value) -> Value {
        let address = &location["address"];
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "name": location["name"],
            "active": location["isActive"],
            "legacy": false,
            "address1": address["address1"],
            "address2": address["address2"],
            "city": address["city"],
            "zip": address["zip"],
            "province": address["province"],
            "province_code": address["provinceCode"],
            "country": address["countryCode"],
            "country_code": address["countryCode"],
            "country_name": address["country"],
            "phone": address["phone"],
            "created_at": self.instant(location, "createdAt"),
            "updated_at": self.instant(location, "updatedAt"),
        })
    }

    fn definition(&self, gid: Gid, definition: &Value) -> Value {
        let mut body = json!({
            "id": gid.number(),
            "namespace": definition["namespace"],
            "key": definition["key"],
            "name": definition["name"],
            "description": definition["description"],
            "owner_type": definition["ownerType"],
            "type_name": definition["type"]["name"],
            "pinned_position": definition["pinnedPosition"],
            "validation_status": "all_valid",
            "admin_filter_status": "not_filterable",
            "options": [],
            "shop_id": Gid::nth("Shop", 0).number(),
        });
        let switches = [
            "deleting",
            "unique_values",
            "smart_collection_condition",
            "option_linkable",
            "admin_filterable",
            "app_config_managed",
            "access_only",
            "use_as_collection_condition",
        ];
        let unsaid = [
            "api_client_id",
            "created_at",
            "updated_at",
            "standard_template_id",
            "merchant_writeable",
            "storefront_readable",
            "customer_access",
            "namespace_owner_api_client_id",
            "admin_filterable_status",
        ];
        switches.iter().for_each(|name| body[*name] = json!(false));
        unsaid.iter().for_each(|name| body[*name] = Value::Null);
        body
    }

    fn company(&self, gid: Gid, company: &Value) -> Value {
        json!({
            "admin_graphql_api_id": gid.to_string(),
            "name": company["name"],
            "note": company["note"],
            "external_id": company["externalId"],
            "main_contact_admin_graphql_api_id": company["mainContact"]["$ref"],
            "customer_since": self.instant(company, "customerSince"),
            "created_at": self.instant(company, "createdAt"),
            "updated_at": self.instant(company, "updatedAt"),
        })
    }

    fn company_of(&self, document: &Value) -> Value {
        let company = target(&document["company"]);
        let company = company.and_then(|gid| Some(self.company(gid, &*self.get(gid)?)));
        company.unwrap_or(Value::Null)
    }

    fn company_location(&self, gid: Gid, location: &Value) -> Value {
        let taxes = &location["taxSettings"];
        let address = |address: &Value| {
            json!({
                "admin_graphql_api_id": address["id"],
                "company_admin_graphql_api_id": location["company"]["$ref"],
                "address1": address["address1"],
                "address2": address["address2"],
                "city": address["city"],
                "province": address["province"],
                "country": address["country"],
                "country_code": address["countryCode"],
                "zone_code": address["zoneCode"],
                "zip": address["zip"],
                "phone": address["phone"],
                "recipient": address["recipient"],
                "first_name": address["firstName"],
                "last_name": address["lastName"],
                "created_at": self.instant(address, "createdAt"),
                "updated_at": self.instant(address, "updatedAt"),
            })
        };
        json!({
            "admin_graphql_api_id": gid.to_string(),
            "name": location["name"],
            "note": location["note"],
            "external_id": location["externalId"],
            "phone": location["phone"],
            "locale": location["locale"],
            "buyer_experience_configuration": null,
            "tax_exemptions": taxes["taxExemptions"],
            "tax_settings": {
                "tax_registration_id": taxes["taxRegistrationId"],
                "tax_exempt": null,
                "tax_exemptions": taxes["taxExemptions"],
            },
            "tax_registration": { "tax_id": taxes["taxRegistrationId"] },
            "company": self.company_of(location),
            "billing_address": address(&location["billingAddress"]),
            "shipping_address": address(&location["shippingAddress"]),
            "created_at": self.instant(location, "createdAt"),
            "updated_at": self.instant(location, "updatedAt"),
        })
    }

    fn selling_plan_group(&self, gid: Gid, group: &Value) -> Value {
        let plans = group["sellingPlans"].as_array().into_iter().flatten().map(|plan| {
            let (billing, delivery) = (&plan["billingPolicy"], &plan["deliveryPolicy"]);
            json!({
                "name": plan["name"],
                "options": plan["options"],
                "position": plan["position"],
                "description": plan["description"],
                "billing_policy": {
                    "interval": lower(&billing["interval"]),
                    "interval_count": billing["intervalCount"],
                    "min_cycles": billing["minCycles"],
                    "max_cycles": billing["maxCycles"],
                },
                "delivery_policy": {
                    "interval": lower(&delivery["interval"]),
                    "interval_count": delivery["intervalCount"],
                    "anchors": delivery["anchors"],
                    "cutoff": delivery["cutoff"],
                    "pre_anchor_behavior": lower(&delivery["preAnchorBehavior"]),
                },
                "pricing_policies": [],
            })
        });
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "admin_graphql_api_app": Gid::nth("App", 0).to_string(),
            "app_id": group["appId"],
            "name": group["name"],
            "merchant_code": group["merchantCode"],
            "description": group["description"],
            "options": group["options"],
            "position": group["position"],
            "summary": group["summary"],
            "selling_plans": plans.collect::<Vec<_>>(),
            "products": [],
            "product_variants": [],
        })
    }

    fn draft_order(&self, gid: Gid, draft: &Value) -> Value {
        let price = |bag: &Value| json!(bag["shopMoney"]["amount"].as_str().map(two_decimals));
        let discount = |discount: &Value| match discount.is_null() {
            true => Value::Null,
            false => json!({
                "title": discount["title"],
                "description": discount["description"],
                "value": discount["value"].to_string(),
                "value_type": lower(&discount["valueType"]),
                "amount": price(&discount["amountSet"]),
            }),
        };
        let lines = draft["lineItems"].as_array().into_iter().flatten().map(|line| {
            json!({
                "id": number_in(&line["id"]),
                "admin_graphql_api_id": line["id"],
                "variant_id": number_of(&line["variant"]),
                "product_id": number_of(&line["product"]),
                "name": line["name"],
                "title": line["title"],
                "variant_title": line["variantTitle"],
                "sku": line["sku"],
                "vendor": line["vendor"],
                "quantity": line["quantity"],
                "requires_shipping": line["requiresShipping"],
                "taxable": line["taxable"],
                "gift_card": line["isGiftCard"],
                "fulfillment_service": "manual",
                "grams": 400,
                "tax_lines": [],
                "applied_discount": discount(&line["appliedDiscount"]),
                "properties": attributes(&line["customAttributes"]),
                "custom": line["custom"],
                "price": price(&line["originalUnitPriceSet"]),
            })
        });
        let buyer = target(&draft["customer"]);
        let buyer = buyer.and_then(|gid| Some(self.buyer(gid, &*self.get(gid)?)));
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "name": draft["name"],
            "status": lower(&draft["status"]),
            "note": draft["note2"],
            "email": draft["email"],
            "tags": tags(draft),
            "currency": draft["currencyCode"],
            "taxes_included": draft["taxesIncluded"],
            "tax_exempt": draft["taxExempt"],
            "invoice_sent_at": self.instant(draft, "invoiceSentAt"),
            "invoice_url": draft["invoiceUrl"],
            "completed_at": self.instant(draft, "completedAt"),
            "allow_discount_codes_in_checkout?": draft["allowDiscountCodesInCheckout"],
            "b2b?": false,
            "api_client_id": null,
            "created_on_api_version_handle": null,
            "order_id": number_of(&draft["order"]),
            "line_items": lines.collect::<Vec<_>>(),
            "shipping_address": address(&draft["shippingAddress"]),
            "billing_address": address(&draft["billingAddress"]),
            "applied_discount": discount(&draft["appliedDiscount"]),
            "shipping_line": match draft["shippingLine"].is_null() {
                true => Value::Null,
                false => json!({
                    "custom": true, "handle": null, "title": draft["shippingLine"]["title"],
                    "price": price(&draft["shippingLine"]["originalPriceSet"]),
                }),
            },
            "tax_lines": [],
            "note_attributes": attributes(&draft["customAttributes"]),
            "total_price": price(&draft["totalPriceSet"]),
            "subtotal_price": price(&draft["subtotalPriceSet"]),
            "total_tax": price(&draft["totalTaxSet"]),
            "payment_terms": null,
            "customer": buyer,
            "created_at": self.instant(draft, "createdAt"),
            "updated_at": self.instant(draft, "updatedAt"),
        })
    }

    fn whole_shop(&self, gid: Gid, shop: &Value) -> Value {
        let address = &shop["shopAddress"];
        let formats = &shop["currencyFormats"];
        let mut body = Map::new();
        for unsaid in [
            "domain",
            "source",
            "latitude",
            "longitude",
            "auto_configure_tax_inclusivity",
            "county_taxes",
            "google_apps_domain",
            "google_apps_login_enabled",
            "password_enabled",
        ] {
            body.insert(unsaid.into(), Value::Null);
        }
        for (said, yes) in [
            ("has_discounts", true),
            ("has_gift_cards", true),
            ("eligible_for_payments", true),
            ("requires_extra_payments_agreement", false),
            ("has_storefront", true),
            ("finances", true),
            ("checkout_api_supported", true),
            ("multi_location_enabled", true),
            ("setup_required", false),
            ("pre_launch_enabled", false),
            ("marketing_sms_consent_enabled_at_checkout", false),
            ("transactional_sms_disabled", false),
        ] {
            body.insert(said.into(), json!(yes));
        }
        let said = json!({
            "id": gid.number(),
            "name": shop["name"],
            "email": shop["email"],
            "customer_email": shop["contactEmail"],
            "shop_owner": shop["shopOwnerName"],
            "myshopify_domain": shop["myshopifyDomain"],
            "address1": address["address1"],
            "address2": address["address2"],
            "city": address["city"],
            "province": address["province"],
            "province_code": address["provinceCode"],
            "country": address["countryCodeV2"],
            "country_code": address["countryCodeV2"],
            "country_name": address["country"],
            "zip": address["zip"],
            "phone": address["phone"],
            "primary_locale": "en",
            "currency": shop["currencyCode"],
            "timezone": "(GMT-05:00) Eastern Time (US & Canada)",
            "iana_timezone": shop["ianaTimezone"],
            "money_format": formats["moneyFormat"],
            "money_with_currency_format": formats["moneyWithCurrencyFormat"],
            "money_in_emails_format": formats["moneyInEmailsFormat"],
            "money_with_currency_in_emails_format": formats["moneyWithCurrencyInEmailsFormat"],
            "weight_unit": "kg",
            "taxes_included": shop["taxesIncluded"],
            "tax_shipping": shop["taxShipping"],
            "plan_display_name": "Basic",
            "plan_name": "basic",
            "primary_location_id": Gid::nth("Location", 0).number(),
            "enabled_presentment_currencies": shop["enabledPresentmentCurrencies"],
            "created_at": self.instant(shop, "createdAt"),
            "updated_at": self.instant(shop, "updatedAt"),
        });
        if let Value::Object(said) = said {
            body.extend(said);
        }
        body.into()
    }
}

/// Pairs as bodies have them.
fn attributes(pairs: &Value) -> Value {
    let pairs = pairs.as_array().into_iter().flatten();
    pairs.map(|pair| json!({ "name": pair["key"], "value": pair["value"] })).collect()
}
