//! The executor: it runs one flat program. It does not recurse, and only yields when an assertion does I/O. What waits for nothing runs in
//! a plain loop (`steps.rs`), because the variables of a future are kept in memory, and the loop's are kept in registers.

mod again;
pub mod bounds;
pub mod compare;
pub mod flat;
mod inputs;
mod loops;
pub mod observer;
pub mod program;
pub mod quick;
pub mod row;
mod shown;
pub mod spare;
mod steps;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use crate::data::fault::{Blame, Fault, Outcome};
use crate::data::value::Value;
use crate::policy::assertion::{Begin, BlockEnd, OpenBlock};
use crate::policy::ctx::{Ctx, Refusal, Refused, Slot};
use crate::policy::expr::Expr;
use crate::services::store::Again;
use again::Checkpoint;
use compare::Compare;
use loops::LoopState;
use observer::{Ended, Nobody, Observer};
use program::{Flat, FrameProgram, Instr, Op, Opened, Program};
use steps::{Stop, Why, steps};

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// The policy succeeded.
    Held,
    /// It failed, and its error answer, if any, is drafted.
    Failed,
    /// An unhandled fault; the error answer, if any, is drafted. The cause is for the log.
    Broken(Fault),
}

/// The control state of one run, besides the variables in [`Ctx`].
#[derive(Default)]
struct Run {
    calls: Vec<Activation>,
    loops: Vec<LoopState>,
    /// Assertions whose blocks are running, the innermost last.
    blocks: Vec<Box<dyn OpenBlock>>,
    handlers: Vec<Handler>,
    /// The fault that sent the run to its fault tail.
    broken: Option<Fault>,
    /// The last failure, and its reason if it gave one.
    failed: Option<(u32, Cow<'static, str>)>,
    /// The beginnings of open blocks that may be run again, the innermost last.
    checkpoints: Vec<Checkpoint>,
    /// A block that is about to be run again, and the attempts that it has left.
    retrying: Option<(u32, Again)>,
}

impl Run {
    /// What is open.
    fn opened(&self) -> Opened {
        Opened { loops: self.loops.len(), handlers: self.handlers.len(), blocks: self.blocks.len() }
    }

    fn after(&mut self, pc: u32, instr: &Instr, outcome: Outcome) -> u32 {
        match outcome {
            Outcome::Held => instr.ok,
            Outcome::Falsified(reason) => {
                self.failed = Some((pc, reason));
                instr.no
            }
        }
    }

    fn condition(&mut self, ctx: &Ctx, program: &Program, pc: u32, instr: &Instr, compare: &Compare) -> u32 {
        if compare.holds(ctx) {
            return instr.ok;
        }
        // While its variables still have their current values.
        let reason = if tracing::enabled!(tracing::Level::DEBUG) {
            Cow::Owned(shown::condition(ctx, program, instr.origin, compare))
        } else {
            Cow::Borrowed("it fails")
        };
        self.failed = Some((pc, reason));
        instr.no
    }

    /// The beginning of a block was decided. The next instruction.
    fn entered(&mut self, ctx: &Ctx, pc: u32, instr: &Instr, begun: Begin) -> u32 {
        match begun {
            Begin::Run(open) => {
                if open.runs_again() {
                    self.may_return_to(ctx, pc);
                }
                self.blocks.push(open);
                instr.ok
            }
            Begin::Skip => pc + 1,
            Begin::Refuse(reason) => self.after(pc, instr, Outcome::Falsified(reason)),
        }
    }

    /// Goes back to the service's own frame, when all blocks have been left.
    fn unwind_to_service(&mut self, ctx: &mut Ctx, code: &Code<'_>) {
        self.loops.clear();
        self.handlers.clear();
        self.calls.clear();
        self.checkpoints.clear();
        ctx.slots.truncate(code.slots);
        ctx.base = 0;
    }

    /// Logs why the policy refuses: the place that ends it, and the assertion that failed before.
    fn explain(&mut self, ctx: &mut Ctx, code: &Code<'_>, pc: u32, given: &str) {
        let program = code.program;
        let pc = code.origin(pc);
        let failed = self.failed.take().map(|(at, reason)| (code.origin(at), reason));
        ctx.refusal = Some(Box::new(Refusal { at: pc, failed: failed.as_ref().map(|(at, reason)| (*at, reason.clone())) }));
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (failed, reason) = failed.map(|(at, reason)| (program.place(at), reason)).unzip();
            let (service, request, place) = (&ctx.service, ctx.request.id(), program.place(pc));
            tracing::debug!(%service, %request, place, code = given, failed, reason = reason.as_deref(), "refused");
        }
    }
}

/// A call of an encapsulated assertion.
struct Activation {
    at: u32,
    base: usize,
    /// What was open before it.
    around: Opened,
}

