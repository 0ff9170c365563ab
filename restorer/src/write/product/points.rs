//! How much of a product one mutation takes: it costs by what it is given, and one of more than 1,000
//! points is refused. In bulk there is no such limit, but what goes in bulk may have to go by itself.
//!
//! <https://shopify.dev/changelog/dynamic-complexity-cost-for-productset-mutation>,
//! <https://shopify.dev/changelog/dynamic-complexity-for-productvariantsbulkcreate-and-productvariantsbulkupdate-mutations>

use serde_json::Value;

use super::variants::INPUT_MAX;
use crate::write::step::{self, list};

/// Most of what is given, in tenths of a point like all of these: what is answered costs as well, more than
/// 200 points where it tells of fifty variants.
const MOST: usize = 7_500;
const VARIANT: usize = 2;
/// The picture of a variant.
const PICTURE: usize = 6;
const METAFIELD: usize = 4;
/// A file of a product.
const FILE: usize = 19;

/// Variants in parts, so many at a time as one mutation takes.
pub(super) fn parts(variants: &[Value]) -> Vec<&[Value]> {
    step::parts(variants, (INPUT_MAX, MOST), of_variant)
}

/// How many of these variants go with a product that has so many files and metafields.
pub(super) fn beside(files: usize, metafields: usize, variants: &[Value]) -> usize {
    let left = MOST.saturating_sub(files * FILE + metafields * METAFIELD);
    step::parts(variants, (INPUT_MAX, left), of_variant).first().map_or(0, |first| first.len())
}

/// Takes the metafields out of variants that all have to go together, if it is too much with them.
pub(super) fn lighten(variants: &mut [Value]) {
    if variants.iter().map(of_variant).sum::<usize>() <= MOST {
        return;
    }
    for variant in variants.iter_mut().filter_map(Value::as_object_mut) {
        variant.remove("metafields");
    }
}

fn of_variant(input: &Value) -> usize {
    let is_pictured = ["file", "mediaId"].iter().any(|name| input.get(*name).is_some());
    VARIANT + usize::from(is_pictured) * PICTURE + list(input, "metafields").len() * METAFIELD
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variants(many: usize, metafields: usize) -> Vec<Value> {
        vec![json!({"mediaId": "m", "metafields": vec![json!({}); metafields]}); many]
    }

    #[test]
    fn so_many_variants_go_together_as_may_be_paid_for() {
        let sizes =
            |variants: &[Value]| parts(variants).iter().map(|p| p.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&variants(600, 0)), [250, 250, 100]);
        // 4.8 points each.
        assert_eq!(sizes(&variants(400, 10)), [156, 156, 88]);
    }

    #[test]
    fn what_a_product_has_itself_leaves_less_to_its_variants() {
        assert_eq!(beside(0, 0, &variants(300, 0)), 250);
        assert_eq!(beside(250, 25, &variants(300, 2)), 165, "265 points at 1.6 each");
        assert_eq!(beside(500, 0, &variants(3, 0)), 1, "a product has one at least");
        assert_eq!(beside(1, 1, &[]), 0);
    }

    #[test]
    fn variants_that_have_to_go_together_leave_their_metafields_behind() {
        let mut some = variants(100, 10);
        lighten(&mut some);
        assert_eq!(some, variants(100, 10));
        let mut many = variants(2_048, 1);
        lighten(&mut many);
        assert_eq!(many[0], json!({"mediaId": "m"}));
    }
}
