//! What happens to customers.

use serde_json::{Value, json};

use super::Shop;
use crate::gid::Gid;
use crate::payload::Detail;
use crate::store::target;

impl Shop {
    /// Changes a customer's own fields.
    pub fn edit_customer(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let there = self.update(gid, change);
        if there {
            self.announce("customers/update", gid);
        }
        there
    }

    /// A new customer who lives in a city.
    pub fn add_customer(&mut self, first: &str, last: &str, email: &str, city: &str) -> Gid {
        let address = self.store.fresh("MailingAddress");
        let address = json!({
            "__typename": "MailingAddress",
            "id": format!("{address}?model_name=CustomerAddress"),
            "firstName": first, "lastName": last, "name": format!("{first} {last}"),
            "company": null, "address1": "1 Mill Lane", "address2": null, "city": city,
            "province": "Ontario", "provinceCode": "ON", "country": "Canada",
            "countryCodeV2": "CA", "zip": "K2P 2L8", "phone": null,
            "latitude": null, "longitude": null,
        });
        let gid = self.store.fresh("Customer");
        let now = self.now_text();
        self.put(gid, json!({
            "__typename": "Customer", "id": gid.to_string(), "firstName": first, "lastName": last,
            "defaultEmailAddress": {
                "__typename": "CustomerEmailAddress", "emailAddress": email,
                "marketingState": "NOT_SUBSCRIBED", "marketingOptInLevel": null,
                "marketingUpdatedAt": null, "sourceLocation": null, "validFormat": true,
            },
            "defaultPhoneNumber": null, "note": null, "tags": [], "state": "DISABLED",
            "verifiedEmail": true, "taxExempt": false, "taxExemptions": [],
            "multipassIdentifier": null, "locale": "en", "dataSaleOptOut": false,
            "defaultAddress": address, "addressesV2": [address], "metafields": [], "numberOfOrders": "0",
            "amountSpent": { "__typename": "MoneyV2", "amount": "0.0", "currencyCode": "USD" },
            "createdAt": now, "updatedAt": now,
        }));
        self.announce("customers/create", gid);
        gid
    }

    /// Gives a customer exactly these tags, and tells which were gained and lost.
    pub fn retag_customer(&mut self, gid: Gid, tags: &[String]) {
        let Some(customer) = self.store.get(gid) else { return };
        let had: Vec<String> = customer["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        let gained: Vec<String> = tags.iter().filter(|tag| !had.contains(tag)).cloned().collect();
        let lost: Vec<String> = had.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
        self.edit_customer(gid, |state| state["tags"] = json!(tags));
        for (topic, tags) in [("customer.tags_added", gained), ("customer.tags_removed", lost)] {
            if !tags.is_empty() {
                self.announce_with(topic, gid, Detail { tags });
            }
        }
    }

    /// Changes whether a customer wants e-mail.
    pub fn set_email_consent(&mut self, gid: Gid, subscribed: bool) {
        let now = self.now_text();
        let there = self.update(gid, |state| {
            let email = &mut state["defaultEmailAddress"];
            email["marketingState"] = json!(if subscribed { "SUBSCRIBED" } else { "UNSUBSCRIBED" });
            email["marketingOptInLevel"] = json!("SINGLE_OPT_IN");
            email["marketingUpdatedAt"] = json!(now);
        });
        if there {
            self.announce("customers_email_marketing_consent/update", gid);
        }
    }

    /// Deletes a customer, which is refused once there are orders.
    pub fn delete_customer(&mut self, gid: Gid) -> bool {
        let orders = self.store.get(gid).map(|customer| customer["numberOfOrders"] != "0");
        let placed = orders == Some(true)
            || self.store.live("Order").any(|(_, order)| target(&order["customer"]) == Some(gid));
        if orders.is_none() || placed {
            return false;
        }
        self.remove(gid);
        self.announce("customers/delete", gid);
        // A contact cannot be without the customer that it is.
        for contact in self.store.naming("CompanyContact", "customer", gid) {
            self.delete_contact(contact);
        }
        true
    }
}
