//! Escaping for the syntaxes of typed templates.

use std::fmt::Write;

use percent_encoding::utf8_percent_encode;
use portcullis_dsl::ast::Syntax;

use super::COMPONENT;
use crate::data::value::{LIST_DELIMITER, Value};

/// Appends a value, escaped for a syntax.
pub fn escape(syntax: Syntax, value: &Value, out: &mut String) {
    match (syntax, value) {
        (Syntax::Xml, Value::Markup(Syntax::Xml, text)) | (Syntax::Html, Value::Markup(Syntax::Html, text)) => out.push_str(text),
        (Syntax::Xml | Syntax::Html, value) => escape_markup(&value.as_text(), out),
        (Syntax::Url, value) => {
            let _ = write!(out, "{}", utf8_percent_encode(&value.as_text(), COMPONENT));
        }
        (Syntax::Json, value) => out.push_str(&value.to_json().to_string()),
        (Syntax::Text | Syntax::Sql, value) => value.write_text(LIST_DELIMITER, out),
    }
}

/// Escapes text and quoted attribute values alike; characters that XML 1.0 forbids are replaced.
fn escape_markup(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(character),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}
