//! Emission of instructions: labels that are placed later, and the link step that turns them into addresses.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_dsl::PolicyId;
use portcullis_dsl::span::{Sources, Span};
use smol_str::SmolStr;

use crate::exec::program::{FrameProgram, Instr, Op, Program};

/// An address that may not be known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

impl Label {
    /// The instruction that follows.
    pub const NEXT: Label = Label(u32::MAX);
}

/// Instructions being written.
#[derive(Default)]
pub(super) struct Code {
    instrs: Vec<(Op, Label, Label)>,
    spans: Vec<Span>,
    labels: Vec<Option<u32>>,
}

impl Code {
    /// A new label, not placed.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Places a label at the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.instrs.len() as u32);
    }

    /// The address of a placed label.
    pub fn address(&self, label: Label) -> u32 {
        // INVARIANT: only asked for labels that `frame` has placed.
        self.labels[label.0 as usize].unwrap_or_default()
    }

    /// Appends an instruction with its success and failure targets.
    pub fn emit(&mut self, op: Op, span: Span, ok: Label, no: Label) {
        self.instrs.push((op, ok, no));
        self.spans.push(span);
    }

    /// Resolves labels and threads jumps to jumps.
    pub fn link(self, frames: HashMap<PolicyId, Arc<FrameProgram>>, cookies: Vec<SmolStr>, sources: Arc<Sources>) -> Program {
        let Code { instrs, spans, labels } = self;
        let address = |label: Label, at: usize| match label {
            Label::NEXT => at as u32 + 1,
            Label(index) => labels[index as usize].unwrap_or(at as u32 + 1),
        };
        let mut code: Vec<Instr> = instrs
            .into_iter()
            .enumerate()
            .map(|(at, (op, ok, no))| Instr { op, ok: address(ok, at), no: address(no, at) })
            .collect();
        let targets: Vec<Option<u32>> = code.iter().map(|instr| matches!(instr.op, Op::Jump).then_some(instr.ok)).collect();
        let thread = |mut target: u32| {
            // A jump cannot reach itself, but a bound costs nothing.
            for _ in 0..64 {
                match targets.get(target as usize) {
                    Some(Some(next)) if *next != target => target = *next,
                    _ => break,
                }
            }
            target
        };
        for instr in &mut code {
            instr.ok = thread(instr.ok);
            instr.no = thread(instr.no);
        }
        Program { code, spans, frames, cookies, sources }
    }
}
