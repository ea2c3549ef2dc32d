//! The executor: one loop over one flat program. It does not recurse, and only yields when an assertion does I/O.

mod again;
pub mod bounds;
pub mod compare;
pub mod observer;
pub mod program;
pub mod quick;
mod shown;
#[cfg(test)]
mod tests;
pub mod trial;

use std::borrow::Cow;

use portcullis_dsl::ast::Type;

use crate::data::fault::{Blame, Fault, Outcome};
use crate::data::value::Value;
use crate::policy::assertion::{Begin, BlockEnd, OpenBlock};
use crate::policy::ctx::{Ctx, Refusal, Refused, Slot};
use crate::services::store::Again;
use again::Checkpoint;
use compare::Compare;
use observer::{Ended, Nobody, Observer};
use program::{CallSite, FrameProgram, Instr, Loop, Op, Program};

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
    fn after(&mut self, pc: u32, instr: &Instr, outcome: Outcome) -> u32 {
        match outcome {
            Outcome::Held => instr.ok,
            Outcome::Falsified(reason) => {
                self.failed = Some((pc, reason));
                instr.no
            }
        }
    }

    fn set(&mut self, pc: u32, instr: &Instr, held: bool) -> u32 {
        if held {
            return instr.ok;
        }
        self.failed = Some((pc, Cow::Borrowed("the value is not of the variable's type")));
        instr.no
    }

    fn condition(&mut self, ctx: &Ctx, program: &Program, pc: u32, instr: &Instr, compare: &Compare) -> u32 {
        if compare.holds(ctx) {
            return instr.ok;
        }
        // While its variables still have their current values.
        let reason = if tracing::enabled!(tracing::Level::DEBUG) {
            Cow::Owned(shown::condition(ctx, program, pc, compare))
        } else {
            Cow::Borrowed("it fails")
        };
        self.failed = Some((pc, reason));
        instr.no
    }

    /// Logs why the policy refuses: the place that ends it, and the assertion that failed before.
    fn explain(&mut self, ctx: &mut Ctx, program: &Program, pc: u32, code: &str) {
        let failed = self.failed.take();
        ctx.refusal = Some(Box::new(Refusal { at: pc, failed: failed.as_ref().map(|(at, reason)| (*at, reason.clone())) }));
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (failed, reason) = failed.map(|(at, reason)| (program.place(at), reason)).unzip();
            let (service, request, place) = (&ctx.service, ctx.request.id(), program.place(pc));
            tracing::debug!(%service, %request, place, code, failed, reason = reason.as_deref(), "refused");
        }
    }
}

/// A call of an encapsulated assertion.
struct Activation {
    at: u32,
    base: usize,
    loops: usize,
    handlers: usize,
    blocks: usize,
}

struct LoopState {
    values: Value,
    next: usize,
}

impl LoopState {
    fn over(list: Value) -> LoopState {
        let values = match list {
            Value::Undefined => Value::list([]),
            Value::Json(document) => document.into_list_or_value(),
            other => other,
        };
        LoopState { values, next: 0 }
    }
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

/// Spare room for variables of callees, so that few requests need to allocate more.
const CALLEES: usize = 64;

/// Runs a service, task or command to its end. The inputs of a command must be set before.
///
/// Futures of database drivers are large. They are boxed, so that every request is a small future, because futures are copied
/// when they are made.
pub fn run<'r>(program: &'r Program, frame: &'r FrameProgram, ctx: &'r mut Ctx) -> impl Future<Output = Ending> + Send + 'r {
    run_observed(program, frame, ctx, Nobody)
}

/// Runs only the error assertion of a service, for a request that the gateway itself refuses. `None` if it has none.
pub fn refuse<'r>(
    program: &'r Program,
    frame: &'r FrameProgram,
    ctx: &'r mut Ctx,
) -> Option<impl Future<Output = Ending> + Send + 'r> {
    frame.fault_tail.map(|tail| run_from(program, frame, ctx, tail, Nobody))
}

/// Runs it and reports each step to an observer.
pub fn run_observed<'r, O: Observer + 'r>(
    program: &'r Program,
    frame: &'r FrameProgram,
    ctx: &'r mut Ctx,
    observer: O,
) -> impl Future<Output = Ending> + Send + 'r {
    run_from(program, frame, ctx, frame.entry, observer)
}

