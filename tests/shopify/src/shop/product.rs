//! What happens to products.

use serde_json::{Value, json};

use super::{Shop, unlink};
use crate::catalog::{LOCATIONS, cents, cents_to_money, handle, published};
use crate::gid::Gid;
use crate::store::{link, own, target, targets};

impl Shop {
    /// Changes a product's own fields.
    pub fn edit_product(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let there = self.update(gid, change);
        if there {
            self.announce("products/update", gid);
        }
        there
    }

    /// Changes a variant; its product is updated with it.
    pub fn edit_variant(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let there = self.update(gid, change);
        if there && let Some(product) = self.product_of(gid) {
            self.edit_product(product, |_| {});
        }
        there
    }

    /// Multiplies the prices of a product's variants.
    pub fn reprice(&mut self, product: Gid, percent: u64) {
        let variants = self.variants(product);
        for variant in variants {
            self.update(variant, |state| {
                let price = state["price"].as_str().and_then(cents).unwrap_or_default();
                state["price"] = json!(cents_to_money(price * percent / 100));
            });
        }
        self.edit_product(product, |_| {});
    }

    /// Gives a product's variants other stock-keeping units, by what each is.
    pub fn set_skus(&mut self, product: Gid, sku: impl Fn(&Value) -> Value) {
        for variant in self.variants(product) {
            let Some(document) = self.store.get(variant) else { continue };
            let (sku, item) = (sku(&document), target(&document["inventoryItem"]));
            drop(document);
            self.update(variant, |state| state["sku"] = sku.clone());
            if let Some(item) = item {
                self.update(item, |state| state["sku"] = sku);
                self.announce("inventory_items/update", item);
            }
        }
        self.edit_product(product, |_| {});
    }

    /// The variants of a product, in order.
    #[must_use]
    pub fn variants(&self, product: Gid) -> Vec<Gid> {
        let Some(document) = self.store.get(product) else { return Vec::new() };
        targets(&document, "variants").collect()
    }

    /// The product that a variant belongs to.
    #[must_use]
    pub fn product_of(&self, variant: Gid) -> Option<Gid> {
        target(&self.store.get(variant)?["product"])
    }

    /// A new product with one variant, on sale at once.
    pub fn add_product(&mut self, title: &str, vendor: &str, price_cents: u64) -> Gid {
        let gid = self.store.fresh("Product");
        let variant = self.store.fresh("ProductVariant");
        let now = self.now_text();
        let handle = self.free_handle("Product", &handle(title));
        let option = self.default_option();
        self.put(gid, json!({
            "__typename": "Product", "id": gid.to_string(), "title": title, "handle": handle,
            "descriptionHtml": "", "vendor": vendor, "productType": "", "status": "ACTIVE",
            "tags": [], "templateSuffix": null, "giftCardTemplateSuffix": null, "category": null,
            "isGiftCard": false, "requiresSellingPlan": false, "combinedListingRole": null,
            "hasVariantsThatRequiresComponents": false,
            "seo": { "__typename": "SEO", "title": null, "description": null },
            "createdAt": now, "updatedAt": now, "publishedAt": now,
            "options": [option],
            "variants": [own(variant)], "media": [], "metafields": [],
            "resourcePublicationsV2": [published(0, &now), published(1, &now)],
        }));
        self.add_variant(variant, gid, 1, &[("Title", "Default Title")], price_cents);
        self.announce("products/create", gid);
        gid
    }

    /// The option of a product that has no choices.
    pub(crate) fn default_option(&mut self) -> Value {
        json!({
            "__typename": "ProductOption",
            "id": self.store.fresh("ProductOption").to_string(),
            "name": "Title", "position": 1, "linkedMetafield": null,
            "optionValues": [{
                "__typename": "ProductOptionValue",
                "id": self.store.fresh("ProductOptionValue").to_string(),
                "name": "Default Title", "linkedMetafieldValue": null, "swatch": null,
            }],
        })
    }

