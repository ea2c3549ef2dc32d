//! Converts XML to JSON and JSON to XML: elements and attributes are members, repeated elements are arrays.

use portcullis_dsl::ast::Syntax;
use roxmltree::{Document, Node};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::is_name;
use crate::data::encoding::escape;
use crate::data::value::{MAX_MADE, Value};

/// How the two forms correspond.
pub struct Convention {
    /// Prefix of an attribute's member; may be empty.
    pub attributes: String,
    /// Member for an element's text if the element also has attributes or elements.
    pub text: String,
}

/// A document as JSON: one member, named like its root. Names are local ones. With `typed`, text that looks like a number or
/// boolean becomes one.
pub fn to_json(document: &Document<'_>, convention: &Convention, typed: bool) -> Json {
    let root = document.root_element();
    let mut object = Map::new();
    object.insert(root.tag_name().name().to_owned(), element(root, convention, typed));
    Json::Object(object)
}

fn element(node: Node<'_, '_>, convention: &Convention, typed: bool) -> Json {
    let mut object = Map::new();
    for attribute in node.attributes() {
        object.insert(format!("{}{}", convention.attributes, attribute.name()), scalar(attribute.value(), typed));
    }
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            add(&mut object, child.tag_name().name(), element(child, convention, typed));
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or(""));
        }
    }
    let text = if object.is_empty() { text.as_str() } else { text.trim() };
    if object.is_empty() {
        return scalar(text, typed);
    }
    if !text.is_empty() {
        add(&mut object, &convention.text, scalar(text, typed));
    }
    Json::Object(object)
}

fn add(object: &mut Map<String, Json>, name: &str, value: Json) {
    match object.get_mut(name) {
        None => drop(object.insert(name.to_owned(), value)),
        Some(Json::Array(items)) => items.push(value),
        Some(one) => {
            let first = one.take();
            *one = Json::Array(vec![first, value]);
        }
    }
}

fn scalar(text: &str, typed: bool) -> Json {
    let read: Option<Json> = if typed { serde_json::from_str(text).ok() } else { None };
    // A number that JSON would write differently (a long key, leading zeros) stays a text.
    let plain = |json: &Json| (json.is_number() || json.is_boolean()) && format!("{json}") == text;
    read.filter(plain).unwrap_or_else(|| Json::String(text.to_owned()))
}

/// Most bytes of a resulting document. Each item of an array repeats the array's name, so the XML may be far longer than the
/// JSON.
const MAX_BYTES: usize = 8 << 20;

/// Why JSON cannot become a document.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum XmlError {
    /// It is empty.
    #[error("the JSON is empty")]
    Empty,
    /// The root has no name.
    #[error("the JSON is not an object of one member, and no root is named")]
    NoRoot,
    /// Several roots.
    #[error("a document has one root, not several")]
    Roots,
    /// A member whose name no element may have.
    #[error("`{0}` cannot name an element")]
    Name(String),
    /// Too long.
    #[error("the XML would be longer than 8 MiB")]
    Long,
}

/// A document from JSON. Without a name for the root, the JSON must be an object with one member, which becomes the root.
pub fn to_xml(json: &Json, root: Option<&str>, convention: &Convention) -> Result<String, XmlError> {
    let (name, value) = match (root, json.as_object()) {
        (Some(root), _) => (root, json),
        (None, Some(object)) if object.len() == 1 => match object.iter().next() {
            Some((name, value)) => (name.as_str(), value),
            None => return Err(XmlError::Empty),
        },
        _ => return Err(XmlError::NoRoot),
    };
    let mut out = String::new();
    match value {
        Json::Array(_) if root.is_none() => return Err(XmlError::Roots),
        Json::Array(items) => {
            out.push_str(&format!("<{}>", checked(name)?));
            for item in items {
                write(item, "item", convention, &mut out)?;
            }
            out.push_str(&format!("</{name}>"));
        }
        value => write(value, name, convention, &mut out)?,
    }
    Ok(out)
}

fn checked(name: &str) -> Result<&str, XmlError> {
    if is_name(name) { Ok(name) } else { Err(XmlError::Name(name.to_owned())) }
}

/// Rows of a database as a document; `None` if they are none, or the name cannot name an element.
pub fn rows_to_xml(rows: &Json, name: &str, namespace: &str) -> Option<String> {
    use std::fmt::Write;
    let local = match name.split_once(':') {
        Some((prefix, local)) if is_name(prefix) && !namespace.is_empty() => local,
        Some(_) => return None,
        None => name,
    };
    if !is_name(local) {
        return None;
    }
    let prefix = name.strip_suffix(local)?;
    let text = |text: &str, out: &mut String| escape(Syntax::Xml, &text.into(), out);
    let mut out = format!("<{name}");
    if !namespace.is_empty() {
        let _ = match prefix.strip_suffix(':') {
            Some(prefix) => write!(out, " xmlns:{prefix}=\""),
            None => write!(out, " xmlns=\""),
        };
        text(namespace, &mut out);
        out.push('"');
    }
    let rows = rows.as_array()?;
    if rows.is_empty() {
        out.push_str("/>");
        return Some(out);
    }
    out.push('>');
    for row in rows {
        let _ = write!(out, "<{prefix}row>");
        for (column, value) in row.as_object()? {
            let _ = write!(out, "<{prefix}col name=\"");
            text(column, &mut out);
            if value.is_null() {
                out.push_str("\"/>");
                continue;
            }
            out.push_str("\">");
            escape(Syntax::Xml, &Value::json(value.clone()), &mut out);
            let _ = write!(out, "</{prefix}col>");
        }
        let _ = write!(out, "</{prefix}row>");
        if out.len() > MAX_MADE {
            return None;
        }
    }
    let _ = write!(out, "</{name}>");
    Some(out)
}

fn write(json: &Json, name: &str, convention: &Convention, out: &mut String) -> Result<(), XmlError> {
    if out.len() + name.len() > MAX_BYTES {
        return Err(XmlError::Long);
    }
    match json {
        Json::Array(items) => {
            for item in items {
                // A list in a list has no name of its own.
                let inner = if item.is_array() { "item" } else { name };
                if item.is_array() {
                    out.push_str(&format!("<{}>", checked(name)?));
                    write(item, inner, convention, out)?;
                    out.push_str(&format!("</{name}>"));
                } else {
                    write(item, inner, convention, out)?;
                }
            }
        }
        Json::Object(members) => {
            out.push('<');
            out.push_str(checked(name)?);
            let attribute = |name: &str, value: &Json| {
                !convention.attributes.is_empty()
                    && name.starts_with(&convention.attributes)
                    && !value.is_object()
                    && !value.is_array()
            };
            for (name, value) in members.iter().filter(|(name, value)| attribute(name, value)) {
                let own = checked(&name[convention.attributes.len()..])?;
                out.push_str(&format!(" {own}=\""));
                escape(Syntax::Xml, &Value::json(value.clone()), out);
                out.push('"');
            }
            out.push('>');
            for (name, value) in members.iter().filter(|(name, value)| !attribute(name, value)) {
                if *name == convention.text && !value.is_object() && !value.is_array() {
                    escape(Syntax::Xml, &Value::json(value.clone()), out);
                } else {
                    write(value, name, convention, out)?;
                }
            }
            out.push_str(&format!("</{name}>"));
        }
        Json::Null => out.push_str(&format!("<{}/>", checked(name)?)),
        scalar => {
            out.push_str(&format!("<{}>", checked(name)?));
            escape(Syntax::Xml, &Value::json(scalar.clone()), out);
            out.push_str(&format!("</{name}>"));
        }
    }
    Ok(())
}
