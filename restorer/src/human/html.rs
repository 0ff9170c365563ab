//! What a piece of HTML says, paragraph by paragraph, without what it looks like.

use html5gum::{Token, Tokenizer};

/// What a paragraph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Running text.
    Paragraph,
    /// A heading.
    Heading,
    /// An item of a list.
    Item,
    /// A row of a table.
    Row,
}

/// A paragraph with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub part: Part,
    /// Its words.
    pub words: Vec<String>,
}

impl Block {
    /// Its words in a line.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// The paragraphs of a piece of HTML. What is not seen (scripts, styles, comments) is left out; a
/// picture stands as its description.
pub fn blocks(html: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = Block { part: Part::Paragraph, words: Vec::new() };
    let mut text = String::new();
    let mut unseen = 0_u32;
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::String(piece) if unseen == 0 => text.push_str(&String::from_utf8_lossy(&piece)),
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                match name.as_str() {
                    "script" | "style" | "template" if !tag.self_closing => unseen += 1,
                    "img" => {
                        let attribute = |name: &[u8]| {
                            tag.attributes
                                .get(name)
                                .map(|v| String::from_utf8_lossy(v).into_owned())
                        };
                        let alt = attribute(b"alt").filter(|alt| !alt.is_empty());
                        text.push_str(&format!(" [{}] ", alt.as_deref().unwrap_or("picture")));
                    }
                    "td" | "th" => text.push_str("  "),
                    _ => {
                        if let Some(part) = part(&name) {
                            close(&mut blocks, &mut open, &mut text, part);
                        }
                    }
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                match name.as_str() {
                    "script" | "style" | "template" => unseen = unseen.saturating_sub(1),
                    _ if part(&name).is_some_and(|_| name != "br") => {
                        close(&mut blocks, &mut open, &mut text, Part::Paragraph);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    close(&mut blocks, &mut open, &mut text, Part::Paragraph);
    blocks
}

/// Ends the open paragraph and begins another.
fn close(blocks: &mut Vec<Block>, open: &mut Block, text: &mut String, next: Part) {
    open.words.extend(text.split_whitespace().map(str::to_owned));
    text.clear();
    let done = std::mem::replace(open, Block { part: next, words: Vec::new() });
    if !done.words.is_empty() {
        blocks.push(done);
    }
}

fn part(tag: &str) -> Option<Part> {
    Some(match tag {
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Part::Heading,
        "li" | "dt" | "dd" => Part::Item,
        "tr" => Part::Row,
        "p" | "div" | "br" | "hr" | "ul" | "ol" | "table" | "section" | "article" | "header"
        | "footer" | "blockquote" | "pre" | "figure" | "dl" | "tbody" | "thead" => Part::Paragraph,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_paragraphs() {
        let html = "<h2>Care</h2><p>Wash <b>cold</b> &amp; dry&nbsp;flat.<br>Do not iron.</p>\
            <script>alert('x')</script><ul><li>Cotton<li>Linen</ul><img src=x alt=Label>\
            <table><tr><td>S</td><td>36</td></tr></table><!-- no -->end <not-closed";
        let shown: Vec<String> =
            blocks(html).iter().map(|b| format!("{:?}: {}", b.part, b.text())).collect();
        assert_eq!(
            shown,
            [
                "Heading: Care",
                "Paragraph: Wash cold & dry flat.",
                "Paragraph: Do not iron.",
                "Item: Cotton",
                "Item: Linen",
                "Paragraph: [Label]",
                "Row: S 36",
                "Paragraph: end",
            ]
        );
        assert_eq!(blocks(""), []);
    }
}
