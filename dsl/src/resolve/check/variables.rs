//! Variables of a frame: read without being set, set without being read, read-only built-ins that are set. Also `fail` where no
//! error assertion can answer.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's and a name's id are made by the set, and index the tables that are as long as the set"
)]

use hashbrown::{HashMap, HashSet};

use crate::ast::{Direction, ItemKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::resolve::build::Space;
use crate::resolve::check::Set;
use crate::resolve::frame::is_length;
use crate::resolve::index::{Kind, Policy};
use crate::resolve::names::Sym;
use crate::resolve::summary::{Event, Holds, SetBy};
use crate::span::Span;

/// An assignment, over all frames in which it occurs.
#[derive(Clone, Copy)]
struct Assignment {
    read: bool,
    /// The first frame in which it occurs, and the index of its policy there.
    space: usize,
    member: usize,
}

/// Data that the frames share, so that each frame costs only a walk over its events.
struct Tables<'a> {
    set: &'a Set<'a>,
    /// By name: the number of the last frame that has the variable, and of the last that reads it. The numbers make clearing
    /// unnecessary.
    has: Vec<u32>,
    read: Vec<u32>,
    /// By policy: whether something in it was not found.
    incomplete: Vec<bool>,
    /// By policy: the places of its `fail`s.
    fails: Vec<Vec<Span>>,
    /// By policy and event.
    assignments: Vec<Vec<Option<Assignment>>>,
    /// What was reported for one frame is not reported for the next.
    reported: HashSet<Span>,
}

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut tables = Tables::new(set);
    let spaces: Vec<_> = set.spaces().collect();
    for (at, (owner, space)) in spaces.iter().enumerate() {
        fails(owner, space, &tables.fails, found);
        tables.check(at, owner, space, found);
    }
    for (events, assignments) in set.events.iter().zip(&tables.assignments) {
        for (event, assignment) in events.iter().zip(assignments) {
            if let (Event::Set { name, span, .. }, Some(Assignment { read: false, space, member })) = (event, assignment) {
                let (owner, space) = spaces[*space];
                found.extend(never_read(set, owner, space, *span, *name, *member));
            }
        }
    }
}

impl<'a> Tables<'a> {
    fn new(set: &'a Set<'a>) -> Self {
        let fails = |event: &Event| match event {
            Event::Fail { span, .. } => Some(*span),
            _ => None,
        };
        let lacks = |policy: &Policy| {
            let mut events = set.events[policy.id.index()].iter();
            set.broken.contains(&policy.file) || events.any(|event| matches!(event, Event::Unresolved))
        };
        Tables {
            set,
            has: vec![0; set.names.len()],
            read: vec![0; set.names.len()],
            incomplete: set.policies.iter().map(lacks).collect(),
            fails: set.events.iter().map(|events| events.iter().filter_map(fails).collect()).collect(),
            assignments: set.events.iter().map(|events| vec![None; events.len()]).collect(),
            reported: HashSet::new(),
        }
    }

