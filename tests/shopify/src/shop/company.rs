//! What goes with the people of companies.

use serde_json::Value;

use super::Shop;
use crate::gid::Gid;
use crate::store::target;

impl Shop {
    /// With the contact go its roles, and its place as the main one.
    pub(crate) fn delete_contact(&mut self, gid: Gid) {
        let company = self.store.get(gid).and_then(|contact| target(&contact["company"]));
        self.remove(gid);
        self.announce("company_contacts/delete", gid);
        let Some(company) = company else { return };
        for location in self.store.naming("CompanyLocation", "company", company) {
            let has = |role: &Value| target(&role["companyContact"]) == Some(gid);
            let state = self.store.get(location).unwrap_or_default();
            if state["roleAssignments"].as_array().is_some_and(|roles| roles.iter().any(has)) {
                self.update(location, |location| {
                    if let Some(roles) = location["roleAssignments"].as_array_mut() {
                        roles.retain(|role| !has(role));
                    }
                });
                self.announce("company_locations/update", location);
            }
        }
        let main = self.store.get(company).and_then(|company| target(&company["mainContact"]));
        if main == Some(gid) {
            self.update(company, |company| company["mainContact"] = Value::Null);
            self.announce("companies/update", company);
        }
    }
}