async fn run_from<O: Observer>(program: &Program, frame: &FrameProgram, ctx: &mut Ctx, entry: u32, mut observer: O) -> Ending {
    ctx.base = 0;
    ctx.slots.reserve(frame.slots + CALLEES);
    if ctx.slots.len() < frame.slots {
        ctx.slots.resize_with(frame.slots, Value::default);
    }
    let mut run = Run::default();
    let mut pc = entry;
    loop {
        let Some(instr) = program.code.get(pc as usize) else {
            abandon(ctx, &mut run, 0).await;
            return Ending::Broken(defect("the program has no such instruction"));
        };
        let caller = if O::WATCHES { run.calls.last().map(|call| call.at) } else { None };
        if O::WATCHES
            && instr.op.is_step()
            && let Some(place) = program.span(pc)
        {
            observer.begun(place);
        }
        let step: Result<u32, Fault> = match &instr.op {
            Op::Jump => Ok(instr.ok),
            Op::Set(slot, value, ty) => Ok(run.set(pc, instr, assign(ctx, *slot, value.eval(ctx), *ty))),
            Op::Default(slot, value, ty) => {
                let held = !ctx.get(*slot).is_empty() || assign(ctx, *slot, value.eval(ctx), *ty);
                Ok(run.set(pc, instr, held))
            }
            Op::Within(bounds) => bounds.check(ctx).map(|()| instr.ok),
            Op::Test(compare) => Ok(run.condition(ctx, program, pc, instr, compare)),
            Op::Sync(assertion, twice) => {
                ctx.outside += u32::from(!twice);
                assertion.run(ctx).map(|outcome| run.after(pc, instr, outcome))
            }
            Op::Async(assertion, twice) => {
                ctx.outside += u32::from(!twice);
                assertion.run(ctx).await.map(|outcome| run.after(pc, instr, outcome))
            }
            Op::Call(site) => {
                if let (Some(known), false) = (&site.known, O::WATCHES) {
                    known.iter().for_each(|(slot, value)| ctx.set(*slot, value.clone()));
                    Ok(instr.ok)
                } else if call(ctx, &mut run, site, pc) {
                    Ok(site.entry)
                } else {
                    run.failed = Some((pc, format!("an input of `{}` has the wrong type", site.name).into()));
                    if let Some((_, outer)) = site.failure {
                        ctx.set(outer, Value::Undefined);
                    }
                    Ok(instr.no)
                }
            }
            Op::Return(held) => ret(ctx, &mut run, program, *held),
            Op::LoopBegin(list) => {
                run.loops.push(LoopState::over(list.eval(ctx)));
                Ok(instr.ok)
            }
            Op::LoopNext(data) => next_round(ctx, &mut run, data).map(|goes_on| if goes_on { instr.ok } else { instr.no }),
            Op::LoopLeave => run.loops.pop().map(|_| instr.ok).ok_or_else(|| defect("no loop is open")),
            Op::PushHandler(message) => {
                run.handlers.push(Handler {
                    at: pc,
                    message: *message,
                    base: ctx.base,
                    slots: ctx.slots.len(),
                    calls: run.calls.len(),
                    loops: run.loops.len(),
                    blocks: run.blocks.len(),
                });
                Ok(instr.ok)
            }
            Op::PopHandler => run.handlers.pop().map(|_| instr.ok).ok_or_else(|| defect("no `HandleErrors` is open")),
            Op::Raise(text) => Err(Fault::raised(text.text(ctx).into_owned())),
            Op::Begin(assertion) => match assertion.begin(ctx).await {
                Ok(Begin::Run(open)) => {
                    if open.runs_again() {
                        run.may_return_to(ctx, pc);
                    }
                    run.blocks.push(open);
                    Ok(instr.ok)
                }
                Ok(Begin::Skip) => Ok(pc + 1),
                Ok(Begin::Refuse(reason)) => Ok(run.after(pc, instr, Outcome::Falsified(reason))),
                Err(fault) => Err(fault),
            },
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
            Op::Fail(slot, code) => {
                let code = code.eval(ctx);
                run.explain(ctx, program, pc, &code.as_text());
                unwind_to_service(ctx, &mut run, frame).await;
                ctx.set(*slot, code);
                Ok(instr.ok)
            }
            Op::FailCall(slot, code) => match run.calls.last() {
                Some(call) => {
                    let code = code.eval(ctx);
                    let (loops, handlers, blocks) = (call.loops, call.handlers, call.blocks);
                    run.loops.truncate(loops);
                    run.handlers.truncate(handlers);
                    abandon(ctx, &mut run, blocks).await;
                    run.failed = Some((pc, format!("it failed with {}", code.as_text()).into()));
                    ctx.set(*slot, code);
                    Ok(instr.ok)
                }
                None => Err(defect("a `fail` outside of a call")),
            },
            Op::Done if run.calls.is_empty() && ctx.transactions.is_empty() => {
                run.loops.clear();
                run.handlers.clear();
                Ok(instr.ok)
            }
            Op::Done => Err(defect("a `Done` inside a block that must run to its own end")),
            Op::DropDraft => {
                if run.failed.is_some() && run.broken.is_none() {
                    run.explain(ctx, program, pc, "");
                }
                ctx.draft = None;
                Ok(instr.ok)
            }
            Op::End(held) => {
                // A service without an error assertion comes here straight from its failure.
                if !held && run.failed.is_some() && run.broken.is_none() && frame.fault_tail.is_none() {
                    run.explain(ctx, program, pc, "");
                }
                return match (run.broken.take(), held) {
                    (Some(fault), _) => Ending::Broken(fault),
                    (None, true) => Ending::Held,
                    (None, false) => Ending::Failed,
                };
            }
            Op::Defect => Err(defect("the compiler failed here")),
        };
        let step = if ctx.went_astray() { Err(defect("a variable has no slot")) } else { step };
        if O::WATCHES {
            tell(&mut observer, program, pc, caller, &step);
        }
        pc = match step {
            Ok(next) => next,
            Err(fault) => match recover(ctx, &mut run, program, frame, fault, pc).await {
                Ok(next) => next,
                Err(fault) => return Ending::Broken(fault),
            },
        };
    }
}

