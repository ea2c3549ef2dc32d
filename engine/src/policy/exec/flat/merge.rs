//! Gives one place to variables that pass their value on: an output and the variable of the caller that takes it, a variable and its copy.
//! Then nothing has to be passed on.
//!
//! Two variables can have one place unless one of them is set while the other one is still read. Variables that an assertion uses where
//! they are cannot move, so of those that share a place at most one is such a variable.

use std::sync::Arc;

use http::Method;
use smol_str::SmolStr;

use super::fold::Fold;
use super::graph::{Act, Graph, Node, Step};
use super::live::{Set, live};
use super::nowhere::Nowhere;
use super::state::State;
use crate::policy::assertion::Places;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::exec::program::{Input, Op};
use crate::policy::expr::Expr;
use crate::policy::request::Request;

/// The same graph, with fewer variables and copies. `None` if an assertion cannot be moved that could be placed.
pub fn merge(graph: &mut Graph) -> Option<()> {
    // A variable that is set in vain would be set in vain no more.
    prune(graph);
    let (places, moved) = Shared::of(graph).places();
    if !moved {
        return Some(());
    }
    let mut state = State::default();
    places.iter().enumerate().for_each(|(own, place)| state.copy(own, *place));
    let mut ctx = Ctx::new(Arc::new(Nowhere::default()), Request::new(Method::GET, ""), SmolStr::default());
    Fold::with(&mut ctx, &state, 0, |fold| {
        let moving = Moving { fold, places: &places };
        for node in &mut graph.nodes {
            node.steps.iter_mut().try_for_each(|step| moving.step(step))?;
            node.steps.retain(|step| !copies_itself(&step.act));
            node.known.iter_mut().for_each(|(place, _)| *place = moving.place(*place));
        }
        Some(())
    })
}

/// Leaves out what is not needed, of what is done and of what is known.
fn prune(graph: &mut Graph) {
    let met = std::mem::take(&mut graph.met);
    let (read, known): (Vec<Vec<Option<Set>>>, Vec<_>) = {
        let live = live(graph);
        let known = met.iter().enumerate().map(|(id, state)| {
            let known = state.iter().flat_map(State::all_known).filter(|(place, _)| live.is_read(id, *place));
            known.map(|(place, value)| (place, value.clone())).collect::<Vec<_>>()
        });
        let of = |node: &Node| {
            let mut read = live.after(node);
            let mut after: Vec<Option<Set>> = node
                .steps
                .iter()
                .rev()
                .map(|Step { act, base, .. }| {
                    let after = read.clone();
                    live.before(node, act, *base, &mut read).then_some(after)
                })
                .collect();
            after.reverse();
            after
        };
        (graph.nodes.iter().map(of).collect(), known.collect())
    };
    for ((node, read), known) in graph.nodes.iter_mut().zip(read).zip(known) {
        node.known = known;
        let mut read = read.into_iter();
        node.steps.retain_mut(|Step { act, base, .. }| {
            let Some(Some(read)) = read.next() else { return false };
            let is_read = |slot: &Slot| read.has(*base + slot.0 as usize);
            match act {
                Act::Values(values) => values.retain(|(slot, _)| is_read(slot)),
                Act::Give(outputs) => outputs.retain(|(_, outer, _)| is_read(outer)),
                _ => {}
            }
            true
        });
    }
}

/// The copy that a step makes, whatever the value is: from where to where, by places.
fn copied(act: &Act, base: usize) -> Option<(usize, usize)> {
    match act {
        Act::Give(outputs) => match &outputs[..] {
            [(inner, outer, true)] => Some((base + inner.0 as usize, base + outer.0 as usize)),
            _ => None,
        },
        Act::Op { op: Op::Set(to, Expr::Slot(from), None), .. } => Some((from.0 as usize, to.0 as usize)),
        Act::Op { op: Op::Pass(input), .. } => match &**input {
            Input { slot, value: Expr::Slot(from), ty: None, .. } => Some((from.0 as usize, slot.0 as usize)),
            _ => None,
        },
        _ => None,
    }
}

