//! The core function library (XPath 1.0, section 4). All functions are linear in their arguments.

use std::collections::HashMap;

use xpath_eval::FunctionCall;

use super::evaluate::{At, Evaluator, Value, Wrong, number};
use crate::data::xml::tree::Node;

/// The least and the greatest number of arguments of a function; `None` if there is none of this name.
pub(in crate::data::xml) fn arguments(name: &str) -> Option<(usize, usize)> {
    Some(match name {
        "last" | "position" | "true" | "false" => (0, 0),
        "local-name" | "namespace-uri" | "name" | "string" | "string-length" | "normalize-space" | "number" => (0, 1),
        "count" | "id" | "boolean" | "not" | "lang" | "sum" | "floor" | "ceiling" | "round" => (1, 1),
        "starts-with" | "contains" | "substring-before" | "substring-after" => (2, 2),
        "substring" => (2, 3),
        "translate" => (3, 3),
        "concat" => (2, usize::MAX),
        _ => return None,
    })
}

/// Calls a function.
pub(super) fn call<'a>(all: &Evaluator<'a, '_>, call: &FunctionCall, at: At<'a>) -> Result<Value<'a>, Wrong> {
    if let Some(result) = all.scope.call(all, call, at) {
        return result;
    }
    if call.name.prefix.is_some() {
        return Err("the expression calls a function that does not exist");
    }
    let name = call.name.local.as_str();
    let Some((least, most)) = arguments(name) else { return Err("the expression calls a function that does not exist") };
    if call.args.len() < least || call.args.len() > most {
        return Err("the expression calls a function with the wrong number of arguments");
    }
    let arg = |index: usize| match call.args.get(index) {
        Some(expr) => all.value(expr, at),
        // An optional argument defaults to the node itself.
        None => Ok(Value::Nodes(vec![at.node])),
    };
    let text = |index: usize| all.text(arg(index)?);
    let first = || Ok::<_, Wrong>(all.nodes(arg(0)?)?.first().copied());
    Ok(match name {
        "last" => Value::Number(at.size as f64),
        "position" => Value::Number(at.position as f64),
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        "count" => Value::Number(all.nodes(arg(0)?)?.len() as f64),
        // Only a document type declares which attributes are identifiers, and none is read.
        "id" => arg(0).map(|_| Value::Nodes(Vec::new()))?,
        "local-name" => Value::Text(first()?.and_then(Node::name).map_or_else(String::new, |(_, local)| local.to_owned())),
        "namespace-uri" => Value::Text(first()?.and_then(Node::name).and_then(|(uri, _)| uri).unwrap_or_default().to_owned()),
        "name" => Value::Text(first()?.map_or_else(String::new, Node::qualified_name)),
        "string" => Value::Text(text(0)?),
        "concat" => {
            let mut out = String::new();
            for index in 0..call.args.len() {
                let part = text(index)?;
                all.budget.produce(part.len())?;
                out.push_str(&part);
            }
            Value::Text(out)
        }
        "starts-with" => Value::Boolean(text(0)?.starts_with(&text(1)?)),
        "contains" => Value::Boolean(text(0)?.contains(&text(1)?)),
        "substring-before" => {
            Value::Text(text(0)?.split_once(&text(1)?).map_or_else(String::new, |(before, _)| before.to_owned()))
        }
        "substring-after" => Value::Text(text(0)?.split_once(&text(1)?).map_or_else(String::new, |(_, after)| after.to_owned())),
        "substring" => {
            let (from, length) = (all.number(arg(1)?)?, if call.args.len() == 3 { Some(all.number(arg(2)?)?) } else { None });
            Value::Text(substring(&text(0)?, from, length))
        }
        "string-length" => Value::Number(text(0)?.chars().count() as f64),
        "normalize-space" => {
            let text = text(0)?;
            Value::Text(text.split(super::BLANKS).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
        }
        "translate" => Value::Text(translate(&text(0)?, &text(1)?, &text(2)?)),
        "boolean" => Value::Boolean(arg(0)?.truth()),
        "not" => Value::Boolean(!arg(0)?.truth()),
        "lang" => Value::Boolean(lang(at.node, &text(0)?)),
        "number" => Value::Number(all.number(arg(0)?)?),
        "sum" => {
            let mut sum = 0.0;
            for node in all.nodes(arg(0)?)? {
                sum += number(&node.text(all.budget)?);
            }
            Value::Number(sum)
        }
        "floor" => Value::Number(all.number(arg(0)?)?.floor()),
        "ceiling" => Value::Number(all.number(arg(0)?)?.ceil()),
        "round" => Value::Number(round(all.number(arg(0)?)?)),
        _ => return Err("the expression calls a function that does not exist"),
    })
}

/// To the nearest integer; halves go up.
fn round(number: f64) -> f64 {
    if (-0.5..0.0).contains(&number) { -0.0 } else { (number + 0.5).floor() }
}

/// Characters from a position counted from one; NaN selects nothing.
fn substring(text: &str, from: f64, length: Option<f64>) -> String {
    let from = round(from);
    let end = length.map_or(f64::INFINITY, |length| from + round(length));
    let inside = |position: f64| position >= from && position < end;
    text.chars().zip(1_u32..).filter(|(_, position)| inside(f64::from(*position))).map(|(c, _)| c).collect()
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let mut map: HashMap<char, Option<char>> = HashMap::new();
    let mut to = to.chars();
    for c in from.chars() {
        let by = to.next();
        map.entry(c).or_insert(by);
    }
    text.chars().filter_map(|c| map.get(&c).copied().unwrap_or(Some(c))).collect()
}

fn lang(node: Node<'_>, wanted: &str) -> bool {
    let own = node.owner().ancestors().find_map(|node| node.attribute(("http://www.w3.org/XML/1998/namespace", "lang")));
    own.is_some_and(|own| {
        own.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
            && own[wanted.len()..].chars().next().is_none_or(|next| next == '-')
    })
}
