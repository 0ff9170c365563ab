//! Products with their options, variants, stock and pictures.

use serde_json::{Value, json};

use super::{Catalog, LOCATIONS, VARIANTS_MAX, handle, published, words};
use crate::gid::Gid;
use crate::store::{link, own};

pub(super) const OPTIONS_MAX: u64 = 3;
pub(super) const VALUES_MAX: u64 = 64;
pub(super) const MEDIA_MAX: u64 = 4;

/// An option's name and its values, or how many of them are used.
type Axis = (&'static str, &'static [&'static str]);

const AXES: [Axis; 3] =
    [("Size", &words::SIZES), ("Colour", &words::COLOURS), ("Finish", &words::FINISHES)];

impl Catalog {
    /// How many values each option of a product has, and how many variants that makes.
    fn axes(&self, product: u64) -> ([u64; 3], u64) {
        if self.size.big_every > 0 && product % self.size.big_every == 3 % self.size.big_every {
            let count = self.size.big_variants.clamp(1, VARIANTS_MAX);
            let colours = count.div_ceil(16).clamp(1, 16);
            return ([16.min(count), colours, count.div_ceil(16 * colours)], count);
        }
        let shapes = [[1, 1, 1], [1, 1, 1], [4, 1, 1], [5, 1, 1], [4, 3, 1], [5, 4, 1], [3, 2, 2]];
        let axes = *self.dice.of("axes").pick(product, &shapes);
        (axes, axes.iter().product())
    }

    /// The numbers of all variants.
    pub(super) fn variant_numbers(&self) -> impl Iterator<Item = u64> + Send + '_ {
        (0..self.size.products).flat_map(|product| {
            let (_, count) = self.axes(product);
            (0..count).map(move |variant| product * VARIANTS_MAX + variant)
        })
    }

    pub(super) fn media_count(&self, product: u64) -> u64 {
        self.dice.of("media").below(product, MEDIA_MAX)
    }

    fn product_name(&self, n: u64) -> (String, &'static str) {
        let combinations = (words::CUTS.len() * words::MATERIALS.len() * words::NOUNS.len()) as u64;
        let at = usize::try_from(n * 7919 % combinations).unwrap_or_default();
        let (noun, kind) = words::NOUNS[at % words::NOUNS.len()];
        let at = at / words::NOUNS.len();
        let material = words::MATERIALS[at % words::MATERIALS.len()];
        let cut = words::CUTS[at / words::MATERIALS.len()];
        let title = match n / combinations {
            0 => format!("{cut} {material} {noun}"),
            edition => format!("{cut} {material} {noun} {}", edition + 1),
        };
        (title, kind)
    }

    /// What a variant of a product costs, in cents.
    pub(super) fn price_cents(&self, product: u64) -> u64 {
        1_000 + self.dice.of("price").below(product, 300) * 100 - 1
    }

    pub(super) fn product(&self, n: u64) -> Option<Value> {
        if n >= self.size.products {
            return None;
        }
        let (title, product_type) = self.product_name(n);
        let (_, count) = self.axes(n);
        let created = self.before(n, 40..=900);
        let status = match self.dice.of("status").below(n, 20) {
            0 => "DRAFT",
            1 => "ARCHIVED",
            _ => "ACTIVE",
        };
        let mut tags: Vec<&str> =
            (0..3).map(|k| *self.dice.of("tags").pick(n * 3 + k, &words::TAGS)).collect();
        tags.sort_unstable();
        tags.dedup();
        let listed = status == "ACTIVE";
        Some(json!({
            "__typename": "Product",
            "id": Gid::nth("Product", n).to_string(),
            "handle": handle(&title),
            "descriptionHtml": format!(
                "<p>{title}, cut &amp; sewn in small batches.</p>\n<ul><li>Care: 30°</li><li>No. {n}</li></ul>"
            ),
            "title": title,
            "vendor": self.dice.of("vendor").pick(n, &words::VENDORS),
            "productType": product_type,
            "status": status,
            "tags": tags,
            "templateSuffix": null,
            "giftCardTemplateSuffix": null,
            "category": null,
            "isGiftCard": false,
            "requiresSellingPlan": false,
            "combinedListingRole": null,
            "hasVariantsThatRequiresComponents": false,
            "seo": { "__typename": "SEO", "title": null, "description": null },
            "createdAt": created,
            "updatedAt": self.before(n, 1..=39),
            "publishedAt": if listed { json!(created) } else { Value::Null },
            "options": self.options(n),
            "variants": (0..count)
                .map(|variant| own(Gid::nth("ProductVariant", n * VARIANTS_MAX + variant)))
                .collect::<Vec<_>>(),
            "media": (0..self.media_count(n))
                .map(|k| link(Gid::nth("MediaImage", n * MEDIA_MAX + k)))
                .collect::<Vec<_>>(),
            "metafields": [],
            "resourcePublicationsV2":
                if listed { vec![published(0, &created), published(1, &created)] } else { vec![] },
        }))
    }

    fn options(&self, product: u64) -> Vec<Value> {
        let (axes, count) = self.axes(product);
        if count == 1 {
            return vec![option(product, 0, "Title", ["Default Title"])];
        }
        let used = (0..).zip(AXES).zip(axes).filter(|(_, values)| *values > 1);
        used.enumerate()
            .map(|(position, ((_, (name, values)), count))| {
                let values = values.iter().take(usize::try_from(count).unwrap_or_default());
                option(product, position as u64, name, values.copied())
            })
            .collect()
    }

    /// The option values of a variant.
    fn choices(&self, product: u64, variant: u64) -> Vec<(&'static str, &'static str)> {
        let (axes, count) = self.axes(product);
        if count == 1 {
            return vec![("Title", "Default Title")];
        }
        let mut rest = variant;
        let mut choices = Vec::new();
        for ((name, values), size) in AXES.into_iter().zip(axes) {
            if size > 1 {
                choices.push((name, values[usize::try_from(rest % size).unwrap_or_default()]));
                rest /= size;
            }
        }
        choices
    }

    fn is_variant(&self, n: u64) -> bool {
        let (product, variant) = (n / VARIANTS_MAX, n % VARIANTS_MAX);
        product < self.size.products && variant < self.axes(product).1
    }

    pub(super) fn variant(&self, n: u64) -> Option<Value> {
        if !self.is_variant(n) {
            return None;
        }
        let (product, variant) = (n / VARIANTS_MAX, n % VARIANTS_MAX);
        let choices = self.choices(product, variant);
        let title: Vec<&str> = choices.iter().map(|(_, value)| *value).collect();
        let cents = self.price_cents(product);
        let on_sale = self.dice.of("sale").below(product, 5) == 0;
        Some(json!({
            "__typename": "ProductVariant",
            "id": Gid::nth("ProductVariant", n).to_string(),
            "title": title.join(" / "),
            "sku": self.sku(n),
            "barcode": format!("{:013}", 4_000_000_000_000_u64 + n),
            "price": cents_to_money(cents),
            "compareAtPrice": on_sale.then(|| cents_to_money(cents * 5 / 4)),
            "taxable": true,
            "inventoryPolicy": "DENY",
            "position": variant + 1,
            "selectedOptions": choices.iter()
                .map(|(name, value)| json!({
                    "__typename": "SelectedOption", "name": name, "value": value,
                }))
                .collect::<Vec<_>>(),
            "product": link(Gid::nth("Product", product)),
            "inventoryItem": own(Gid::nth("InventoryItem", n)),
            "media": [],
            "metafields": [],
            "requiresComponents": false,
            "showUnitPrice": false,
            "unitPriceMeasurement": null,
            "taxCode": null,
            "createdAt": self.before(product, 40..=900),
            "updatedAt": self.before(product, 1..=39),
        }))
    }

    pub(super) fn sku(&self, variant: u64) -> String {
        format!("SKU-{:05}-{:03}", variant / VARIANTS_MAX, variant % VARIANTS_MAX + 1)
    }

    pub(super) fn inventory_item(&self, n: u64) -> Option<Value> {
        let product = n / VARIANTS_MAX;
        if !self.is_variant(n) {
            return None;
        }
        let cost = self.price_cents(product) * 2 / 5;
        Some(json!({
            "__typename": "InventoryItem",
            "id": Gid::nth("InventoryItem", n).to_string(),
            "sku": self.sku(n),
            "tracked": true,
            "requiresShipping": true,
            "unitCost": { "__typename": "MoneyV2", "amount": cents_to_decimal(cost), "currencyCode": "USD" },
            "countryCodeOfOrigin": self.dice.of("origin").pick(product, &[Some("PT"), Some("CA"), None]),
            "provinceCodeOfOrigin": null,
            "harmonizedSystemCode": null,
            "countryHarmonizedSystemCodes": [],
            "measurement": {
                "__typename": "InventoryItemMeasurement",
                "id": null,
                "weight": { "__typename": "Weight", "unit": "KILOGRAMS", "value": 0.4 },
            },
            "inventoryLevels": (0..LOCATIONS)
                .map(|at| own(Gid::nth("InventoryLevel", n * LOCATIONS + at)))
                .collect::<Vec<_>>(),
            "variant": link(Gid::nth("ProductVariant", n)),
            "createdAt": self.before(product, 40..=900),
            "updatedAt": self.before(product, 1..=39),
        }))
    }

    pub(super) fn inventory_level(&self, n: u64) -> Option<Value> {
        let (item, location) = (n / LOCATIONS, n % LOCATIONS);
        let product = item / VARIANTS_MAX;
        if !self.is_variant(item) {
            return None;
        }
        let available = self.dice.of("stock").below(n, 120);
        let item = Gid::nth("InventoryItem", item);
        let id = Gid::nth("InventoryLevel", n);
        Some(json!({
            "__typename": "InventoryLevel",
            "id": format!("{id}?inventory_item_id={}", item.number()),
            "item": link(item),
            "location": link(Gid::nth("Location", location)),
            "isActive": true,
            "canDeactivate": false,
            "deactivationAlert": null,
            "_quantities": {
                "available": available, "on_hand": available, "committed": 0, "incoming": 0,
                "reserved": 0, "damaged": 0, "safety_stock": 0, "quality_control": 0,
            },
            "createdAt": self.before(product, 40..=900),
            "updatedAt": self.before(n, 1..=39),
        }))
    }

    pub(super) fn media(&self, n: u64) -> Option<Value> {
        let (product, k) = (n / MEDIA_MAX, n % MEDIA_MAX);
        if product >= self.size.products || k >= self.media_count(product) {
            return None;
        }
        let (title, _) = self.product_name(product);
        let created = self.before(product, 40..=900);
        let version = 1_700_000_000 + self.dice.of("file").below(n, 60_000_000);
        let url = format!("{}/s/files/1/0788/{}-{}.jpg?v={version}", self.cdn, handle(&title), n);
        Some(image(Gid::nth("MediaImage", n), &url, &format!("{title}, view {}", k + 1), &created))
    }
}

/// A picture that is ready to be shown.
pub(crate) fn image(id: Gid, url: &str, alt: &str, at: &str) -> Value {
    let source = json!({
        "__typename": "Image",
        "id": format!("gid://shopify/ImageSource/{}", id.number()),
        "url": url, "altText": alt, "width": 1200, "height": 1600,
    });
    json!({
        "__typename": "MediaImage",
        "id": id.to_string(),
        "alt": alt,
        "mediaContentType": "IMAGE",
        "status": "READY",
        "fileStatus": "READY",
        "fileErrors": [], "mediaErrors": [], "mediaWarnings": [],
        "mimeType": "image/jpeg",
        "image": source,
        "preview": { "__typename": "MediaPreviewImage", "image": source, "status": "READY" },
        "originalSource": {
            "__typename": "MediaImageOriginalSource", "fileSize": 4096, "url": url,
        },
        "createdAt": at,
        "updatedAt": at,
    })
}

fn option(
    product: u64,
    position: u64,
    name: &str,
    values: impl IntoIterator<Item = &'static str>,
) -> Value {
    let n = product * OPTIONS_MAX + position;
    let values = (0..).zip(values).map(|(at, value): (u64, _)| {
        json!({
            "__typename": "ProductOptionValue",
            "id": Gid::nth("ProductOptionValue", n * VALUES_MAX + at).to_string(),
            "name": value,
            "linkedMetafieldValue": null,
            "swatch": null,
        })
    });
    json!({
        "__typename": "ProductOption",
        "id": Gid::nth("ProductOption", n).to_string(),
        "name": name,
        "position": position + 1,
        "linkedMetafield": null,
        "optionValues": values.collect::<Vec<_>>(),
    })
}

/// `"64.00"`, as the `Money` scalar and webhook bodies have it.
#[must_use]
pub(crate) fn cents_to_money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// `"64.0"`, as `MoneyV2.amount` has it.
#[must_use]
pub(crate) fn cents_to_decimal(cents: u64) -> String {
    let money = cents_to_money(cents);
    money.strip_suffix('0').map_or(money.clone(), str::to_owned)
}
