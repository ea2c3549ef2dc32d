//! What a policy comes down to: nodes that are instructions of the program at a certain depth of calls, each with what is left of it.

use std::borrow::Cow;

use super::state::State;
use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::Op;

/// A policy with everything that it calls.
pub struct Graph {
    /// Its nodes, in the order in which they were found.
    pub nodes: Vec<Node>,
    /// Where it begins.
    pub entry: usize,
    /// Where it continues after an unhandled fault.
    pub tail: Option<usize>,
    /// How many variables all frames have.
    pub slots: usize,
    /// Variables that are read after the end.
    pub kept: Vec<usize>,
    /// Variables that have a value before it begins.
    pub given: Vec<usize>,
    /// By node: what is known where several ways lead, until [`Node::known`] is made of it.
    pub met: Vec<Option<State>>,
}

impl Graph {
    /// The numbers of the nodes in the order of the program.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|id| self.nodes.get(*id).map(|node| &node.order));
        order
    }
}

/// An instruction, called from a certain place.
#[derive(Default)]
pub struct Node {
    /// The instructions that call it, from the outside, and itself: callees come after their call and before what follows it.
    pub order: Box<[u32]>,
    /// What is left to do.
    pub steps: Vec<Step>,
    /// Next after success, or at all if nothing here can fail.
    pub ok: Option<usize>,
    /// Next after failure.
    pub no: Option<usize>,
    /// Next if a block is skipped.
    pub skip: Option<usize>,
    /// Where a fault leads that is handled.
    pub handler: Option<usize>,
    /// Variables that have the same value whatever way leads here, by their places among those of all frames. Only of nodes to which
    /// several ways lead, and only what is read from here on.
    pub known: Vec<(usize, Value)>,
}

/// A part of a node.
pub struct Step {
    /// What it does.
    pub act: Act,
    /// Where its frame begins.
    pub base: usize,
    /// The instruction of the program that it comes from.
    pub origin: u32,
}

/// What a step does.
#[expect(clippy::large_enum_variant, reason = "most steps are instructions")]
pub enum Act {
    /// Sets variables to known values.
    Values(Vec<(Slot, Value)>),
    /// Moves outputs from a callee, as [`Op::Give`].
    Give(Vec<(Slot, Slot, bool)>),
    /// Something that is known to fail.
    Failed(Cow<'static, str>),
    /// An instruction.
    Op {
        op: Op,
        /// Variables that it may read, by their places among those of all frames.
        reads: Vec<usize>,
        /// Variables that it sets if it succeeds.
        sets: Vec<usize>,
        /// Variables that it may set, whatever becomes of it.
        may_set: Vec<usize>,
        /// Whether it names variables by their places among those of all frames, and so could name other ones.
        moves: bool,
        /// What may happen.
        can: Can,
    },
}

/// What may happen in an instruction besides success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Can {
    /// It may fail.
    pub fail: bool,
    /// It may break.
    pub fault: bool,
    /// It does more than setting its variable.
    pub more: bool,
}
