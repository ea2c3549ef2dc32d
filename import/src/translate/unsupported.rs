//! What has no translation: a statement that nothing takes for a success or a failure, with the original beside it.

use portcullis_dsl::ast::{Comment, Stmt};

use super::build::{arg, call, comments, is_variable, list, lit, native};
use crate::model::{Prop, Step};

/// The longest value that is shown.
const SHOWN: usize = 20_000;

/// Properties that name a variable that the step would set.
const SETS: [&str; 8] = [
    "outputVariable",
    "outputVar",
    "targetVariable",
    "targetOutputVariable",
    "variableName",
    "target",
    "responseTarget",
    "variableToSet",
];

/// `Unsupported(…)` for a step.
pub fn statement(step: &Step, needs: &str) -> Stmt {
    let sets: Vec<_> = SETS
        .iter()
        .map(|name| step.props.get(*name).and_then(Prop::text).unwrap_or(""))
        .filter(|name| is_variable(name) && !matches!(name.to_ascii_uppercase().as_str(), "REQUEST" | "RESPONSE" | "OTHER"))
        .map(lit)
        .collect();
    let mut args = vec![arg("step", lit(&step.kind)), arg("needs", lit(needs))];
    if !sets.is_empty() {
        args.push(arg("sets", list(sets)));
    }
    let mut made = call(native("Unsupported", args));
    made.leading = original(step);
    made
}

/// The step as it was, as comment lines.
pub fn original(step: &Step) -> Vec<Comment> {
    let mut lines = vec![format!("original: {}", step.kind)];
    for name in &step.given {
        if let Some(value) = step.props.get(name) {
            show(name, value, 1, &mut lines);
        }
    }
    for child in &step.children {
        inside(child, 1, &mut lines);
    }
    lines.iter().flat_map(|line| comments(&format!(" {line}"))).collect()
}

fn inside(step: &Step, depth: usize, lines: &mut Vec<String>) {
    let off = if step.disabled { " (switched off)" } else { "" };
    lines.push(format!("{}{}{off}", "  ".repeat(depth), step.kind));
    for name in &step.given {
        if let Some(value) = step.props.get(name) {
            show(name, value, depth + 1, lines);
        }
    }
    step.children.iter().for_each(|child| inside(child, depth + 1, lines));
}

fn show(name: &str, value: &Prop, depth: usize, lines: &mut Vec<String>) {
    let blanks = "  ".repeat(depth);
    match value {
        Prop::Null => lines.push(format!("{blanks}{name}: none")),
        Prop::Text(text) => {
            let end = text.floor_char_boundary(SHOWN);
            let shown = text.get(..end).unwrap_or(text);
            let rest = if end < text.len() { format!(" … and {} bytes more", text.len() - end) } else { String::new() };
            if shown.contains('\n') {
                lines.push(format!("{blanks}{name}:"));
                lines.extend(shown.lines().map(|line| format!("{blanks}  {line}")));
                lines.extend((!rest.is_empty()).then(|| format!("{blanks}  {rest}")));
            } else {
                lines.push(format!("{blanks}{name}: {shown}{rest}"));
            }
        }
        Prop::List(items) => {
            lines.push(format!("{blanks}{name}:"));
            items.iter().for_each(|item| show("-", item, depth + 1, lines));
        }
        Prop::Map(members) => {
            lines.push(format!("{blanks}{name}:"));
            members.iter().for_each(|(name, value)| show(name, value, depth + 1, lines));
        }
    }
}
