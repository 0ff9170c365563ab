//! Which mutations may go in bulk: those by which a product is made anew, since these are what large
//! restores spend their points on, and nothing that they write was there before.
//!
//! A bulk mutation takes no points for what it answers either, but may select one connection: that of
//! the variants, which are most of what has to be read of a product that was just made
//! (`product/made.rs`). Within it `productSet` is always synchronous.
//! <https://shopify.dev/docs/api/usage/bulk-operations/imports>,
//! <https://shopify.dev/docs/api/admin-graphql/latest/mutations/productSet>

/// Mutations, and the document as which each goes in bulk.
const DOCUMENTS: &[(&str, &str)] = &[
    (
        include_str!("graphql/product_set.graphql"),
        include_str!("graphql/product_set_in_bulk.graphql"),
    ),
    (
        include_str!("graphql/product_set_telling.graphql"),
        include_str!("graphql/product_set_in_bulk.graphql"),
    ),
    (
        include_str!("graphql/product_set_telling_more.graphql"),
        include_str!("graphql/product_set_in_bulk.graphql"),
    ),
    (
        include_str!("graphql/publishable_publish.graphql"),
        include_str!("graphql/publishable_publish.graphql"),
    ),
];

/// What the name of each operation begins with, by which ours are told from those of others.
const MARK: &str = "Backstock_";

/// The document as which a mutation goes in bulk, with the same variables; `None`: it does not.
pub(crate) fn document(of: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|(alone, _)| *alone == of).map(|(_, in_bulk)| *in_bulk)
}

/// The document under a name that no other operation has.
pub(crate) fn named(document: &str, nonce: &str) -> String {
    document.replacen(super::send::name(document), &format!("{MARK}{nonce}"), 1)
}

/// Whether an operation may be ours, by the document that it was started with. One that does not say
/// is taken for ours.
pub(crate) fn may_be_ours(document: &str) -> bool {
    document.contains(MARK) || !document.contains("mutation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_known_by_its_name_as_ours_and_as_this_one() {
        for (alone, in_bulk) in DOCUMENTS {
            assert_eq!(document(alone), Some(*in_bulk));
            let named = named(in_bulk, "3f2a");
            assert!(named.starts_with("mutation Backstock_3f2a("), "{named}");
            assert!(may_be_ours(&named) && !may_be_ours(in_bulk));
        }
        assert_eq!(document("mutation ProductDelete($id: ID!) { a }"), None);
    }

    #[test]
    fn by_itself_or_in_bulk_a_making_tells_the_same() {
        let some = include_str!("graphql/product_set_telling.graphql");
        let more = include_str!("graphql/product_set_telling_more.graphql");
        for (alone, name, page) in [(some, "Telling", "20"), (more, "TellingMore", "50")] {
            let page = format!("(first: {page})");
            let in_bulk = alone.replace(name, "InBulk").replace(&page, "(first: 250)");
            assert_eq!(document(alone), Some(&*in_bulk));
        }
    }
}
