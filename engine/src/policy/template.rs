//! Renders typed templates: a variable is escaped for the syntax around it, so that injection is impossible.

pub(crate) mod address;

use portcullis_dsl::ast::Syntax;

use crate::data::encoding::escape;
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::expr::{Expr, Piece};

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
                    tracing::warn!("an address that would run as a script was left out of a page");
                    out.push_str(address::NOWHERE);
                }
            },
            Piece::Value(Expr::Joined(list, delimiter)) => {
                // The delimiter is the author's own text, so it is not escaped: `<li>${names|</li><li>}</li>`.
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
