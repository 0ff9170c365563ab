//! Customers and where they live.

use serde_json::{Value, json};

use super::{Catalog, words};
use crate::gid::Gid;

pub(super) const ADDRESSES_MAX: u64 = 2;

impl Catalog {
    pub(super) fn customer(&self, n: u64) -> Option<Value> {
        if n >= self.size.customers {
            return None;
        }
        let (first, last) = self.person(n);
        let ascii = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>();
        let email = format!("{}.{}.{n}@example.com", ascii(first), ascii(last)).to_lowercase();
        let addresses: Vec<Value> = (0..=self.dice.of("addresses").below(n, ADDRESSES_MAX))
            .map(|k| self.address(n, k))
            .collect();
        let created = self.before(n, 30..=700);
        let subscribed = self.dice.of("consent").below(n, 3) == 0;
        Some(json!({
            "__typename": "Customer",
            "id": Gid::nth("Customer", n).to_string(),
            "firstName": first,
            "lastName": last,
            "defaultEmailAddress": {
                "__typename": "CustomerEmailAddress",
                "emailAddress": email,
                "marketingState": if subscribed { "SUBSCRIBED" } else { "NOT_SUBSCRIBED" },
                "marketingOptInLevel": subscribed.then_some("SINGLE_OPT_IN"),
                "marketingUpdatedAt": subscribed.then_some(&created),
                "sourceLocation": null,
                "validFormat": true,
            },
            "defaultPhoneNumber": null,
            "note": n.is_multiple_of(7).then_some("Prefers parcels without plastic"),
            "tags": if n.is_multiple_of(5) { vec!["vip"] } else { vec![] },
            "state": "DISABLED",
            "verifiedEmail": true,
            "taxExempt": false,
            "taxExemptions": [],
            "multipassIdentifier": null,
            "locale": "en",
            "dataSaleOptOut": false,
            "defaultAddress": addresses.first(),
            "addressesV2": addresses,
            "metafields": [],
            "numberOfOrders": "0",
            "amountSpent": { "__typename": "MoneyV2", "amount": "0.0", "currencyCode": "USD" },
            "createdAt": created,
            "updatedAt": self.before(n, 1..=29),
        }))
    }

    pub(super) fn person(&self, n: u64) -> (&'static str, &'static str) {
        let dice = self.dice.of("person");
        (*dice.pick(2 * n, &words::FIRST_NAMES), *dice.pick(2 * n + 1, &words::LAST_NAMES))
    }

    pub(super) fn address(&self, customer: u64, k: u64) -> Value {
        let n = customer * ADDRESSES_MAX + k;
        let (first, last) = self.person(customer);
        let dice = self.dice.of("address");
        let [city, province, province_code, country, country_code, zip] =
            *dice.pick(2 * n, &words::CITIES);
        let street = dice.pick(2 * n + 1, &words::STREETS);
        json!({
            "__typename": "MailingAddress",
            "id": format!("{}?model_name=CustomerAddress", Gid::nth("MailingAddress", n)),
            "firstName": first, "lastName": last, "name": format!("{first} {last}"),
            "company": null,
            "address1": format!("{} {street}", 1 + dice.of("door").below(n, 400)),
            "address2": null,
            "city": city, "province": province, "provinceCode": province_code,
            "country": country, "countryCodeV2": country_code, "zip": zip,
            "phone": null,
            "latitude": null, "longitude": null,
        })
    }
}