/// An open `HandleErrors`: how far to unwind, and where to continue.
struct Handler {
    at: u32,
    message: Slot,
    base: usize,
    slots: usize,
    calls: usize,
    loops: usize,
    blocks: usize,
}

/// The instructions that a run follows.
pub(super) struct Code<'p> {
    program: &'p Program,
    instrs: &'p [Instr],
    /// Where the run continues after an unhandled fault.
    fault_tail: Option<u32>,
    /// How many variables the outermost frame has; all of them in a [`Flat`].
    slots: usize,
    /// Whether every instruction says where its frame begins.
    flat: bool,
}

impl<'p> Code<'p> {
    /// The instructions of the program.
    fn of(program: &'p Program, frame: &FrameProgram) -> Code<'p> {
        Code { program, instrs: &program.code, fault_tail: frame.fault_tail, slots: frame.slots, flat: false }
    }

    /// The same in another form.
    fn flat(program: &'p Program, flat: &'p Flat) -> Code<'p> {
        Code { program, instrs: &flat.code, fault_tail: flat.fault_tail, slots: flat.slots, flat: true }
    }

    fn get(&self, pc: u32) -> Option<&'p Instr> {
        self.instrs.get(pc as usize)
    }

    /// The instruction of the program that this one comes from.
    fn origin(&self, pc: u32) -> u32 {
        self.get(pc).map_or(pc, |instr| instr.origin)
    }

    fn place(&self, pc: u32) -> String {
        self.program.place(self.origin(pc))
    }
}

/// Spare room for variables of callees, so that few requests need to allocate more.
const CALLEES: usize = 64;

/// A run, as far as it waits for nothing.
pub enum Started {
    /// It has ended.
    Ended(Ending),
    /// It goes on with `go_on`. Boxed, because it is passed on several times.
    Waits(Box<Rest>),
}

/// What is left of a run that has come to where it may wait.
pub struct Rest {
    run: Run,
    at: u32,
    /// An instruction broke, and leaving what is open may wait.
    broken: Option<Fault>,
    /// Whether it runs in the flat form, which may have been made meanwhile.
    flat: bool,
}

/// Runs a service, in its flat form if it has one, until it may wait. Most requests wait for nothing, so they need no future.
pub fn start(program: &Arc<Program>, frame: &Arc<FrameProgram>, ctx: &mut Ctx) -> Started {
    let (code, entry) = form(program, frame);
    let mut run = Run::default();
    make_room(&code, ctx);
    let stop = steps(&code, ctx, &mut run, entry, &mut Nobody);
    let broken = match stop.why {
        Why::Ended(ending) => return Started::Ended(ending),
        Why::Broken(fault) => Some(fault),
        Why::Waits(..) => None,
    };
    Started::Waits(Box::new(Rest { run, at: stop.at, broken, flat: code.flat }))
}

/// Runs the rest, to its end.
pub async fn go_on(program: &Program, frame: &FrameProgram, ctx: &mut Ctx, rest: Box<Rest>) -> Ending {
    let Rest { run, at, broken, flat } = *rest;
    let code = match frame.flat.flat.get() {
        Some(Some(form)) if flat => Code::flat(program, form),
        _ => Code::of(program, frame),
    };
    let why = match (broken, code.get(at)) {
        (Some(fault), _) => Why::Broken(fault),
        (None, Some(instr)) => Why::Waits(instr, None),
        (None, None) => Why::Broken(defect("the program has no such instruction")),
    };
    carry_on(code, ctx, run, Stop { at, why }, Nobody).await
}

/// Runs a service to its end, in its flat form if it has one.
///
/// Futures of database drivers are large. They are boxed, so that every request is a small future, because futures are copied
/// when they are made.
pub fn run<'r>(
    program: &'r Arc<Program>,
    frame: &'r Arc<FrameProgram>,
    ctx: &'r mut Ctx,
) -> impl Future<Output = Ending> + Send + 'r {
    let (code, entry) = form(program, frame);
    run_from(code, ctx, entry, Nobody)
}

/// The instructions of a service in its best form, and the first one.
fn form<'p>(program: &'p Arc<Program>, frame: &'p Arc<FrameProgram>) -> (Code<'p>, u32) {
    match flat::of(program, frame) {
        Some(flat) => (Code::flat(program, flat), flat.entry),
        None => (Code::of(program, frame), frame.entry),
    }
}

/// Runs only the error assertion of a service, for a request that the gateway itself refuses. `None` if it has none.
pub fn refuse<'r>(
    program: &'r Program,
    frame: &'r FrameProgram,
    ctx: &'r mut Ctx,
) -> Option<impl Future<Output = Ending> + Send + 'r> {
    frame.fault_tail.map(|tail| run_from(Code::of(program, frame), ctx, tail, Nobody))
}

