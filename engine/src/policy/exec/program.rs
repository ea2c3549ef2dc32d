//! The flat program.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use portcullis_dsl::PolicyId;
use portcullis_dsl::ast::Type;
use portcullis_dsl::span::{Sources, Span};
use smol_str::SmolStr;

use super::bounds::Bounds;
use super::compare::Compare;
use super::row::Row;
use crate::data::value::Value;
use crate::policy::ctx::{Refusal, Slot};
use crate::policy::expr::Expr;
use crate::policy::reads::Reads;
use crate::policy::runnable::{Assertion, AsyncAssertion, BlockAssertion, BlockEnd};

/// Instructions of a whole policy set, and where each policy's stretch begins.
pub struct Program {
    /// Instructions.
    pub code: Vec<Instr>,
    /// The source text of each instruction.
    pub spans: Vec<Span>,
    /// Services, tasks, commands and encapsulated assertions.
    pub frames: HashMap<PolicyId, Arc<FrameProgram>>,
    /// Cookies that the policies set: names, or prefixes of names with a `*`.
    pub cookies: Vec<SmolStr>,
    /// The texts that the spans refer to.
    pub sources: Arc<Sources>,
    /// Whether the first run of a policy waits for its flat form: tests run all they run in it.
    pub eager: bool,
    /// Variables that assertions use, by instruction. The beginning and the end of a block have the same ones.
    pub touched: HashMap<u32, Touched>,
}

/// Variables that an assertion may use: those of its properties, and what it sets by itself.
#[derive(Clone, Default)]
pub struct Touched {
    /// All that it may read or set.
    pub all: Arc<[Slot]>,
    /// Those that it may set: others only stand in expressions.
    pub sets: Arc<[Slot]>,
}

impl Program {
    /// An instruction's source text.
    pub fn span(&self, pc: u32) -> Option<Span> {
        self.spans.get(pc as usize).copied()
    }

    /// `path:line:column` of an instruction's source text.
    pub fn place(&self, pc: u32) -> String {
        self.spans.get(pc as usize).map_or_else(String::new, |span| self.sources.place(*span))
    }
}

impl Program {
    /// `path:line:column` of what failed, or else of what ended the policy, and the reason.
    pub fn told<'r>(&self, refusal: &'r Refusal) -> (String, &'r str) {
        match &refusal.failed {
            Some((at, reason)) => (self.place(*at), reason),
            None => (self.place(refusal.at), "it was refused"),
        }
    }
}

/// An address outside every program: going there is a fault.
pub const NOWHERE: u32 = u32::MAX;

/// An instruction and its successors.
pub struct Instr {
    /// What it does.
    pub op: Op,
    /// Next after success.
    pub ok: u32,
    /// Next after failure.
    pub no: u32,
    /// The instruction of the program that it comes from: itself, unless it is part of a [`Flat`].
    pub origin: u32,
    /// In a [`Flat`]: where its frame begins among the variables.
    pub base: u32,
}

/// What instructions do.
#[derive(Clone)]
pub enum Op {
    /// Goes on.
    Jump,
    /// `set`.
    Set(Slot, Expr, Option<Type>),
    /// `default`.
    Default(Slot, Expr, Option<Type>),
    /// Checks the bounds of a variable that was set.
    Within(Arc<Bounds>),
    /// A comparison.
    Test(Compare),
    /// An assertion without I/O, and whether it may run twice.
    Sync(Arc<dyn Assertion>, bool),
    /// An assertion with I/O, and whether it may run twice.
    Async(Arc<dyn AsyncAssertion>, bool),
    /// Enters an encapsulated assertion.
    Call(Arc<CallSite>),
    /// Leaves one.
    Return(bool),
    /// Begins a loop over a list.
    LoopBegin(Expr),
    /// The next round, or the end.
    LoopNext(Loop),
    /// Leaves a loop whose body failed.
    LoopLeave,
    /// Opens a `HandleErrors`; its failure target is the handler.
    PushHandler(Slot),
    /// Closes it.
    PopHandler,
    /// Raises an error.
    Raise(Expr),
    /// Begins an assertion with a block, whose first instruction is its success target. Skipping the block continues at the
    /// instruction after this one.
    Begin(Arc<dyn BlockAssertion>),
    /// Ends the innermost one.
    EndBlock(BlockEnd),
    /// `fail`: leaves everything, keeps the code, and goes to the service's error answer.
    Fail(Slot, Expr),
    /// `fail` in an assertion: leaves what is open in it, sets its output, and goes to its end.
    FailCall(Slot, Expr),
    /// `Done`: leaves loops and error handlers, and goes to the successful end.
    Done,
    /// Forgets an answer drafted before the failure.
    DropDraft,
    /// The run ends.
    End(bool),
    /// Marks where the compiler failed. Running it is a fault, so that missing code never counts as success.
    Defect,
    /// Of a [`Flat`]: comparisons, which are the next instructions.
    Row(Row),
    /// Of a [`Flat`]: variables whose values are known.
    Values(Box<[(Slot, Value)]>),
    /// Of a [`Flat`]: something that is known to fail has failed, for this reason.
    Failed(Cow<'static, str>),
    /// Of a [`Flat`]: an input of a call.
    Pass(Box<Input>),
    /// Of a [`Flat`]: outputs of a call.
    Give(Box<[Given]>),
    /// Of a [`Flat`]: `fail` in an assertion, which leaves what was opened in it.
    FailInlined(Box<(Slot, Expr, Opened)>),
}

/// What is open around a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Loops.
    pub loops: usize,
    /// Error handlers.
    pub handlers: usize,
    /// Blocks of assertions.
    pub blocks: usize,
}

