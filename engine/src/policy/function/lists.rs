//! Functions on lists.

use std::collections::HashSet;

use portcullis_dsl::spec::Gives;
use smol_str::SmolStr;

use super::{Function, function};
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("split", &["text", "separator"], 2, "the parts of a text between separators; an empty text has none", |args| {
        let (text, separator) = (args[0].as_text(), args[1].as_text());
        if text.is_empty() {
            return Value::list([]);
        }
        if separator.is_empty() {
            return Value::list([Value::from(&*text)]);
        }
        Value::list(text.split(&*separator).map(Value::from))
    }),
    function("words", &["text"], 1, "the words of a text between blanks, none of them empty", |args| {
        let text = args[0].as_text();
        Value::list(text.split_whitespace().map(Value::from))
    }),
    function(
        "join",
        &["list", "separator"],
        2,
        "the values of a list as one text; undefined if the separators alone take more than 16 MiB",
        |args| {
            let separator = args[1].as_text();
            if !args[0].is_joinable(&separator) {
                return Value::Undefined;
            }
            let mut out = String::new();
            args[0].write_text(&separator, &mut out);
            Value::from(out)
        },
    ),
    function("count", &["list"], 1, "how many values there are", |args| Value::Int(args[0].values().len() as i64)),
    function("first", &["list"], 1, "the first value", |args| args[0].values().first().cloned().unwrap_or_default())
        .giving(Gives::Argument),
    function("last", &["list"], 1, "the last value", |args| args[0].values().last().cloned().unwrap_or_default())
        .giving(Gives::Argument),
    function("at", &["list", "index"], 2, "the value at an index counted from zero", |args| {
        let index = args[1].to_int().and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| args[0].values().get(index).cloned()).unwrap_or_default()
    })
    .giving(Gives::Argument),
    function(
        "index_of",
        &["list", "value"],
        2,
        "the index, counted from zero, of the first value of a list that is this text; -1 if there is none",
        |args| {
            let wanted = args[1].as_text();
            let found = args[0].values().iter().position(|value| *value.as_text() == *wanted);
            Value::Int(found.map_or(-1, |index| index as i64))
        },
    ),
    function("append", &["list", "value…"], 1, "the list with further values; lists among them are flattened", |args| {
        Value::list(args.iter().flat_map(|arg| arg.values().iter().cloned()))
    })
    .giving(Gives::Argument),
    function("unique", &["list"], 1, "the list without repetitions", |args| {
        let mut seen = HashSet::new();
        Value::list(args[0].values().iter().filter(|value| seen.insert(value.to_text())).cloned())
    })
    .giving(Gives::Argument),
    function(
        "intersect",
        &["list", "other"],
        2,
        "the values of a list that are also in the other one, in the first one's order",
        |args| chosen(&args[0], &args[1], true),
    ),
    function("difference", &["list", "other"], 2, "the values of a list that are not in the other one", |args| {
        chosen(&args[0], &args[1], false)
    }),
    function("coalesce", &["value", "other…"], 1, "the first value that is not empty", |args| {
        args.iter().find(|arg| !arg.is_empty()).cloned().unwrap_or_default()
    })
    .giving(Gives::Argument),
];

/// Up to this many comparisons cost less than hashing the texts.
const FEW: usize = 64;

/// The values of a list that are also in the other one, or those that are not.
fn chosen(list: &Value, other: &Value, present: bool) -> Value {
    let (values, others) = (list.values(), other.values());
    if values.len().saturating_mul(others.len()) <= FEW {
        let is_there = |value: &&Value| others.iter().any(|other| other.as_text() == value.as_text());
        return Value::list(values.iter().filter(|value| is_there(value) == present).cloned());
    }
    let others: HashSet<SmolStr> = others.iter().map(Value::to_text).collect();
    Value::list(values.iter().filter(|value| others.contains(&value.to_text()) == present).cloned())
}
