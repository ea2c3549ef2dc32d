//! A policy as JSON or YAML: each step an object whose one member without a dot names its type.

use std::sync::Arc;

use serde_json::Value;

use super::{MAX_DEPTH, loose_policy};
use crate::known;
use crate::model::{Damage, Export, Place, Prop, Props, Step};

/// A policy in a file of its own.
pub fn loose(path: &Arc<str>, text: &str, export: &mut Export) {
    let body = parse(text).and_then(|value| policy(&value));
    let body = body.map_err(|(line, why)| Damage { place: Place::new(path, line), why });
    export.policies.push(loose_policy(path, body));
}

/// JSON, or else YAML.
pub fn parse(text: &str) -> Result<Value, (usize, String)> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if text.trim_start().starts_with(['{', '[']) => Err((error.line(), format!("not JSON: {error}"))),
        Err(_) => {
            serde_yaml::from_str(text).map_err(|error| (error.location().map_or(1, |at| at.line()), format!("not YAML: {error}")))
        }
    }
}

/// The steps of a policy.
pub fn policy(value: &Value) -> Result<Step, (usize, String)> {
    let mut whole = match value {
        Value::Array(items) => {
            let children = items.iter().map(|item| step(item, 1)).collect::<Result<_, _>>().map_err(|why| (1, why))?;
            Step { kind: "All".to_owned(), children, ..Step::default() }
        }
        value => step(value, 0).map_err(|why| (1, why))?,
    };
    if whole.kind != "All" {
        whole = Step { kind: "All".to_owned(), children: vec![whole], ..Step::default() };
    }
    super::steps::number(&mut whole);
    Ok(whole)
}

fn step(value: &Value, depth: usize) -> Result<Step, String> {
    if depth > MAX_DEPTH {
        return Err(format!("steps are nested deeper than {MAX_DEPTH}"));
    }
    let members = value.as_object().ok_or("a step is an object with the name of its type")?;
    let mut named = members.iter().filter(|(name, _)| !name.starts_with('.'));
    let (Some((name, content)), None) = (named.next(), named.next()) else {
        return Err("a step has exactly one member without a dot: its type".to_owned());
    };
    let kind = known::kind_name(name);
    let mut step = Step { line: 0, ..Step::default() };
    let inside = |items: &[Value]| items.iter().map(|item| self::step(item, depth + 1)).collect::<Result<Vec<_>, _>>();
    match content {
        Value::Array(items) => step.children = inside(items)?,
        Value::String(text) if kind == "Comment" => {
            step.props.insert("comment".to_owned(), Prop::Text(text.clone()));
        }
        Value::Object(own) => {
            for (name, value) in own {
                match (name.as_str(), value) {
                    (".children", Value::Array(items)) => step.children = inside(items)?,
                    (dotted, value) if dotted.starts_with('.') => notes(dotted, value, &mut step),
                    _ => {
                        let (name, coded) = known::prop_name(&kind, name);
                        let mut read = prop(value);
                        if let (true, Prop::Text(text)) = (coded, &read)
                            && let Some(decoded) = super::steps::decode(text)
                        {
                            read = Prop::Text(decoded);
                        }
                        step.props.insert(name, read);
                    }
                }
            }
        }
        _ => {}
    }
    for (name, value) in members.iter().filter(|(name, _)| name.starts_with('.')) {
        match value {
            Value::Object(all) if name == ".properties" => all.iter().for_each(|(name, value)| notes(name, value, &mut step)),
            value => notes(name, value, &mut step),
        }
    }
    step.kind = kind;
    known::fill(&mut step);
    Ok(step)
}

fn notes(name: &str, value: &Value, step: &mut Step) {
    let text = || value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    match name {
        ".enabled" => step.disabled = matches!(value, Value::Bool(false)) || value.as_str() == Some("false"),
        ".left.comment" => step.left = text(),
        ".right.comment" => step.right = text(),
        _ => {}
    }
}

/// Any value. JSON nests no deeper than its parser allows.
fn prop(value: &Value) -> Prop {
    match value {
        Value::Null => Prop::Null,
        Value::Bool(value) => Prop::Text(value.to_string()),
        Value::Number(value) => Prop::Text(value.to_string()),
        Value::String(text) => Prop::Text(text.clone()),
        Value::Array(items) => Prop::List(items.iter().map(prop).collect()),
        Value::Object(members) => {
            Prop::Map(members.iter().map(|(name, value)| (known::lower_first(name), prop(value))).collect::<Props>())
        }
    }
}
