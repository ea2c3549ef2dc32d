//! Answers to "where does this value come from?": every place that sets a variable, in the order of evaluation. Also describes a
//! policy: its kind, its parameters and its users. `portcullis explain` prints them.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's and a name's id are made by the set, and index the tables that are as long as the set"
)]

use std::fmt;

use crate::ast::{Direction, ItemKind, Param};
use crate::diagnostic::nearest;
use crate::resolve::hooks::Hook;
use crate::resolve::index::{Kind, Policy, PolicyId};
use crate::resolve::names::Sym;
use crate::resolve::steps::Step;
use crate::resolve::summary::{Event, SetBy};
use crate::resolve::{Library, build::Space};
use crate::span::{Origin, Span, line_column};
use crate::spec::Builtin;

/// All there is to say about a name.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The name that was asked for.
    pub name: String,
    /// The variable of this name: one entry for all policies in which the same places set it.
    pub variables: Vec<VariableNotes>,
    /// If the name is a member of JSON in some policies: the variable that contains it, as used there.
    pub member_of: Option<(String, Vec<VariableNotes>)>,
    /// The built-in variable of this name.
    pub builtin: Option<&'static Builtin>,
    /// The policies of this name, of any kind.
    pub policies: Vec<PolicyNotes>,
    /// If nothing has the name: the nearest existing name.
    pub near: Option<String>,
}

/// A variable in the policies that treat it alike.
#[derive(Clone, Debug, Default)]
pub struct VariableNotes {
    /// The services, assertions, tasks and commands it lives in, as ``service `token` ``.
    pub owners: Vec<String>,
    /// Where it is set, in the order of evaluation: the last one that runs wins.
    pub settings: Vec<Setting>,
    /// Where it is read, as `path:line`.
    pub reads: Vec<String>,
    /// It is an output, which callers read.
    pub output: bool,
    /// The documentation of the policy that sets it first, if that names the variable.
    pub doc: String,
}

/// A place that sets a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `path:line`
    pub place: String,
    /// Where in the text.
    pub span: Span,
    /// `set`, `default`, `input`, or what else sets it.
    pub how: &'static str,
    /// The value's text on one line; empty when it has none.
    pub value: String,
    /// It is in `customizations/`.
    pub customization: bool,
    /// Only some paths through the policy lead here.
    pub maybe: bool,
}

/// A policy.
#[derive(Clone, Debug, Default)]
pub struct PolicyNotes {
    /// What and where, as ``fragment `N` at path:line``.
    pub title: String,
    /// Its documentation.
    pub doc: String,
    /// What it includes and calls, in order.
    pub steps: Vec<Step>,
    /// Its parameters as declared, each with its documentation.
    pub params: Vec<(String, String)>,
    /// The codes of its `fail`s, and of the assertions whose failure it passes on.
    pub codes: Vec<String>,
    /// What operators can fill in it, and whether they did, as ``customize "N"`: empty``.
    pub hooks: Vec<String>,
    /// Who includes or calls it, as ``service `N` at path:line``.
    pub used_by: Vec<String>,
}

impl Library {
    /// Explains the name of a variable or of a policy.
    pub fn explain(&self, name: &str) -> Explanation {
        let wanted = name.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(name).trim();
        let mut explanation = Explanation { name: wanted.to_owned(), ..Explanation::default() };
        let names = &self.inner.names;
        if let Some(sym) = names.get(wanted) {
            explanation.variables = self.variable(sym);
            explanation.member_of = names.chain(sym).skip(1).find_map(|above| {
                let variables = self.variable_where(above, |space| {
                    let slot = space.frame.slot_of(above).filter(|slot| space.frame.holds_json(*slot));
                    slot.is_some() && names.chain(sym).find(|name| space.frame.slot_of(*name).is_some()) == Some(above)
                });
                (!variables.is_empty()).then(|| (names.text(above).to_owned(), variables))
            });
        }
        explanation.builtin = names.catalogue().builtin(wanted);
        let named = wanted.strip_prefix('#').unwrap_or(wanted);
        explanation.policies =
            self.policies().iter().filter(|policy| policy.name == named).map(|policy| self.notes(policy)).collect();
        if explanation.is_empty() {
            let variables =
                self.inner.spaces.iter().flatten().flat_map(|space| space.frame.slots.iter().map(|(_, name)| name.as_str()));
            let policies = self.policies().iter().map(|policy| policy.name.as_str());
            explanation.near = nearest(wanted, variables.chain(policies)).map(str::to_owned);
        }
        explanation
    }

    fn variable(&self, sym: Sym) -> Vec<VariableNotes> {
        self.variable_where(sym, |space| space.frame.slot_of(sym).is_some())
    }

