//! Makes texts safe for the log. What a client sends might end a line, move the cursor, change the direction of writing or look
//! like another field; here it becomes plain text.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::correlation;
use crate::data::encoding::all_bytes;

/// The field of a line whose value is [`Members`]: its members become fields of the line.
const TOLD: &str = "told";
/// The field of a line with the request's id. A line without one gets that of the current request.
const REQUEST: &str = "request";

/// Whether a character has an effect or is invisible: control characters, line and paragraph separators, direction marks, and
/// characters without width.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a text is ASCII that has no effect, as nearly all texts are.
fn is_plain(text: &str) -> bool {
    all_bytes(text.as_bytes(), |byte| matches!(byte, b' '..=b'~'))
}

/// A text in which such characters are escaped, as `\u{a}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A text that cannot look like several fields: in quotes if it contains blanks, quotes or `=`.
pub fn field(text: &str) -> Cow<'_, str> {
    let word = |byte: u8| byte.is_ascii_graphic() & (byte != b'"') & (byte != b'=') & (byte != b'\\');
    if !text.is_empty() && all_bytes(text.as_bytes(), word) {
        return Cow::Borrowed(text);
    }
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || acts(c)) {
        Cow::Owned(quoted(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// A sentence with text from others: as it is, or in quotes if it could look like fields.
pub fn sentence(text: &str) -> Cow<'_, str> {
    if text.contains(['=', '"']) { Cow::Owned(quoted(text)) } else { visible(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// JSON in which such characters are escaped. They can only occur in its strings, where `\uXXXX` means the same.
pub fn json(line: &str) -> Cow<'_, str> {
    let body = line.strip_suffix('\n').unwrap_or(line);
    if is_plain(body) || !body.contains(acts) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in body.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push_str(&line[body.len()..]);
    Cow::Owned(out)
}

/// What policies say of a request, as the field `told` of a line: `told = ?Members(&fields)`. Debug output is the fields of a line for
/// people, and "pretty" output (`{:#?}`) the object in JSON.
pub struct Members<'a>(pub &'a Map<String, Value>);

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?);
        }
        let mut blank = "";
        for (name, value) in self.0 {
            let value = match value {
                Value::String(text) => Cow::Borrowed(text),
                other => Cow::Owned(other.to_string()),
            };
            write!(f, "{blank}{}={}", field(name), field(&value))?;
            blank = " ";
        }
        Ok(())
    }
}

/// The fields of a line for people: the message, then `name=value`, and the request that it is about.
pub struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, first: true, has_request: false, result: Ok(()) };
        fields.record(&mut visitor);
        if !visitor.has_request
            && let Some(id) = correlation::current()
        {
            visitor.named(REQUEST, &id);
        }
        visitor.result
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    first: bool,
    has_request: bool,
    result: fmt::Result,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.named(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.named(field.name(), &format!("{value:?}"));
    }
}

impl Visitor<'_> {
    fn named(&mut self, name: &str, value: &str) {
        if self.result.is_err() {
            return;
        }
        if name == TOLD && value.is_empty() {
            return;
        }
        self.has_request |= name == REQUEST;
        let blank = if std::mem::take(&mut self.first) { "" } else { " " };
        let mut put = |parts: &[&str]| parts.iter().try_for_each(|part| self.writer.write_str(part));
        self.result = match name {
            "message" => put(&[blank, &visible(value)]),
            TOLD => put(&[blank, value]),
            name => put(&[blank, &field(name.trim_start_matches("r#")), "=", &field(value)]),
        };
    }
}

/// A line for programs: one JSON object, its fields beside `timestamp`, `level` and `target`.
pub struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line(Map::new());
        let metadata = event.metadata();
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        line.0.insert("timestamp".to_owned(), now.into());
        line.0.insert("level".to_owned(), metadata.level().as_str().into());
        event.record(&mut line);
        line.0.insert("target".to_owned(), metadata.target().into());
        if !line.0.contains_key(REQUEST)
            && let Some(id) = correlation::current()
        {
            line.0.insert(REQUEST.to_owned(), id.as_str().into());
        }
        let text = serde_json::to_string(&line.0).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", json(&text))
    }
}

struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != TOLD {
            return self.put(field, format!("{value:?}"));
        }
        let members: Map<String, Value> = serde_json::from_str(&format!("{value:#?}")).unwrap_or_default();
        for (name, value) in members {
            self.0.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    const FORGED: &str = "x\r\n2026-01-01T00:00:00Z  INFO forged status=200 \u{1b}[2K\u{202e}\u{2028}\u{85}\u{9b}31m\t\u{7f}\0";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_text_is_one_line_with_its_own_fields() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().fmt_fields(Fields).with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(path = FORGED, who = %FORGED, debug = ?FORGED, "told: {FORGED}");
            tracing::info!(path = "/a?b status=200", status = 404, "{}", sentence("done status=200 \"x"));
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(!text.replace('\n', "").contains(acts), "{text:?}");
        assert!(lines[0].contains("who=\"x\\u{d}\\u{a}2026"), "{text}");
        assert!(lines[1].ends_with(r#""done status=200 \"x" path="/a?b status=200" status=404"#), "{text}");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let line = serde_json::json!({ "a": FORGED, "b": "\u{e0041}é" }).to_string() + "\n";
        let safe = json(&line);
        assert_eq!(safe.matches('\n').count(), 1);
        assert!(!safe.trim_end_matches('\n').contains(acts));
        let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(&line).unwrap());
    }

    #[test]
    fn a_line_names_its_request_and_what_policies_say_of_it() {
        let (text, objects) = (Kept::default(), Kept::default());
        let log = || {
            let fields: Map<String, Value> =
                [("client_id", "a b"), ("level", "x")].map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
            tracing::info!(told = ?Members(&fields), status = 200, "done");
            tracing::info!(told = ?Members(&Map::new()), status = 200, "nothing");
            tracing::info!(request = "its own", "said");
        };
        let id = super::super::Correlation::new();
        let run = |id: &super::super::Correlation| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(id.within(async { log() }));
        };
        let writer = text.clone();
        let subscriber =
            tracing_subscriber::fmt().fmt_fields(Fields).with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || run(&id));
        let writer = objects.clone();
        let subscriber = tracing_subscriber::fmt().event_format(Json).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || run(&id));
        let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("client_id=\"a b\"") && text.lines().nth(2).unwrap().ends_with("said request=\"its own\""),
            "{text}"
        );
        let objects = String::from_utf8(objects.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["client_id"], "a b", "{objects}");
        assert_eq!(
            (&lines[0]["status"], &lines[0]["level"], &lines[0]["message"]),
            (&200.into(), &"INFO".into(), &"done".into())
        );
        assert!(text.contains("nothing status=200 request="), "{text}");
        assert_eq!(lines[2]["request"], "its own");
    }
}
