//! What a shop has besides goods, content and customers when it opens: discounts, prices for others,
//! companies, drafts, selling plans, deliveries, policies.

mod discount;

use serde_json::{Value, json};

use super::Shop;
use crate::admin::{catalog_publication, company_roles, current_digest, delivery_country};
use crate::catalog::{VARIANTS_MAX, bag, cents};
use crate::gid::Gid;
use crate::store::link;

impl Shop {
    pub(super) fn found_settings(&mut self) {
        self.found_shop();
        self.found_discounts();
        self.found_companies();
        self.found_prices();
        self.found_selling_plans();
        self.found_deliveries();
        self.found_drafts();
        self.found_translations();
        let (segment, now) = (self.store.fresh("Segment"), self.now_text());
        self.put(
            segment,
            json!({
                "__typename": "Segment", "id": segment.to_string(), "name": "Bought twice",
                "query": "number_of_orders >= 2", "creationDate": now, "lastEditDate": now,
            }),
        );
        let script = self.store.fresh("ScriptTag");
        self.put(
            script,
            json!({
                "__typename": "ScriptTag", "id": script.to_string(), "cache": false,
                "src": "https://reviews.example.com/widget.js", "displayScope": "ONLINE_STORE",
                "createdAt": now, "updatedAt": now,
            }),
        );
    }

    pub(super) fn found_shop(&mut self) {
        let now = self.now_text();
        let policies = [
            ("REFUND_POLICY", "Refund policy", "<p>Thirty days, no questions.</p>"),
            ("PRIVACY_POLICY", "Privacy policy", "<p>We keep what we must.</p>"),
            ("TERMS_OF_SERVICE", "Terms of service", "<p>Be kind.</p>"),
        ];
        let policies: Vec<Value> = policies
            .into_iter()
            .map(|(kind, title, body)| {
                let gid = self.store.fresh("ShopPolicy");
                self.put(
                    gid,
                    json!({
                        "__typename": "ShopPolicy", "id": gid.to_string(), "type": kind,
                        "title": title, "body": body, "createdAt": now, "updatedAt": now,
                        "url": format!("https://{}/policies/{}", self.domain, gid.number()),
                    }),
                );
                link(gid)
            })
            .collect();
        let host = self.domain.clone();
        self.put(Gid::nth("Shop", 0), json!({
            "__typename": "Shop", "id": Gid::nth("Shop", 0).to_string(), "name": "Acme",
            "email": "owner@example.com", "contactEmail": "owner@example.com",
            "shopOwnerName": "Amelia Byrne", "description": null,
            "myshopifyDomain": host, "url": format!("https://{host}"),
            "currencyCode": "USD", "enabledPresentmentCurrencies": ["USD"],
            "currencyFormats": {
                "__typename": "CurrencyFormats", "moneyFormat": "${{amount}}",
                "moneyInEmailsFormat": "${{amount}}",
                "moneyWithCurrencyFormat": "${{amount}} USD",
                "moneyWithCurrencyInEmailsFormat": "${{amount}} USD",
            },
            "ianaTimezone": "America/New_York", "timezoneAbbreviation": "EST",
            "timezoneOffset": "-0500", "unitSystem": "METRIC_SYSTEM", "weightUnit": "KILOGRAMS",
            "taxesIncluded": false, "taxShipping": false, "orderNumberFormatPrefix": "#",
            "orderNumberFormatSuffix": "", "setupRequired": false,
            "transactionalSmsDisabled": false, "marketingSmsConsentEnabledAtCheckout": false,
            "customerAccountsV2": {
                "__typename": "CustomerAccountsV2",
                "customerAccountsVersion": "NEW_CUSTOMER_ACCOUNTS", "url": null,
                "loginLinksVisibleOnStorefrontAndCheckout": true, "loginRequiredAtCheckout": false,
            },
            "primaryDomain": {
                "__typename": "Domain", "id": "gid://shopify/Domain/1", "host": host,
                "url": format!("https://{host}"), "sslEnabled": true,
            },
            "plan": {
                "__typename": "ShopPlan", "displayName": "Basic", "publicDisplayName": "Basic",
                "partnerDevelopment": false, "shopifyPlus": false,
            },
            "shopAddress": {
                "__typename": "ShopAddress", "id": "gid://shopify/ShopAddress/1",
                "company": "Acme Ltd", "address1": "1 Mill Lane", "address2": null,
                "city": "New York", "province": "New York", "provinceCode": "NY",
                "country": "United States", "countryCodeV2": "US", "zip": "10001", "phone": null,
            },
            "shopPolicies": policies, "metafields": [],
            "createdAt": "2020-01-01T00:00:00Z", "updatedAt": now,
        }));
    }

