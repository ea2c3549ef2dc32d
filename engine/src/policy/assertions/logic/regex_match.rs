//! `RegexMatch`: finds a regular expression and keeps its groups.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use regex::Captures;

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::policy::pattern::Pattern;
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "RegexMatch",
    category: "logic",
    summary: "Succeeds if a regular expression matches anywhere in the source (`^…$` for all of it), and keeps what its groups \
              matched. Without groups, the comparison `matches` is shorter.",
    props: &[
        Prop::required("source", Kind::Value, "Text to search."),
        Prop::required("pattern", Kind::Text, "Regular expression. The values of variables become part of it: see \
                                               `regex_escape`."),
        Prop::absent("captures", Kind::Target(Type::List), "Variable that takes the groups: the whole match first; a group that \
                                                            took no part is empty."),
        Prop::optional("find_all", Kind::Bool, Literal::Bool(false), "Whether the groups of all matches are kept, one after the \
                                                                      other; a literal."),
        Prop::optional("whole", Kind::Bool, Literal::Bool(true), "Whether the whole match is kept before its groups; a literal."),
        Prop::optional("ignore_case", Kind::Bool, Literal::Bool(false), "Whether case is ignored; a literal."),
        Prop::optional("proceed_if_matches", Kind::Bool, Literal::Bool(true), "`false`: succeeds if it does *not* match; a \
                                                                               literal."),
    ],
    sets: &[sets("{captures}", "the groups; unchanged if nothing matches")],
    fails: &["it does not match (or matches, with `proceed_if_matches: false`)", "the source is undefined, in either case"],
    examples: &[
        example(
            "groups",
            "RegexMatch(source: \"Bearer abc\", pattern: r\"^(\\w+) (\\S+)$\", captures: \"part\")\nset token = ${part[2]}",
            Expect::Sets("token", "abc"),
        ),
        example(
            "all finds",
            "RegexMatch(source: \"a=1&b=2\", pattern: r\"(\\w)=\\d\", captures: \"names\", find_all: true, whole: false)\n\
             set shown = \"${names|+}\"",
            Expect::Sets("shown", "a+b"),
        ),
        example("must not match", r#"RegexMatch(source: "a<b", pattern: "[<>]", proceed_if_matches: false)"#, Expect::Fails),
        example("in any case", r#"RegexMatch(source: "BASIC x", pattern: "^basic ", ignore_case: true)"#, Expect::Holds),
    ],
    also: &["Evaluate Regular Expression"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let ignore_case = p.flag("ignore_case")?;
        Runnable::sync(RegexMatch {
            source: p.value("source"),
            pattern: p.pattern("pattern", ignore_case)?,
            captures: p.optional_target("captures")?,
            find_all: p.flag("find_all")?,
            whole: p.flag("whole")?,
            proceed_if_matches: p.flag("proceed_if_matches")?,
        })
    },
};

struct RegexMatch {
    source: Expr,
    pattern: Pattern,
    captures: Option<Slot>,
    find_all: bool,
    whole: bool,
    proceed_if_matches: bool,
}

impl Assertion for RegexMatch {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let Some(regex) = self.pattern.regex(ctx) else { return falsified("the pattern is not a regular expression") };
        let text = source.as_text();
        let mut groups = Vec::new();
        let found = if self.captures.is_none() {
            regex.is_match(&text)
        } else {
            let finds = regex.captures_iter(&text).take(if self.find_all { usize::MAX } else { 1 });
            finds.map(|found| self.keep(&found, &mut groups)).count() > 0
        };
        drop(regex);
        if found {
            ctx.set_if(self.captures, Value::list(groups));
        }
        match (found, self.proceed_if_matches) {
            (true, true) | (false, false) => HELD,
            (false, true) => falsified("the pattern does not match"),
            (true, false) => falsified("the pattern matches"),
        }
    }
}

impl RegexMatch {
    fn keep(&self, found: &Captures<'_>, groups: &mut Vec<Value>) {
        let skip = usize::from(!self.whole);
        groups.extend(found.iter().skip(skip).map(|group| Value::from(group.map_or("", |group| group.as_str()))));
    }
}