fn copies_itself(act: &Act) -> bool {
    // What is moved names variables by their places.
    copied(act, 0).is_some_and(|(from, to)| from == to)
}

/// Variables that share a place.
struct Shared {
    /// By variable: those that are read while it is set.
    beside: Vec<Set>,
    /// By variable: whether it cannot move.
    fixed: Vec<bool>,
    copies: Vec<(usize, usize)>,
    /// By variable: another one with which it shares a place, or itself.
    with: Vec<usize>,
    /// By the first of those that share a place: all of them.
    members: Vec<Vec<usize>>,
}

impl Shared {
    fn of(graph: &Graph) -> Shared {
        let (live, count) = (live(graph), graph.slots);
        let mut shared = Shared {
            beside: vec![live.none(); count],
            fixed: vec![false; count],
            copies: Vec::new(),
            with: (0..count).collect(),
            members: (0..count).map(|place| vec![place]).collect(),
        };
        graph.kept.iter().chain(&graph.given).for_each(|place| shared.fix(*place));
        for (id, node) in graph.nodes.iter().enumerate() {
            let mut read = live.after(node);
            for Step { act, base, .. } in node.steps.iter().rev() {
                let mut after = read.clone();
                live.before(node, act, *base, &mut read);
                live.otherwise(node, act, &mut after);
                // An error handler begins with its message.
                if matches!(act, Act::Op { op: Op::PushHandler(_), .. }) {
                    live.join(node.no, &mut after);
                }
                shared.step(act, *base, &after);
            }
            if id == graph.entry || Some(id) == graph.tail {
                shared.begins(&read);
            }
        }
        shared
    }

    fn fix(&mut self, place: usize) {
        if let Some(fixed) = self.fixed.get_mut(place) {
            *fixed = true;
        }
    }

    /// What is read from the beginning on is there from the beginning on.
    fn begins(&mut self, read: &Set) {
        for place in (0..self.fixed.len()).filter(|place| read.has(*place)) {
            self.set(place, read, None);
        }
    }

    fn step(&mut self, act: &Act, base: usize, after: &Set) {
        let copy = copied(act, base);
        self.copies.extend(copy);
        let original = copy.map(|(from, _)| from);
        match act {
            Act::Values(values) => values.iter().for_each(|(slot, _)| self.set(base + slot.0 as usize, after, None)),
            Act::Give(outputs) => {
                outputs.iter().for_each(|(_, outer, _)| self.set(base + outer.0 as usize, after, original));
            }
            Act::Failed(_) => {}
            Act::Op { reads, sets, may_set, moves, .. } => {
                sets.iter().chain(may_set).for_each(|place| self.set(*place, after, original));
                if !moves {
                    reads.iter().chain(sets).chain(may_set).for_each(|place| self.fix(*place));
                }
            }
        }
    }

    /// A variable is set where these are still read.
    fn set(&mut self, place: usize, read: &Set, original: Option<usize>) {
        if let Some(beside) = self.beside.get_mut(place) {
            let kept = original.is_some_and(|original| beside.has(original));
            beside.extend(read);
            beside.remove(place);
            if let Some(original) = original.filter(|_| !kept) {
                beside.remove(original);
            }
        }
    }

    fn first(&self, mut place: usize) -> usize {
        while let Some(with) = self.with.get(place).filter(|with| **with != place) {
            place = *with;
        }
        place
    }

    /// Whether the variables of both places can share one.
    fn fit(&self, one: usize, other: usize) -> bool {
        let none: &[usize] = &[];
        let members = |first: usize| self.members.get(first).map_or(none, Vec::as_slice);
        let fixed = |first: usize| members(first).iter().any(|place| self.fixed.get(*place) == Some(&true));
        let apart = |one: usize, other: usize| {
            let beside = |place: &usize| self.beside.get(*place);
            members(one).iter().filter_map(beside).all(|beside| !members(other).iter().any(|place| beside.has(*place)))
        };
        !(fixed(one) && fixed(other)) && apart(one, other) && apart(other, one)
    }

