//! What a shop has besides its catalog when it opens.

use serde_json::{Value, json};

use super::Shop;
use crate::admin::{
    gift_card_at_founding, market_conditions, metafield_type, metaobject_definition, theme_file,
    theme_file_of,
};
use crate::gid::Gid;
use crate::store::{link, own};

/// So many products carry a metafield from the beginning.
const DESCRIBED: u64 = 20;

impl Shop {
    /// Pages, a blog, menus, redirects, themes, metafields, metaobjects, a market, a gift card.
    pub(super) fn found(&mut self) {
        self.found_content();
        self.found_menus();
        self.found_themes();
        self.found_metafields();
        self.found_metaobjects();
        self.found_market();
        self.found_settings();
        gift_card_at_founding(self, "welcome2026card1", 5_000);
    }

    pub(super) fn found_market(&mut self) {
        let gid = self.store.fresh("Market");
        self.put(gid, json!({
            "__typename": "Market", "id": gid.to_string(), "name": "United States",
            "handle": "us", "status": "ACTIVE", "type": "REGION", "enabled": true, "primary": true,
            "conditions": market_conditions(&json!({
                "regionsCondition": { "regions": [{ "countryCode": "US" }] },
            })),
            "currencySettings": null, "priceInclusions": null,
            "webPresences": [], "metafields": [],
        }));
    }

    fn found_content(&mut self) {
        let now = self.now_text();
        for (title, handle) in [
            ("About us", "about-us"),
            ("Contact", "contact"),
            ("Shipping & returns", "shipping-returns"),
        ] {
            let gid = self.store.fresh("Page");
            self.put(
                gid,
                json!({
                    "__typename": "Page", "id": gid.to_string(), "title": title, "handle": handle,
                    "body": format!("<p>{title}: written with care &mdash; since 1987.</p>"),
                    "bodySummary": title, "isPublished": true, "publishedAt": now,
                    "templateSuffix": null, "metafields": [], "createdAt": now, "updatedAt": now,
                }),
            );
        }
        let blog = self.store.fresh("Blog");
        self.put(blog, json!({
            "__typename": "Blog", "id": blog.to_string(), "title": "Journal", "handle": "journal",
            "commentPolicy": "CLOSED", "tags": [], "feed": null, "templateSuffix": null,
            "metafields": [], "createdAt": now, "updatedAt": now,
        }));
        for n in 1..=4 {
            let gid = self.store.fresh("Article");
            self.put(gid, json!({
                "__typename": "Article", "id": gid.to_string(), "title": format!("Letter no. {n}"),
                "handle": format!("letter-{n}"), "body": format!("<p>Dear friends, {n}.</p>"),
                "summary": null, "tags": ["letters"], "image": null, "blog": link(blog),
                "author": { "__typename": "ArticleAuthor", "name": "Amelia Byrne" },
                "isPublished": true, "publishedAt": now, "templateSuffix": null, "comments": [],
                "metafields": [], "createdAt": now, "updatedAt": now,
            }));
        }
        for n in 1..=6 {
            let gid = self.store.fresh("UrlRedirect");
            self.put(
                gid,
                json!({
                    "__typename": "UrlRedirect", "id": gid.to_string(),
                    "path": format!("/old-{n}"), "target": "/pages/about-us",
                }),
            );
        }
    }

    fn found_menus(&mut self) {
        for (title, handle) in [("Main menu", "main-menu"), ("Footer menu", "footer")] {
            let items: Vec<Value> = (0..3)
                .map(|n| {
                    let collection = Gid::nth("Collection", n);
                    self.menu_item(&format!("Edit {n}"), "COLLECTION", Some(collection))
                })
                .collect();
            let about = self.menu_item("About", "PAGE", Some(Gid::nth("Page", 0)));
            let mut top = self.menu_item("Shop", "CATALOG", None);
            top["items"] = json!(items);
            self.found_menu(title, handle, &[top, about]);
        }
    }

    /// A menu that every shop has.
    pub(super) fn found_menu(&mut self, title: &str, handle: &str, items: &[Value]) {
        let gid = self.store.fresh("Menu");
        self.put(
            gid,
            json!({
                "__typename": "Menu", "id": gid.to_string(), "title": title, "handle": handle,
                "isDefault": true, "items": items,
            }),
        );
    }

    pub(super) fn menu_item(&mut self, title: &str, kind: &str, resource: Option<Gid>) -> Value {
        json!({
            "__typename": "MenuItem", "id": self.store.fresh("MenuItem").to_string(),
            "title": title, "type": kind, "url": null, "tags": [], "items": [],
            "resourceId": resource.map(|gid| gid.to_string()),
        })
    }