/// Runs only what a service does after a failure elsewhere, with the code that was given to `fail`.
pub fn failed_before<'r>(
    program: &'r Program,
    frame: &'r FrameProgram,
    ctx: &'r mut Ctx,
    code: Value,
) -> Option<impl Future<Output = Ending> + Send + 'r> {
    let failing = frame.failing?;
    ctx.begin_anew();
    ctx.slots.grow_to(frame.slots);
    let entry = if code.is_undefined() { failing.plain } else { failing.coded };
    ctx.set(failing.code, code);
    Some(run_from(Code::of(program, frame), ctx, entry, Nobody))
}

/// Runs a service, task or command to its end, instruction by instruction, and reports each step to an observer. The inputs of a command
/// must be set before.
pub fn run_observed<'r, O: Observer + 'r>(
    program: &'r Program,
    frame: &'r FrameProgram,
    ctx: &'r mut Ctx,
    observer: O,
) -> impl Future<Output = Ending> + Send + 'r {
    run_from(Code::of(program, frame), ctx, frame.entry, observer)
}

async fn run_from<O: Observer>(code: Code<'_>, ctx: &mut Ctx, entry: u32, mut observer: O) -> Ending {
    let mut run = Run::default();
    make_room(&code, ctx);
    let stop = steps(&code, ctx, &mut run, entry, &mut observer);
    carry_on(code, ctx, run, stop, observer).await
}

/// Room for all variables of the frame.
fn make_room(code: &Code<'_>, ctx: &mut Ctx) {
    ctx.base = 0;
    if code.flat && ctx.slots.is_empty() {
        ctx.slots = spare::slots(code.slots);
        return;
    }
    ctx.slots.reserve(if code.flat { code.slots } else { code.slots + CALLEES });
    ctx.slots.grow_to(code.slots);
}

/// Goes on where a run has stopped, to its end.
async fn carry_on<'p, O: Observer>(code: Code<'p>, ctx: &mut Ctx, mut run: Run, mut stop: Stop<'p>, mut observer: O) -> Ending {
    loop {
        let pc = stop.at;
        let step = match stop.why {
            Why::Ended(ending) => return ending,
            Why::Broken(fault) => Err(fault),
            Why::Waits(instr, caller) => {
                let step = wait(&code, ctx, &mut run, pc, instr).await;
                let step = if ctx.went_astray() { Err(astray()) } else { step };
                tell(&mut observer, code.program, instr, caller, &step);
                step
            }
        };
        let next = match step {
            Ok(next) => next,
            Err(fault) => match recover(ctx, &mut run, &code, fault, pc).await {
                Ok(next) => next,
                Err(fault) => return Ending::Broken(fault),
            },
        };
        stop = steps(&code, ctx, &mut run, next, &mut observer);
    }
}

/// Runs an instruction that may wait.
async fn wait(code: &Code<'_>, ctx: &mut Ctx, run: &mut Run, pc: u32, instr: &Instr) -> Result<u32, Fault> {
    match &instr.op {
        Op::Async(assertion, twice) => {
            ctx.outside += u32::from(!twice);
            assertion.run(ctx).await.map(|outcome| run.after(pc, instr, outcome))
        }
        Op::Begin(assertion) => assertion.begin(ctx).await.map(|begun| run.entered(ctx, pc, instr, begun)),
        Op::EndBlock(ending) => match run.blocks.pop() {
            Some(open) => match open.end(ctx, *ending).await {
                Ok(outcome) => {
                    run.forget_checkpoints();
                    Ok(if *ending == BlockEnd::Held { run.after(pc, instr, outcome) } else { instr.no })
                }
                Err(fault) => Err(fault),
            },
            None => Err(defect("no block is open")),
        },
        Op::Fail(slot, given) => {
            let given = given.eval(ctx);
            run.explain(ctx, code, pc, &given.as_text());
            leave_all(ctx, run, code).await;
            ctx.set(*slot, given);
            Ok(instr.ok)
        }
        Op::FailCall(slot, given) => match run.calls.last() {
            Some(call) => {
                let around = call.around;
                fail_call(ctx, run, pc, *slot, given, around).await;
                Ok(instr.ok)
            }
            None => Err(defect("a `fail` outside of a call")),
        },
        Op::FailInlined(fail) => {
            let (slot, given, around) = &**fail;
            fail_call(ctx, run, pc, *slot, given, *around).await;
            Ok(instr.ok)
        }
        _ => Err(defect("an instruction that does not wait")),
    }
}

