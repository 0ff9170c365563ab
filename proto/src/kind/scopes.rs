//! The access scopes that an app needs for everything that is kept.

use std::collections::BTreeSet;

use super::{ALL, Spec};

/// To read everything. Orders older than sixty days take `read_all_orders` besides, for which Shopify
/// has to be asked.
pub fn reads() -> BTreeSet<&'static str> {
    all(|spec| spec.reads)
}

/// To write everything back that can be.
pub fn writes() -> BTreeSet<&'static str> {
    all(|spec| spec.writes)
}

fn all(of: impl Fn(&Spec) -> &'static [&'static str]) -> BTreeSet<&'static str> {
    ALL.iter().flat_map(|spec| of(spec)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Writable;

    #[test]
    fn what_can_be_written_says_which_scopes_that_takes() {
        for spec in ALL {
            let archive = matches!(spec.writable, Writable::Archive(_));
            // What a definition takes depends on what it is a definition for, and a shop takes nothing.
            let own = !["metafield_definition", "shop"].contains(&spec.name);
            assert_eq!(spec.writes.is_empty(), archive || !own, "{}", spec.name);
            assert!(spec.reads.iter().all(|scope| scope.starts_with("read_")), "{}", spec.name);
            assert!(spec.writes.iter().all(|scope| scope.starts_with("write_")), "{}", spec.name);
        }
    }

    #[test]
    fn the_readme_names_all_of_them() {
        let readme = include_str!("../../../README.md");
        for scopes in [reads(), writes()] {
            let line = scopes.into_iter().collect::<Vec<_>>().join(",");
            assert!(readme.contains(&line), "README.md does not have the line {line}");
        }
    }
}
