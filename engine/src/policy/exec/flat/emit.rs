//! Writes the code of a graph.

use std::borrow::Cow;

use super::filled::{Filled, filled};
use super::graph::{Act, Can, Graph, Node, Step};
use super::live::Live;
use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::{Flat, Given, Instr, Loop, NOWHERE, Op};

/// Writes the code. `None` if the graph is wrong.
pub fn emit(graph: &Graph, live: &Live<'_>) -> Option<Flat> {
    let lines: Vec<Vec<Left>> = graph.nodes.iter().map(|node| line(node, live)).collect();
    let empty = lines.iter().map(Vec::is_empty).collect();
    let (follows, joins) = (vec![None; graph.nodes.len()], vec![Join::default(); graph.nodes.len()]);
    let filled = filled(graph);
    let mut emit =
        Emit { graph, live, filled, lines, empty, follows, joins, code: Vec::new(), targets: Vec::new(), aside: Vec::new() };
    let entry = emit.meant(graph.entry)?;
    let tail = match graph.tail {
        Some(tail) => Some(emit.meant(tail)?),
        None => None,
    };
    let heads = emit.chain(&[Some(entry), tail])?;
    let mut places = vec![NOWHERE; graph.nodes.len()];
    for head in heads {
        *places.get_mut(head)? = emit.code.len() as u32;
        emit.write(head)?;
    }
    emit.write_aside();
    let Emit { mut code, targets, .. } = emit;
    let place = |node: usize| places.get(node).copied().unwrap_or(NOWHERE);
    let address = |to: To| match to {
        To::Node(node) => place(node),
        To::At(place) => place,
        To::Nowhere => NOWHERE,
    };
    for (instr, (ok, no)) in code.iter_mut().zip(targets) {
        instr.ok = address(ok);
        instr.no = address(no);
    }
    Some(Flat { code, entry: place(entry), fault_tail: tail.map(place), slots: graph.slots })
}

/// A step that is left.
struct Left {
    op: LeftOp,
    base: u32,
    origin: u32,
    /// Variables that must have their values before it, by their places among those of all frames.
    reads: Vec<usize>,
    can: Can,
}

enum LeftOp {
    /// By their places among those of all frames.
    Values(Vec<(Slot, Value)>),
    Failed(Cow<'static, str>),
    Op(Op),
}

/// What is left of a node: what is needed.
fn line(node: &Node, live: &Live<'_>) -> Vec<Left> {
    let mut after = live.after(node);
    let mut line = Vec::new();
    for Step { act, base, origin } in node.steps.iter().rev() {
        let (read, base, origin) = (after.clone(), *base, *origin);
        if !live.before(node, act, base, &mut after) {
            continue;
        }
        let place = |slot: &Slot| Slot(base as u32 + slot.0);
        let is_read = |slot: &Slot| read.has(base + slot.0 as usize);
        let (op, base, reads, can) = match act {
            Act::Values(values) => {
                let values = values.iter().filter(|(slot, _)| is_read(slot)).map(|(slot, value)| (place(slot), value.clone()));
                (LeftOp::Values(values.collect()), 0, Vec::new(), Can::default())
            }
            Act::Give(outputs) => {
                let outputs = outputs.iter().filter(|(_, outer, _)| is_read(outer));
                let outputs: Vec<_> = outputs
                    .map(|(inner, outer, always)| {
                        let (last, inner) = (!is_read(inner), place(inner));
                        Given { inner, outer: place(outer), always: *always, last }
                    })
                    .collect();
                let reads = outputs.iter().flat_map(|given| [given.inner.0 as usize, given.outer.0 as usize]).collect();
                (LeftOp::Op(Op::Give(outputs.into())), 0, reads, Can::default())
            }
            Act::Failed(reason) => (LeftOp::Failed(reason.clone()), base as u32, Vec::new(), Can::default()),
            Act::Op { op, reads, sets, may_set, can, .. } => {
                // What it sets has an older value, which may count where it fails.
                let reads = reads.iter().chain(sets).chain(may_set).copied().collect();
                let op = match op {
                    Op::LoopNext(data) => {
                        let read = |slot: Option<Slot>| slot.filter(is_read);
                        let (item, current, iterations) = (read(data.item), read(data.current), read(data.iterations));
                        Op::LoopNext(Loop { item, current, iterations, ..data.clone() })
                    }
                    op => op.clone(),
                };
                (LeftOp::Op(op), base as u32, reads, *can)
            }
        };
        line.push(Left { op, base, origin, reads, can });
    }
    line.reverse();
    line
}

/// Where an instruction leads.
#[derive(Clone, Copy)]
enum To {
    Node(usize),
    At(u32),
    Nowhere,
}

/// What happens on the way from an instruction to a node, written after everything else.
struct Aside {
    from: usize,
    /// Whether it is the way after a failure.
    failed: bool,
    known: Known,
    to: usize,
}

/// What is written of the ways to a node.
#[derive(Clone, Default)]
struct Join {
    /// How many ways lead there.
    ways: u32,
    /// How many of them are written.
    written: u32,
    /// What is known on one of these, and not written there.
    open: Known,
}

struct Emit<'g> {
    graph: &'g Graph,
    live: &'g Live<'g>,
    filled: Filled,
    lines: Vec<Vec<Left>>,
    /// By node: whether nothing is left of it.
    empty: Vec<bool>,
    /// The node that is written right after a node, because nothing else leads to it.
    follows: Vec<Option<usize>>,
    joins: Vec<Join>,
    code: Vec<Instr>,
    targets: Vec<(To, To)>,
    aside: Vec<Aside>,
}