/// `fail` in an assertion: leaves what was opened in it.
async fn fail_call(ctx: &mut Ctx, run: &mut Run, pc: u32, slot: Slot, given: &Expr, around: Opened) {
    let given = given.eval(ctx);
    run.loops.truncate(around.loops);
    run.handlers.truncate(around.handlers);
    abandon(ctx, run, around.blocks).await;
    run.failed = Some((pc, format!("it failed with {}", given.as_text()).into()));
    ctx.set(slot, given);
}

/// Tells an observer that a step begins. The place of the call that the run is in: a `Return` is the end of it.
fn begun<O: Observer>(observer: &mut O, program: &Program, run: &Run, instr: &Instr) -> Option<u32> {
    if !O::WATCHES {
        return None;
    }
    if instr.op.is_step()
        && let Some(place) = program.span(instr.origin)
    {
        observer.begun(place);
    }
    run.calls.last().map(|call| call.at)
}

/// Tells an observer how a step ended. The step of a call ends with its `Return`.
fn tell<O: Observer>(observer: &mut O, program: &Program, instr: &Instr, caller: Option<u32>, step: &Result<u32, Fault>) {
    if !O::WATCHES {
        return;
    }
    let pc = instr.origin;
    let (at, how) = match (&instr.op, step) {
        (Op::Return(held), Ok(_)) => (caller, if *held { Ended::Held } else { Ended::Failed }),
        (Op::Call(site), Ok(next)) if *next == site.entry => return,
        (op, _) if !op.is_step() => return,
        (Op::Fail(..) | Op::FailCall(..), Ok(_)) => (Some(pc), Ended::Failed),
        (_, Ok(next)) => (Some(pc), if *next == instr.ok { Ended::Held } else { Ended::Failed }),
        (_, Err(_)) => (Some(pc), Ended::Broken),
    };
    if let Some(place) = at.and_then(|at| program.span(at)) {
        observer.ended(place, how);
    }
}

/// A violated invariant of the program. It ends the run with an internal fault; it never counts as success, nor as a failure
/// after which an `AtLeastOne` would continue.
#[cold]
fn defect(what: &'static str) -> Fault {
    Fault::new(Blame::Internal, what)
}

#[cold]
fn astray() -> Fault {
    defect("a variable has no slot")
}

/// Leaves all blocks but the first `depth`, the innermost first.
async fn abandon(ctx: &mut Ctx, run: &mut Run, depth: usize) {
    while run.blocks.len() > depth {
        if let Some(open) = run.blocks.pop()
            && let Err(fault) = open.end(ctx, BlockEnd::Abandoned).await
        {
            // What ended the block counts; this fault came on top of it.
            tracing::warn!("leaving a block failed: {fault}");
        }
    }
    run.forget_checkpoints();
}

/// Leaves everything that is open, back to the service's own frame.
async fn leave_all(ctx: &mut Ctx, run: &mut Run, code: &Code<'_>) {
    abandon(ctx, run, 0).await;
    run.unwind_to_service(ctx, code);
}

/// A fault or a raised error: unwinds to the nearest `HandleErrors`, otherwise to the service's fault tail, otherwise ends the
/// run.
async fn recover(ctx: &mut Ctx, run: &mut Run, code: &Code<'_>, fault: Fault, pc: u32) -> Result<u32, Fault> {
    let fault = fault.at(|| code.place(pc));
    if fault.blame == Blame::Unsupported {
        // What the step would have decided is not known, so nothing may continue after it.
        run.handlers.clear();
    }
    if fault.lost
        && let Some(beginning) = Box::pin(again::try_again(ctx, run, &fault)).await
    {
        return Ok(beginning);
    }
    let Some(handler) = run.handlers.pop() else {
        let Some(tail) = code.fault_tail.filter(|_| run.broken.is_none()) else {
            // A registered error answer reads the service's own variables.
            leave_all(ctx, run, code).await;
            return Err(run.broken.take().unwrap_or(fault));
        };
        leave_all(ctx, run, code).await;
        if fault.passing {
            ctx.refused = Some(Box::new(Refused::for_now()));
        }
        run.broken = Some(fault);
        return Ok(tail);
    };
    if !fault.raised {
        // The policy continues, and its answer may not mention the fault, so it is logged.
        let (service, request, blame) = (&ctx.service, ctx.request.id(), fault.blame.word());
        tracing::error!(%service, %request, place = fault.place, blame, "handled by the policy: {fault}");
    }
    abandon(ctx, run, handler.blocks).await;
    run.loops.truncate(handler.loops);
    run.calls.truncate(handler.calls);
    ctx.slots.truncate(handler.slots);
    ctx.base = handler.base;
    let message = if fault.raised { fault.context.to_string() } else { "an internal error occurred".to_owned() };
    ctx.set(handler.message, message);
    code.get(handler.at).map(|instr| instr.no).ok_or_else(|| defect("a handler has no instruction"))
}