    fn found_companies(&mut self) {
        let now = self.now_text();
        for (n, name) in [(0, "Northwind Ltd"), (1, "Hotel Bellevue")] {
            let [company, location, contact, assignment] =
                ["Company", "CompanyLocation", "CompanyContact", "CompanyContactRoleAssignment"]
                    .map(|of| self.store.fresh(of));
            let [admin, role] = company_roles(self);
            self.put(company, json!({
                "__typename": "Company", "id": company.to_string(), "name": name,
                "note": null, "externalId": format!("C-{n}"), "customerSince": now,
                "mainContact": link(contact), "defaultRole": link(role),
                "contactRoles": [link(admin), link(role)], "metafields": [], "createdAt": now, "updatedAt": now,
            }));
            self.put(
                contact,
                json!({
                    "__typename": "CompanyContact", "id": contact.to_string(), "title": "Buyer",
                    "locale": "en", "company": link(company),
                    "customer": link(Gid::nth("Customer", n)), "createdAt": now, "updatedAt": now,
                }),
            );
            let address = json!({
                "__typename": "CompanyAddress",
                "id": self.store.fresh("CompanyAddress").to_string(),
                "address1": "175 Sherbrooke Street West", "address2": null, "city": "Montreal",
                "province": "Quebec", "country": "Canada", "countryCode": "CA", "zoneCode": "QC",
                "zip": "H3A 0G4", "phone": null, "recipient": "Adam Felix", "firstName": null,
                "lastName": null, "companyName": name, "createdAt": now, "updatedAt": now,
            });
            self.put(location, json!({
                "__typename": "CompanyLocation", "id": location.to_string(), "name": "Montreal",
                "note": null, "externalId": format!("L-{n}"), "phone": null, "locale": "en",
                "currency": "USD", "company": link(company),
                "billingAddress": address, "shippingAddress": address,
                "taxSettings": {
                    "__typename": "CompanyLocationTaxSettings", "taxExempt": false,
                    "taxExemptions": ["CA_BC_RESELLER_EXEMPTION"], "taxRegistrationId": "1214214141",
                },
                "buyerExperienceConfiguration": {
                    "__typename": "BuyerExperienceConfiguration", "checkoutToDraft": false,
                    "editableShippingAddress": true, "paymentTermsTemplate": null,
                },
                "roleAssignments": [{
                    "__typename": "CompanyContactRoleAssignment", "id": assignment.to_string(),
                    "role": link(role), "companyContact": link(contact),
                }],
                "metafields": [], "createdAt": now, "updatedAt": now,
            }));
        }
    }

    fn found_prices(&mut self) {
        let [list, of_market, of_company] =
            ["PriceList", "MarketCatalog", "CompanyLocationCatalog"].map(|of| self.store.fresh(of));
        let publication = self.store.fresh("Publication");
        // More prices than the first page of a question has.
        let prices: Vec<Value> = (0..120)
            .map(|n| Gid::nth("ProductVariant", n / 2 * VARIANTS_MAX + n % 2))
            .filter(|variant| self.store.get(*variant).is_some())
            .map(|variant| {
                json!({
                    "__typename": "PriceListPrice", "variant": link(variant), "originType": "FIXED",
                    "price": bag(4_200)["shopMoney"], "compareAtPrice": null,
                    "quantityPriceBreaks": [],
                })
            })
            .collect();
        self.put(list, json!({
            "__typename": "PriceList", "id": list.to_string(), "name": "Wholesale",
            "currency": "USD", "catalog": link(of_company), "prices": prices,
            "parent": {
                "__typename": "PriceListParent",
                "adjustment": {
                    "__typename": "PriceListAdjustment", "type": "PERCENTAGE_DECREASE", "value": 15.0,
                },
                "settings": {
                    "__typename": "PriceListAdjustmentSettings", "compareAtMode": "ADJUSTED",
                },
            },
            "quantityRules": [{
                "__typename": "QuantityRule", "productVariant": link(Gid::nth("ProductVariant", 0)),
                "minimum": 6, "maximum": null, "increment": 6, "isDefault": false,
                "originType": "FIXED",
            }],
        }));
        self.put(of_market, json!({
            "__typename": "MarketCatalog", "id": of_market.to_string(), "title": "United States",
            "status": "ACTIVE", "markets": [link(Gid::nth("Market", 0))], "operations": [],
            "priceList": null, "publication": null,
        }));
        self.put(
            of_company,
            json!({
                "__typename": "CompanyLocationCatalog", "id": of_company.to_string(),
                "title": "Northwind only", "status": "ACTIVE", "operations": [],
                "companyLocations": [link(Gid::nth("CompanyLocation", 0))],
                "priceList": link(list), "publication": link(publication),
            }),
        );
        // More products than the first page of a question has, and not all that larger shops have.
        let products: Vec<Gid> = (0..30)
            .map(|n| Gid::nth("Product", n))
            .filter(|product| self.store.get(*product).is_some())
            .collect();
        let title = json!("Northwind only");
        let of = catalog_publication(publication, (of_company, &title), false, &products);
        self.put(publication, of);
    }