    fn variable_where(&self, sym: Sym, has: impl Fn(&Space) -> bool) -> Vec<VariableNotes> {
        let mut all: Vec<VariableNotes> = Vec::new();
        for (policy, space) in self.policies().iter().zip(&self.inner.spaces) {
            let Some(space) = space.as_ref().filter(|space| has(space)) else { continue };
            let owner = format!("{} `{}`", policy.kind().word(), policy.name);
            let (settings, reads) = self.history(policy.id, space, sym);
            let is_output = |param: &Param| param.direction == Direction::Out && self.inner.names.get(&param.name) == Some(sym);
            let output = policy.params().iter().any(is_output);
            match all.iter_mut().find(|notes| notes.settings == settings && notes.output == output) {
                Some(notes) => {
                    notes.owners.push(owner);
                    notes.reads.extend(reads);
                }
                None => {
                    let doc = self.doc_of(sym, &settings);
                    all.push(VariableNotes { owners: vec![owner], settings, reads, output, doc });
                }
            }
        }
        for notes in &mut all {
            notes.reads.sort();
            notes.reads.dedup();
        }
        all
    }

    fn doc_of(&self, sym: Sym, settings: &[Setting]) -> String {
        let Some(first) = settings.first().map(|setting| setting.span) else { return String::new() };
        let holds = |span: Span| span.file == first.file && span.start <= first.start && first.end <= span.end;
        let policy = self.policies().iter().find(|policy| holds(policy.item.span));
        let doc = policy.map(Policy::doc).unwrap_or_default();
        if doc.contains(&format!("`{}`", self.inner.names.text(sym))) { doc } else { String::new() }
    }

    /// What happens to a variable in a frame. An include counts once, where it first stands.
    fn history(&self, owner: PolicyId, space: &Space, sym: Sym) -> (Vec<Setting>, Vec<String>) {
        let (mut settings, mut reads) = (Vec::new(), Vec::new());
        let failure = self.policies()[owner.index()].failure().and_then(|param| self.inner.names.get(&param.name));
        let mut seen = vec![owner];
        let mut stack = vec![(owner, 0, false)];
        while let Some((policy, next, within_maybe)) = stack.last_mut() {
            let (policy, within_maybe) = (*policy, *within_maybe);
            let Some(event) = self.inner.events[policy.index()].get(*next) else {
                stack.pop();
                continue;
            };
            *next += 1;
            match event {
                Event::Include { to, maybe, .. } if !seen.contains(to) => {
                    seen.push(*to);
                    stack.push((*to, 0, within_maybe || *maybe));
                }
                // An output's declaration sets nothing.
                Event::Set { name, by: SetBy::Param(Direction::Out), .. } if *name == sym => {}
                Event::Set { name, span, value, by, maybe, .. } if *name == sym => settings.push(Setting {
                    place: self.place(*span),
                    span: *span,
                    how: how(*by),
                    value: value.map_or_else(String::new, |value| self.one_line(value)),
                    customization: self.policies()[policy.index()].origin == Origin::Customization,
                    maybe: within_maybe || *maybe,
                }),
                Event::Fail { span, value, maybe } if failure == Some(sym) => settings.push(Setting {
                    place: self.place(*span),
                    span: *span,
                    how: "fail",
                    value: self.one_line(*value),
                    customization: self.policies()[policy.index()].origin == Origin::Customization,
                    maybe: within_maybe || *maybe,
                }),
                Event::Read { name, span, .. } => {
                    let names = &self.inner.names;
                    if names.chain(*name).find(|name| space.frame.slot_of(*name).is_some()) == Some(sym) {
                        reads.push(self.place(*span));
                    }
                }
                _ => {}
            }
        }
        (settings, reads)
    }

    fn notes(&self, policy: &Policy) -> PolicyNotes {
        let mut title = format!("{} `{}` at {}", policy.kind().word(), policy.name, self.place(policy.name_span()));
        if let ItemKind::Service(head) = &policy.item.kind {
            let methods: Vec<_> = head.methods.iter().map(|method| method.as_str()).collect();
            title += &format!(", answers {}{}{}", methods.join(" "), if methods.is_empty() { "" } else { " " }, head.listed());
        }
        PolicyNotes {
            title,
            doc: policy.doc(),
            steps: self.steps(policy),
            params: policy.params().iter().map(|param| self.param(param)).collect(),
            codes: self.codes(policy).into_iter().collect(),
            hooks: self.hook_notes(policy),
            used_by: self.users(policy),
        }
    }

    fn param(&self, param: &Param) -> (String, String) {
        let direction = match param.direction {
            Direction::In => "in",
            Direction::Out if param.failure => "fails with",
            Direction::Out => "out",
        };
        let typed = param.ty.as_ref().map(|ty| param.allowed.as_ref().map_or(ty.span, |allowed| ty.span.to(allowed.span)));
        let ty = typed.map_or_else(String::new, |span| format!(": {}", self.one_line(span)));
        let default = param.default.as_ref().map_or_else(String::new, |value| format!(" = {}", self.one_line(value.span.span)));
        let comments = param.leading.iter().chain(&param.trailing);
        let doc: Vec<_> = comments.map(|comment| comment.text.trim()).collect();
        (format!("{direction} {}{ty}{default}", *param.name), doc.join(" "))
    }