/// An output of a call that is part of a [`Flat`].
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The callee's variable, by its place among those of all frames.
    pub inner: Slot,
    /// The caller's.
    pub outer: Slot,
    /// Whether it is also given if it is undefined.
    pub always: bool,
    /// Whether nobody reads the callee's variable afterwards.
    pub last: bool,
}

/// An input of a call that is part of a [`Flat`].
#[derive(Clone)]
pub struct Input {
    /// The callee's variable, by its place among those of all frames.
    pub slot: Slot,
    /// Its value.
    pub value: Expr,
    /// Its declared type.
    pub ty: Option<Type>,
    /// Who is called.
    pub callee: SmolStr,
}

impl Op {
    /// Whether an author would call it a step, and not just glue between steps.
    pub fn is_step(&self) -> bool {
        !matches!(
            self,
            Op::Jump
                | Op::Within(_)
                | Op::EndBlock(_)
                | Op::Return(_)
                | Op::LoopLeave
                | Op::PopHandler
                | Op::DropDraft
                | Op::End(_)
                | Op::Defect
                | Op::Row(_)
                | Op::Values(_)
                | Op::Failed(_)
                | Op::Pass(_)
                | Op::Give(_)
        )
    }
}

/// Variables of a loop. In a [`Flat`], those that a round sets are only there if somebody reads them.
#[derive(Clone, Debug)]
pub struct Loop {
    /// `<prefix>`: also the item, if no other variable has this name.
    pub item: Option<Slot>,
    /// `<prefix>.current`
    pub current: Option<Slot>,
    /// `<prefix>.iterations`
    pub iterations: Option<Slot>,
    /// `<prefix>.break`
    pub stop: Slot,
    /// `<prefix>.exceededlimit`
    pub exceeded: Slot,
    /// Most rounds.
    pub limit: Option<usize>,
}

/// A call: how values go in and come out.
pub struct CallSite {
    /// First instruction of the callee.
    pub entry: u32,
    /// How many slots the callee has.
    pub slots: usize,
    /// Callee's slot, the caller's expression, declared type.
    pub inputs: Vec<(Slot, Expr, Option<Type>)>,
    /// Callee's slot, caller's slot.
    pub outputs: Vec<(Slot, Slot)>,
    /// The same for the output that `fail` sets. After a failure it is copied even if undefined, so that it describes this call
    /// and not an earlier one.
    pub failure: Option<(Slot, Slot)>,
    /// Name of the callee.
    pub name: SmolStr,
}

/// Where a service goes on after a failure.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    /// After one without a code.
    pub plain: u32,
    /// After `fail CODE`.
    pub coded: u32,
    /// The slot that takes the code.
    pub code: Slot,
}

/// The slots that tell how a policy before services ended.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The code of `fail`.
    pub code: Slot,
    /// `true` after `Done`.
    pub answered: Slot,
}

/// A policy with variables of its own.
pub struct FrameProgram {
    /// Name.
    pub name: SmolStr,
    /// First instruction.
    pub entry: u32,
    /// Where the run continues after an unhandled fault, so that the service still answers in its own way.
    pub fault_tail: Option<u32>,
    /// Of a service: how it answers after a failure before it.
    pub failing: Option<Failing>,
    /// Of a policy before services: what tells how it ended.
    pub told: Option<Told>,
    /// How many slots it has.
    pub slots: usize,
    /// Inputs in order.
    pub inputs: Vec<(SmolStr, Slot, Option<Type>)>,
    /// Outputs in order.
    pub outputs: Vec<(SmolStr, Slot)>,
    /// The output that `fail` sets, of an assertion.
    pub failure: Option<(SmolStr, Slot)>,
    /// What it and everything that it calls read of the request.
    pub reads: Reads,
    /// The connections that it and everything that it calls change, as far as that is known.
    pub changes: Vec<SmolStr>,
    /// The same as one stretch of code, with everything that it calls.
    pub flat: Made,
    /// Its name in the source.
    pub span: Span,
}

impl FrameProgram {
    /// The same for code that is moved to this address.
    pub fn moved(mut self, base: u32) -> Self {
        let moved = |address: u32| if address == NOWHERE { address } else { address + base };
        self.entry = moved(self.entry);
        self.fault_tail = self.fault_tail.map(moved);
        self.failing =
            self.failing.map(|failing| Failing { plain: moved(failing.plain), coded: moved(failing.coded), ..failing });
        self
    }
}

/// The code of a service with everything that it calls.
pub struct Flat {
    /// Instructions.
    pub code: Vec<Instr>,
    /// The first one.
    pub entry: u32,
    /// Where the run continues after an unhandled fault.
    pub fault_tail: Option<u32>,
    /// How many variables all frames have.
    pub slots: usize,
}

/// The flat form of a policy, once it is made.
#[derive(Default)]
pub struct Made {
    /// How often it has run without one.
    pub runs: AtomicU32,
    /// The form; `None` if it has none.
    pub flat: OnceLock<Option<Box<Flat>>>,
}
