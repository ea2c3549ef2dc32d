//! `AuditDetail`: a record in the audit log.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};
use serde_json::{Map, Value as Json};

use crate::data::fault::{HELD, Verdict};
use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::services::telemetry::{AuditRecord, Level, in_log, wanted_in_log};

static SPEC: Spec = Spec {
    name: "AuditDetail",
    category: "audit",
    summary: "Makes a record in the audit log, with time, service, request, client address, and the fields that `LogField` gave. Do not put \
              tokens or passwords in it.",
    props: &[
        Prop::absent("message", Kind::Text, "A text. It may be left out where there is an `event`."),
        Prop::absent("event", Kind::Text, "What happened, in a word that programs look for: `token_issued`."),
        Prop::absent("fields", Kind::Object, "What else the record says. Names that a record has anyway (`time`, `level`, `event`, `service`, \
            `request`, `remote`, `logger`, `detail`) count for nothing."),
        Prop::optional(
            "level",
            Kind::OneOf(&["finest", "finer", "fine", "config", "info", "warning", "severe"]),
            Literal::Text("info"),
            "How serious it is. In the ordinary log, `config` and `fine` show at level `debug` only, `finer` and `finest` at `trace`.",
        ),
        Prop::optional("sink", Kind::OneOf(&["audit", "log"]), Literal::Text("audit"), "Where it goes: to what `logging.audit` names, or to \
            the ordinary log, which suits texts that are long or for looking at only."),
        Prop::absent("logger", Kind::Text, "A name for who records it."),
        Prop::absent("limit", Kind::Int, "For events that strangers can cause: how many records of this event a minute may have. The others \
            are counted, and when the minute is over, one record (`records_left_out`) says how many. 0: no limit."),
    ],
    sets: &[],
    fails: &[],
    examples: &[
        example("a refused client", r#"AuditDetail(message: "refused ${request.http.method}", level: "warning")"#, Expect::Holds),
        example(
            "an event",
            r#"AuditDetail(event: "order_placed", fields: json { "order": "${request.http.parameter.order}" }, logger: "orders")"#,
            Expect::Holds,
        ),
        example("what strangers can cause", r#"AuditDetail(event: "order_refused", level: "fine", limit: 600)"#, Expect::Holds),
        example("for the log only", r#"AuditDetail(message: "step 1", level: "fine", sink: "log")"#, Expect::Holds),
    ],
    also: &["Add Audit Detail", "Add Audit Details", "Audit Messages in Policy"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let levels = [
            ("finest", Level::Finest),
            ("finer", Level::Finer),
            ("fine", Level::Fine),
            ("config", Level::Config),
            ("info", Level::Info),
            ("warning", Level::Warning),
            ("severe", Level::Severe),
        ];
        if !p.has("message") && !p.has("event") {
            return Err(p.refuse("message", "a record needs a `message` or an `event`"));
        }
        Runnable::sync(AuditDetail {
            message: p.optional("message"),
            event: p.optional("event"),
            fields: p.optional("fields"),
            level: p.choice("level", &levels)?,
            log: p.choice("sink", &[("audit", false), ("log", true)])?,
            logger: p.optional("logger"),
            limit: p.optional("limit"),
        })
    },
};

struct AuditDetail {
    message: Option<Expr>,
    event: Option<Expr>,
    fields: Option<Expr>,
    level: Level,
    /// Whether it goes to the ordinary log, whatever settings say of audit records.
    log: bool,
    logger: Option<Expr>,
    limit: Option<Expr>,
}

impl Assertion for AuditDetail {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let audit = &ctx.services().audit;
        // Most `fine` details are not recorded; then the text is not even built.
        if !(if self.log { wanted_in_log(self.level) } else { audit.wants(self.level) }) {
            return HELD;
        }
        let text = |expr: &Option<Expr>| expr.as_ref().map(|expr| expr.to_text(ctx)).unwrap_or_default();
        let event = text(&self.event);
        let limit = self.limit.as_ref().and_then(|limit| u64::try_from(limit.eval(ctx).to_int()?).ok()).filter(|limit| *limit > 0);
        if limit.is_some_and(|limit| !audit.admits(&event, limit, ctx.now_millis())) {
            return HELD;
        }
        let (logger, message) = (text(&self.logger), text(&self.message));
        let mut fields: Map<String, Json> =
            ctx.told.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
        if let Some(Json::Object(more)) = self.fields.as_ref().map(|fields| fields.eval(ctx).to_json()) {
            fields.extend(more);
        }
        // A task or a command has no client.
        let remote = if ctx.request.path.is_empty() { String::new() } else { ctx.request.remote.ip().to_string() };
        let record = AuditRecord {
            time: ctx.now_millis(),
            level: self.level,
            event: &event,
            service: &ctx.service,
            request: ctx.request.id(),
            remote: &remote,
            logger: &logger,
            detail: &message,
            fields,
        };
        if self.log { in_log(record) } else { audit.record(record) }
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(AuditDetail {
            message: places.optional(&self.message),
            event: places.optional(&self.event),
            fields: places.optional(&self.fields),
            level: self.level,
            log: self.log,
            logger: places.optional(&self.logger),
            limit: places.optional(&self.limit),
        }))
    }
}
