//! Two texts word by word.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::html::{Block, Part, blocks};

/// Whose a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In both.
    Same,
    /// Only in the old one.
    Gone,
    /// Only in the new one.
    New,
}

/// A stretch of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which sort of paragraph it begins, if it begins one.
    pub begins: Option<Part>,
    /// Whose it is.
    pub side: Side,
    /// Its words.
    pub text: String,
}

/// How long comparing may take; beyond that it is coarser.
const PATIENCE: Duration = Duration::from_millis(50);

/// A word, or the beginning of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Token {
    Begin(Part),
    Word(String),
}

/// Two pieces of HTML, or two plain texts, compared by their words.
pub fn words(old: &str, new: &str) -> Vec<Piece> {
    let (old, new) = (tokens(old), tokens(new));
    let deadline = Some(Instant::now() + PATIENCE);
    let mut pieces = Pieces::default();
    for op in capture_diff_slices_deadline(Algorithm::Patience, &old, &new, deadline) {
        match op {
            DiffOp::Equal { old_index, len, .. } => {
                pieces.add(Side::Same, &old[old_index..old_index + len]);
            }
            DiffOp::Delete { old_index, old_len, .. } => {
                pieces.add(Side::Gone, &old[old_index..old_index + old_len]);
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                pieces.add(Side::New, &new[new_index..new_index + new_len]);
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                pieces.add(Side::Gone, &old[old_index..old_index + old_len]);
                pieces.add(Side::New, &new[new_index..new_index + new_len]);
            }
        }
    }
    pieces.done
}

fn tokens(text: &str) -> Vec<Token> {
    let paragraphs = if text.contains('<') {
        blocks(text)
    } else {
        let line = |line: &str| Block {
            part: Part::Paragraph,
            words: line.split_whitespace().map(str::to_owned).collect(),
        };
        text.lines().map(line).filter(|block| !block.words.is_empty()).collect()
    };
    let of = |block: Block| {
        std::iter::once(Token::Begin(block.part)).chain(block.words.into_iter().map(Token::Word))
    };
    paragraphs.into_iter().flat_map(of).collect()
}

#[derive(Default)]
struct Pieces {
    done: Vec<Piece>,
}

impl Pieces {
    fn add(&mut self, side: Side, tokens: &[Token]) {
        for token in tokens {
            match token {
                Token::Begin(part) => {
                    self.done.push(Piece { begins: Some(*part), side, text: String::new() });
                }
                Token::Word(word) => match self.done.last_mut() {
                    Some(last) if last.side == side => {
                        if !last.text.is_empty() {
                            last.text.push(' ');
                        }
                        last.text.push_str(word);
                    }
                    _ => self.done.push(Piece { begins: None, side, text: word.clone() }),
                },
            }
        }
    }
}

/// Lines around a difference that are kept.
const LINES_AROUND: usize = 3;

/// Two texts for machines, line by line; of what is the same only what stands near a difference.
pub fn code(old: &str, new: &str) -> Vec<(Side, String)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let deadline = Some(Instant::now() + PATIENCE);
    let mut lines: Vec<(Side, &str)> = Vec::new();
    for op in capture_diff_slices_deadline(Algorithm::Patience, &old, &new, deadline) {
        if let DiffOp::Equal { old_index, len, .. } = op {
            lines.extend(old[old_index..old_index + len].iter().map(|line| (Side::Same, *line)));
            continue;
        }
        lines.extend(old[op.old_range()].iter().map(|line| (Side::Gone, *line)));
        lines.extend(new[op.new_range()].iter().map(|line| (Side::New, *line)));
    }
    let near = |n: usize| {
        let around = n.saturating_sub(LINES_AROUND)..(n + LINES_AROUND + 1).min(lines.len());
        lines[around].iter().any(|(side, _)| *side != Side::Same)
    };
    let mut shown: Vec<(Side, String)> = Vec::new();
    for (n, (side, line)) in lines.iter().enumerate() {
        if near(n) {
            shown.push((*side, (*line).to_owned()));
        } else if shown.last().is_none_or(|(_, last)| last != "…") {
            shown.push((Side::Same, "…".into()));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        words(old, new)
            .iter()
            .map(|piece| {
                let begins = if piece.begins.is_some() { "¶" } else { "" };
                match piece.side {
                    Side::Same => format!("{begins}{}", piece.text),
                    Side::Gone => format!("{begins}[-{}-]", piece.text),
                    Side::New => format!("{begins}[+{}+]", piece.text),
                }
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn only_the_words_that_differ_are_marked() {
        assert_eq!(
            shown(
                "<p>Soft <b>cotton</b> tee.</p><p>Wash cold.</p>",
                "<p>Soft linen tee.</p><ul><li>Wash cold.</li></ul>"
            ),
            "¶Soft [-cotton-] [+linen+] tee. ¶[--] ¶[++] Wash cold."
        );
        assert_eq!(shown("same words", "same words"), "¶same words");
        assert_eq!(shown("", "new"), "¶[+new+]");
        assert_eq!(shown("gone", ""), "¶[-gone-]");
    }
}
