//! JSON and XML, searches in them, and escaping.

use std::collections::BTreeMap;

use portcullis_dsl::ast::Syntax;

use super::halves;
use crate::data::budget::Budget;
use crate::data::json::read::MAX_VALUES;
use crate::data::json::{Document, Path, read, read_unique};
use crate::data::value::Value;
use crate::data::xml::convert::{Convention, to_json, to_xml};
use crate::data::xml::xpath::XPath;
use crate::services::store::Statement;
use crate::services::telemetry::plain;

/// A document that is read, written and read again stays the same; without duplicate names, both readers agree.
pub(super) fn json(data: &[u8]) {
    let Ok(json) = read(data) else {
        assert!(read_unique(data).is_err());
        return;
    };
    let again = read(json.to_string().as_bytes()).expect("what was written is JSON");
    assert_eq!(again.to_string(), json.to_string());
    assert!(data.len() < MAX_VALUES || json.is_object() || json.is_array() || json.is_string());
    if let Ok(unique) = read_unique(data) {
        assert_eq!(unique, json);
    }
}

/// Whatever the path, the search ends, and every result is part of the document.
pub(super) fn json_path(data: &[u8]) {
    let (path, document) = halves(data);
    let Ok(json) = read(document.as_bytes()) else { return };
    if let Some(path) = Path::parse(&path)
        && let Ok(found) = path.find(&json)
    {
        assert!(found.iter().all(|found| found.to_string().len() <= json.to_string().len()));
    }
    let _ = Document::from(json).find(&path);
}

/// Every document converts to JSON, and the result converts to XML again.
pub(super) fn xml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(document) = crate::data::xml::parse(&text) else { return };
    let convention = Convention { attributes: "@".to_owned(), text: "#".to_owned() };
    for typed in [false, true] {
        let json = to_json(&document, &convention, typed);
        if let Ok(again) = to_xml(&json, None, &convention) {
            assert!(crate::data::xml::parse(&again).is_ok(), "{again}");
        }
    }
}

/// Every expression ends within its budget.
pub(super) fn xpath(data: &[u8]) {
    let (expression, text) = halves(data);
    let Ok(expression) = XPath::parse(&expression) else { return };
    let text = if text.is_empty() { "<a b='1'><c>x</c><c>y</c></a>" } else { &text };
    let Ok(document) = crate::data::xml::parse(text) else { return };
    let variables = BTreeMap::from([("v".to_owned(), "1".to_owned())]);
    let _ = expression.evaluate(&document, &BTreeMap::new(), &variables, &Budget::of(50_000, 1 << 20));
}

/// Escaped text stays within its place, and no address with an executable scheme gets through.
pub(super) fn page(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let value = Value::from(&*text);
    let mut out = String::new();
    crate::data::encoding::escape(Syntax::Html, &value, &mut out);
    assert!(!out.contains(['<', '>', '"', '\'']));
    assert!(crate::data::xml::parse(&format!("<a b=\"{out}\">{out}</a>")).is_ok());
    if crate::policy::template::address::is_harmless(&value, portcullis_dsl::AddressPlace::Whole) {
        let seen: String = text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        assert!(!seen.to_lowercase().starts_with("javascript:"), "{text:?}");
        assert!(url::Url::parse(&text).map_or(true, |url| !["javascript", "vbscript"].contains(&url.scheme())), "{text:?}");
    }
    let mut out = String::new();
    crate::data::encoding::escape(Syntax::Json, &value, &mut out);
    assert_eq!(read(out.as_bytes()).ok().and_then(|json| json.as_str().map(str::to_owned)).as_deref(), Some(&*text));
}

/// One line stays one line, and one field stays one field.
pub(super) fn log(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in [plain::visible(&text), plain::field(&text), plain::sentence(&text)] {
        assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')));
    }
    let field = plain::field(&text);
    assert!(field.starts_with('"') && field.ends_with('"') || !field.contains([' ', '=', '"']));
    let line = serde_json::Value::from(&*text).to_string();
    let safe = plain::json(&line);
    assert!(!safe.contains(char::is_control));
    assert_eq!(serde_json::from_str::<String>(&safe).ok().as_deref(), Some(&*text));
}

/// A parameter is never inside quotes, whatever is around it.
pub(super) fn sql(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pieces: Vec<&str> = text.split('?').collect();
    if let Ok(statement) = Statement::new(&pieces) {
        assert_eq!(statement.params(), pieces.len() - 1);
    }
}

/// A name in a filter or a distinguished name stays one value.
pub(super) fn directory(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let filter = format!("(&(cn={0})(member={0}))", ldap3::ldap_escape(&*text));
    assert_eq!(filter.matches(['(', ')']).count(), 6, "{filter}");
    assert!(!filter.contains(['*', '\0']));
    let name = ldap3::dn_escape(&*text);
    let bare = |(at, c): (usize, char)| matches!(c, ',' | '+' | '"' | '<' | '>' | ';') && !name[..at].ends_with('\\');
    assert!(!name.char_indices().any(bare), "{name}");
}
