//! `RegexReplace`: a text with every match replaced.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::MAX_MADE;
use crate::policy::pattern::{Pattern, Replacement};

static SPEC: Spec = Spec {
    name: "RegexReplace",
    category: "logic",
    summary: "Replaces the matches of a regular expression. Without a match it also succeeds, and the text is unchanged.",
    props: &[
        Prop::required("source", Kind::Value, "Text to search."),
        Prop::required("pattern", Kind::Text, "Regular expression. The values of variables become part of it: see \
                                               `regex_escape`."),
        Prop::required("replacement", Kind::Text, "Replacement of a match: `$1` is its first group, `$0` all of it, `$$` a \
                                                   dollar sign; the values of variables are taken literally."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the text; may be the source's own."),
        Prop::optional("limit", Kind::Int, Literal::Int(0), "How many matches are replaced; 0 means all."),
        Prop::optional("ignore_case", Kind::Bool, Literal::Bool(false), "Whether case is ignored; a literal."),
    ],
    sets: &[sets("{target}", "the text")],
    fails: &[
        "the source is undefined",
        "the pattern has variables and does not become a regular expression",
        "the text would be longer than 16 MiB",
    ],
    examples: &[
        example(
            "the last three digits",
            r#"RegexReplace(source: "3003115", pattern: r"^(\d*)(\d{3})$", replacement: "$2", target: "code")"#,
            Expect::Sets("code", "115"),
        ),
        example(
            "a variable is taken literally",
            "set by = \"$0\"\nRegexReplace(source: \"a-b\", pattern: \"-\", replacement: \"[${by}]\", target: \"text\")",
            Expect::Sets("text", "a[$0]b"),
        ),
        example(
            "nothing",
            r#"RegexReplace(source: ${request.http.header.x-missing}, pattern: "a", replacement: "", target: "t")"#,
            Expect::Fails,
        ),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let ignore_case = p.flag("ignore_case")?;
        Runnable::sync(RegexReplace {
            source: p.value("source"),
            pattern: p.pattern("pattern", ignore_case)?,
            replacement: Replacement::new(p.value("replacement")),
            target: p.target("target")?,
            limit: p.value("limit"),
        })
    },
};

struct RegexReplace {
    source: Expr,
    pattern: Pattern,
    replacement: Replacement,
    target: Slot,
    limit: Expr,
}

impl Assertion for RegexReplace {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let Some(regex) = self.pattern.regex(ctx) else { return falsified("the pattern is not a regular expression") };
        let limit = self.limit.eval(ctx).to_int().and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let text = source.as_text();
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for found in regex.captures_iter(&text).take(limit.unwrap_or(usize::MAX)) {
            let Some(whole) = found.get(0) else { continue };
            out.push_str(&text[from..whole.start()]);
            self.replacement.write(&found, ctx, &mut out);
            from = whole.end();
            if out.len() > MAX_MADE {
                return falsified("the text would be longer than 16 MiB");
            }
        }
        out.push_str(&text[from..]);
        drop(regex);
        ctx.set(self.target, out);
        HELD
    }
}
