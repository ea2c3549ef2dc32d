//! The places of variables in templates. Escaping makes a value harmless in some places of a syntax but not in others, for
//! example in HTML text but not in a script. Places that no escaping covers are refused here, so that nobody uses them by
//! accident.

use crate::ast::{ExprKind, Part, Syntax};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::check::markup::{AddressPlace, Dialect, Markup};
use crate::resolve::summary::Reads;
use crate::resolve::visit::Visit;
use crate::span::Span;
use crate::sql::SqlScanner;

/// For each part of a template: whether it is a variable in the place of an address, so that its scheme is checked when it is
/// rendered.
pub fn address_places(syntax: Syntax, parts: &[Part]) -> Vec<Option<AddressPlace>> {
    let dialect = match syntax {
        Syntax::Html => Dialect::Html,
        Syntax::Xml => Dialect::Xml,
        Syntax::Url | Syntax::Sql | Syntax::Text | Syntax::Json => return vec![None; parts.len()],
    };
    let mut state = Markup::new(dialect);
    let place = |part: &Part| match part {
        Part::Text(text) => {
            state.text(text);
            None
        }
        Part::RawVar(_) => {
            state.value();
            None
        }
        Part::Var(_) | Part::Expr(_) => {
            let place = state.address_place();
            state.value();
            place
        }
    };
    parts.iter().map(place).collect()
}

pub(crate) fn check(set: &Set<'_>, syntax: Syntax, parts: &[Part], found: &mut Vec<Diagnostic>) {
    match syntax {
        Syntax::Html => markup(set, Dialect::Html, parts, found),
        Syntax::Xml => markup(set, Dialect::Xml, parts, found),
        Syntax::Url => url(parts, found),
        Syntax::Sql => sql(parts, found),
        Syntax::Text | Syntax::Json => {}
    }
}

/// The name of a value in a template for a diagnostic, and its span.
fn named(part: &Part) -> Option<(&str, Span)> {
    match part {
        Part::Var(var) | Part::RawVar(var) => Some((&var.name, var.name.span)),
        Part::Expr(expr) => Some(match &*expr.kind {
            ExprKind::Function(name, _) => (name, expr.span.span),
            _ => ("${…}", expr.span.span),
        }),
        Part::Text(_) => None,
    }
}

fn markup(set: &Set<'_>, dialect: Dialect, parts: &[Part], found: &mut Vec<Diagnostic>) {
    let mut state = Markup::new(dialect);
    for part in parts {
        match part {
            Part::Text(text) => state.text(text),
            Part::RawVar(_) => state.value(),
            Part::Var(_) | Part::Expr(_) => {
                let mut reads = Reads::default();
                reads.parts(std::slice::from_ref(part));
                let builtin = |name: &str| set.names.get(name).and_then(|name| set.names.builtin(name));
                let from_client = reads.vars.iter().any(|var| builtin(&var.name).is_some_and(is_client_input));
                let Some((name, span)) = named(part) else { continue };
                if let Some((problem, help)) = state.problem(name, from_client) {
                    found.push(Diagnostic::error(codes::UNSAFE_PLACE, problem, span).help(help));
                }
                state.value();
            }
        }
    }
}

/// Built-ins whose text the other side of a connection chooses.
fn is_client_input(builtin: &crate::spec::Builtin) -> bool {
    builtin.name == "request" || builtin.name.starts_with("request.") || builtin.name.starts_with("response.")
}

/// A variable is percent-encoded as a component, which breaks a scheme or host. An author who wants one writes `raw`.
fn url(parts: &[Part], found: &mut Vec<Diagnostic>) {
    let mut before = String::new();
    for part in parts {
        match part {
            Part::Text(text) => before.push_str(text),
            // An address that begins with a raw value gets its scheme and host from it; elsewhere the value counts as one
            // character.
            Part::RawVar(_) => before.push_str(if before.is_empty() { "raw:/" } else { "x" }),
            Part::Var(_) | Part::Expr(_) => {
                let Some((name, span)) = named(part) else { continue };
                let authority = before.split_once("//").filter(|(scheme, _)| scheme.is_empty() || scheme.ends_with(':'));
                let problem = match authority {
                    _ if before.is_empty() => Some("the beginning of a URL"),
                    Some((_, host)) if !host.contains(['/', '?', '#']) => Some("the host of a URL"),
                    _ => None,
                };
                if let Some(place) = problem {
                    let message = format!("`{name}` is at {place}, where percent-encoding breaks it");
                    let error = Diagnostic::error(codes::UNSAFE_URL, message, span);
                    found.push(match part {
                        Part::Var(_) => error.help(format!("if nobody outside can decide it, write `${{raw({name})}}`")),
                        _ => error.help("`set` it before; if nobody outside can decide it, insert it with `${raw(…)}`"),
                    });
                }
                before.push('x');
            }
        }
    }
}

/// Variables in SQL are bound parameters, and a database does not recognize these inside quotes or comments.
fn sql(parts: &[Part], found: &mut Vec<Diagnostic>) {
    let mut scanner = SqlScanner::default();
    for part in parts {
        match part {
            Part::Text(text) => scanner.read(text),
            Part::Var(_) | Part::Expr(_) => {
                let Some(place) = scanner.inside() else { continue };
                let Some((name, span)) = named(part) else { continue };
                let message = format!("`{name}` is a bound parameter, which is not allowed inside {place}");
                let help = match place {
                    "quotes" => "remove the quotes; join texts with `set` before the query",
                    _ => "take it out, or end the comment before it",
                };
                found.push(Diagnostic::error(codes::QUOTED_PARAMETER, message, span).help(help));
            }
            Part::RawVar(_) => {}
        }
    }
}
