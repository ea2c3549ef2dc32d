//! What a transformation makes, and how it is written.

use std::fmt::Write;

use super::{MAX_RESULT_DEPTH, Name, Output};
use crate::data::budget::Budget;

/// A node of a result.
#[derive(Clone)]
pub(super) enum Item {
    Element(Box<Element>),
    /// Belongs to the element that is being made.
    Attribute(Name, String),
    Text(String),
    Comment(String),
    Instruction(String, String),
}

#[derive(Clone)]
pub(super) struct Element {
    name: Name,
    /// Prefixes and namespaces that shall be declared here.
    namespaces: Vec<(String, String)>,
    attributes: Vec<(Name, String)>,
    children: Vec<Item>,
    /// Elements within each other, itself included.
    depth: usize,
}

impl Element {
    /// An element of what its instructions made.
    pub(super) fn new(name: Name, namespaces: Vec<(String, String)>, made: Vec<Item>) -> Result<Element, &'static str> {
        let mut attributes: Vec<(Name, String)> = Vec::new();
        let mut children: Vec<Item> = Vec::with_capacity(made.len());
        let mut depth = 1;
        for item in made {
            match item {
                Item::Attribute(..) if !children.is_empty() => {
                    return Err("the stylesheet adds an attribute after other content");
                }
                Item::Attribute(name, value) => {
                    attributes.retain(|(own, _)| (&own.local, &own.namespace) != (&name.local, &name.namespace));
                    attributes.push((name, value));
                }
                Item::Element(element) => {
                    depth = depth.max(element.depth + 1);
                    children.push(Item::Element(element));
                }
                other => children.push(other),
            }
        }
        if depth > MAX_RESULT_DEPTH {
            return Err("the result is nested deeper than 256 elements");
        }
        Ok(Element { name, namespaces, attributes, children, depth })
    }
}

/// The text of some nodes.
pub(super) fn text(items: &[Item]) -> String {
    let mut out = String::new();
    for item in items {
        match item {
            Item::Text(text) => out.push_str(text),
            Item::Element(element) => out.push_str(&text(&element.children)),
            Item::Attribute(..) | Item::Comment(_) | Item::Instruction(..) => {}
        }
    }
    out
}

/// How many nodes there are.
pub(super) fn count(items: &[Item]) -> u64 {
    let one = |item: &Item| match item {
        Item::Element(element) => 1 + element.attributes.len() as u64 + count(&element.children),
        _ => 1,
    };
    items.iter().map(one).sum()
}

/// Writes a result.
pub(super) fn write(items: &[Item], output: &Output, budget: &Budget) -> Result<String, &'static str> {
    if output.text {
        return Ok(text(items));
    }
    let mut writer = Writer { out: String::new(), scope: vec![("xml".to_owned(), XML.to_owned())], output, budget };
    if !output.omit_declaration {
        writer.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    }
    writer.items(items, false)?;
    Ok(writer.out)
}

const XML: &str = "http://www.w3.org/XML/1998/namespace";

struct Writer<'o> {
    out: String,
    /// Prefixes in scope; the last one of a name counts.
    scope: Vec<(String, String)>,
    output: &'o Output,
    budget: &'o Budget,
}

