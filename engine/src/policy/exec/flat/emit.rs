//! Writes the code of a graph.

use std::borrow::Cow;

use super::Flat;
use super::graph::{Act, Graph, Node, Step};
use super::live::Live;
use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::{Instr, NOWHERE, Op};

/// Writes the code. `None` if the graph is wrong.
pub fn emit(graph: &Graph, live: &Live<'_>) -> Option<Flat> {
    let lines: Vec<Vec<Left>> = graph.nodes.iter().map(|node| line(node, live)).collect();
    let empty = lines.iter().map(Vec::is_empty).collect();
    let mut emit = Emit { graph, lines, empty, follows: vec![None; graph.nodes.len()], code: Vec::new(), targets: Vec::new() };
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
    let Emit { mut code, targets, .. } = emit;
    let place = |node: usize| places.get(node).copied().unwrap_or(NOWHERE);
    for (instr, (ok, no)) in code.iter_mut().zip(targets) {
        instr.ok = match ok {
            To::Next => instr.ok,
            To::Node(node) => place(node),
            To::Nowhere => NOWHERE,
        };
        instr.no = no.map_or(NOWHERE, place);
    }
    Some(Flat { code, entry: place(entry), fault_tail: tail.map(place), slots: graph.slots })
}

/// A step that is left.
struct Left {
    op: LeftOp,
    base: u32,
    origin: u32,
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
        let (op, base) = match act {
            Act::Values(values) => {
                let values = values.iter().filter(|(slot, _)| is_read(slot)).map(|(slot, value)| (place(slot), value.clone()));
                (LeftOp::Values(values.collect()), 0)
            }
            Act::Give(outputs) => {
                let outputs = outputs.iter().filter(|(_, outer, _)| is_read(outer));
                let outputs = outputs.map(|(inner, outer, always)| (place(inner), place(outer), *always));
                (LeftOp::Op(Op::Give(outputs.collect())), 0)
            }
            Act::Failed(reason) => (LeftOp::Failed(reason.clone()), base as u32),
            Act::Op { op, .. } => (LeftOp::Op(op.clone()), base as u32),
        };
        line.push(Left { op, base, origin });
    }
    line.reverse();
    line
}

/// Where an instruction leads after success.
#[derive(Clone, Copy)]
enum To {
    /// To the one after it.
    Next,
    Node(usize),
    Nowhere,
}

struct Emit<'g> {
    graph: &'g Graph,
    lines: Vec<Vec<Left>>,
    /// By node: whether nothing is left of it.
    empty: Vec<bool>,
    /// The node that is written right after a node, because nothing else leads to it.
    follows: Vec<Option<usize>>,
    code: Vec<Instr>,
    targets: Vec<(To, Option<usize>)>,
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
        let left: Vec<usize> = (0..nodes.len()).filter(|id| self.empty.get(*id) == Some(&false)).collect();
        let mut ways = vec![0u32; nodes.len()];
        for id in &left {
            let node = nodes.get(*id)?;
            for target in [node.ok, node.no, node.skip].into_iter().flatten() {
                *ways.get_mut(self.meant(target)?)? += 1;
            }
        }
        let mut heads: Vec<bool> = vec![true; nodes.len()];
        for id in &left {
            let node = nodes.get(*id)?;
            if let (Some(ok), None) = (node.ok, node.skip)
                && let Some(next) = self.meant(ok)
                && ways.get(next) == Some(&1)
                && !entered.contains(&Some(next))
            {
                *self.follows.get_mut(*id)? = Some(next);
                *heads.get_mut(next)? = false;
            }
        }
        let mut found: Vec<usize> = left.into_iter().filter(|id| heads.get(*id) == Some(&true)).collect();
        found.sort_by(|one, other| nodes.get(*one).map(|node| &node.order).cmp(&nodes.get(*other).map(|node| &node.order)));
        Some(found)
    }

    fn push(&mut self, op: Op, base: u32, origin: u32, no: Option<usize>) {
        let next = self.code.len() as u32 + 1;
        self.code.push(Instr { op, ok: next, no: NOWHERE, origin, base });
        self.targets.push((To::Next, no));
    }

    /// Writes a chain.
    fn write(&mut self, head: usize) -> Option<()> {
        let mut known = Known::default();
        let mut id = head;
        loop {
            let node = self.graph.nodes.get(id)?;
            let no = match node.no {
                Some(no) => Some(self.meant(no)?),
                None => None,
            };
            for Left { op, base, origin } in std::mem::take(self.lines.get_mut(id)?) {
                match op {
                    LeftOp::Values(values) => known.set(values, origin),
                    LeftOp::Failed(reason) => known.failed = Some((reason, base, origin)),
                    LeftOp::Op(op) => {
                        known.write(self);
                        self.push(op, base, origin, no);
                    }
                }
            }
            match self.follows.get(id).copied().flatten() {
                Some(next) => id = next,
                None => break,
            }
        }
        known.write(self);
        let node = self.graph.nodes.get(id)?;
        let ok = match node.ok {
            Some(ok) => To::Node(self.meant(ok)?),
            None => To::Nowhere,
        };
        self.targets.last_mut()?.0 = ok;
        if let Some(skip) = node.skip {
            // Where the executor continues if the block is skipped: the instruction after `Begin`.
            let skip = self.meant(skip)?;
            let origin = self.code.last()?.origin;
            self.push(Op::Jump, 0, origin, None);
            self.targets.last_mut()?.0 = To::Node(skip);
        }
        Some(())
    }
}

/// What is known to happen before the next instruction that is written.
#[derive(Default)]
struct Known {
    values: Vec<(Slot, Value)>,
    origin: u32,
    /// Only the last failure counts.
    failed: Option<(Cow<'static, str>, u32, u32)>,
}

impl Known {
    fn set(&mut self, values: Vec<(Slot, Value)>, origin: u32) {
        self.origin = origin;
        for (slot, value) in values {
            match self.values.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, known)) => *known = value,
                None => self.values.push((slot, value)),
            }
        }
    }

    fn write(&mut self, emit: &mut Emit<'_>) {
        if !self.values.is_empty() {
            emit.push(Op::Values(std::mem::take(&mut self.values).into()), 0, self.origin, None);
        }
        if let Some((reason, base, origin)) = self.failed.take() {
            emit.push(Op::Failed(reason), base, origin, None);
        }
    }
}