impl Emit<'_> {
    /// The node that a node leads to if there is nothing left of it.
    fn meant(&self, mut id: usize) -> Option<usize> {
        for _ in 0..=self.graph.nodes.len() {
            if !*self.empty.get(id)? {
                return Some(id);
            }
            id = self.graph.nodes.get(id)?.ok?;
        }
        None
    }

    /// Joins nodes to chains; the first node of each, in the order of the program.
    fn chain(&mut self, entered: &[Option<usize>]) -> Option<Vec<usize>> {
        let nodes = &self.graph.nodes;
        let left: Vec<usize> = self.graph.in_order().into_iter().filter(|id| self.empty.get(*id) == Some(&false)).collect();
        for id in &left {
            let node = nodes.get(*id)?;
            for target in [node.ok, node.no, node.skip].into_iter().flatten() {
                let target = self.meant(target)?;
                self.joins.get_mut(target)?.ways += 1;
            }
        }
        let mut heads: Vec<bool> = vec![true; nodes.len()];
        for id in &left {
            let node = nodes.get(*id)?;
            if let (Some(ok), None) = (node.ok, node.skip)
                && let Some(next) = self.meant(ok)
                && self.joins.get(next)?.ways == 1
                && !entered.contains(&Some(next))
            {
                *self.follows.get_mut(*id)? = Some(next);
                *heads.get_mut(next)? = false;
            }
        }
        Some(left.into_iter().filter(|id| heads.get(*id) == Some(&true)).collect())
    }

    fn push(&mut self, op: Op, base: u32, origin: u32) {
        let next = self.code.len() as u32 + 1;
        self.code.push(Instr { op, ok: next, no: NOWHERE, origin, base });
        self.targets.push((To::At(next), To::Nowhere));
    }

    /// What is known where a chain begins, and is perhaps not written.
    fn begins(&mut self, head: usize) -> Option<Known> {
        let join = self.joins.get_mut(head)?;
        let mut known = std::mem::take(&mut join.open);
        if join.written < join.ways {
            // A way from below: all the same is known there.
            let needed = |place: usize, value: &Value| self.live.is_read(head, place) && !self.is_so(head, place, value);
            let read = self.graph.nodes.get(head)?.known.iter().filter(|(place, value)| needed(*place, value));
            let all =
                read.map(|(place, value)| Some((Slot(u32::try_from(*place).ok()?), value.clone()))).collect::<Option<_>>()?;
            known.set(all, known.origin);
        }
        Some(known)
    }

    /// Leaves to a node, to which a way leads from here, what is known there too: it sets that when it needs it. The rest is kept.
    fn leave(&mut self, known: &mut Known, to: usize) -> Option<()> {
        known.keep(|slot| self.live.is_read(to, slot));
        let (join, there) = (self.joins.get_mut(to)?, &self.graph.nodes.get(to)?.known);
        let is_known =
            |slot: Slot, value: &Value| there.iter().any(|(place, known)| *place == slot.0 as usize && known.is_same(value));
        let left = known.values.extract_if(.., |(slot, value)| is_known(*slot, value)).collect();
        join.open.set(left, known.origin);
        Some(())
    }

    /// Whether a variable that has this value in a node has it anyway: it is undefined, and nobody has set it.
    fn is_so(&self, node: usize, place: usize, value: &Value) -> bool {
        value.is_undefined() && !self.filled.has(node, place)
    }

    /// A way to a node is written.
    fn led(&mut self, to: Option<usize>) -> Option<()> {
        if let Some(to) = to {
            self.joins.get_mut(to)?.written += 1;
        }
        Some(())
    }

    /// Writes a chain. What is known is set as late as possible: most of it counts on ways that are hardly ever taken.
    fn write(&mut self, head: usize) -> Option<()> {
        let mut known = self.begins(head)?;
        let (mut id, begin) = (head, self.code.len());
        loop {
            let node = self.graph.nodes.get(id)?;
            let no = match node.no {
                Some(no) => Some(self.meant(no)?),
                None => None,
            };
            for left in std::mem::take(self.lines.get_mut(id)?) {
                let Left { op, base, origin, reads, can } = left;
                let op = match op {
                    LeftOp::Values(mut values) => {
                        values.retain(|(slot, value)| !self.is_so(id, slot.0 as usize, value));
                        known.set(values, origin);
                        continue;
                    }
                    LeftOp::Failed(reason) => {
                        known.failed = Some((reason, base, origin));
                        continue;
                    }
                    LeftOp::Op(op) => op,
                };
                let live = self.live;
                let ends = matches!(op, Op::End(_));
                known.write(self, |slot| {
                    reads.contains(&slot) || (can.fault && live.after_fault(node, slot)) || (ends && live.is_kept(slot))
                });
                // The end of a loop is no failure.
                if can.fault || (can.more && !can.fail) || matches!(op, Op::LoopNext(_)) {
                    known.write_failed(self);
                }
                self.push(op, base, origin);
                let at = self.code.len() - 1;
                if let Some(no) = no {
                    self.targets.get_mut(at)?.1 = To::Node(no);
                    let mut there = known.clone();
                    there.failed = None;
                    self.leave(&mut there, no)?;
                    if can.fail && !there.is_empty() {
                        self.aside.push(Aside { from: at, failed: true, known: there, to: no });
                    }
                }
            }
            self.led(no)?;
            match self.follows.get(id).copied().flatten() {
                Some(next) => {
                    known.keep(|slot| self.live.is_read(next, slot));
                    id = next;
                }
                None => break,
            }
        }
        let node = self.graph.nodes.get(id)?;
        let ok = match node.ok {
            Some(ok) => Some(self.meant(ok)?),
            None => None,
        };
        self.led(ok)?;
        if let Some(skip) = node.skip {
            let (skip, begin) = (self.meant(skip)?, self.code.len().checked_sub(1)?);
            self.led(Some(skip))?;
            let mut there = known.clone();
            self.leave(&mut there, skip)?;
            let mut within = known;
            if let Some(ok) = ok {
                self.leave(&mut within, ok)?;
            }
            // Where the executor continues if the block is skipped: the instruction after `Begin`.
            let origin = self.code.last()?.origin;
            if there.is_empty() {
                self.push(Op::Jump, 0, origin);
            } else {
                there.write(self, |_| true);
                there.write_failed(self);
            }
            self.targets.last_mut()?.0 = To::Node(skip);
            let target = &mut self.targets.get_mut(begin)?.0;
            match ok {
                Some(ok) => {
                    *target = To::Node(ok);
                    if !within.is_empty() {
                        self.aside.push(Aside { from: begin, failed: false, known: within, to: ok });
                    }
                }
                None => *target = To::Nowhere,
            }
            return Some(());
        }
        if let Some(ok) = ok {
            self.leave(&mut known, ok)?;
            known.write(self, |_| true);
        }
        known.write_failed(self);
        if self.code.len() == begin {
            self.push(Op::Jump, 0, 0);
        }
        self.targets.last_mut()?.0 = ok.map_or(To::Nowhere, To::Node);
        Some(())
    }

    fn write_aside(&mut self) {
        for Aside { from, failed, mut known, to } in std::mem::take(&mut self.aside) {
            let place = self.code.len() as u32;
            known.write(self, |_| true);
            known.write_failed(self);
            if let Some(last) = self.targets.last_mut() {
                last.0 = To::Node(to);
            }
            if let Some((ok, no)) = self.targets.get_mut(from) {
                *(if failed { no } else { ok }) = To::At(place);
            }
        }
    }
}

