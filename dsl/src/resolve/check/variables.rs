//! Variables of a frame: read without being set, set without being read, built-ins that are not to be set; and `fail` where no
//! error assertion can answer.

use std::collections::HashMap;

use crate::ast::{Direction, ItemKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, nearest};
use crate::resolve::build::Space;
use crate::resolve::check::Set;
use crate::resolve::index::{Kind, Policy};
use crate::resolve::names::Sym;
use crate::resolve::summary::{Event, SetBy};
use crate::span::Span;

/// An assignment, over all frames it occurs in.
struct Assignment {
    name: Sym,
    read: bool,
    /// The first frame it occurs in.
    space: usize,
    member: usize,
}

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut assignments: HashMap<Span, Assignment> = HashMap::new();
    // By name: the round in which it was last read, so that the table is never cleared.
    let mut read = vec![0_u32; set.names.len()];
    let spaces: Vec<_> = set.spaces().collect();
    for (at, (owner, space)) in spaces.iter().enumerate() {
        let round = at as u32 + 1;
        fails(set, owner, space, found);
        let guessing = incomplete(set, space);
        mark_reads(set, space, &mut read, round);
        for (place, member) in space.members.iter().enumerate() {
            for event in &set.events[member.policy.index()] {
                match event {
                    Event::Read { name, span, soft: false, file } if !guessing && !space.frame.knows(*name) => {
                        found.push(
                            unknown(set, owner, space, *name, *span).included_by(file.iter().copied().chain(space.chain(place))),
                        );
                    }
                    Event::Set { name, span, by: SetBy::Assignment | SetBy::Default, .. }
                        if space.frame.slot_of(*name).is_some() =>
                    {
                        let is_read = guessing || read[name.index()] == round;
                        let entry = Assignment { name: *name, read: is_read, space: at, member: place };
                        assignments.entry(*span).and_modify(|known| known.read |= is_read).or_insert(entry);
                    }
                    Event::Set { name, span, by: SetBy::Assignment | SetBy::Default | SetBy::Target, .. }
                        if space.frame.slot_of(*name).is_none()
                            && set.names.builtin(*name).is_some_and(|builtin| !builtin.writable) =>
                    {
                        let message = format!("`{}` is built in and cannot be set", spelling(set, *span, *name));
                        let error = Diagnostic::error(codes::READ_ONLY, message, *span);
                        found.push(error.help("choose a name of your own").included_by(space.chain(place)));
                    }
                    _ => {}
                }
            }
        }
    }
    found.extend(assignments.iter().filter(|(_, assignment)| !assignment.read).filter_map(|(span, assignment)| {
        let (owner, space) = spaces[assignment.space];
        never_read(set, owner, space, *span, assignment)
    }));
}

/// Whether the frame lacks something that was reported elsewhere, so that its variables say little.
fn incomplete(set: &Set<'_>, space: &Space) -> bool {
    space.members.iter().any(|member| {
        set.broken.contains(&set.policy(member.policy).file)
            || set.events[member.policy.index()].iter().any(|event| matches!(event, Event::Unresolved))
    })
}

/// Marks what is read in the frame: the variable itself, and for a selector the variable it selects from.
fn mark_reads(set: &Set<'_>, space: &Space, read: &mut [u32], round: u32) {
    for member in &space.members {
        for event in &set.events[member.policy.index()] {
            match event {
                Event::Read { name, .. } => {
                    if let Some(variable) = set.names.chain(*name).find(|name| space.frame.slot_of(*name).is_some()) {
                        read[variable.index()] = round;
                    }
                }
                // Outputs are read by the caller, the variables of loops and handlers by the statement itself.
                Event::Set { name, by: SetBy::Param(Direction::Out) | SetBy::Statement, .. } => read[name.index()] = round,
                _ => {}
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
    // A family such as `request.http.header.*` is compared with as much of the name as it fixes.
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
    let own = space.frame.slots.iter().map(|(_, spelling)| spelling.as_str());
    let near = nearest(name, own.chain(builtins.iter().map(String::as_str)));
    let error = Diagnostic::error(codes::UNKNOWN_VARIABLE, message, span);
    match near {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("set it, or give it a value when it is missing: `default {name} = \"\"`")),
    }
}

fn never_read(set: &Set<'_>, owner: &Policy, space: &Space, span: Span, assignment: &Assignment) -> Option<Diagnostic> {
    let name = spelling(set, span, assignment.name);
    if name.starts_with('_') {
        return None;
    }
    let policy = set.policy(space.members[assignment.member].policy);
    // Names that other statements read; one that is misspelt lies near one of these.
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
        Kind::Assertion | Kind::Service | Kind::Task | Kind::Command => {
            format!("`{name}` is set, and nothing in {} `{}` reads it", owner.kind().word(), owner.name)
        }
    };
    let warning = Diagnostic::warning(codes::NEVER_READ, message, span).included_by(space.chain(assignment.member));
    Some(match near {
        Some(near) => warning.help(format!("did you mean `{near}`?")),
        None => warning,
    })
}

/// `fail` needs the service's error assertion to answer with; an encapsulated assertion reports through its outputs instead.
fn fails(set: &Set<'_>, owner: &Policy, space: &Space, found: &mut Vec<Diagnostic>) {
    let why = match &owner.item.kind {
        ItemKind::Assertion(_) => Err(()),
        ItemKind::Service(head) if head.errors.is_none() => Ok(()),
        _ => return,
    };
    for (place, member) in space.members.iter().enumerate() {
        for event in &set.events[member.policy.index()] {
            let Event::Fail { span } = event else { continue };
            let name = &owner.name;
            let error = match why {
                Err(()) => {
                    Diagnostic::error(codes::FAIL_IN_ASSERTION, format!("`fail` cannot stand in assertion `{name}`"), *span)
                        .help("set an output and `Stop`; the caller decides what a failure means")
                }
                Ok(()) => {
                    Diagnostic::error(codes::FAIL_WITHOUT_ERRORS, format!("service `{name}` names no error assertion"), *span)
                        .help("`fail` answers through it: add `errors \"…\"` to the service")
                }
            };
            let error = if place == 0 { error } else { error.related(owner.name_span(), "part of this policy") };
            found.push(error.included_by(space.chain(place)));
        }
    }
}