    fn found_themes(&mut self) {
        let now = self.now_text();
        let settings = json!({
            "current": { "colour": "#1a1a1a", "blocks": {
                "app-1": { "type": "shopify://apps/reviews/blocks/stars/1", "disabled": false },
            }},
        });
        let files = [
            (
                "layout/theme.liquid",
                "<!doctype html>\n<html>{{ content_for_layout }}</html>\n".into(),
            ),
            ("templates/index.json", json!({ "sections": {}, "order": [] }).to_string()),
            ("config/settings_data.json", settings.to_string()),
            ("sections/header.liquid", "<header>{{ shop.name }}</header>\n".into()),
            ("assets/base.css", "body { margin: 0 }\n".to_owned()),
        ];
        let mut files: Vec<Value> = files
            .iter()
            .map(|(name, content): &(&str, String)| theme_file(name, content, &now))
            .collect();
        files.push(theme_file_of("assets/logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &now));
        for (name, role) in [("Dawn", "MAIN"), ("Winter draft", "UNPUBLISHED")] {
            let gid = self.store.fresh("OnlineStoreTheme");
            self.put(gid, json!({
                "__typename": "OnlineStoreTheme", "id": gid.to_string(), "name": name, "role": role,
                "prefix": "t/1", "processing": false, "processingFailed": false,
                "themeStoreId": 887, "_files": files, "createdAt": now, "updatedAt": now,
            }));
        }
    }

    fn found_metafields(&mut self) {
        let gid = self.store.fresh("MetafieldDefinition");
        self.put(gid, json!({
            "__typename": "MetafieldDefinition", "id": gid.to_string(), "name": "Material",
            "namespace": "custom", "key": "material", "ownerType": "PRODUCT",
            "description": null, "validations": [],
            "type": metafield_type("single_line_text_field"),
            "access": {
                "__typename": "MetafieldAccess", "admin": "PUBLIC_READ_WRITE",
                "storefront": "PUBLIC_READ", "customerAccount": "NONE",
            },
            "capabilities": {
                "__typename": "MetafieldCapabilities",
                "adminFilterable": { "enabled": false, "eligible": true, "status": "NOT_FILTERABLE" },
                "analyticsQueryable": { "enabled": false, "eligible": true },
                "cartToOrderCopyable": { "enabled": false, "eligible": false },
                "smartCollectionCondition": { "enabled": false, "eligible": true },
                "uniqueValues": { "enabled": false, "eligible": true },
            },
            "pinnedPosition": 1, "constraints": null, "standardTemplate": null,
            "validationStatus": "ALL_VALID", "useAsCollectionCondition": false,
        }));
        let now = self.now_text();
        for n in 0..DESCRIBED {
            let product = Gid::nth("Product", n);
            let Some(state) = self.store.get(product) else { return };
            let gid = self.store.fresh("Metafield");
            self.put(gid, json!({
                "__typename": "Metafield", "id": gid.to_string(), "namespace": "custom",
                "key": "material", "type": "single_line_text_field", "value": format!("Weave {n}"),
                "description": null, "owner": link(product), "ownerType": "PRODUCT",
                "createdAt": now, "updatedAt": now,
            }));
            let mut state = (*state).clone();
            state["metafields"] = json!([own(gid)]);
            self.put(product, state);
        }
    }

    fn found_metaobjects(&mut self) {
        let definition = metaobject_definition(
            self,
            &json!({
                "type": "designer", "name": "Designer", "displayNameKey": "name",
                "fieldDefinitions": [
                    { "key": "name", "name": "Name", "type": "single_line_text_field", "required": true },
                    { "key": "bio", "name": "Bio", "type": "multi_line_text_field" },
                ],
            }),
        );
        let fields =
            self.store.get(definition).map(|d| d["fieldDefinitions"].clone()).unwrap_or_default();
        let now = self.now_text();
        for name in ["Ingrid Larsen", "Hiro Tanaka", "Zoë Moreau"] {
            let gid = self.store.fresh("Metaobject");
            let field = |at: usize, value: &str| {
                json!({
                    "__typename": "MetaobjectField", "key": fields[at]["key"], "value": value,
                    "type": fields[at]["type"]["name"], "definition": fields[at], "thumbnail": null,
                })
            };
            self.put(gid, json!({
                "__typename": "Metaobject", "id": gid.to_string(), "type": "designer",
                "handle": crate::catalog::handle(name), "displayName": name,
                "fields": [field(0, name), field(1, "Draws by hand.")],
                "values": { "name": name, "bio": "Draws by hand." },
                "definition": link(definition),
                "capabilities": {
                    "__typename": "MetaobjectCapabilityData", "onlineStore": null, "publishable": null,
                },
                "createdByStaff": null, "thumbnailField": null, "createdAt": now, "updatedAt": now,
            }));
        }
    }

    /// Puts files into a theme, over those of the same name.
    pub(crate) fn write_theme_files(&mut self, theme: Gid, files: &[Value]) {
        let Some(state) = self.store.get(theme) else { return };
        let mut state = (*state).clone();
        let mut held = state["_files"].as_array().cloned().unwrap_or_default();
        for file in files {
            match held.iter_mut().find(|known| known["filename"] == file["filename"]) {
                Some(known) => {
                    let created = known["createdAt"].clone();
                    *known = file.clone();
                    known["createdAt"] = created;
                }
                None => held.push(file.clone()),
            }
        }
        held.sort_by_key(|file| file["filename"].as_str().unwrap_or_default().to_owned());
        state["_files"] = json!(held);
        self.put(theme, state);
    }
}
