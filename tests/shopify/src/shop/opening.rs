//! What Shopify gives a shop that was opened just now, beside its place for stock and its channels.

use serde_json::json;

use super::Shop;
use crate::admin::theme_file;
use crate::gid::Gid;

impl Shop {
    /// A theme, menus, a page, a blog, a collection, the home market, deliveries, empty policies.
    pub(super) fn open(&mut self) {
        self.open_content();
        self.open_menus();
        self.open_theme();
        self.found_market();
        self.found_shop();
        self.found_deliveries();
        let policies: Vec<Gid> = self.store.live_ids("ShopPolicy").collect();
        for policy in policies {
            self.update(policy, |state| state["body"] = json!(""));
        }
    }

    fn open_content(&mut self) {
        let now = self.now_text();
        let [page, blog, collection] =
            ["Page", "Blog", "Collection"].map(|of| self.store.fresh(of));
        self.put(
            page,
            json!({
                "__typename": "Page", "id": page.to_string(), "title": "Contact",
                "handle": "contact", "body": "", "bodySummary": "", "isPublished": true,
                "publishedAt": now, "templateSuffix": null, "metafields": [],
                "createdAt": now, "updatedAt": now,
            }),
        );
        self.put(
            blog,
            json!({
                "__typename": "Blog", "id": blog.to_string(), "title": "News", "handle": "news",
                "commentPolicy": "CLOSED", "tags": [], "feed": null, "templateSuffix": null,
                "metafields": [], "createdAt": now, "updatedAt": now,
            }),
        );
        self.put(
            collection,
            json!({
                "__typename": "Collection", "id": collection.to_string(), "handle": "frontpage",
                "title": "Home page", "descriptionHtml": "", "sortOrder": "BEST_SELLING",
                "templateSuffix": null, "image": null,
                "seo": { "__typename": "SEO", "title": null, "description": null },
                "ruleSet": null, "products": [], "metafields": [],
                "resourcePublicationsV2": [], "createdAt": now, "updatedAt": now,
            }),
        );
    }

    fn open_menus(&mut self) {
        let home = self.menu_item("Home", "FRONTPAGE", None);
        let catalog = self.menu_item("Catalog", "CATALOG", None);
        self.found_menu("Main menu", "main-menu", &[home, catalog]);
        let search = self.menu_item("Search", "SEARCH", None);
        self.found_menu("Footer menu", "footer", &[search]);
    }

    fn open_theme(&mut self) {
        let now = self.now_text();
        let files = [
            ("layout/theme.liquid", "<!doctype html>\n{{ content_for_layout }}\n"),
            ("templates/index.json", "{}"),
            ("config/settings_data.json", "{\"current\":{}}"),
        ];
        let files = files.map(|(name, content)| theme_file(name, content, &now));
        let gid = self.store.fresh("OnlineStoreTheme");
        self.put(
            gid,
            json!({
                "__typename": "OnlineStoreTheme", "id": gid.to_string(), "name": "Dawn",
                "role": "MAIN", "prefix": "t/1", "processing": false, "processingFailed": false,
                "themeStoreId": 887, "_files": files, "createdAt": now, "updatedAt": now,
            }),
        );
    }
}
