//! `AuditDetail`: a line in the audit log.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict};
use crate::services::telemetry::{AuditRecord, Level};

static SPEC: Spec = Spec {
    name: "AuditDetail",
    category: "audit",
    summary: "Records a message in the audit log, with time, service and request. Do not put tokens or passwords in it.",
    props: &[
        Prop::required("message", Kind::Text, "What to record."),
        Prop::optional(
            "level",
            Kind::OneOf(&["fine", "info", "warning", "severe"]),
            Literal::Text("info"),
            "How serious it is. The log shows `fine` only at level `debug`.",
        ),
    ],
    sets: &[],
    fails: &[],
    examples: &[example("a refused client", r#"AuditDetail(message: "refused ${request.http.method}", level: "warning")"#, Expect::Holds)],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let levels =
            [("fine", Level::Fine), ("info", Level::Info), ("warning", Level::Warning), ("severe", Level::Severe)];
        let level = p.choice("level", &levels)?;
        Runnable::sync(AuditDetail { message: p.value("message"), level })
    },
};

struct AuditDetail {
    message: Expr,
    level: Level,
}

impl Assertion for AuditDetail {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let audit = &ctx.services().audit;
        // Most `fine` details are not recorded; then the text is not even built.
        if audit.wants(self.level) {
            let message = self.message.to_text(ctx);
            audit.record(&AuditRecord {
                time: ctx.now_millis(),
                level: self.level,
                service: &ctx.service,
                request: ctx.request.id(),
                detail: &message,
            });
        }
        HELD
    }
}