    /// The place of each variable, and whether any has moved.
    fn places(mut self) -> (Vec<usize>, bool) {
        for (from, to) in std::mem::take(&mut self.copies) {
            let (one, other) = (self.first(from), self.first(to));
            if one == other || !self.fit(one, other) {
                continue;
            }
            let more = self.members.get_mut(other).map(std::mem::take).unwrap_or_default();
            if let (Some(members), Some(with)) = (self.members.get_mut(one), self.with.get_mut(other)) {
                members.extend(more);
                *with = one;
            }
        }
        let mut places: Vec<usize> = (0..self.with.len()).collect();
        let mut moved = false;
        for members in &self.members {
            let fixed = members.iter().find(|place| self.fixed.get(**place) == Some(&true));
            let Some(shared) = fixed.or_else(|| members.iter().min()) else { continue };
            for place in members.iter().filter(|place| *place != shared) {
                if let Some(own) = places.get_mut(*place) {
                    *own = *shared;
                    moved = true;
                }
            }
        }
        (places, moved)
    }
}

/// Writes the new places into what names variables.
struct Moving<'a> {
    fold: &'a Fold<'a>,
    places: &'a [usize],
}

impl Moving<'_> {
    fn place(&self, place: usize) -> usize {
        self.places.get(place).copied().unwrap_or(place)
    }

    fn slot(&self, base: usize, slot: Slot) -> Slot {
        u32::try_from(self.place(base + slot.0 as usize)).map_or(slot, Slot)
    }

    fn step(&self, step: &mut Step) -> Option<()> {
        let base = step.base;
        match &mut step.act {
            Act::Values(values) => values.iter_mut().for_each(|(slot, _)| *slot = self.slot(base, *slot)),
            Act::Give(outputs) => outputs.iter_mut().for_each(|(inner, outer, _)| {
                (*inner, *outer) = (self.slot(base, *inner), self.slot(base, *outer));
            }),
            Act::Op { op, reads, sets, may_set, moves: true, .. } => {
                self.op(op)?;
                reads.iter_mut().chain(sets).chain(may_set).for_each(|place| *place = self.place(*place));
            }
            // These say where their frame is, and their variables stay.
            Act::Failed(_) | Act::Op { .. } => return Some(()),
        }
        step.base = 0;
        Some(())
    }

    fn op(&self, op: &mut Op) -> Option<()> {
        let expr = |expr: &Expr| self.fold.expr(expr);
        match op {
            Op::Set(slot, value, _) | Op::Default(slot, value, _) | Op::Fail(slot, value) => {
                (*slot, *value) = (self.slot(0, *slot), expr(value));
            }
            Op::Test(compare) => *compare = self.fold.compare(compare),
            Op::Pass(input) => (input.slot, input.value) = (self.slot(0, input.slot), expr(&input.value)),
            Op::FailInlined(fail) => (fail.0, fail.1) = (self.slot(0, fail.0), expr(&fail.1)),
            Op::LoopBegin(value) | Op::Raise(value) => *value = expr(value),
            Op::Sync(assertion, _) => *assertion = assertion.placed(self)?,
            Op::Async(assertion, _) => *assertion = assertion.placed(self)?,
            Op::Begin(assertion) => *assertion = assertion.placed(self)?,
            _ => {}
        }
        Some(())
    }
}

impl Places for Moving<'_> {
    fn expr(&self, expr: &Expr) -> Expr {
        self.fold.expr(expr)
    }

    fn target(&self, slot: Slot) -> Slot {
        self.slot(0, slot)
    }

    fn variable(&self, slot: Slot) -> Slot {
        self.slot(0, slot)
    }
}
