//! XML within limits: no document type, bounded size and depth.

use portcullis_dsl::span::Lines;
use roxmltree::{Document, Error, Node, ParsingOptions};

use super::MAX_DEPTH;

/// Why a text is not read: the line, counted from one, and the reason.
pub type Refusal = (usize, String);

/// Reads a document. The depth is looked at first, because a parser's stack is not ours to spend.
pub fn parse(text: &str) -> Result<Document<'_>, Refusal> {
    if let Some(line) = too_deep(text) {
        return Err((line, format!("elements are nested deeper than {MAX_DEPTH}")));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: 20_000_000, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        // The parser says that of the first line; it is what was not found up to the last one.
        Error::UnexpectedEndOfStream | Error::UnclosedRootNode => {
            (text.lines().count().max(1), format!("the file ends before its XML does: {error}"))
        }
        error => (error.pos().row as usize, format!("not well-formed XML: {error}")),
    })
}

/// The line where elements are nested too deep, if there is one.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let tail = rest.get(at..)?;
        let skip = |end: &str| tail.find(end).map_or(tail.len(), |found| found + end.len());
        let length = if tail.starts_with("<!--") {
            skip("-->")
        } else if tail.starts_with("<![CDATA[") {
            skip("]]>")
        } else if tail.starts_with("<?") || tail.starts_with("<!") {
            skip(">")
        } else {
            let length = tag_length(tail);
            if tail.starts_with("</") {
                depth = depth.saturating_sub(1);
            } else if !tail.get(..length).is_some_and(|tag| tag.ends_with("/>")) {
                depth += 1;
            }
            length
        };
        if depth > MAX_DEPTH {
            let before = text.len() - tail.len();
            return Some(text.get(..before)?.matches('\n').count() + 1);
        }
        rest = tail.get(length..)?;
    }
    None
}

/// The length of a tag; `>` in quotes does not end it.
fn tag_length(tail: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tail.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tail.len()
}

/// The lines of a document, for the places of its nodes.
pub struct Places(Lines);

impl Places {
    /// Of a document's text.
    pub fn new(document: &Document<'_>) -> Places {
        Places(Lines::new(document.input_text()))
    }

    /// The line of a node.
    pub fn line(&self, node: Node<'_, '_>) -> usize {
        self.0.line(node.range().start)
    }
}

/// The child elements of a name, whatever its namespace.
pub fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The first child element of a name.
pub fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

/// The text of a child element.
pub fn text_of(node: Node<'_, '_>, name: &str) -> String {
    child(node, name).map(all_text).unwrap_or_default()
}

/// All text in an element.
pub fn all_text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

/// The value of `Properties/Property[@key]`.
pub fn property(node: Node<'_, '_>, key: &str) -> Option<String> {
    let properties = child(node, "Properties")?;
    let own = children(properties, "Property").find(|property| property.attribute("key") == Some(key))?;
    Some(all_text(own).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept() {
        assert!(parse("<a b='>'><!-- <x> --><![CDATA[<y>]]></a>").is_ok());
        assert!(parse("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>").is_err());
        let deep = "<a>\n".repeat(MAX_DEPTH + 5);
        let (line, why) = parse(&deep).unwrap_err();
        assert!(line > MAX_DEPTH && why.contains("deeper"), "{line} {why}");
        // Many levels that are closed again are not deep.
        assert!(parse(&format!("<r>{}</r>", "<a></a>".repeat(1000))).is_ok());
        assert_eq!(parse("<a>\n<b></a>").unwrap_err().0, 2);
        // A file that is cut off ends where it ends.
        for text in ["<a>\n<b/>\n", "<a>\n<b>\n<c x='"] {
            let (line, why) = parse(text).unwrap_err();
            assert!(line == text.lines().count() && why.contains("the file ends"), "{text}: {line} {why}");
        }
    }
}
