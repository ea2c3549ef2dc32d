//! Checks calls: of catalogue assertions against their description, of encapsulated assertions against their parameters, of
//! functions against their number of arguments.

use crate::ast::{Arg, Call, Direction, Expr, Name};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::connect::spelled;
use crate::resolve::check::{Set, values};
use crate::resolve::index::{Kind, Policy};
use crate::span::Span;
use crate::spec::{Kind as PropKind, Need, Spec};

pub(crate) fn native(set: &Set<'_>, policy: &Policy, call: &Call, name: &Name, found: &mut Vec<Diagnostic>) {
    let Some(spec) = set.catalogue().get(name) else {
        found.push(unknown_native(set, name));
        return;
    };
    if **name != spec.name {
        let message = format!("`{}` is spelled `{}`", **name, spec.name);
        found.push(Diagnostic::warning(codes::NAME_CASE, message, name.span).help(format!("write `{}`", spec.name)));
    }
    twice(&call.args, |a, b| a == b, found);
    for arg in &call.args {
        match spec.prop(&arg.name) {
            Some(prop) => {
                found.extend(values::property(spec, prop, &arg.value));
                let of_file = policy.connection.as_ref().filter(|_| prop.kind == PropKind::Connection);
                if let Some(of_file) = of_file.filter(|of_file| same_name(of_file, &arg.value)) {
                    let warning = Diagnostic::warning(
                        codes::REPEATED_CONNECTION,
                        "this is already the connection of the file",
                        arg.value.span.span,
                    );
                    found.push(warning.help("leave it out").related(of_file.span.span, "here"));
                }
            }
            None => {
                let message = format!("`{}` has no property `{}`", spec.name, *arg.name);
                let error = Diagnostic::error(codes::UNKNOWN_PROPERTY, message, arg.name.span);
                if let Some((_, instead)) = spec.former.iter().find(|(former, _)| *former == *arg.name) {
                    found.push(error.help(*instead));
                    continue;
                }
                let error = error.suggest(&arg.name, spec.props.iter().map(|prop| prop.name));
                found.push(if error.help.is_none() { error.help(known_properties(spec)) } else { error });
            }
        }
    }
    let missing = spec.props.iter().filter(|prop| prop.need == Need::Required);
    for prop in missing.filter(|prop| call.args.iter().all(|arg| *arg.name != prop.name)) {
        if prop.kind == PropKind::Connection && policy.connection.is_some() {
            continue;
        }
        let message = format!("`{}` needs the property `{}`", spec.name, prop.name);
        let error = Diagnostic::error(codes::MISSING_PROPERTY, message, name.span);
        found.push(match prop.kind {
            PropKind::Connection => error.help("write it here, or for the whole file: `connection \"…\"` as its first line"),
            _ => error.help(first_lower(prop.doc)),
        });
    }
    if let (Some(mark), None) = (&call.optional, spec.optional) {
        let error = Diagnostic::error(codes::BAD_ARGUMENT, format!("`{}` takes no `?`", spec.name), mark.span);
        found.push(error.help(format!("if a failure is fine, write `{}(…) else Continue`", spec.name)));
    }
    match (&call.block, spec.block) {
        (Some(block), false) => {
            let open = Span { end: block.span.span.start + 1, ..block.span.span };
            found.push(Diagnostic::error(codes::UNEXPECTED_BLOCK, format!("`{}` takes no block", spec.name), open));
        }
        (None, true) => {
            let error = Diagnostic::error(codes::MISSING_BLOCK, format!("`{}` needs a block", spec.name), call.span.span);
            found.push(error.help("write `{ … }` after it"));
        }
        (Some(_), true) | (None, false) => {}
    }
}

/// Whether two expressions name the same connection.
fn same_name(one: &Expr, other: &Expr) -> bool {
    match (one.literal(), other.literal()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other,
        _ => false,
    }
}