/// Tells an observer how a step ended. The step of a call ends with its `Return`.
fn tell(observer: &mut impl Observer, program: &Program, pc: u32, caller: Option<u32>, step: &Result<u32, Fault>) {
    let Some(instr) = program.code.get(pc as usize) else { return };
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

fn assign(ctx: &mut Ctx, slot: Slot, value: Value, ty: Option<Type>) -> bool {
    let value = match ty {
        None => value,
        Some(ty) => match value.convert(ty) {
            Some(value) => value,
            None => return false,
        },
    };
    ctx.set(slot, value);
    true
}

/// Enters an encapsulated assertion: inputs are evaluated in the caller, then the callee gets its own slots. `false`: an input
/// cannot be converted to its type, so the call fails.
fn call(ctx: &mut Ctx, run: &mut Run, site: &CallSite, at: u32) -> bool {
    let base = ctx.slots.len();
    ctx.slots.resize_with(base + site.slots, Value::default);
    for (slot, expr, ty) in &site.inputs {
        let value = expr.eval(ctx);
        let value = match ty {
            // Undefined and the empty text, which is not JSON, both mean "no document".
            Some(Type::Json) if value.is_empty() => Value::Undefined,
            Some(ty) if !value.is_undefined() => match value.convert(*ty) {
                Some(value) => value,
                None => {
                    ctx.slots.truncate(base);
                    return false;
                }
            },
            _ => value,
        };
        *ctx.place(base + slot.0 as usize) = value;
    }
    run.calls.push(Activation {
        at,
        base: ctx.base,
        loops: run.loops.len(),
        handlers: run.handlers.len(),
        blocks: run.blocks.len(),
    });
    ctx.base = base;
    true
}

/// Leaves an encapsulated assertion. Outputs that were set are copied back, even after a failure.
fn ret(ctx: &mut Ctx, run: &mut Run, program: &Program, held: bool) -> Result<u32, Fault> {
    let activation = run.calls.pop().ok_or_else(|| defect("a `Return` without a call"))?;
    let Some(instr @ Instr { op: Op::Call(site), .. }) = program.code.get(activation.at as usize) else {
        return Err(defect("a `Return` to something that is not a call"));
    };
    for (inner, outer) in &site.outputs {
        let value = ctx.take(*inner);
        if !value.is_undefined() {
            *ctx.place(activation.base + outer.0 as usize) = value;
        }
    }
    if let Some((inner, outer)) = site.failure {
        let code = ctx.take(inner);
        // A failure without a code must not keep the code of an earlier one.
        if !held || !code.is_undefined() {
            *ctx.place(activation.base + outer.0 as usize) = code;
        }
    }
    ctx.slots.truncate(ctx.base);
    ctx.base = activation.base;
    run.loops.truncate(activation.loops);
    Ok(if held { instr.ok } else { instr.no })
}

fn next_round(ctx: &mut Ctx, run: &mut Run, data: &Loop) -> Result<bool, Fault> {
    let state = run.loops.last_mut().ok_or_else(|| defect("no loop is open"))?;
    let broken = state.next > 0 && ctx.get(data.stop).to_bool() == Some(true);
    let value = state.values.values().get(state.next).cloned();
    let exceeded = data.limit.is_some_and(|limit| state.next >= limit) && value.is_some();
    match value {
        Some(value) if !broken && !exceeded => {
            state.next += 1;
            let round = state.next as i64;
            if let Some(item) = data.item {
                ctx.set(item, value.clone());
            }
            ctx.set(data.current, value);
            ctx.set(data.iterations, round);
            Ok(true)
        }
        _ => {
            run.loops.pop();
            if exceeded && !broken {
                ctx.set(data.exceeded, true);
            }
            Ok(false)
        }
    }
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
async fn unwind_to_service(ctx: &mut Ctx, run: &mut Run, frame: &FrameProgram) {
    abandon(ctx, run, 0).await;
    run.loops.clear();
    run.handlers.clear();
    run.calls.clear();
    ctx.slots.truncate(frame.slots);
    ctx.base = 0;
}

/// A fault or a raised error: unwinds to the nearest `HandleErrors`, otherwise to the service's fault tail, otherwise ends the
/// run.
async fn recover(
    ctx: &mut Ctx,
    run: &mut Run,
    program: &Program,
    frame: &FrameProgram,
    fault: Fault,
    pc: u32,
) -> Result<u32, Fault> {
    let fault = fault.at(|| program.place(pc));
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
        let Some(tail) = frame.fault_tail.filter(|_| run.broken.is_none()) else {
            abandon(ctx, run, 0).await;
            return Err(run.broken.take().unwrap_or(fault));
        };
        unwind_to_service(ctx, run, frame).await;
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
    program.code.get(handler.at as usize).map(|instr| instr.no).ok_or_else(|| defect("a handler has no instruction"))
}
