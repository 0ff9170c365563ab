//! What kinds and fields are called.

/// What one of a kind is called: `redirect`, `gift card`.
pub fn singular(kind: &str) -> String {
    match kind {
        "inventory_item" => "stock item".into(),
        "inventory_level" => "stock level".into(),
        "theme_file" => "theme file".into(),
        "metaobject" => "metaobject entry".into(),
        "redirect" => "URL redirect".into(),
        "article" => "blog post".into(),
        _ => kind.replace('_', " "),
    }
}

/// What several are called.
pub fn plural(kind: &str) -> String {
    let one = singular(kind);
    match one.as_str() {
        _ if kind == "metaobject" => "metaobject entries".into(),
        _ if one.ends_with("ss") || one.ends_with("ch") => one + "es",
        _ if one.ends_with('s') => one,
        _ => match one.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
            _ => one + "s",
        },
    }
}

/// So many of a kind: `1 product`, `4,115 products`.
pub fn count(n: u64, kind: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { singular(kind) } else { plural(kind) })
}

/// A number with its thousands apart: 1234567 as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What a member of a state is called.
pub fn field(member: &str) -> String {
    let known = match member {
        "descriptionHtml" | "description" => "Description",
        "body" | "bodyHtml" => "Text",
        "summary" => "Excerpt",
        "compareAtPrice" => "Compare-at price",
        "productType" => "Type",
        "templateSuffix" | "giftCardTemplateSuffix" => "Theme template",
        "publishedAt" => "Published",
        "publications" => "Sales channels",
        "isPublished" => "Visible",
        "sku" => "SKU",
        "seo" => "Search engine listing",
        "taxable" => "Charge tax",
        "tracked" => "Track quantity",
        "requiresShipping" => "Physical product",
        "inventoryPolicy" => "When sold out",
        "inventoryItem" => "Stock item",
        "inventoryQuantity" => "Quantity",
        "unitCost" => "Cost per item",
        "selectedOptions" | "options" => "Options",
        "optionValues" | "values" => "Values",
        "mediaIds" => "Pictures",
        "media" => "Pictures",
        "image" => "Picture",
        "alt" => "Alt text",
        "url" => "Address",
        "variants" | "variantDetails" => "Variants",
        "ruleSet" => "Conditions",
        "sortOrder" => "Sort order",
        "handle" => "URL handle",
        "path" => "From",
        "target" => "To",
        "items" => "Menu items",
        "acceptsMarketing" => "Accepts marketing",
        "isActive" => "Active",
        "displayName" => "Name",
        "email" => "Email",
        "requiresSellingPlan" => "Subscription only",
        "isGiftCard" => "Gift card",
        "isDefault" => "Default",
        "countryHarmonizedSystemCodes" => "Customs codes",
        _ => return words(member),
    };
    known.into()
}

/// What one element of a list is called.
pub(super) fn element(list: &str) -> String {
    let known = match list {
        "variants" | "variantDetails" => "Variant",
        "media" | "images" => "Picture",
        "metafields" => "Metafield",
        "options" | "selectedOptions" => "Option",
        "items" => "Menu item",
        "addresses" | "addressesV2" => "Address",
        "lineItems" => "Line item",
        "fields" | "fieldDefinitions" => "Field",
        "products" => "Product",
        "quantities" => "Quantity",
        _ => {
            let name = words(list);
            return name.strip_suffix('s').map_or(name.clone(), str::to_owned);
        }
    };
    known.into()
}

/// `camelCase` and `snake_case` as words.
fn words(member: &str) -> String {
    let mut out = String::with_capacity(member.len() + 4);
    let mut before_lower = false;
    for c in member.chars() {
        match c {
            '_' | '-' => out.push(' '),
            _ if c.is_uppercase() && before_lower => {
                out.push(' ');
                out.extend(c.to_lowercase());
            }
            _ if out.is_empty() => out.extend(c.to_uppercase()),
            _ => out.push(c),
        }
        before_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    out
}

/// `PARTIALLY_FULFILLED` as `Partially fulfilled`.
pub(super) fn enumeration(value: &str) -> String {
    words(&value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_plurals() {
        let all = ["product", "company", "gift_card", "publication", "metaobject", "policy"];
        let shown: Vec<String> = all.iter().map(|kind| count(4_115, kind)).collect();
        assert_eq!(
            shown.join("; "),
            "4,115 products; 4,115 companies; 4,115 gift cards; 4,115 publications; 4,115 metaobject entries; 4,115 policies"
        );
        assert_eq!(
            [count(1, "redirect"), count(1_000_000, "x")],
            ["1 URL redirect", "1,000,000 xs"]
        );
    }

    #[test]
    fn unknown_fields_are_spelt_out() {
        assert_eq!(field("showUnitPrice"), "Show unit price");
        assert_eq!(field("api_version"), "Api version");
        assert_eq!(element("discountCodes"), "Discount code");
        assert_eq!(enumeration("PARTIALLY_FULFILLED"), "Partially fulfilled");
    }
}
