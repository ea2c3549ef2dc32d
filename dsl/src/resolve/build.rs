//! Builds the frames: one walk over the event lists of everything that a service, assertion, task or command includes.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's and a name's id are made by the set, and index the tables that are as long as the set"
)]

use std::sync::Arc;

use smol_str::SmolStr;

use crate::ast::{Allowed, Type};
use crate::resolve::frame::Frame;
use crate::resolve::index::{Policy, PolicyId};
use crate::resolve::names::{Names, Sym};
use crate::resolve::summary::{Event, Holds, SetBy};
use crate::span::Span;

/// A frame with the policies that share it.
#[derive(Debug)]
pub(crate) struct Space {
    /// The variables.
    pub(crate) frame: Frame,
    /// The owner first, then what it includes, each once, in the order of first inclusion.
    pub(crate) members: Vec<Member>,
}

/// A policy in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) policy: PolicyId,
    /// The member that first included it, and where; `None` for the owner.
    pub(crate) via: Option<(u32, Span)>,
}

impl Space {
    /// How a member was reached: the innermost include first.
    pub(crate) fn chain(&self, member: usize) -> impl Iterator<Item = Span> + '_ {
        let up = |(parent, _): &(u32, Span)| self.members[*parent as usize].via;
        std::iter::successors(self.members[member].via, up).map(|(_, span)| span)
    }
}

const NONE: u32 = u32::MAX;