    /// Writes a variant with its stock-keeping, nowhere in stock yet.
    pub(crate) fn add_variant(
        &mut self,
        gid: Gid,
        product: Gid,
        position: usize,
        choices: &[(&str, &str)],
        price_cents: u64,
    ) {
        let now = self.now_text();
        let item = self.store.fresh("InventoryItem");
        let title: Vec<&str> = choices.iter().map(|(_, value)| *value).collect();
        self.put(
            gid,
            json!({
                "__typename": "ProductVariant", "id": gid.to_string(), "title": title.join(" / "),
                "sku": null, "barcode": null, "price": cents_to_money(price_cents),
                "compareAtPrice": null, "taxable": true, "inventoryPolicy": "DENY",
                "position": position,
                "selectedOptions": choices.iter()
                    .map(|(name, value)| json!({
                        "__typename": "SelectedOption", "name": name, "value": value,
                    }))
                    .collect::<Vec<_>>(),
                "product": link(product), "inventoryItem": own(item), "media": [], "metafields": [],
                "requiresComponents": false, "showUnitPrice": false, "unitPriceMeasurement": null,
                "taxCode": null, "createdAt": now, "updatedAt": now,
            }),
        );
        self.add_inventory_item(item, gid);
        self.announce("inventory_items/create", item);
    }

    fn add_inventory_item(&mut self, item: Gid, variant: Gid) {
        let now = self.now_text();
        let levels: Vec<(Gid, Gid)> = self
            .places()
            .into_iter()
            .map(|place| (self.store.fresh("InventoryLevel"), place))
            .collect();
        self.put(item, json!({
            "__typename": "InventoryItem", "id": item.to_string(), "sku": null, "tracked": false,
            "requiresShipping": true, "unitCost": null, "countryCodeOfOrigin": null,
            "provinceCodeOfOrigin": null, "harmonizedSystemCode": null,
            "countryHarmonizedSystemCodes": [],
            "measurement": {
                "__typename": "InventoryItemMeasurement",
                "id": null,
                "weight": { "__typename": "Weight", "unit": "KILOGRAMS", "value": 0.0 },
            },
            "inventoryLevels": levels.iter().map(|(level, _)| own(*level)).collect::<Vec<_>>(),
            "variant": link(variant), "createdAt": now, "updatedAt": now,
        }));
        for (level, place) in levels {
            self.put(
                level,
                json!({
                    "__typename": "InventoryLevel",
                    "id": format!("{level}?inventory_item_id={}", item.number()),
                    "item": link(item), "location": link(place),
                    "isActive": true, "canDeactivate": true, "deactivationAlert": null,
                    "_quantities": {
                        "available": 0, "on_hand": 0, "committed": 0, "incoming": 0,
                        "reserved": 0, "damaged": 0, "safety_stock": 0, "quality_control": 0,
                    },
                    "createdAt": now, "updatedAt": now,
                }),
            );
        }
    }

    /// Where everything is stocked: the places that were there from the beginning.
    pub(super) fn places(&self) -> Vec<Gid> {
        let first = (0..LOCATIONS).map(|n| Gid::nth("Location", n));
        first.filter(|place| self.store.get(*place).is_some()).collect()
    }

    /// Deletes a product for good: its variants, their stock, its places in collections.
    pub fn delete_product(&mut self, gid: Gid) -> bool {
        if self.store.get(gid).is_none() {
            return false;
        }
        let variants = self.variants(gid);
        let items: Vec<Gid> = variants
            .iter()
            .filter_map(|variant| target(&self.store.get(*variant)?["inventoryItem"]))
            .collect();
        self.remove(gid);
        let holders: Vec<Gid> = self
            .store
            .live("Collection")
            .filter(|(_, collection)| targets(collection, "products").any(|member| member == gid))
            .map(|(collection, _)| collection)
            .collect();
        for collection in holders {
            self.update(collection, |state| {
                unlink(state, "products", gid);
            });
        }
        self.announce("products/delete", gid);
        for item in items {
            self.announce("inventory_items/delete", item);
        }
        true
    }

    /// A handle of this type that nobody has, made of the wanted one.
    pub(crate) fn free_handle(&self, type_name: &'static str, wanted: &str) -> String {
        if self.store.by_handle(type_name, wanted).is_none() {
            return wanted.to_owned();
        }
        let mut suffix = 1_u64;
        while self.store.by_handle(type_name, &format!("{wanted}-{suffix}")).is_some() {
            suffix += 1;
        }
        format!("{wanted}-{suffix}")
    }
}
