//! Rendering of typed templates: a variable is escaped for the syntax that surrounds it, so that injection cannot be written.

pub(crate) mod address;

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_dsl::ast::Syntax;

use crate::ctx::Ctx;
use crate::expr::{Expr, Piece};
use crate::value::{LIST_DELIMITER, Value};

/// Everything but the unreserved characters of RFC 3986, section 2.3.
pub const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Renders a template.
pub fn render(syntax: Syntax, pieces: &[Piece], ctx: &Ctx) -> Value {
    let mut out = String::with_capacity(pieces.len() * 24);
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Raw(expr) => expr.write(ctx, &mut out),
            Piece::Address(expr, place) => match expr.eval(ctx) {
                value if address::is_harmless(&value, *place) => escape(syntax, &value, &mut out),
                _ => {
                    tracing::warn!("an address that would run as script was left out of a page");
                    out.push_str(address::NOWHERE);
                }
            },
            Piece::Value(Expr::Joined(list, delimiter)) => {
                // The delimiter is the author's own text, so it stays as it is: `<li>${names|</li><li>}</li>`.
                for (i, value) in list.eval(ctx).values().iter().enumerate() {
                    if i > 0 {
                        out.push_str(delimiter);
                    }
                    escape(syntax, value, &mut out);
                }
            }
            Piece::Value(expr) => escape(syntax, &expr.eval(ctx), &mut out),
        }
    }
    match syntax {
        Syntax::Xml | Syntax::Html => Value::Markup(syntax, out.into()),
        Syntax::Text | Syntax::Json | Syntax::Url | Syntax::Sql => Value::from(out),
    }
}

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

/// Escapes for text and for quoted attribute values alike; characters that XML 1.0 forbids are replaced.
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
