//! Checks literals against the kinds of properties and the declared types of variables. Expressions with variables are checked
//! when they run, literals here.

use crate::ast::{Allowed, Expr, ExprKind, Range, Syntax, Type};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::parse::is_variable_name;
use crate::spec::{Kind, Prop, Spec};

/// What is wrong with a property's value.
pub(crate) fn property(spec: &Spec, prop: &Prop, value: &Expr) -> Option<Diagnostic> {
    let value = inner(value);
    let takes = |what: &str| {
        let message = format!("`{}` of `{}` takes {what}, not {}", prop.name, spec.name, describe(value));
        Diagnostic::error(codes::WRONG_TYPE, message, value.span.span)
    };
    match prop.kind {
        Kind::Value => None,
        Kind::Text => matches!(*value.kind, ExprKind::Duration(_)).then(|| takes("text")),
        Kind::Int => match &*value.kind {
            ExprKind::Int(_) => None,
            _ if !is_literal(value) => None,
            _ => Some(match value.literal() {
                Some(text) if text.trim().parse::<i64>().is_ok() => takes("a whole number").help("write it without quotes"),
                _ => takes("a whole number"),
            }),
        },
        Kind::Bool => match &*value.kind {
            ExprKind::Bool(_) => None,
            _ if !is_literal(value) => None,
            _ => Some(match value.literal() {
                Some("true" | "false") => takes("`true` or `false`").help("write it without quotes"),
                _ => takes("`true` or `false`"),
            }),
        },
        Kind::Duration => match &*value.kind {
            ExprKind::Duration(_) => None,
            ExprKind::Int(count) => Some(takes("a duration").help(format!("add the unit: `{count}s`"))),
            _ if !is_literal(value) => None,
            _ => Some(takes("a duration").help("write it as `30s`, `5m`, `2h` or `7d`")),
        },
        Kind::OneOf(words) => one_of(spec, prop, value, words, takes),
        Kind::Target(_) | Kind::Prefix | Kind::MessageName => name(prop, value),
        Kind::Variables => match &*value.kind {
            ExprKind::List(items) if items.is_empty() => Some(takes("the names of variables")),
            ExprKind::List(items) => items.iter().find_map(|item| name(prop, item)),
            _ => name(prop, value),
        },
        Kind::Template(syntax) => template(spec, prop, value, syntax),
        Kind::Regex => regex(value),
        Kind::Provider | Kind::Key | Kind::Connection | Kind::Dialect => {
            let wrong = is_literal(value) && !matches!(*value.kind, ExprKind::Text(_) | ExprKind::Raw(_));
            wrong.then(|| takes("a name").help("write it in quotes"))
        }
        Kind::Trust => {
            let items = match &*value.kind {
                ExprKind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            let named = !items.is_empty() && items.iter().all(|item| item.literal().is_some());
            (!named)
                .then(|| takes("names of trusted certificates").help("write them in quotes, without variables: `[\"a\", \"b\"]`"))
        }
        Kind::Object => match &*value.kind {
            ExprKind::Json(crate::ast::Json::Object(_)) | ExprKind::File(Syntax::Json, _) => None,
            ExprKind::Var(_) | ExprKind::Function(..) => None,
            _ => Some(takes("a JSON object").help("write `json { \"name\": value }`")),
        },
    }
}

/// Parentheses around a value mean nothing here.
fn inner(mut value: &Expr) -> &Expr {
    while let ExprKind::Group(group) = &*value.kind {
        value = group;
    }
    value
}

/// Whether the whole value is literal.
pub(crate) fn is_literal(value: &Expr) -> bool {
    match &*value.kind {
        ExprKind::Raw(_) | ExprKind::Int(_) | ExprKind::Decimal(_) | ExprKind::Bool(_) | ExprKind::Duration(_) => true,
        ExprKind::Text(_) => value.literal().is_some(),
        ExprKind::List(items) => items.iter().all(is_literal),
        ExprKind::Group(inner) => is_literal(inner),
        ExprKind::Json(_) | ExprKind::Template(..) | ExprKind::File(..) | ExprKind::DataUri(_) => false,
        ExprKind::Var(_) | ExprKind::Function(..) | ExprKind::Arithmetic(..) | ExprKind::Condition(_) => false,
    }
}

fn describe(value: &Expr) -> &'static str {
    match &*value.kind {
        ExprKind::Text(_) | ExprKind::Raw(_) => "a text",
        ExprKind::Int(_) => "a number",
        ExprKind::Decimal(_) => "a decimal number",
        ExprKind::Bool(_) => "`true` or `false`",
        ExprKind::Duration(_) => "a duration",
        ExprKind::List(_) => "a list",
        ExprKind::Var(_) => "a variable",
        ExprKind::Function(..) => "a function",
        ExprKind::Arithmetic(..) => "a calculation",
        ExprKind::Condition(_) => "a condition",
        ExprKind::Group(inner) => describe(inner),
        ExprKind::Json(_) => "JSON",
        ExprKind::Template(..) | ExprKind::File(..) => "a template",
        ExprKind::DataUri(_) => "a picture",
    }
}

