//! Functions on texts and numbers.

use portcullis_dsl::spec::Gives;

use super::{Function, function};
use crate::data::encoding::byte_of;
use crate::data::value::{MAX_MADE, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    function("lower", &["text"], 1, "in lower case", |args| Value::from(args[0].as_text().to_lowercase())),
    function("upper", &["text"], 1, "in upper case", |args| Value::from(args[0].as_text().to_uppercase())),
    function("trim", &["text"], 1, "without surrounding blanks", |args| {
        let text = args[0].as_text();
        let trimmed = text.trim();
        if trimmed.len() == text.len() { Value::Text(args[0].to_text()) } else { Value::from(trimmed) }
    }),
    function(
        "nfc",
        &["text"],
        1,
        "in Unicode's normalization form C: what looks the same and is typed in different ways is the same",
        |args| {
            let text = args[0].as_text();
            match crate::data::names::normal(&text) {
                std::borrow::Cow::Borrowed(_) => Value::Text(args[0].to_text()),
                std::borrow::Cow::Owned(made) => Value::from(made),
            }
        },
    ),
    function("length", &["text"], 1, "number of characters", |args| Value::Int(args[0].as_text().chars().count() as i64)),
    function("bytes", &["text"], 1, "number of bytes, in UTF-8", |args| Value::Int(args[0].as_text().len() as i64)),
    function("text", &["value"], 1, "as text", |args| Value::Text(args[0].to_text())),
    function(
        "message",
        &["body", "type"],
        2,
        "a message of this body and content type: `set m: message = message(\"<a/>\", \"text/xml\")`. A message keeps its header fields; an \
         empty type leaves the one that it has, or that its body suggests",
        |args| {
            let mut message = match &args[0] {
                Value::Message(message) => crate::data::message::Message::clone(message),
                body => crate::data::message::Message::from_value(body),
            };
            let content_type = args[1].as_text();
            if !content_type.is_empty() {
                message.set_content_type(&content_type);
            }
            Value::Message(message.into())
        },
    ),
    function("int", &["value"], 1, "as an integer; undefined if it is not one", |args| Value::from(args[0].to_int())),
    function(
        "replace",
        &["text", "literal", "by"],
        3,
        "with every occurrence of a literal text replaced; undefined if more than 16 MiB would be inserted",
        |args| {
            let (text, literal) = (args[0].as_text(), args[1].as_text());
            if literal.is_empty() {
                return Value::from(&*text);
            }
            let by = args[2].as_text();
            // With many occurrences and a long replacement, a megabyte could become a terabyte.
            if text.matches(&*literal).count().saturating_mul(by.len()) > MAX_MADE {
                return Value::Undefined;
            }
            Value::from(text.replace(&*literal, &by))
        },
    ),
    function(
        "substring",
        &["text", "from", "length"],
        2,
        "characters from a position (counted from zero) to the end, or as many as given",
        |args| {
            let skip = args[1].to_int().unwrap_or(0).max(0) as usize;
            let take = args.given(2).map_or(usize::MAX, |length| length.to_int().unwrap_or(0).max(0) as usize);
            let text = args[0].as_text();
            let rest = &text[byte_of(&text, skip)..];
            Value::from(&rest[..byte_of(rest, take)])
        },
    ),
    function(
        "before",
        &["text", "separator"],
        2,
        "the part before the first separator; the whole text if there is none",
        |args| {
            let (text, separator) = (args[0].as_text(), args[1].as_text());
            Value::from(text.split_once(&*separator).map_or(&*text, |(before, _)| before))
        },
    ),
    function("after", &["text", "separator"], 2, "the part after the first separator; empty if there is none", |args| {
        let (text, separator) = (args[0].as_text(), args[1].as_text());
        Value::from(text.split_once(&*separator).map_or("", |(_, after)| after))
    }),
    function("regex_escape", &["text"], 1, "the regular expression that matches exactly this text", |args| {
        Value::from(regex::escape(&args[0].as_text()))
    }),
    function("min", &["number", "other…"], 1, "the smallest integer; other values are skipped", |args| {
        Value::from(args.iter().filter_map(Value::to_int).min())
    }),
    function("max", &["number", "other…"], 1, "the greatest integer; other values are skipped", |args| {
        Value::from(args.iter().filter_map(Value::to_int).max())
    }),
    function(
        "iif",
        &["condition", "then", "otherwise"],
        3,
        "the second value when the first is `true`, otherwise the third",
        |args| args[if args[0].to_bool() == Some(true) { 1 } else { 2 }].clone(),
    )
    .giving(Gives::Argument),
];
