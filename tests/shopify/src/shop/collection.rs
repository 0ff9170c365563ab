//! What happens to collections.

use serde_json::{Value, json};

use super::{Shop, unlink};
use crate::catalog::handle;
use crate::gid::Gid;
use crate::store::link;

impl Shop {
    /// A new, empty collection kept by hand. It is published nowhere.
    pub fn add_collection(&mut self, title: &str) -> Gid {
        let gid = self.store.fresh("Collection");
        let now = self.now_text();
        let handle = self.free_handle("Collection", &handle(title));
        self.put(
            gid,
            json!({
                "__typename": "Collection", "id": gid.to_string(), "title": title, "handle": handle,
                "descriptionHtml": "", "sortOrder": "BEST_SELLING", "templateSuffix": null,
                "image": null, "seo": { "__typename": "SEO", "title": null, "description": null },
                "ruleSet": null, "products": [], "metafields": [], "resourcePublicationsV2": [],
                "createdAt": now, "updatedAt": now,
            }),
        );
        self.announce("collections/create", gid);
        gid
    }

    /// Changes a collection's own fields or its manual members.
    pub fn edit_collection(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let there = self.update(gid, change);
        if there {
            self.announce("collections/update", gid);
        }
        there
    }

    /// Puts a product into a collection kept by hand, or takes it out when it is there.
    pub fn toggle_member(&mut self, collection: Gid, product: Gid) {
        self.edit_collection(collection, |state| {
            if !unlink(state, "products", product)
                && let Some(members) = state["products"].as_array_mut()
            {
                members.push(link(product));
            }
        });
    }

    /// Puts a product into a collection kept by hand, or takes it out.
    ///
    /// # Errors
    /// When there is no such collection, or rules decide what is in it.
    pub(crate) fn set_member(
        &mut self,
        gid: Gid,
        product: Gid,
        member: bool,
    ) -> Result<(), String> {
        match self.store.get(gid) {
            None => return Err("Collection does not exist".into()),
            Some(state) if !state["ruleSet"].is_null() => {
                return Err("Can't manually add products to a smart collection".into());
            }
            Some(_) => {}
        }
        self.edit_collection(gid, |state| {
            unlink(state, "products", product);
            if member && let Some(members) = state["products"].as_array_mut() {
                members.push(link(product));
            }
        });
        Ok(())
    }

    /// Deletes a collection.
    pub fn delete_collection(&mut self, gid: Gid) -> bool {
        let there = self.store.get(gid).is_some();
        if there {
            self.remove(gid);
            self.announce("collections/delete", gid);
        }
        there
    }
}
