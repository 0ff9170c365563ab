//! Stock by the gid that Shopify gives it. History knows a level by its item and its location; the number
//! in Shopify's gid is neither, and only the item stands behind it.

use backstock_proto::journal::{AsOf, Journal, JournalError};
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop};
use futures::TryStreamExt as _;

const LEVEL: &str = "inventory_level";
const LOCATION: &str = "location";
const GID: &str = "gid://shopify/InventoryLevel/";
const ITEM: &str = "?inventory_item_id=";

/// The level that has this gid; `None` if it is none of Shopify's, or of nothing that is known.
pub(crate) async fn known_as(
    journal: &dyn Journal,
    shop: &Shop,
    gid: &str,
) -> Result<Option<ResourceId>, JournalError> {
    let numbers = gid.strip_prefix(GID).and_then(|numbers| numbers.split_once(ITEM));
    let kinds = (Kind::parse(LEVEL), Kind::parse(LOCATION));
    let (Some((_, item)), (Ok(level), Ok(location))) = (numbers, kinds) else { return Ok(None) };
    let mut places = journal.heads(shop, &location, None).await?;
    while let Some(place) = places.try_next().await? {
        let id = ResourceId::parse(&format!("{item}-{}", place.id));
        let Some(id) = id.ok().filter(|_| place.facet == Facet::Core) else { continue };
        let key = ResourceKey { shop: shop.clone(), kind: level.clone(), id };
        let known = journal.resource(&key, AsOf::Latest).await?;
        if known.is_some_and(|known| known.state["id"] == gid) {
            return Ok(Some(key.id));
        }
    }
    Ok(None)
}

/// Puts what history knows levels by in the place of Shopify's gids.
pub(crate) async fn by_what_is_known(
    journal: &dyn Journal,
    shop: &Shop,
    gids: &mut [String],
) -> Result<(), JournalError> {
    for gid in gids {
        let known = known_as(journal, shop, gid.trim()).await?;
        if let Some(id) = known {
            *gid = format!("{GID}{id}");
        }
    }
    Ok(())
}
