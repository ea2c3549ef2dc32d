//! XML: read without document types (so no entity can grow or reach out), looked into by XPath 1.0, turned into JSON and back.

pub mod convert;
mod tree;
pub mod xpath;

use roxmltree::{Document, ParsingOptions};

/// Elements within elements beyond this count as an attack; what walks the tree may then recurse.
const MAX_DEPTH: u32 = 256;

/// Reads a document. The error is for logs.
pub fn parse(text: &str) -> Result<Document<'_>, &'static str> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: 1_000_000, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text.trim_start_matches('\u{feff}'), options).map_err(|_| "the source is not XML")?;
    // A node's parent comes before it.
    let mut depths: Vec<u32> = Vec::new();
    for node in document.root().descendants() {
        let depth = node.parent().and_then(|parent| depths.get(parent.id().get_usize())).map_or(0, |depth| depth + 1);
        if depth > MAX_DEPTH {
            return Err("the document is nested too deep");
        }
        depths.push(depth);
    }
    Ok(document)
}

/// Whether a text can name an element: a name of XML 1.0 without a colon.
pub fn is_name(text: &str) -> bool {
    let start = |c: char| c.is_alphabetic() || c == '_';
    text.starts_with(start) && text.chars().all(|c| start(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{b7}'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn attacks_are_refused_as_a_whole() {
        let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
        let bombs = [
            "<!DOCTYPE a [<!ENTITY x \"y\"><!ENTITY z \"&x;&x;\">]><a>&z;</a>",
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "<a>&undefined;</a>",
            "<a><b></a></b>",
            "<a",
            "",
            deep.as_str(),
        ];
        for text in bombs {
            assert!(super::parse(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
        assert!(super::parse("\u{feff}<?xml version=\"1.0\"?><a>&lt;&#x41;</a>").is_ok());
    }
}
