//! XML: read without document types (so no entity can expand or load anything), searched with XPath 1.0, converted to JSON and
//! back.

pub mod convert;
pub mod gate;
mod tree;
pub mod xpath;
pub mod xslt;

use roxmltree::{Document, ParsingOptions};

/// Reads a document within the limits of [`gate`]. The error says what is wrong with it, for logs.
pub fn parse(text: &str) -> Result<Document<'_>, &'static str> {
    let text = text.trim_start_matches('\u{feff}');
    gate::check(text)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: gate::MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => "the document has more than 200000 nodes",
        _ => "the source is not XML",
    })
}

/// Whether a text can name an element: an XML 1.0 name without a colon.
pub fn is_name(text: &str) -> bool {
    let start = |c: char| c.is_alphabetic() || c == '_';
    text.starts_with(start) && text.chars().all(|c| start(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{b7}'))
}

#[cfg(test)]
mod tests {
    use super::gate;

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
        let attributes = |count: usize| format!("<a {}/>", (0..count).map(|n| format!("a{n}='' ")).collect::<String>());
        let declared = |count: usize, inside: &str| {
            format!("<a {}>{inside}</a>", (0..count).map(|n| format!("xmlns:n{n} \n = 'u{n}' ")).collect::<String>())
        };
        for (text, limit) in [
            (attributes(60_000), "256 attributes"),
            (format!("<b><!-- <c> --><![CDATA[<d>]]><?p <e> ?>{}</b>", attributes(257)), "256 attributes"),
            (format!("<b c='>' d=\"<\">{}</b>", attributes(257)), "256 attributes"),
            (declared(65, ""), "namespaces"),
            (declared(60, &"<b xmlns:x='x'/>".repeat(4037)), "namespaces"),
            (declared(60, "<b xmlns:o='o' xmlns:p='p' xmlns:q='q' xmlns:r='r' xmlns:s='s'/>"), "namespaces"),
            (format!("<a>{}</a>", "<b/>".repeat(200_000)), "nodes"),
            (format!("{}{}", "<a>".repeat(257), "</a>".repeat(257)), "nested"),
            (format!("<a>{}</a>", "x".repeat(gate::MAX_BYTES)), "longer"),
        ] {
            let refusal = super::parse(&text).err().unwrap_or_default();
            assert!(refusal.contains(limit), "{}: {refusal}", &text[..40]);
        }
        for text in [attributes(256), declared(64, ""), format!("{}{}", "<a>".repeat(256), "</a>".repeat(256))] {
            assert!(super::parse(&text).is_ok(), "{}", &text[..40]);
        }
        assert!(super::parse("\u{feff}<?xml version=\"1.0\"?><a>&lt;&#x41;</a>").is_ok());
    }
}