fn unknown_native(set: &Set<'_>, name: &Name) -> Diagnostic {
    let error = Diagnostic::error(codes::UNKNOWN_NATIVE, format!("there is no assertion `{}`", **name), name.span);
    if set.index.get(Kind::Assertion, name).is_some() {
        return error.help(format!("it is defined in a policy: write its name in quotes, `\"{}\" (…)`", **name));
    }
    if set.catalogue().function(name).is_some() {
        return error.help(format!("`{}` is a function; it gives a value and is not a statement", **name));
    }
    match name_here(set, name) {
        Some(here) => error.help(here),
        None => error.suggest(name, set.catalogue().iter().map(|spec| spec.name)),
    }
}

/// What statements of the language are called in policy trees, and what is written here.
const STATEMENTS: [(&str, &str); 10] = [
    ("Set Context Variable", "`set name = value`"),
    ("Compare Expression", "the comparison itself, `${a} == \"b\"`"),
    ("All Assertions Must Evaluate To True", "`All { … }`"),
    ("At Least One Assertion Must Evaluate To True", "`AtLeastOne { … }`"),
    ("Run All Assertions Concurrently", "`All { … }`"),
    ("Include Policy Fragment", "`include \"Name\"`"),
    ("Run Assertions For Each Item", "`ForEach item in ${list} { … }`"),
    ("Continue Processing", "`Continue`"),
    ("Stop Processing", "`Stop`"),
    ("Add Comment To Policy", "`// text`"),
];

/// What is written here for a name from a policy tree, as help.
fn name_here(set: &Set<'_>, name: &str) -> Option<String> {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = plain(name);
    let statement = STATEMENTS.iter().find(|(there, _)| plain(there) == wanted);
    statement.map(|(_, here)| format!("here it is {here}")).or_else(|| {
        let spec = set.catalogue().iter().find(|spec| spec.also.iter().any(|there| plain(there) == wanted))?;
        Some(format!("here it is `{}(…)`", spec.name))
    })
}

fn known_properties(spec: &Spec) -> String {
    let names: Vec<_> = spec.props.iter().map(|prop| format!("`{}`", prop.name)).collect();
    match names.as_slice() {
        [] => "it has none".to_owned(),
        [one] => format!("it has only {one}"),
        [most @ .., last] => format!("it has {} and {last}", most.join(", ")),
    }
}

/// A catalogue's sentence as help: lower case, no full stop.
fn first_lower(doc: &str) -> String {
    let doc = doc.trim_end_matches('.');
    let mut chars = doc.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(chars).collect(),
        _ => doc.to_owned(),
    }
}

fn twice(args: &[Arg], same: impl Fn(&str, &str) -> bool, found: &mut Vec<Diagnostic>) {
    for (at, arg) in args.iter().enumerate() {
        if let Some(first) = args.iter().take(at).find(|first| same(&first.name, &arg.name)) {
            let error = Diagnostic::error(codes::DUPLICATE_ARGUMENT, format!("`{}` is given twice", *arg.name), arg.name.span);
            found.push(error.related(first.name.span, "first given here"));
        }
    }
}

