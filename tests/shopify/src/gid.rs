//! Global ids: `gid://shopify/Product/788032119674292922`.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The first number of a type's range. Every number is far above 2^53 and no multiple of 128,
/// so a reader that goes through a double is found out at once.
const FIRST: u64 = 700_000_000_000_292_923;
const RANGE: u64 = 1_000_000_000_000_000;
const STEP: u64 = 32_768;
/// How far the ids of one shop are from those of the next: no two have one in common.
const SHOP: u64 = 100_000_000_000_000_000;
/// So many shops have ids of their own.
pub const SHOPS: u64 = 80;

/// Which of these shops the ids of this process are of: the first, unless another was said.
static OF_SHOP: OnceLock<u64> = OnceLock::new();

/// Gives the ids of the `n`-th shop from now on. It is said before there are any, and once.
pub fn of_shop(n: u64) {
    let _first_said_holds = OF_SHOP.set(n);
}

/// The first number of the range of a type.
fn first(kind: u16) -> u64 {
    FIRST + OF_SHOP.get().copied().unwrap_or_default() * SHOP + u64::from(kind) * RANGE
}

/// Every GraphQL type that the simulator gives ids to. The position of a name decides its range
/// of numbers, so names are only ever added at the end.
const TYPES: &[&str] = &[
    "Shop",
    "Product",
    "ProductVariant",
    "ProductOption",
    "ProductOptionValue",
    "MediaImage",
    "InventoryItem",
    "InventoryLevel",
    "Location",
    "Collection",
    "Customer",
    "MailingAddress",
    "Order",
    "LineItem",
    "ShippingLine",
    "OrderTransaction",
    "Publication",
    "Metafield",
    "MetafieldDefinition",
    "Metaobject",
    "MetaobjectDefinition",
    "Page",
    "Blog",
    "Article",
    "UrlRedirect",
    "Menu",
    "MenuItem",
    "GenericFile",
    "Video",
    "OnlineStoreTheme",
    "DiscountCodeNode",
    "DiscountAutomaticNode",
    "DiscountRedeemCode",
    "PriceList",
    "MarketCatalog",
    "AppCatalog",
    "CompanyLocationCatalog",
    "Market",
    "GiftCard",
    "DraftOrder",
    "Company",
    "CompanyContact",
    "CompanyLocation",
    "Segment",
    "SellingPlanGroup",
    "SellingPlan",
    "WebhookSubscription",
    "BulkOperation",
    "Job",
    "StaffMember",
    "App",
    "AppInstallation",
    "BasicEvent",
    "ProductImage",
    "Fulfillment",
    "Refund",
    "ProductSetOperation",
    "DeliveryProfile",
    "ScriptTag",
    "ShopPolicy",
    "DraftOrderLineItem",
    "CompanyContactRole",
    "CompanyAddress",
    "InventoryAdjustmentGroup",
    "MarketWebPresence",
    "TaxonomyCategory",
    "Model3d",
    "ExternalVideo",
    "CollectionConditionsSource",
    "ImageSource",
    "Translation",
    "Comment",
    "DiscountRedeemCodeBulkCreation",
    "RefundLineItem",
    "FulfillmentLineItem",
    "DeliveryLocationGroup",
    "DeliveryZone",
    "DeliveryMethodDefinition",
    "CompanyContactRoleAssignment",
    "DeliveryCountry",
    "DeliveryProvince",
    "DeliveryCondition",
    "DeliveryRateDefinition",
];

/// The id of one resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Gid {
    kind: u16,
    number: u64,
}

/// Not a gid, or of a type that the simulator has none of.
#[derive(Debug, PartialEq, Eq)]
pub struct BadGid;

impl Gid {
    /// The `n`-th resource of a type.
    ///
    /// # Panics
    /// When the type is not in the table: that is a mistake in the simulator.
    #[must_use]
    pub fn nth(type_name: &str, n: u64) -> Self {
        let kind = type_index(type_name).unwrap_or_else(|| panic!("{type_name} has no range"));
        Self { kind, number: first(kind) + n * STEP }
    }

    /// Which one of its type this is, when the number is one that we gave out.
    #[must_use]
    pub fn n(&self) -> Option<u64> {
        let offset = self.number.checked_sub(first(self.kind))?;
        (offset < RANGE && offset % STEP == 0).then_some(offset / STEP)
    }

    /// The GraphQL type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        TYPES[usize::from(self.kind)]
    }

    /// The number, as REST-shaped bodies show it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether ids of this type exist here.
    #[must_use]
    pub fn knows(type_name: &str) -> bool {
        type_index(type_name).is_some()
    }
}

fn type_index(type_name: &str) -> Option<u16> {
    TYPES.iter().position(|known| *known == type_name).and_then(|at| u16::try_from(at).ok())
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gid://shopify/{}/{}", self.type_name(), self.number)
    }
}

impl FromStr for Gid {
    type Err = BadGid;

    /// The query of an inventory level's id (`?inventory_item_id=`) is not part of the identity.
    fn from_str(text: &str) -> Result<Self, BadGid> {
        let rest = text.strip_prefix("gid://shopify/").ok_or(BadGid)?;
        let (type_name, rest) = rest.split_once('/').ok_or(BadGid)?;
        let digits = rest.split_once('?').map_or(rest, |(digits, _)| digits);
        let number = digits.parse().map_err(|_| BadGid)?;
        let of = |type_name| type_index(type_name).map(|kind| Self { kind, number });
        if type_name == "DiscountNode" {
            // Both sorts of discount have this id as well.
            let mut sorts = ["DiscountCodeNode", "DiscountAutomaticNode"].into_iter();
            return sorts.find_map(|sort| of(sort).filter(|gid| gid.n().is_some())).ok_or(BadGid);
        }
        of(type_name).ok_or(BadGid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_survive_a_double() {
        for n in [0, 1, 7, 1_000_003] {
            let gid = Gid::nth("ProductVariant", n);
            assert_eq!(gid.to_string().parse(), Ok(gid));
            assert_eq!(gid.n(), Some(n));
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            #[allow(clippy::cast_sign_loss)]
            let rounded = gid.number() as f64 as u64;
            assert_ne!(rounded, gid.number());
        }
    }

    #[test]
    fn a_level_is_known_by_its_number() {
        let gid = Gid::nth("InventoryLevel", 4);
        assert_eq!(format!("{gid}?inventory_item_id=12").parse(), Ok(gid));
        assert_eq!("gid://shopify/Nothing/1".parse::<Gid>(), Err(BadGid));
    }
}
