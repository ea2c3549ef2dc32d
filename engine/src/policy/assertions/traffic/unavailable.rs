//! `Unavailable`: what the policy needs is not there now.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::data::fault::{Blame, Fault, Verdict};
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;

static SPEC: Spec = Spec {
    name: "Unavailable",
    category: "traffic",
    summary: "Breaks off because something that the policy needs does not answer now, as the gateway itself does when a database does \
              not: a fault, like `Raise`, but the answer is 503. The service's error assertion finds that in \
              `request.refused.status`.",
    props: &[Prop::required("because", Kind::Text, "What does not answer: for the log, and for a `HandleErrors`.")],
    sets: &[],
    fails: &[],
    examples: &[example(
        "somebody handles it",
        r#"HandleErrors { Unavailable(because: "the directory does not answer") } on error { set answer = ${handleError.message} }"#,
        Expect::Sets("answer", "the directory does not answer"),
    )],
    ..Spec::PLAIN
};

pub static ENTRY: Entry =
    Entry { spec: &SPEC, build: |p| Runnable::sync(Unavailable { because: p.value("because") }) };

struct Unavailable {
    because: Expr,
}

impl Assertion for Unavailable {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let mut fault = Fault::raised(self.because.to_text(ctx).to_string());
        (fault.passing, fault.blame) = (true, Blame::Upstream);
        Err(fault)
    }
}
