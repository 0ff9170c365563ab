//! Bringing a list into another order with few moves.

use std::collections::HashSet;

use serde_json::{Value, json};

/// The moves that bring `now` into the order of `want`, which has the same elements: each takes an
/// element out and puts it at a position, one after the other. There are no fewer that would do.
pub(super) fn moves<'a>(now: &[&'a str], want: &[&'a str]) -> Vec<(&'a str, usize)> {
    let standing = longest_in_order(now, want);
    let mut list = now.to_vec();
    let mut moves = Vec::new();
    for (at, element) in want.iter().enumerate() {
        if standing.contains(element) {
            continue;
        }
        let Some(from) = list.iter().position(|other| other == element) else { continue };
        list.remove(from);
        let before = at.checked_sub(1).and_then(|at| list.iter().position(|e| *e == want[at]));
        let to = before.map_or(0, |before| before + 1);
        list.insert(to, element);
        moves.push((*element, to));
    }
    moves
}

/// The elements that may stay where they are: a longest part of `now` that is in order already.
fn longest_in_order<'a>(now: &[&'a str], want: &[&'a str]) -> HashSet<&'a str> {
    let places: std::collections::HashMap<&str, usize> =
        want.iter().enumerate().map(|(at, element)| (*element, at)).collect();
    let known: Vec<(usize, &'a str)> =
        now.iter().filter_map(|element| Some((*places.get(element)?, *element))).collect();
    // The end of the best sequence of each length, and what came before each element.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; known.len()];
    for (at, (place, _)) in known.iter().enumerate() {
        let length = ends.partition_point(|end| known[*end].0 < *place);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut standing = HashSet::new();
    let mut at = ends.last().copied();
    while let Some(here) = at {
        standing.insert(known[here].1);
        at = before[here];
    }
    standing
}

/// Moves as `MoveInput`s, so many of them at a time as one input may have.
pub(super) fn inputs(moves: &[(&str, usize)]) -> Vec<Value> {
    let input = |(id, to): &(&str, usize)| json!({"id": id, "newPosition": to.to_string()});
    moves.chunks(250).map(|moves| moves.iter().map(input).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, want: &str, fewest: usize) {
        let split = |text: &'static str| text.split("").filter(|e| !e.is_empty()).collect();
        let (now, want): (Vec<&str>, Vec<&str>) =
            (split(now.to_owned().leak()), split(want.to_owned().leak()));
        let moves = moves(&now, &want);
        let mut list = now.clone();
        for (element, to) in &moves {
            let from = list.iter().position(|e| e == element).expect("it is there");
            list.remove(from);
            list.insert(*to, element);
        }
        assert_eq!(list, want);
        assert_eq!(moves.len(), fewest);
    }

    #[test]
    fn a_list_is_brought_into_order_with_the_fewest_moves() {
        check("abcde", "abcde", 0);
        check("abcde", "bcdea", 1);
        check("abcde", "eabcd", 1);
        check("abcde", "edcba", 4);
        check("abcdef", "badcfe", 3);
        check("abcde", "aebdc", 2);
        check("", "", 0);
    }
}