/// A call of an encapsulated assertion. With `first_given`, the call may leave out the first input, which then comes from
/// elsewhere.
pub(crate) fn encapsulated(set: &Set<'_>, call: &Call, name: &Name, first_given: bool, found: &mut Vec<Diagnostic>) {
    let Some(id) = set.index.get(Kind::Assertion, name) else {
        found.extend(unknown_assertion(set, name));
        return;
    };
    let callee = set.policy(id);
    found.extend(spelled(name, &callee.name));
    if let Some(mark) = &call.optional {
        let error = Diagnostic::error(codes::BAD_ARGUMENT, format!("`{}` takes no `?`", callee.name), mark.span);
        found.push(error.help(format!("if a failure is fine, write `\"{}\" (…) else Continue`", callee.name)));
    }
    let params = callee.params();
    twice(&call.args, str::eq_ignore_ascii_case, found);
    for arg in &call.args {
        let declared = params.iter().find(|param| param.name.eq_ignore_ascii_case(&arg.name));
        match declared {
            Some(param) if param.direction == Direction::In => {
                if let Some(ty) = &param.ty {
                    let wrong = values::conversion(&arg.value, ty.node, &param.name);
                    found.extend(wrong.map(|error| error.related(param.name.span, "declared here")));
                }
            }
            Some(param) => {
                let message = format!("`{}` is an output of `{}`", *param.name, callee.name);
                let error = Diagnostic::error(codes::UNKNOWN_INPUT, message, arg.name.span);
                found.push(error.help("outputs are copied back under their own names").related(param.name.span, "declared here"));
            }
            None => {
                let message = format!("`{}` has no input `{}`", callee.name, *arg.name);
                let error = Diagnostic::error(codes::UNKNOWN_INPUT, message, arg.name.span);
                let inputs = params.iter().filter(|param| param.direction == Direction::In);
                let error = error.suggest(&arg.name, inputs.map(|param| param.name.as_str()));
                found.push(error.related(callee.name_span(), "declared here"));
            }
        }
    }
    let inputs = params.iter().filter(|param| param.direction == Direction::In);
    for (at, param) in inputs.enumerate() {
        let given = call.args.iter().any(|arg| arg.name.eq_ignore_ascii_case(&param.name));
        let needed = !param.optional && param.default.is_none();
        if needed && !given && (!first_given || at > 0) {
            let message = format!("`{}` needs the input `{}`", callee.name, *param.name);
            let error = Diagnostic::error(codes::MISSING_INPUT, message, name.span);
            found.push(
                error
                    .help(format!("add `{0}: …`, or declare it `in {0}?` if it may be missing", *param.name))
                    .related(param.name.span, "declared here without a default"),
            );
        }
    }
}

fn unknown_assertion(set: &Set<'_>, name: &Name) -> Option<Diagnostic> {
    if set.may_exist(Kind::Assertion, name) {
        return None;
    }
    let error = |message: String| Diagnostic::error(codes::UNKNOWN_ASSERTION, message, name.span);
    if set.catalogue().get(name).is_some() {
        let error = error(format!("`{}` is built in, not a policy's assertion", **name));
        return Some(error.help(format!("write it without quotes: `{}(…)`", **name)));
    }
    if let Some(here) = name_here(set, name) {
        return Some(error(format!("there is no assertion `{}`", **name)).help(here));
    }
    Some(match set.other_kind(name, Kind::Assertion) {
        Some((kind, id)) => {
            let error = error(format!("`{}` is {}, not an assertion", **name, kind.article()));
            let error = error.related(set.policy(id).name_span(), "declared here");
            match kind {
                Kind::Fragment => error.help(format!("write `include \"{}\"`", **name)),
                Kind::Extension => error.help(format!("write `include extension \"{}\"`", **name)),
                _ => error.help("only assertions can be called"),
            }
        }
        None => error(format!("there is no assertion `{}`", **name)).suggest(name, set.index.names(Kind::Assertion)),
    })
}

pub(crate) fn function(set: &Set<'_>, name: &Name, args: &[Expr], span: Span) -> Option<Diagnostic> {
    let Some(spec) = set.catalogue().function(name) else {
        let error = Diagnostic::error(codes::UNKNOWN_FUNCTION, format!("there is no function `{}`", **name), name.span);
        return Some(if set.catalogue().get(name).is_some() {
            error.help("it is an assertion: call it as a statement of its own, which sets a variable")
        } else {
            error.suggest(name, set.catalogue().functions().map(|spec| spec.name))
        });
    };
    let most = match spec.params.last() {
        Some(last) if last.ends_with('…') => None,
        _ => Some(spec.params.len()),
    };
    if args.len() >= spec.required && most.is_none_or(|most| args.len() <= most) {
        return None;
    }
    let takes = match most {
        Some(most) if most == spec.required => format!("{most}"),
        Some(most) => format!("{} to {most}", spec.required),
        None => format!("{} or more", spec.required),
    };
    let plural = if takes == "1" { "" } else { "s" };
    let message = format!("`{}` takes {takes} value{plural}, not {}", **name, args.len());
    let error = Diagnostic::error(codes::WRONG_ARITY, message, span);
    Some(error.help(format!("it reads `{}({})`", spec.name, spec.params.join(", "))))
}
