//! What operators can fill in: hooks and extensions, and the variables that a hook may set.

use crate::ast::Direction;
use crate::resolve::Library;
use crate::resolve::check::{Places, places};
use crate::resolve::index::{Kind, Policy, same};
use crate::resolve::summary::{Event, SetBy};
use crate::span::{Origin, Span};

/// A place that operators can fill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name of what fills it.
    pub name: String,
    /// An extension; otherwise the hook of the policy of this name.
    pub extension: bool,
    /// The policy that it is a place in.
    pub policy: String,
    /// Where that policy stands, as `path:line`.
    pub place: String,
    /// What that policy is for.
    pub doc: String,
    /// The file that fills it, or the one to create.
    pub file: String,
    /// Whether that file exists.
    pub exists: bool,
    /// Whether it is filled: an empty customization changes nothing.
    pub filled: bool,
}

impl Hook {
    /// Its declaration as written: `customize "N"`, `extension "N"`.
    pub fn declaration(&self) -> String {
        format!("{} \"{}\"", if self.extension { "extension" } else { "customize" }, self.name)
    }
}

/// A variable that a policy sets before its hook, so that the hook may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settable {
    /// Its name.
    pub name: String,
    /// The value's text on one line; empty when it has none.
    pub value: String,
    /// Where that is set, as `path:line`.
    pub place: String,
    /// What the customization sets instead, with the place.
    pub customized: Option<(String, String)>,
    /// The policy whose hook it is.
    pub hook: String,
    /// What it is for, where the policy says so.
    pub doc: String,
}

impl Library {
    /// Every place that operators can fill, by name; a place in several policies is listed for each.
    pub fn hooks(&self) -> Vec<Hook> {
        let mut all: Vec<Hook> = self.policies().iter().flat_map(|policy| self.hooks_of(policy)).collect();
        all.sort_by_key(|hook| (hook.extension, hook.name.to_lowercase()));
        all
    }

    /// The places in one policy.
    pub fn hooks_of(&self, policy: &Policy) -> Vec<Hook> {
        let Places { hook, extensions } = places(policy);
        let hook = hook.map(|(name, _)| self.place_of(policy, name, Kind::Customize));
        let extensions = extensions.into_iter().map(|name| self.place_of(policy, name, Kind::Extension));
        hook.into_iter().chain(extensions).collect()
    }

    fn place_of(&self, policy: &Policy, name: &str, kind: Kind) -> Hook {
        let filler = self.by_name(kind, name);
        let extension = kind == Kind::Extension;
        Hook {
            name: name.to_owned(),
            extension,
            policy: policy.name.clone(),
            place: self.place(policy.name_span()),
            doc: policy.doc(),
            file: match filler {
                Some(filler) => self.sources().get(filler.file).path.clone(),
                None => format!("customizations/{}{}.policy", if extension { "" } else { "#" }, file_name(name)),
            },
            exists: filler.is_some(),
            filled: filler.is_some_and(Policy::has_body),
        }
    }

    /// The customizations and extensions that take part in a policy, through all that it includes and calls, in the order of their files.
    pub fn customizations_in(&self, policy: &Policy) -> Vec<&Policy> {
        let mut seen = vec![false; self.policies().len()];
        let mut waiting = vec![policy.id];
        let mut found = Vec::new();
        while let Some(id) = waiting.pop() {
            let Some(seen) = seen.get_mut(id.index()).filter(|seen| !**seen) else { continue };
            *seen = true;
            found.extend(self.policies().get(id.index()).filter(|policy| policy.origin == Origin::Customization));
            waiting.extend(self.inner.events.get(id.index()).into_iter().flatten().filter_map(|event| match event {
                Event::Include { to, .. } | Event::Call { to, .. } => Some(*to),
                _ => None,
            }));
        }
        found.retain(|policy| policy.has_body());
        found.sort_by_key(|policy| &self.sources().get(policy.file).path);
        found
    }

    /// The variables that hooks may set, in the order of policies and of their text.
    pub fn settable(&self) -> Vec<Settable> {
        self.policies().iter().flat_map(|policy| self.settable_in(policy)).collect()
    }

