//! Inventory items and levels.

use serde_json::{Value, json};

use super::{Renderer, number_of};
use crate::catalog::two_decimals;
use crate::gid::Gid;

impl Renderer<'_> {
    pub(super) fn inventory_item(&self, gid: Gid, item: &Value) -> Value {
        let weight = &item["measurement"]["weight"];
        let unit = match weight["unit"].as_str() {
            Some("GRAMS") => "g",
            Some("OUNCES") => "oz",
            Some("POUNDS") => "lb",
            _ => "kg",
        };
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "sku": item["sku"],
            "tracked": item["tracked"],
            "requires_shipping": item["requiresShipping"],
            "cost": item["unitCost"]["amount"].as_str().map(two_decimals),
            "country_code_of_origin": item["countryCodeOfOrigin"],
            "province_code_of_origin": item["provinceCodeOfOrigin"],
            "harmonized_system_code": item["harmonizedSystemCode"],
            "country_harmonized_system_codes": item["countryHarmonizedSystemCodes"],
            "weight_value": weight["value"],
            "weight_unit": unit,
            "created_at": self.instant(item, "createdAt"),
            "updated_at": self.instant(item, "updatedAt"),
        })
    }

    pub(super) fn inventory_level(&self, level: &Value) -> Value {
        json!({
            "inventory_item_id": number_of(&level["item"]),
            "location_id": number_of(&level["location"]),
            "available": level["_quantities"]["available"],
            "updated_at": self.instant(level, "updatedAt"),
            "admin_graphql_api_id": level["id"],
        })
    }
}