impl Writer<'_> {
    fn items(&mut self, items: &[Item], cdata: bool) -> Result<(), &'static str> {
        for item in items {
            let before = self.out.len();
            match item {
                Item::Element(element) => self.element(element)?,
                Item::Text(text) if cdata => {
                    let _ = write!(self.out, "<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"));
                }
                Item::Text(text) => escape(text, false, &mut self.out),
                Item::Comment(text) => {
                    let _ = write!(self.out, "<!--{text}-->");
                }
                Item::Instruction(target, value) => {
                    let _ = write!(self.out, "<?{target} {value}?>");
                }
                Item::Attribute(..) => {}
            }
            if !matches!(item, Item::Element(_)) {
                self.budget.produce(self.out.len() - before)?;
            }
        }
        Ok(())
    }

    fn element(&mut self, element: &Element) -> Result<(), &'static str> {
        let (outer, start) = (self.scope.len(), self.out.len());
        let own = element.name.namespace.as_deref().unwrap_or("");
        let mut declared: Vec<(String, String)> = Vec::new();
        self.declare(&element.name.prefix, own, &mut declared);
        for (prefix, namespace) in &element.namespaces {
            let taken = *prefix == element.name.prefix || declared.iter().any(|(own, _)| own == prefix);
            if !taken {
                self.declare(prefix, namespace, &mut declared);
            }
        }
        let attributes: Vec<(String, &String)> =
            element.attributes.iter().map(|(name, value)| (self.attribute(name, &mut declared), value)).collect();
        let shown = qualified(&element.name.prefix, &element.name.local);
        self.out.push('<');
        self.out.push_str(&shown);
        for (prefix, namespace) in &declared {
            self.out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            self.out.push_str(prefix);
            self.out.push_str("=\"");
            escape(namespace, true, &mut self.out);
            self.out.push('"');
        }
        for (name, value) in attributes {
            let _ = write!(self.out, " {name}=\"");
            escape(value, true, &mut self.out);
            self.out.push('"');
        }
        if element.children.is_empty() {
            self.out.push_str("/>");
        } else {
            self.out.push('>');
        }
        self.budget.produce(self.out.len() - start)?;
        if !element.children.is_empty() {
            let name = (&element.name.namespace, &element.name.local);
            let cdata = self.output.cdata.iter().any(|(namespace, local)| (namespace, local) == name);
            self.items(&element.children, cdata)?;
            let _ = write!(self.out, "</{shown}>");
        }
        self.scope.truncate(outer);
        Ok(())
    }

    fn namespace_of(&self, prefix: &str) -> &str {
        self.scope.iter().rev().find(|(own, _)| own == prefix).map_or("", |(_, namespace)| namespace)
    }

    fn declare(&mut self, prefix: &str, namespace: &str, declared: &mut Vec<(String, String)>) {
        if self.namespace_of(prefix) != namespace && (!namespace.is_empty() || prefix.is_empty()) {
            self.scope.push((prefix.to_owned(), namespace.to_owned()));
            declared.push((prefix.to_owned(), namespace.to_owned()));
        }
    }

    /// The name of an attribute with a prefix that has its namespace. An attribute without a prefix has none.
    fn attribute(&mut self, name: &Name, declared: &mut Vec<(String, String)>) -> String {
        let Some(namespace) = &name.namespace else { return name.local.clone() };
        let fits = |own: &Self, prefix: &str| !prefix.is_empty() && own.namespace_of(prefix) == namespace;
        if fits(self, &name.prefix) {
            return qualified(&name.prefix, &name.local);
        }
        let known = self.scope.iter().rev().map(|(prefix, _)| prefix.clone()).find(|prefix| fits(self, prefix));
        let prefix = known.unwrap_or_else(|| {
            let free = |own: &Self, prefix: &str| !prefix.is_empty() && own.namespace_of(prefix).is_empty();
            let made = (0..).map(|n: u32| format!("ns{n}")).find(|prefix| free(self, prefix));
            let prefix = if free(self, &name.prefix) { name.prefix.clone() } else { made.unwrap_or_default() };
            self.declare(&prefix, namespace, declared);
            prefix
        });
        qualified(&prefix, &name.local)
    }
}

fn qualified(prefix: &str, local: &str) -> String {
    if prefix.is_empty() { local.to_owned() } else { format!("{prefix}:{local}") }
}

/// Escapes a text. Characters that XML cannot have at all become U+FFFD.
fn escape(text: &str, attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' | '\t' if !attribute => out.push(c),
            '\n' | '\t' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_ascii_control() && c != '\u{7f}' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}