    fn found_selling_plans(&mut self) {
        let (group, now) = (self.store.fresh("SellingPlanGroup"), self.now_text());
        let plan = |gid: Gid, every: u64| {
            json!({
                "__typename": "SellingPlan", "id": gid.to_string(),
                "name": format!("Delivered every {every} weeks"), "description": null,
                "category": "SUBSCRIPTION", "options": [format!("{every} weeks")], "position": every,
                "billingPolicy": {
                    "__typename": "SellingPlanRecurringBillingPolicy", "anchors": [],
                    "interval": "WEEK", "intervalCount": every, "minCycles": null, "maxCycles": null,
                    "createdAt": now,
                },
                "deliveryPolicy": {
                    "__typename": "SellingPlanRecurringDeliveryPolicy", "anchors": [], "cutoff": null,
                    "intent": "FULFILLMENT_BEGIN", "interval": "WEEK", "intervalCount": every,
                    "preAnchorBehavior": "ASAP", "createdAt": now,
                },
                "pricingPolicies": [{
                    "__typename": "SellingPlanFixedPricingPolicy", "adjustmentType": "PERCENTAGE",
                    "adjustmentValue": {
                        "__typename": "SellingPlanPricingPolicyPercentageValue", "percentage": 10.0,
                    },
                    "createdAt": now,
                }],
                "inventoryPolicy": {
                    "__typename": "SellingPlanInventoryPolicy", "reserve": "ON_FULFILLMENT",
                },
                "metafields": [], "createdAt": now,
            })
        };
        let plans: Vec<Value> =
            [2, 4].map(|every| plan(self.store.fresh("SellingPlan"), every)).into();
        self.put(group, json!({
            "__typename": "SellingPlanGroup", "id": group.to_string(), "name": "Subscribe & save",
            "merchantCode": "sub-n-save", "appId": null, "description": null,
            "options": ["Delivery every"], "position": 1, "summary": "2 delivery frequencies",
            "sellingPlans": plans,
            "products": [link(Gid::nth("Product", 0)), link(Gid::nth("Product", 2))],
            "productVariants": [link(Gid::nth("ProductVariant", 0))], "createdAt": now,
        }));
    }

    pub(super) fn found_deliveries(&mut self) {
        let [profile, group, zone, method] = [
            "DeliveryProfile",
            "DeliveryLocationGroup",
            "DeliveryZone",
            "DeliveryMethodDefinition",
        ]
        .map(|of| self.store.fresh(of));
        let home = delivery_country(self, Some("US"), None);
        let rate = self.store.fresh("DeliveryRateDefinition").to_string();
        let places: Vec<Value> = self.places().into_iter().map(link).collect();
        self.put(profile, json!({
            "__typename": "DeliveryProfile", "id": profile.to_string(), "name": "General",
            "default": true, "version": 1,
            "profileLocationGroups": [{
                "__typename": "DeliveryProfileLocationGroup",
                "locationGroup": {
                    "__typename": "DeliveryLocationGroup", "id": group.to_string(),
                    "locations": places,
                },
                "locationGroupZones": [{
                    "__typename": "DeliveryLocationGroupZone",
                    "zone": {
                        "__typename": "DeliveryZone", "id": zone.to_string(), "name": "Domestic",
                        "countries": [home],
                    },
                    "methodDefinitions": [{
                        "__typename": "DeliveryMethodDefinition", "id": method.to_string(),
                        "name": "Standard", "description": null, "active": true,
                        "methodConditions": [],
                        "rateProvider": {
                            "__typename": "DeliveryRateDefinition",
                            "id": rate,
                            "price": bag(1_000)["shopMoney"],
                        },
                    }],
                }],
            }],
        }));
    }