fn one_of(
    spec: &Spec,
    prop: &Prop,
    value: &Expr,
    words: &[&'static str],
    takes: impl Fn(&str) -> Diagnostic,
) -> Option<Diagnostic> {
    let list = || words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let Some(word) = value.literal() else {
        return is_literal(value).then(|| takes("a word in quotes").help(format!("one of {}", list())));
    };
    if words.contains(&word) {
        return None;
    }
    let message = format!("`{}` of `{}` cannot be `{word}`", prop.name, spec.name);
    let error = Diagnostic::error(codes::UNKNOWN_WORD, message, value.span.span).suggest(word, words.iter().copied());
    Some(if error.help.is_none() { error.help(format!("one of {}", list())) } else { error })
}

fn name(prop: &Prop, value: &Expr) -> Option<Diagnostic> {
    let what = match prop.kind {
        Kind::Target(_) => "the name of the variable to set",
        Kind::Prefix => "the prefix of the variables it sets",
        Kind::Variables => "the names of variables",
        _ => "the name of a message variable",
    };
    match (value.literal(), &*value.kind) {
        (Some(name), _) if is_variable_name(name) => None,
        (Some(name), _) => {
            let message = format!("`{name}` cannot name a variable");
            let error = Diagnostic::error(codes::NAME_NEEDED, message, value.span.span);
            Some(error.help("names consist of letters, digits, `_`, `-` and dots, and begin with a letter"))
        }
        (None, kind) => {
            let message = format!("`{}` takes {what}, in quotes", prop.name);
            let error = Diagnostic::error(codes::NAME_NEEDED, message, value.span.span);
            Some(match kind {
                ExprKind::Var(var) if var.path.is_empty() => error.help(format!("write `\"{}\"`", *var.name)),
                _ => error,
            })
        }
    }
}

fn template(spec: &Spec, prop: &Prop, value: &Expr, syntax: Syntax) -> Option<Diagnostic> {
    let fits = match &*value.kind {
        ExprKind::Template(given, _) | ExprKind::File(given, _) => *given == syntax,
        ExprKind::Json(_) => syntax == Syntax::Json,
        ExprKind::Text(_) | ExprKind::Raw(_) => syntax == Syntax::Text,
        _ => false,
    };
    let word = syntax.word();
    let message = format!("`{}` of `{}` takes {} template", prop.name, spec.name, syntax_article(syntax));
    let error = || Diagnostic::error(codes::WRONG_SYNTAX, message, value.span.span);
    (!fits).then(|| match &*value.kind {
        ExprKind::Text(_) => error().help(format!("write `{word}` before the quotes, so that variables are escaped for it")),
        _ => error().help(format!("write `{word} \"…\"`")),
    })
}

fn syntax_article(syntax: Syntax) -> &'static str {
    match syntax {
        Syntax::Text => "a text",
        Syntax::Json => "a JSON",
        Syntax::Xml => "an XML",
        Syntax::Html => "an HTML",
        Syntax::Url => "a URL",
        Syntax::Sql => "an SQL",
    }
}

/// A pattern must be literal, so that it is compiled when the policy loads and no client can supply one.
pub(crate) fn regex(value: &Expr) -> Option<Diagnostic> {
    let value = inner(value);
    let Some(pattern) = value.literal() else {
        let error = Diagnostic::error(codes::INVALID_REGEX, "a pattern is a text without variables", value.span.span);
        return Some(error.help("compare texts with `contains`, `starts with` or `==`"));
    };
    // Only read here: whether it becomes too large is known when it is compiled.
    let error = regex_syntax::parse(pattern).err()?.to_string();
    // The message shows the pattern over several lines; its last line says what is wrong.
    let reason = error.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
    Some(Diagnostic::error(codes::INVALID_REGEX, format!("the pattern does not compile: {reason}"), value.span.span))
}

