//! Makes texts safe for the log. What a client sends might end a line, move the cursor, change the direction of writing or look
//! like another field; here it becomes plain text.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Whether a character has an effect or is invisible: control characters, line and paragraph separators, direction marks, and
/// characters without width.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in which such characters are escaped, as `\u{a}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
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
    if !body.contains(acts) {
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

/// The fields of a line for people: the message, then `name=value`.
pub struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"));
    }
}

impl Visitor<'_> {
    fn write(&mut self, of: &Field, value: &str) {
        if self.result.is_err() {
            return;
        }
        let blank = if std::mem::take(&mut self.first) { "" } else { " " };
        self.result = match of.name() {
            "message" => write!(self.writer, "{blank}{}", visible(value)),
            name => write!(self.writer, "{blank}{}={}", name.trim_start_matches("r#"), field(value)),
        };
    }
}

/// A writer that makes lines of JSON harmless.
pub struct JsonLines<W>(pub W);

impl<W: io::Write> io::Write for JsonLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Each write is a whole line.
        match std::str::from_utf8(bytes) {
            Ok(line) => self.0.write_all(json(line).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
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
}
