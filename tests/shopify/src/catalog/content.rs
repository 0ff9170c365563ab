//! Collections, locations and publications that every shop begins with.

use serde_json::{Value, json};

use super::{Catalog, handle, published, words};
use crate::gid::Gid;
use crate::store::link;

impl Catalog {
    /// Every second collection is smart: its members follow from a rule.
    pub(super) fn collection(&self, n: u64) -> Option<Value> {
        if n >= self.size.collections {
            return None;
        }
        let dice = self.dice.of("collection");
        let tag = dice.pick(n, &words::TAGS);
        let smart = n % 2 == 1;
        let title = if smart { format!("Tagged {tag} {n}") } else { format!("Edit No. {n}") };
        let created = self.before(n, 40..=900);
        let members = (0..if smart { 0 } else { 4 + dice.of("size").below(n, 12) })
            .map(|k| dice.of("member").below(n * 64 + k, self.size.products));
        let members: std::collections::BTreeSet<u64> = members.collect();
        let rules = json!({
            "__typename": "CollectionRuleSet",
            "appliedDisjunctively": false,
            "rules": [{
                "__typename": "CollectionRule", "column": "TAG", "relation": "EQUALS",
                "condition": tag, "conditionObject": null,
            }],
        });
        Some(json!({
            "__typename": "Collection",
            "id": Gid::nth("Collection", n).to_string(),
            "handle": handle(&title),
            "title": title,
            "descriptionHtml": format!("<p>{title}, chosen by hand &amp; heart.</p>"),
            "sortOrder": if smart { "BEST_SELLING" } else { "MANUAL" },
            "templateSuffix": null,
            "image": null,
            "seo": { "__typename": "SEO", "title": null, "description": null },
            "ruleSet": if smart { rules } else { Value::Null },
            "products": members.into_iter()
                .map(|product| link(Gid::nth("Product", product)))
                .collect::<Vec<_>>(),
            "metafields": [],
            "resourcePublicationsV2": [published(0, &created)],
            "createdAt": created,
            "updatedAt": self.before(n, 1..=39),
        }))
    }

    pub(super) fn location(&self, n: u64) -> Option<Value> {
        if n >= self.size.locations {
            return None;
        }
        let [city, province, province_code, country, country_code, zip] =
            words::CITIES[usize::try_from(n).ok()?];
        let created = self.before(n, 900..=901);
        Some(json!({
            "__typename": "Location",
            "id": Gid::nth("Location", n).to_string(),
            "name": if n == 0 { "Warehouse" } else { "Shop floor" },
            "isActive": true, "activatable": true, "deactivatable": true, "deletable": false,
            "deactivatedAt": null,
            "fulfillsOnlineOrders": true, "shipsInventory": n == 0, "hasActiveInventory": true,
            "isFulfillmentService": false, "isPrimary": n == 0,
            "localPickupSettingsV2": null,
            "address": {
                "__typename": "LocationAddress",
                "address1": format!("{} {}", n + 1, words::STREETS[0]), "address2": null,
                "city": city, "province": province, "provinceCode": province_code,
                "country": country, "countryCode": country_code, "zip": zip, "phone": null,
                "latitude": null, "longitude": null, "formatted": [],
            },
            "metafields": [],
            "createdAt": created, "updatedAt": created,
        }))
    }

    pub(super) fn publication(&self, n: u64) -> Option<Value> {
        let name = ["Online Store", "Point of Sale"].get(usize::try_from(n).ok()?)?;
        Some(json!({
            "__typename": "Publication",
            "id": Gid::nth("Publication", n).to_string(),
            "name": name, "autoPublish": true, "supportsFuturePublishing": n == 0,
            "catalog": {
                "__typename": "AppCatalog", "id": Gid::nth("AppCatalog", n).to_string(),
                "title": name, "status": "ACTIVE",
            },
        }))
    }
}