/// Why a literal cannot be converted to a declared type.
pub(crate) fn conversion(value: &Expr, ty: Type, target: &str) -> Option<Diagnostic> {
    let value = inner(value);
    let text = value.literal();
    let wrong = match (ty, &*value.kind) {
        (Type::Int, ExprKind::Text(_) | ExprKind::Raw(_)) => text.is_some_and(|text| text.trim().parse::<i64>().is_err()),
        (Type::Int, ExprKind::Decimal(_) | ExprKind::Bool(_) | ExprKind::List(_) | ExprKind::Json(_)) => true,
        (Type::Decimal, ExprKind::Text(_) | ExprKind::Raw(_)) => text.is_some_and(|text| text.trim().parse::<f64>().is_err()),
        (Type::Decimal, ExprKind::Bool(_) | ExprKind::List(_) | ExprKind::Json(_)) => true,
        (Type::Boolean, ExprKind::Text(_) | ExprKind::Raw(_)) => {
            text.is_some_and(|text| !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false"))
        }
        (Type::Boolean, ExprKind::Int(_) | ExprKind::Decimal(_) | ExprKind::Duration(_)) => true,
        (Type::Boolean | Type::DateTime | Type::Certificate, ExprKind::List(_) | ExprKind::Json(_)) => true,
        (Type::DateTime | Type::Certificate | Type::Message, ExprKind::Bool(_)) => true,
        (Type::Certificate, ExprKind::Int(_) | ExprKind::Decimal(_) | ExprKind::Duration(_)) => true,
        _ => false,
    };
    wrong.then(|| {
        let word = Type::ALL.iter().find(|(_, named)| *named == ty).map_or("", |(word, _)| word);
        let shown = text.map_or_else(|| describe(value).to_owned(), |text| format!("`{text}`"));
        Diagnostic::error(codes::WRONG_TYPE, format!("`{target}` has type {word}, but {shown} has not"), value.span.span)
    })
}

/// A literal that its variable cannot have. Another check looks at types.
pub(crate) fn allowed(value: &Expr, ty: Type, allowed: &Allowed, target: &str) -> Option<Diagnostic> {
    match (allowed, &*value.kind) {
        (_, ExprKind::Group(value)) => self::allowed(value, ty, allowed, target),
        (Allowed::Range(bounds), _) => range(value, ty, *bounds, target),
        (Allowed::Choice(_), ExprKind::List(items)) => items.iter().find_map(|item| self::allowed(item, ty, allowed, target)),
        // The last value of `coalesce` is the one if there is no other, and any of them may be.
        (Allowed::Choice(_), ExprKind::Function(name, args)) if name.eq_ignore_ascii_case("coalesce") => {
            args.iter().find_map(|arg| self::allowed(arg, ty, allowed, target))
        }
        (Allowed::Choice(words), _) => choice(value, words, target),
    }
}

/// A literal that is none of the words.
fn choice(value: &Expr, words: &[String], target: &str) -> Option<Diagnostic> {
    let text = match &*value.kind {
        ExprKind::Int(number) => number.to_string(),
        ExprKind::Decimal(number) => number.clone(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Duration(duration) => duration.to_string(),
        _ => value.literal()?.to_owned(),
    };
    if Allowed::choice(words, &text).is_some() {
        return None;
    }
    let all = Allowed::Choice(words.to_vec()).words();
    let help = match nearest(&text, words.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? it must be {all}"),
        None => format!("it must be {all}"),
    };
    let shown = if text.is_empty() { "empty".to_owned() } else { format!("`{text}`") };
    Some(Diagnostic::error(codes::UNKNOWN_WORD, format!("`{target}` cannot be {shown}"), value.span.span).help(help))
}

/// A literal outside the bounds of its variable.
fn range(value: &Expr, ty: Type, range: Range, target: &str) -> Option<Diagnostic> {
    let value = inner(value);
    let number = match (ty, &*value.kind) {
        (Type::Int | Type::Decimal, ExprKind::Int(number)) => Some(*number),
        (Type::Int | Type::Decimal, ExprKind::Duration(duration)) => i64::try_from(duration.millis() / 1_000).ok(),
        (Type::Int, ExprKind::Text(_) | ExprKind::Raw(_)) => value.literal().and_then(|text| text.trim().parse().ok()),
        (Type::String, ExprKind::Text(_) | ExprKind::Raw(_)) => {
            value.literal().and_then(|text| i64::try_from(text.chars().count()).ok())
        }
        _ => None,
    };
    let number = number.filter(|number| !range.holds(*number))?;
    let (message, help) = match ty {
        Type::String => (
            format!("`{target}` would have {number} characters here"),
            format!("it takes texts with {} characters", range.word()),
        ),
        _ => (format!("`{target}` cannot be {number}"), format!("write a number {}", range.words())),
    };
    Some(Diagnostic::error(codes::OUT_OF_RANGE, message, value.span.span).help(help))
}