    fn found_drafts(&mut self) {
        let now = self.now_text();
        for n in 0..3 {
            let gid = self.store.fresh("DraftOrder");
            let Some(variant) = self.store.get(Gid::nth("ProductVariant", 0)) else { return };
            let product = self.store.get(Gid::nth("Product", 0)).unwrap_or_default();
            let line = self.store.fresh("DraftOrderLineItem");
            let price = variant["price"].as_str().and_then(cents).unwrap_or(9_900);
            let subtotal = (price * (n + 1)).saturating_sub(1_000);
            let line = json!({
                "__typename": "DraftOrderLineItem", "id": line.to_string(),
                "name": product["title"], "title": product["title"],
                "variantTitle": variant["title"], "sku": variant["sku"],
                "vendor": product["vendor"], "quantity": n + 1, "custom": false,
                "taxable": variant["taxable"], "requiresShipping": true, "isGiftCard": false,
                "customAttributes": [], "product": variant["product"],
                "variant": link(Gid::nth("ProductVariant", 0)), "originalUnitPriceSet": bag(price),
                "appliedDiscount": null, "taxLines": [], "priceOverride": null,
                "weight": { "__typename": "Weight", "unit": "GRAMS", "value": 400.0 },
            });
            self.put(gid, json!({
                "__typename": "DraftOrder", "id": gid.to_string(), "name": format!("#D{}", n + 1),
                "status": "OPEN", "completedAt": null, "invoiceSentAt": null, "invoiceUrl": null,
                "reserveInventoryUntil": null, "email": "kim@example.com", "phone": null,
                "note2": null, "poNumber": null, "tags": ["fair"], "taxExempt": false,
                "taxesIncluded": false, "currencyCode": "USD", "presentmentCurrencyCode": "USD",
                "discountCodes": [], "visibleToCustomer": false, "taxLines": [],
                "allowDiscountCodesInCheckout": true, "acceptAutomaticDiscounts": false,
                "purchasingEntity": link(Gid::nth("Customer", n)),
                "customer": link(Gid::nth("Customer", n)), "order": null, "customAttributes": [],
                "billingAddress": null, "shippingAddress": null,
                "appliedDiscount": {
                    "__typename": "DraftOrderAppliedDiscount", "title": "Fair", "value": 10.0,
                    "description": "Fair", "valueType": "FIXED_AMOUNT", "amountSet": bag(1_000),
                },
                "shippingLine": {
                    "__typename": "ShippingLine", "id": null, "title": "Standard",
                    "originalPriceSet": bag(1_000), "custom": true,
                },
                "subtotalPriceSet": bag(subtotal), "totalPriceSet": bag(subtotal + 1_000),
                "totalShippingPriceSet": bag(1_000), "totalTaxSet": bag(0),
                "lineItems": [line], "metafields": [], "createdAt": now, "updatedAt": now,
            }));
        }
    }

    /// Some texts in the shop's other language.
    fn found_translations(&mut self) {
        for (gid, key, value) in [
            (Gid::nth("Product", 0), "title", "Une chose en lin"),
            (Gid::nth("Product", 0), "body_html", "<p>Belle et solide.</p>"),
            (Gid::nth("Page", 0), "title", "À propos"),
        ] {
            self.translate(gid, key, value);
        }
    }

    /// Gives a text in French, in place of what it was there before.
    pub(crate) fn translate(&mut self, gid: Gid, key: &str, value: &str) {
        let Some(state) = self.store.get(gid) else { return };
        let mut state = (*state).clone();
        let mut known = state["_translations"].as_array().cloned().unwrap_or_default();
        known.retain(|other| other["locale"] != "fr" || other["key"] != *key);
        known.push(json!({
            "__typename": "Translation", "key": key, "locale": "fr", "value": value,
            "outdated": false, "market": null, "updatedAt": self.now_text(), "_market": null,
            "_digest": current_digest(&state, key),
        }));
        state["_translations"] = json!(known);
        self.put(gid, state);
    }
}