    fn hook_notes(&self, policy: &Policy) -> Vec<String> {
        let notes = |hook: Hook| {
            let filler = self.by_name(if hook.extension { Kind::Extension } else { Kind::Customize }, &hook.name);
            let state = match filler {
                Some(filler) if hook.filled => format!("filled at {}", self.place(filler.name_span())),
                Some(filler) => format!("empty at {}", self.place(filler.name_span())),
                None => "not filled".to_owned(),
            };
            format!("`{}`: {state}", hook.declaration())
        };
        self.hooks_of(policy).into_iter().map(notes).collect()
    }

    fn users(&self, policy: &Policy) -> Vec<String> {
        let mut users = Vec::new();
        for (user, events) in self.policies().iter().zip(&self.inner.events) {
            let uses = events.iter().filter_map(|event| match event {
                Event::Include { to, span, .. } | Event::Call { to, span, .. } if *to == policy.id => Some(*span),
                _ => None,
            });
            users.extend(uses.map(|span| format!("{} `{}` at {}", user.kind().word(), user.name, self.place(span))));
        }
        users
    }

    /// `path:line`
    pub(crate) fn place(&self, span: Span) -> String {
        let source = self.sources().get(span.file);
        format!("{}:{}", source.path, line_column(&source.text, span.start as usize).0)
    }

    pub(crate) fn one_line(&self, span: Span) -> String {
        const LONGEST: usize = 80;
        let text = self.sources().get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }
}

fn how(by: SetBy) -> &'static str {
    match by {
        SetBy::Param(_) => "input",
        SetBy::Assignment => "set",
        SetBy::Default => "default",
        SetBy::Statement | SetBy::Item | SetBy::Target | SetBy::Native => "set by",
        SetBy::Output => "output of",
    }
}

impl Explanation {
    /// Whether nothing has the name.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.member_of.is_none() && self.policies.is_empty() && self.builtin.is_none()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            write!(f, "nothing is called `{}`", self.name)?;
            return match &self.near {
                Some(near) => writeln!(f, "; did you mean `{near}`?"),
                None => writeln!(f),
            };
        }
        for policy in &self.policies {
            writeln!(f, "{policy}")?;
        }
        for variable in &self.variables {
            writeln!(f, "`{}` in {}:", self.name, variable.owners.join(", "))?;
            writeln!(f, "{variable}")?;
        }
        if let Some((variable, notes)) = &self.member_of {
            for notes in notes {
                writeln!(f, "`{}` is a member of the JSON in `{variable}`, in {}:", self.name, notes.owners.join(", "))?;
                writeln!(f, "{notes}")?;
            }
        }
        if let Some(builtin) = self.builtin {
            writeln!(f, "`{}` is built in: {}", builtin.name, builtin.doc)?;
        }
        Ok(())
    }
}

impl fmt::Display for VariableNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.settings.iter().map(|setting| setting.place.chars().count()).max().unwrap_or(0);
        for (at, setting) in self.settings.iter().enumerate() {
            let mut notes = Vec::new();
            notes.extend(setting.customization.then_some("customization"));
            notes.extend(setting.maybe.then_some("on some ways only"));
            notes.extend((at + 1 == self.settings.len() && at > 0).then_some("comes last"));
            let notes = if notes.is_empty() { String::new() } else { format!("   ({})", notes.join(", ")) };
            let value = if matches!(setting.how, "set" | "default" | "input") && !setting.value.is_empty() {
                format!("{} = {}", setting.how, setting.value)
            } else {
                format!("{} {}", setting.how, setting.value).trim_end().to_owned()
            };
            writeln!(f, "  {:2}. {:width$}   {value}{notes}", at + 1, setting.place)?;
        }
        match self.reads.as_slice() {
            [] if self.output => writeln!(f, "      an output: callers read it"),
            [] => writeln!(f, "      nothing reads it"),
            reads => writeln!(f, "      read at {}", reads.join(", ")),
        }?;
        if self.doc.is_empty() { Ok(()) } else { writeln!(f, "  {}", self.doc) }
    }
}

impl fmt::Display for PolicyNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        if !self.doc.is_empty() {
            writeln!(f, "  {}", self.doc)?;
        }
        for (param, doc) in &self.params {
            writeln!(f, "  {param}{}{doc}", if doc.is_empty() { "" } else { "   // " })?;
        }
        if !self.codes.is_empty() {
            writeln!(f, "  codes: {}", self.codes.join(", "))?;
        }
        for hook in &self.hooks {
            writeln!(f, "  {hook}")?;
        }
        for user in &self.used_by {
            writeln!(f, "  used by {user}")?;
        }
        if !self.steps.is_empty() {
            writeln!(f, "  steps:")?;
        }
        for step in &self.steps {
            let line = format!("{:1$}{2}", "", 4 + 2 * step.depth, step.text);
            writeln!(f, "{}", format!("{line:<60}  {}", step.doc).trim_end())?;
        }
        Ok(())
    }
}
