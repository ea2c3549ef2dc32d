//! `LogField`: adds a policy's own fields to the log lines of its request.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};
use smol_str::SmolStr;

use crate::data::encoding::byte_of;
use crate::data::fault::{HELD, Verdict};
use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::services::telemetry::OWN_FIELDS;

/// Most fields of one request.
const MAX_FIELDS: usize = 16;
/// Longest value in characters; the rest is cut off.
const MAX_VALUE: usize = 256;

/// Field names that log lines already have, in addition to those of audit records.
const TAKEN: [&str; 11] =
    ["timestamp", "target", "message", "trace", "told", "secure", "method", "path", "status", "bytes", "micros"];

static SPEC: Spec = Spec {
    name: "LogField",
    category: "audit",
    summary: "Gives the access line, the trace and the audit records of this request one more field. A later one of the same name replaces it; an empty value \
              takes it away. Do not put tokens or passwords in it.",
    props: &[
        Prop::required("name", Kind::Text, "Name of the field: letters, digits and `-_.`. It is not an expression."),
        Prop::required("value", Kind::Text, "Its value, of which 256 characters are kept."),
    ],
    sets: &[],
    fails: &[],
    examples: &[example("who asks", r#"LogField(name: "client_id", value: "${request.http.form.client_id}")"#, Expect::Holds)],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let name = p.literal("name")?;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(word) {
            return Err(p.refuse("name", "a field's name has 1 to 64 letters, digits and `-_.`"));
        }
        if TAKEN.contains(&name.as_str()) || OWN_FIELDS.contains(&name.as_str()) {
            return Err(p.refuse("name", &format!("lines of the log have a `{name}` already")));
        }
        Runnable::sync(LogField { name: name.into(), value: p.value("value") })
    },
};

struct LogField {
    name: SmolStr,
    value: Expr,
}

impl Assertion for LogField {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let value = self.value.to_text(ctx);
        let end = byte_of(&value, MAX_VALUE);
        let value = if end < value.len() { SmolStr::new(&value[..end]) } else { value };
        ctx.told.retain(|(name, _)| *name != self.name);
        if !value.is_empty() && ctx.told.len() < MAX_FIELDS {
            ctx.told.push((self.name.clone(), value));
        }
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(LogField { name: self.name.clone(), value: places.expr(&self.value) }))
    }
}