    fn check(&mut self, at: usize, owner: &Policy, space: &Space, found: &mut Vec<Diagnostic>) {
        let set = self.set;
        let round = at as u32 + 1;
        space.frame.slots.iter().for_each(|(name, _)| self.has[name.index()] = round);
        self.mark_reads(space, round);
        // If a frame lacks something, the missing part may set any variable, so nothing is reported.
        let guessing = space.members.iter().any(|member| self.incomplete[member.policy.index()]);
        let others = self.no_json(space);
        let families: HashSet<Sym> = (space.members.iter().flat_map(|member| &set.events[member.policy.index()]))
            .filter_map(|event| if let Event::Wildcard { prefix } = event { Some(*prefix) } else { None })
            .collect();
        for (place, member) in space.members.iter().enumerate() {
            for (number, event) in set.events[member.policy.index()].iter().enumerate() {
                match event {
                    Event::Read { name, span, .. }
                        if let Some((variable, (what, other))) = self.member_of(space, *name, &others)
                            && self.reported.insert(*span) =>
                    {
                        let (name, variable) = (spelling(set, *span, *name), set.names.text(variable));
                        let message = format!("`{name}` is a member of JSON, but `{variable}` is not always JSON");
                        let error = Diagnostic::error(codes::NOT_ALWAYS_JSON, message, *span);
                        let error = error.related(*other, format!("here it is {what}"));
                        found.push(error.help("give one of the two another name").included_by(space.chain(place)));
                    }
                    Event::Read { name, span, soft: false, file }
                        if !guessing && !self.knows(*name, round) && self.reported.insert(*span) =>
                    {
                        let way = file.iter().copied().chain(space.chain(place));
                        found.push(unknown(set, owner, space, *name, *span).included_by(way));
                    }
                    Event::Set { name, span, by: SetBy::Item, .. }
                        if (families.contains(name) || !space.frame.is_item(*name)) && self.reported.insert(*span) =>
                    {
                        let name = spelling(set, *span, *name);
                        let message = format!("`{name}` is the loop's item, and the name of something else here");
                        let warning = Diagnostic::warning(codes::LOOP_NAME_TAKEN, message, *span);
                        let help = format!("give the item a name of its own; `${{{name}.current}}` is the item in any case");
                        found.push(warning.help(help).included_by(space.chain(place)));
                    }
                    Event::Set { name, span, by, .. }
                        if *by != SetBy::Native
                            && let Some(document) = space.frame.document_above(*name)
                            && !self.is_native(space, *name)
                            && self.reported.insert(*span) =>
                    {
                        let (name, document) = (spelling(set, *span, *name), set.names.text(document));
                        let message = format!("`{name}` is a member of the JSON in `{document}` and cannot be set");
                        let error = Diagnostic::error(codes::READ_ONLY, message, *span);
                        found.push(error.help("set a variable of another name").included_by(space.chain(place)));
                    }
                    Event::Set { name, by: SetBy::Assignment | SetBy::Default, .. } if self.has[name.index()] == round => {
                        let read = guessing || self.read[name.index()] == round;
                        let assignment = &mut self.assignments[member.policy.index()][number];
                        assignment.get_or_insert(Assignment { read, space: at, member: place }).read |= read;
                    }
                    Event::Set { name, span, by: SetBy::Assignment | SetBy::Default | SetBy::Target, .. }
                        if self.has[name.index()] != round
                            && set.names.builtin(*name).is_some_and(|builtin| !builtin.writable)
                            && self.reported.insert(*span) =>
                    {
                        let message = format!("`{}` is built in and cannot be set", spelling(set, *span, *name));
                        let error = Diagnostic::error(codes::READ_ONLY, message, *span);
                        found.push(error.help("choose another name").included_by(space.chain(place)));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Variables that hold JSON in one place and certainly something else in another: what, and where.
    fn no_json(&self, space: &Space) -> HashMap<Sym, (&'static str, Span)> {
        let mut others = HashMap::new();
        for member in &space.members {
            for event in &self.set.events[member.policy.index()] {
                if let Event::Set { name, span, holds: Holds::Other(what), .. } = event
                    && space.frame.slot_of(*name).is_some_and(|slot| space.frame.holds_json(slot))
                {
                    others.entry(*name).or_insert((*what, *span));
                }
            }
        }
        others
    }

    /// The variable of which `name` is a member, if it is one of these.
    fn member_of<'o, O>(&self, space: &Space, name: Sym, others: &'o HashMap<Sym, O>) -> Option<(Sym, &'o O)> {
        if others.is_empty() {
            return None;
        }
        let variable = self.set.names.chain(name).find(|name| space.frame.slot_of(*name).is_some())?;
        let rest = self.set.names.text(name).strip_prefix(self.set.names.text(variable))?.strip_prefix('.')?;
        others.get(&variable).filter(|_| !is_length(rest)).map(|other| (variable, other))
    }

    fn knows(&self, name: Sym, round: u32) -> bool {
        self.variable(name, round).is_some() || self.set.names.builtin(name).is_some()
    }

    /// Whether an assertion of the catalogue sets a variable of exactly this name.
    fn is_native(&self, space: &Space, name: Sym) -> bool {
        let sets = |event: &Event| matches!(event, Event::Set { name: own, by: SetBy::Native, .. } if *own == name);
        space.members.iter().any(|member| self.set.events[member.policy.index()].iter().any(sets))
    }

    /// The variable that a name reads: itself, or the one it selects from.
    fn variable(&self, name: Sym, round: u32) -> Option<Sym> {
        self.set.names.chain(name).find(|name| self.has[name.index()] == round)
    }

    fn mark_reads(&mut self, space: &Space, round: u32) {
        for member in &space.members {
            for event in &self.set.events[member.policy.index()] {
                match event {
                    Event::Read { name, .. } => {
                        // If the variable of exactly this name is undefined, a part of a shorter one is read.
                        for variable in self.set.names.chain(*name).filter(|name| self.has[name.index()] == round) {
                            self.read[variable.index()] = round;
                        }
                    }
                    // Outputs are read by the caller, the variables of loops and handlers by the statement itself.
                    Event::Set { name, by: SetBy::Param(Direction::Out) | SetBy::Statement, .. } => {
                        self.read[name.index()] = round
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The name as its author wrote it.
fn spelling<'a>(set: &'a Set<'_>, span: Span, name: Sym) -> &'a str {
    let text = set.text(span).trim_matches('"');
    if text.eq_ignore_ascii_case(set.names.text(name)) { text } else { set.names.text(name) }
}

fn unknown(set: &Set<'_>, owner: &Policy, space: &Space, name: Sym, span: Span) -> Diagnostic {
    let name = spelling(set, span, name);
    let message = format!("nothing in {} `{}` sets `{name}`", owner.kind().word(), owner.name);
    let dots = name.matches('.').count();
    // A family such as `request.http.header.*` is compared with that part of the name that it fixes.
    let families = set.catalogue().builtins().map(|builtin| match builtin.name.strip_suffix(".*") {
        None => builtin.name.to_owned(),
        Some(root) => {
            let fixed = root.matches('.').count();
            match name.match_indices('.').nth(fixed) {
                Some((at, _)) if dots > fixed => format!("{root}{}", &name[at..]),
                _ => root.to_owned(),
            }
        }
    });
    let builtins: Vec<_> = families.collect();
    let own = || space.frame.slots.iter().map(|(_, spelling)| spelling.as_str());
    let near = nearest(name, own().chain(builtins.iter().map(String::as_str))).map(str::to_owned);
    // The part after the first dots may be right: `usr.name` is probably `user.name`.
    let near = near.or_else(|| {
        name.rmatch_indices('.').find_map(|(dot, _)| Some(format!("{}{}", nearest(&name[..dot], own())?, &name[dot..])))
    });
    let error = Diagnostic::error(codes::UNKNOWN_VARIABLE, message, span);
    match near {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("set it; if it may be missing, write `declare {name}` or `default {name} = \"\"`")),
    }
}

/// The policy that sets this variable and has a hook in which it could be set differently.
fn hook_of<'a>(set: &'a Set<'_>, variable: Sym) -> Option<&'a str> {
    let sets = |policy: &&Policy| {
        set.events[policy.id.index()].iter().any(|event| {
            let by = matches!(event, Event::Set { by: SetBy::Assignment | SetBy::Default | SetBy::Param(Direction::In), .. });
            matches!(event, Event::Set { name, .. } if *name == variable) && by
        })
    };
    set.policies.iter().filter(sets).find_map(|policy| super::places(policy).hook).map(|(name, _)| name)
}

fn never_read(set: &Set<'_>, owner: &Policy, space: &Space, span: Span, name: Sym, member: usize) -> Option<Diagnostic> {
    let sym = name;
    let name = spelling(set, span, name);
    if name.starts_with('_') {
        return None;
    }
    let policy = set.policy(space.members[member].policy);
    // Names that other statements read; a misspelt name is probably near one of these.
    let mut read: Vec<Sym> = Vec::new();
    for member in &space.members {
        read.extend(set.events[member.policy.index()].iter().filter_map(|event| match event {
            Event::Read { name, .. } => set.names.chain(*name).find(|name| space.frame.slot_of(*name).is_some()),
            Event::Set { name, by: SetBy::Param(Direction::Out), .. } => Some(*name),
            _ => None,
        }));
    }
    let spellings = read.iter().filter_map(|name| space.frame.slot_of(*name)).map(|slot| space.frame.name(slot));
    let near = nearest(name, spellings);
    let message = match policy.kind() {
        Kind::Customize => format!("nothing that includes the hook of `{}` reads `{name}`", policy.name),
        Kind::Fragment | Kind::Extension => format!("`{name}` is set, and nothing that includes `{}` reads it", policy.name),
        Kind::Assertion | Kind::Service | Kind::Task | Kind::Command | Kind::Before | Kind::After => {
            format!("`{name}` is set, and nothing in {} `{}` reads it", owner.kind().word(), owner.name)
        }
    };
    let warning = Diagnostic::warning(codes::NEVER_READ, message, span).included_by(space.chain(member));
    if policy.kind() == Kind::Customize
        && let Some(hook) = hook_of(set, sym)
    {
        return Some(warning.help(format!("`{name}` is set in `{hook}`: write `customize \"{hook}\" {{ set {name} = … }}`")));
    }
    Some(match near {
        Some(near) => warning.help(format!("did you mean `{near}`?")),
        None => warning,
    })
}

/// `fail` needs the service's error assertion, or the output with which an encapsulated assertion fails.
fn fails(owner: &Policy, space: &Space, fails: &[Vec<Span>], found: &mut Vec<Diagnostic>) {
    let why = match &owner.item.kind {
        ItemKind::Assertion(_) if owner.failure().is_none() => Err(()),
        ItemKind::Service(head) if head.errors.is_none() => Ok(()),
        _ => return,
    };
    for (place, member) in space.members.iter().enumerate() {
        for span in &fails[member.policy.index()] {
            let name = &owner.name;
            let error = match why {
                Err(()) => {
                    Diagnostic::error(codes::FAIL_IN_ASSERTION, format!("`fail` is not allowed in assertion `{name}`"), *span)
                        .help(format!("add `fails with error.code` to its head, `assertion \"{name}\" (…) fails with error.code {{`; the caller decides what a failure means"))
                }
                Ok(()) => {
                    Diagnostic::error(codes::FAIL_WITHOUT_ERRORS, format!("service `{name}` names no error assertion"), *span)
                        .help("`fail` answers through one: add `errors \"…\"` to the service")
                }
            };
            let error = if place == 0 { error } else { error.related(owner.name_span(), "part of this policy") };
            found.push(error.included_by(space.chain(place)));
        }
    }
}