    fn settable_in(&self, policy: &Policy) -> Vec<Settable> {
        let Some((hook, at)) = places(policy).hook else { return Vec::new() };
        let filler = self.by_name(Kind::Customize, hook);
        let mut all: Vec<Settable> = Vec::new();
        for (name, span, value) in self.assigned(policy, at) {
            if all.iter().any(|own| same(&own.name, name)) {
                continue;
            }
            let customized = filler.into_iter().flat_map(|filler| self.assigned(filler, Span { start: u32::MAX, ..at }));
            let customized = customized.filter(|(own, ..)| same(own, name)).last();
            let param = policy.params().iter().find(|param| same(&param.name, name));
            let doc = param.into_iter().flat_map(|param| param.leading.iter().chain(&param.trailing));
            all.push(Settable {
                name: name.to_owned(),
                value: value.map_or_else(String::new, |value| self.one_line(value)),
                place: self.place(span),
                customized: customized
                    .map(|(_, span, value)| (value.map_or_else(String::new, |value| self.one_line(value)), self.place(span))),
                hook: hook.to_owned(),
                doc: doc.map(|comment| comment.text.trim()).collect::<Vec<_>>().join(" "),
            });
        }
        all
    }

    /// What a policy itself sets before this place, including inputs, and what it gives a default anywhere.
    fn assigned<'a>(&'a self, policy: &'a Policy, before: Span) -> impl Iterator<Item = (&'a str, Span, Option<Span>)> {
        let events = self.inner.events.get(policy.id.index()).into_iter().flatten();
        events.filter_map(move |event| match event {
            Event::Set { spelling, span, value, by, .. } => {
                let counts = match by {
                    SetBy::Assignment => span.start < before.start,
                    SetBy::Default | SetBy::Param(Direction::In) => true,
                    _ => false,
                };
                counts.then_some((spelling.as_str(), *span, *value))
            }
            _ => None,
        })
    }

    /// The files to edit to change the value of a variable or the behaviour of a policy, each with what to write there. Empty if
    /// nobody can change it.
    pub fn edits(&self, name: &str) -> Vec<Edit> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut add = |edit: Edit| {
            if !edits.contains(&edit) {
                edits.push(edit);
            }
        };
        for policy in self.policies().iter().filter(|policy| same(&policy.name, name)) {
            match policy.origin {
                Origin::Operator => add(Edit::own(&self.sources().get(policy.file).path)),
                _ => self.hooks_of(policy).iter().for_each(|hook| add(Edit::hook(hook, None))),
            }
        }
        for variable in self.settable().iter().filter(|variable| same(&variable.name, name)) {
            let hooks = self.policies().iter().flat_map(|policy| self.hooks_of(policy));
            for hook in hooks.filter(|hook| !hook.extension && hook.name == variable.hook) {
                add(Edit::hook(&hook, Some(variable)));
            }
        }
        for policy in self.policies().iter().filter(|policy| policy.origin == Origin::Operator) {
            let end = Span { start: u32::MAX, ..policy.name_span() };
            if self.assigned(policy, end).any(|(own, ..)| same(own, name)) {
                add(Edit::own(&self.sources().get(policy.file).path));
            }
        }
        edits
    }
}

/// A file to edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its path, relative to the home.
    pub file: String,
    /// Whether it is there.
    pub exists: bool,
    /// What to write there, where that is known.
    pub text: Option<String>,
}

impl Edit {
    fn own(file: &str) -> Edit {
        Edit { file: file.to_owned(), exists: true, text: None }
    }

    fn hook(hook: &Hook, variable: Option<&Settable>) -> Edit {
        let body = match variable {
            Some(Settable { name, value, .. }) => format!(" set {name} = {} ", if value.is_empty() { "…" } else { value }),
            None => " … ".to_owned(),
        };
        Edit { file: hook.file.clone(), exists: hook.exists, text: Some(format!("{} {{{body}}}", hook.declaration())) }
    }
}

/// The name of a policy as a file name: lower case, with `-` for characters that file names should not contain.
fn file_name(name: &str) -> String {
    let fits = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '=' | '.') { c } else { '-' };
    let name: String = name.to_lowercase().chars().map(fits).collect();
    name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
