//! `Unsupported`: the place of a step that nobody has translated yet.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::data::fault::{Blame, Fault, Verdict};
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::codes;
use crate::policy::ctx::Ctx;

static SPEC: Spec = Spec {
    name: "Unsupported",
    category: "logic",
    summary: "Stands for a step of an imported policy that has no translation. A request that comes here is refused: it is a fault \
              that no `AtLeastOne` and no `HandleErrors` catches. `serve` leaves out services that can come here, unless it is \
              started with `--allow-unsupported`.",
    props: &[
        Prop::required("step", Kind::Text, "What the step was; a literal."),
        Prop::required("needs", Kind::Text, "What a translation would need; a literal."),
        Prop::absent("sets", Kind::Variables, "Variables that the step would set, so that the rest of the policy can be checked."),
    ],
    sets: &[sets("{sets}", "nothing: the run ends here")],
    fails: &[],
    examples: &[example(
        "an arm that is not reached",
        "AtLeastOne {\n    Continue\n    Unsupported(step: \"XslTransformation\", needs: \"stylesheets\", sets: [\"page\"])\n}",
        Expect::Holds,
    )],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let (step, needs) = (p.literal("step")?, p.literal("needs")?);
        let message = format!("`{step}` has no translation");
        let warning = Diagnostic::warning(codes::UNSUPPORTED, message, p.call.span.span);
        let help = format!("it needs {needs}; write what it did, or take it out");
        p.compiler.report(warning.help(help));
        Runnable::sync(Unsupported { step, needs })
    },
};

struct Unsupported {
    step: String,
    needs: String,
}

impl Assertion for Unsupported {
    fn run(&self, _ctx: &mut Ctx) -> Verdict {
        Err(Fault::new(Blame::Unsupported, format!("`{}` has no translation: it needs {}", self.step, self.needs)))
    }
}