/// What is known to have happened and is not written yet.
#[derive(Clone, Default)]
struct Known {
    values: Vec<(Slot, Value)>,
    origin: u32,
    /// Only the last failure counts.
    failed: Option<(Cow<'static, str>, u32, u32)>,
}

impl Known {
    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.failed.is_none()
    }

    fn set(&mut self, values: Vec<(Slot, Value)>, origin: u32) {
        self.origin = origin;
        for (slot, value) in values {
            match self.values.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, known)) => *known = value,
                None => self.values.push((slot, value)),
            }
        }
    }

    /// Forgets what nobody reads.
    fn keep(&mut self, is_read: impl Fn(usize) -> bool) {
        self.values.retain(|(slot, _)| is_read(slot.0 as usize));
    }

    /// Writes the values that are needed now.
    fn write(&mut self, emit: &mut Emit<'_>, now: impl Fn(usize) -> bool) {
        let (needed, later) = std::mem::take(&mut self.values).into_iter().partition(|(slot, _)| now(slot.0 as usize));
        let needed: Vec<_> = needed;
        self.values = later;
        if !needed.is_empty() {
            emit.push(Op::Values(needed.into()), 0, self.origin);
        }
    }

    fn write_failed(&mut self, emit: &mut Emit<'_>) {
        if let Some((reason, base, origin)) = self.failed.take() {
            emit.push(Op::Failed(reason), base, origin);
        }
    }
}
