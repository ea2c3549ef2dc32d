//! Emits instructions: labels are placed later, and the link step turns them into addresses.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_dsl::PolicyId;
use portcullis_dsl::span::{Sources, Span};
use smol_str::SmolStr;

use crate::policy::exec::program::{FrameProgram, Instr, NOWHERE, Op, Program, Touched};

/// An address that may still be unknown.
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
    touched: HashMap<u32, Touched>,
}

impl Code {
    /// A new label, not placed.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Places a label at the next instruction.
    pub fn place(&mut self, label: Label) {
        // An unknown label stays unplaced, and the link step reports instructions that lead there.
        if let Some(place) = self.labels.get_mut(label.0 as usize) {
            *place = Some(self.instrs.len() as u32);
        }
    }

    /// The address of a label; [`NOWHERE`] while it is not placed.
    pub fn address(&self, label: Label) -> u32 {
        self.labels.get(label.0 as usize).copied().flatten().unwrap_or(NOWHERE)
    }

    /// The next instruction may use these variables.
    pub fn touches(&mut self, touched: &Touched) {
        self.touched.insert(self.instrs.len() as u32, touched.clone());
    }

    /// Appends an instruction with its success and failure targets.
    pub fn emit(&mut self, op: Op, span: Span, ok: Label, no: Label) {
        self.instrs.push((op, ok, no));
        self.spans.push(span);
    }

    /// Appends the instructions of another; gives the address at which they begin.
    pub fn append(&mut self, other: Code) -> u32 {
        let (base, labels) = (self.instrs.len() as u32, self.labels.len() as u32);
        let moved = |label: Label| if label == Label::NEXT { label } else { Label(label.0 + labels) };
        self.instrs.extend(other.instrs.into_iter().map(|(op, ok, no)| (op, moved(ok), moved(no))));
        self.spans.extend(other.spans);
        self.labels.extend(other.labels.into_iter().map(|place| Some(place? + base)));
        self.touched.extend(other.touched.into_iter().map(|(at, touched)| (at + base, touched)));
        base
    }

    /// Resolves labels and shortens chains of jumps. Also returns the places of instructions that lead nowhere.
    pub fn link(
        self,
        frames: HashMap<PolicyId, Arc<FrameProgram>>,
        cookies: Vec<SmolStr>,
        sources: Arc<Sources>,
    ) -> (Program, Vec<Span>) {
        let address = |label: Label, at: usize| match label {
            Label::NEXT => at as u32 + 1,
            label => self.address(label),
        };
        let targets = |(at, (_, ok, no)): (usize, &(Op, Label, Label))| (address(*ok, at), address(*no, at));
        let targets: Vec<(u32, u32)> = self.instrs.iter().enumerate().map(targets).collect();
        let end = self.instrs.len() as u32;
        let astray = |((ok, no), span): (&(u32, u32), &Span)| (*ok >= end || *no >= end).then_some(*span);
        let astray = targets.iter().zip(&self.spans).filter_map(astray).collect();
        let ops = self.instrs.into_iter().map(|(op, _, _)| op);
        let mut code: Vec<Instr> =
            ops.zip(targets).enumerate().map(|(at, (op, (ok, no)))| Instr { op, ok, no, origin: at as u32, base: 0 }).collect();
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
        (Program { code, spans: self.spans, frames, cookies, sources, eager: false, touched: self.touched }, astray)
    }
}