/// Tables by name and by policy, shared by all frames, so that the cost of a frame depends on its own size and not on that of the
/// whole set.
pub(crate) struct Builder<'a> {
    names: &'a Arc<Names>,
    events: &'a [Vec<Event>],
    slot_of: Vec<u32>,
    wildcard: Vec<bool>,
    seen: Vec<u32>,
    round: u32,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(names: &'a Arc<Names>, events: &'a [Vec<Event>]) -> Self {
        Builder {
            names,
            events,
            slot_of: vec![NONE; names.len()],
            wildcard: vec![false; names.len()],
            seen: vec![0; events.len()],
            round: 0,
        }
    }

    /// The frame that `owner` owns.
    pub(crate) fn space(&mut self, owner: &Policy) -> Space {
        let members = self.members(owner.id);
        let mut slots: Vec<(Sym, SmolStr)> = Vec::new();
        let mut wildcards: Vec<Sym> = Vec::new();
        let mut documents: Vec<Sym> = Vec::new();
        let mut bounds: Vec<(Sym, Type, Allowed)> = Vec::new();
        let mut items: Vec<(Sym, &SmolStr)> = Vec::new();
        for member in &members {
            for event in &self.events[member.policy.index()] {
                match event {
                    Event::Set { name, spelling, by: SetBy::Item, .. } => items.push((*name, spelling)),
                    Event::Set { name, spelling, by, .. } => self.add(&mut slots, *name, spelling, *by),
                    Event::Declare { name, spelling, ty, allowed, .. } => {
                        self.add(&mut slots, *name, spelling, SetBy::Assignment);
                        bounds.extend(ty.zip(allowed.clone()).map(|(ty, allowed)| (*name, ty, allowed)));
                    }
                    Event::Wildcard { prefix } if !self.wildcard[prefix.index()] => {
                        self.wildcard[prefix.index()] = true;
                        wildcards.push(*prefix);
                    }
                    Event::Document { variable } => documents.push(*variable),
                    _ => {}
                }
            }
        }
        // The prefix of a loop is the item itself, unless a variable of this name already exists, which the loop then leaves
        // unchanged.
        items.retain(|(name, _)| self.slot_of[name.index()] == NONE);
        items.iter().for_each(|(name, spelling)| self.add(&mut slots, *name, spelling, SetBy::Item));
        let items = items.into_iter().map(|(name, _)| name).collect();
        if !wildcards.is_empty() {
            self.add_matched(&members, &mut slots);
        }
        let json = self.json(&members, slots.len(), &documents);
        slots.iter().for_each(|(name, _)| self.slot_of[name.index()] = NONE);
        wildcards.iter().for_each(|prefix| self.wildcard[prefix.index()] = false);
        Space { frame: Frame::new(self.names.clone(), slots, documents, json, bounds, items), members }
    }

    /// Which slots hold JSON: those that are set to JSON somewhere, and those that are set to one of these or to a part of one.
    fn json(&self, members: &[Member], slots: usize, documents: &[Sym]) -> Vec<bool> {
        let mut json = vec![false; slots];
        let slot = |name: Sym| Some(self.slot_of[name.index()]).filter(|slot| *slot != NONE).map(|slot| slot as usize);
        documents.iter().filter_map(|name| slot(*name)).for_each(|slot| json[slot] = true);
        let mut copies: Vec<(usize, usize)> = Vec::new();
        for member in members {
            for event in &self.events[member.policy.index()] {
                let (name, holds) = match event {
                    Event::Set { name, holds, .. } => (name, holds),
                    Event::Declare { name, ty: Some(Type::Json), .. } => (name, &Holds::Json),
                    _ => continue,
                };
                let Some(to) = slot(*name) else { continue };
                match holds {
                    Holds::Json => json[to] = true,
                    Holds::From(names) => {
                        let sources = names.iter().filter_map(|name| self.names.chain(*name).find_map(slot));
                        copies.extend(sources.map(|from| (to, from)));
                    }
                    Holds::Open | Holds::Other(_) => {}
                }
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            copies.retain(|(to, from)| {
                if json[*from] && !json[*to] {
                    json[*to] = true;
                    changed = true;
                }
                !json[*to]
            });
        }
        json
    }

    fn members(&mut self, owner: PolicyId) -> Vec<Member> {
        self.round += 1;
        self.seen[owner.index()] = self.round;
        let mut members = vec![Member { policy: owner, via: None }];
        let mut next = 0;
        while next < members.len() {
            for event in &self.events[members[next].policy.index()] {
                if let Event::Include { to, span, .. } = event
                    && self.seen[to.index()] != self.round
                {
                    self.seen[to.index()] = self.round;
                    members.push(Member { policy: *to, via: Some((next as u32, *span)) });
                }
            }
            next += 1;
        }
        members
    }

    fn add(&mut self, slots: &mut Vec<(Sym, SmolStr)>, name: Sym, spelling: &SmolStr, by: SetBy) {
        if self.slot_of[name.index()] != NONE {
            return;
        }
        // Setting a built-in changes the message or session behind it and creates no variable, unless a parameter hides the
        // built-in.
        let hidden = || self.names.chain(name).any(|name| self.slot_of[name.index()] != NONE);
        if matches!(by, SetBy::Param(_)) || self.names.builtin(name).is_none() || hidden() {
            self.slot_of[name.index()] = slots.len() as u32;
            slots.push((name, spelling.clone()));
        }
    }

    /// Gives slots to names that are read and that some `prefix.*` sets: `row.name`, of which `row.name.length` is a part. If a
    /// variable with a longer name than the prefix is set by name, it is nearer, and the name read is a selector on it.
    fn add_matched(&mut self, members: &[Member], slots: &mut Vec<(Sym, SmolStr)>) {
        let set_by_name = slots.len() as u32;
        for member in members {
            for event in &self.events[member.policy.index()] {
                let Event::Read { name, .. } = event else { continue };
                if self.slot_of[name.index()] != NONE || self.names.builtin(*name).is_some() {
                    continue;
                }
                let mut column = *name;
                for prefix in self.names.chain(*name).skip(1) {
                    if self.wildcard[prefix.index()] {
                        if self.slot_of[column.index()] == NONE {
                            self.slot_of[column.index()] = slots.len() as u32;
                            slots.push((column, self.names.text(column).into()));
                        }
                        break;
                    }
                    column = prefix;
                    if self.slot_of[prefix.index()] < set_by_name {
                        break;
                    }
                }
            }
        }
    }
}
