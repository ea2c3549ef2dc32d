//! Which variables are still read at each node.

use super::graph::{Act, Graph, Node};
use crate::policy::exec::program::Op;
use crate::policy::runnable::BlockEnd;

/// Variables, by their places among those of all frames.
#[derive(Clone, PartialEq, Eq)]
pub struct Set(Vec<u64>);

impl Set {
    /// Empty. Besides the variables it may contain the last failure.
    pub fn new(slots: usize) -> Set {
        Set(vec![0; (slots + 1).div_ceil(64)])
    }

    /// Whether a variable is in it.
    pub fn has(&self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// A variable is in it.
    pub fn add(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
        }
    }

    /// A variable is not in it.
    pub fn remove(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// So are these. Whether one of them was not.
    pub fn extend(&mut self, other: &Set) -> bool {
        let mut more = false;
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            more |= other & !*word != 0;
            *word |= other;
        }
        more
    }
}

/// What is read from each node on.
pub struct Live<'g> {
    graph: &'g Graph,
    at: Vec<Set>,
    /// Read after the end.
    kept: Set,
}

/// Finds it for all nodes.
pub fn live(graph: &Graph) -> Live<'_> {
    let mut kept = Set::new(graph.slots);
    graph.kept.iter().for_each(|slot| kept.add(*slot));
    let mut live = Live { graph, at: vec![Set::new(graph.slots); graph.nodes.len()], kept };
    // What is read later is mostly found first.
    let order = graph.in_order();
    loop {
        let mut more = false;
        for id in order.iter().rev() {
            let Some(node) = graph.nodes.get(*id) else { continue };
            let mut set = live.after(node);
            for step in node.steps.iter().rev() {
                live.before(node, &step.act, step.base, &mut set);
            }
            if let Some(known) = live.at.get_mut(*id)
                && *known != set
            {
                *known = set;
                more = true;
            }
        }
        if !more {
            return live;
        }
    }
}

impl Live<'_> {
    /// None of the variables.
    pub fn none(&self) -> Set {
        Set::new(self.graph.slots)
    }

    /// The last failure, as if it were a variable: who refuses tells it.
    fn reason(&self) -> usize {
        self.graph.slots
    }

    /// Adds what is read if a step does not go on.
    pub fn otherwise(&self, node: &Node, act: &Act, set: &mut Set) {
        let Act::Op { op, can, .. } = act else { return };
        if can.fail {
            self.join(node.no, set);
        }
        if can.fault {
            self.join(node.handler, set);
            self.join(self.graph.tail, set);
        }
        // Without a tail, a fault is an end.
        if matches!(op, Op::End(_)) || (can.fault && self.graph.tail.is_none()) {
            set.extend(&self.kept);
        }
    }

    /// What is read after a node.
    pub fn after(&self, node: &Node) -> Set {
        let mut set = Set::new(self.graph.slots);
        self.join(node.ok, &mut set);
        self.join(node.skip, &mut set);
        set
    }

    /// Adds what is read from a node on.
    pub fn join(&self, node: Option<usize>, set: &mut Set) {
        node.and_then(|node| self.at.get(node)).into_iter().for_each(|live| {
            set.extend(live);
        });
    }

    /// Whether a variable is read from a node on.
    pub fn is_read(&self, node: usize, slot: usize) -> bool {
        self.at.get(node).is_some_and(|set| set.has(slot))
    }

    /// Whether a variable is read after the end.
    pub fn is_kept(&self, slot: usize) -> bool {
        self.kept.has(slot)
    }

    /// Whether a variable is read after a fault in a node.
    pub fn after_fault(&self, node: &Node, slot: usize) -> bool {
        let read = |node: usize| self.is_read(node, slot);
        node.handler.is_some_and(read) || self.graph.tail.map_or_else(|| self.kept.has(slot), read)
    }

    /// From what is read after a step to what is read before it. Whether the step is needed.
    pub fn before(&self, node: &Node, act: &Act, base: usize, set: &mut Set) -> bool {
        let place = |slot: crate::policy::ctx::Slot| base + slot.0 as usize;
        match act {
            Act::Values(values) => {
                let needed = values.iter().any(|(slot, _)| set.has(place(*slot)));
                values.iter().for_each(|(slot, _)| set.remove(place(*slot)));
                needed
            }
            Act::Give(outputs) => {
                let mut needed = false;
                for (inner, outer, always) in outputs.iter().rev() {
                    if set.has(place(*outer)) {
                        needed = true;
                        if *always {
                            set.remove(place(*outer));
                        }
                        set.add(place(*inner));
                    }
                }
                needed
            }
            Act::Failed(_) => {
                let needed = set.has(self.reason());
                set.remove(self.reason());
                needed
            }
            Act::Op { op, reads, sets, can, .. } => {
                if !can.fail && !can.fault && !can.more && !sets.iter().any(|sets| set.has(*sets)) {
                    return false;
                }
                sets.iter().for_each(|sets| set.remove(*sets));
                let told = set.has(self.reason());
                self.otherwise(node, act, set);
                match op {
                    // What fails here says so itself. A fault that is caught may follow an older failure.
                    _ if fails_anew(op) && !told && node.handler.is_none() => set.remove(self.reason()),
                    Op::End(false) | Op::Fail(..) | Op::DropDraft => set.add(self.reason()),
                    Op::FailInlined(_) => set.remove(self.reason()),
                    _ => {}
                }
                reads.iter().for_each(|slot| set.add(*slot));
                true
            }
        }
    }
}

/// Whether an instruction that fails is the last failure then.
fn fails_anew(op: &Op) -> bool {
    match op {
        Op::Set(..) | Op::Default(..) | Op::Pass(_) | Op::Test(_) | Op::Sync(..) | Op::Async(..) | Op::Begin(_) => true,
        Op::EndBlock(ending) => *ending == BlockEnd::Held,
        _ => false,
    }
}
