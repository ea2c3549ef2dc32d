//! Instructions that wait for nothing.

use portcullis_dsl::ast::Type;

use super::inputs::{WRONG_TYPE, passed, wrong_input};
use super::loops::LoopState;
use super::observer::Observer;
use super::program::{CallSite, Given, Instr, Loop, Op, Program};
use super::{Activation, Code, Ending, Handler, Run, astray, begun, defect, tell};
use crate::data::fault::Fault;
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;

/// Where the loop stopped.
pub struct Stop<'p> {
    /// The instruction that was to run, or that broke.
    pub at: u32,
    /// Why.
    pub why: Why<'p>,
}

/// Why the loop stopped.
pub enum Why<'p> {
    /// This instruction has to wait; and the place of the call that it is in, for an observer.
    Waits(&'p Instr, Option<u32>),
    /// An instruction broke.
    Broken(Fault),
    /// The run has ended.
    Ended(Ending),
}

/// Why an instruction leads to no other one.
enum Halt {
    Waits,
    Broke(Fault),
    End(bool),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Halt {
        Halt::Broke(fault)
    }
}

/// Runs instructions until one has to wait, one breaks, or the run ends.
pub fn steps<'p, O: Observer>(code: &Code<'p>, ctx: &mut Ctx, run: &mut Run, mut pc: u32, observer: &mut O) -> Stop<'p> {
    loop {
        let Some(instr) = code.get(pc) else {
            return Stop { at: pc, why: Why::Broken(defect("the program has no such instruction")) };
        };
        if code.flat {
            ctx.base = instr.base as usize;
        }
        let caller = begun(observer, code.program, run, instr);
        let step = match step(code, ctx, run, pc, instr) {
            Ok(next) => Ok(next),
            Err(Halt::Broke(fault)) => Err(fault),
            Err(Halt::Waits) => return Stop { at: pc, why: Why::Waits(instr, caller) },
            Err(Halt::End(held)) => return Stop { at: pc, why: Why::Ended(end(code, ctx, run, pc, held)) },
        };
        let step = if ctx.went_astray() { Err(astray()) } else { step };
        tell(observer, code.program, instr, caller, &step);
        match step {
            Ok(next) => pc = next,
            Err(fault) => return Stop { at: pc, why: Why::Broken(fault) },
        }
    }
}

/// Runs one instruction. The next one.
#[inline(always)]
fn step(code: &Code<'_>, ctx: &mut Ctx, run: &mut Run, pc: u32, instr: &Instr) -> Result<u32, Halt> {
    match &instr.op {
        Op::Jump => Ok(instr.ok),
        Op::Set(slot, value, ty) => Ok(set(ctx, run, pc, instr, *slot, value, *ty)),
        Op::Default(slot, ..) if !ctx.get(*slot).is_empty() => Ok(instr.ok),
        Op::Default(slot, value, ty) => Ok(set(ctx, run, pc, instr, *slot, value, *ty)),
        Op::Values(values) => {
            values.iter().for_each(|(slot, value)| ctx.set(*slot, value.clone()));
            Ok(instr.ok)
        }
        Op::Within(bounds) => {
            bounds.check(ctx)?;
            Ok(instr.ok)
        }
        Op::Row(row) => Ok(row.failing(ctx).map_or(instr.ok, |number| pc + 1 + number as u32)),
        Op::Test(compare) => Ok(run.condition(ctx, code.program, pc, instr, compare)),
        Op::Sync(assertion, twice) => {
            ctx.outside += u32::from(!twice);
            let outcome = assertion.run(ctx)?;
            Ok(run.after(pc, instr, outcome))
        }
        Op::Call(site) => {
            if call(ctx, run, site, pc) {
                return Ok(site.entry);
            }
            run.failed = Some((pc, wrong_input(&site.name)));
            if let Some((_, outer)) = site.failure {
                ctx.set(outer, Value::Undefined);
            }
            Ok(instr.no)
        }
        Op::Pass(input) => match passed(input.value.eval(ctx), input.ty) {
            Some(value) => {
                ctx.set(input.slot, value);
                Ok(instr.ok)
            }
            None => {
                run.failed = Some((pc, wrong_input(&input.callee)));
                Ok(instr.no)
            }
        },
        Op::Give(outputs) => {
            for Given { inner, outer, always, last } in outputs {
                let value = if *last { ctx.take(*inner) } else { ctx.get(*inner).clone() };
                if *always || !value.is_undefined() {
                    ctx.set(*outer, value);
                }
            }
            Ok(instr.ok)
        }
        Op::Failed(reason) => {
            run.failed = Some((pc, reason.clone()));
            Ok(instr.ok)
        }
        Op::Return(held) => Ok(ret(ctx, run, code.program, *held)?),
        Op::LoopBegin(list) => {
            run.loops.push(LoopState::over(list.eval(ctx)));
            Ok(instr.ok)
        }
        Op::LoopNext(data) => Ok(if next_round(ctx, run, data)? { instr.ok } else { instr.no }),
        Op::LoopLeave => {
            run.loops.pop().ok_or_else(|| defect("no loop is open"))?;
            Ok(instr.ok)
        }
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
        Op::PopHandler => {
            run.handlers.pop().ok_or_else(|| defect("no `HandleErrors` is open"))?;
            Ok(instr.ok)
        }
        Op::Raise(text) => Err(Fault::raised(text.text(ctx).into_owned()).into()),
        Op::Done if run.calls.is_empty() && ctx.transactions.is_empty() => {
            run.loops.clear();
            run.handlers.clear();
            Ok(instr.ok)
        }
        Op::Done => Err(defect("a `Done` inside a block that must run to its own end").into()),
        Op::DropDraft => {
            if run.failed.is_some() && run.broken.is_none() {
                run.explain(ctx, code, pc, "");
            }
            ctx.draft = None;
            Ok(instr.ok)
        }
        Op::Begin(assertion) => {
            let begun = assertion.begin_now(ctx).ok_or(Halt::Waits)?;
            Ok(run.entered(ctx, pc, instr, begun))
        }
        // No block has to be left.
        Op::Fail(slot, given) if run.blocks.is_empty() => {
            let given = given.eval(ctx);
            run.explain(ctx, code, pc, &given.as_text());
            run.unwind_to_service(ctx, code);
            ctx.set(*slot, given);
            Ok(instr.ok)
        }
        Op::Async(..) | Op::EndBlock(_) | Op::Fail(..) | Op::FailCall(..) | Op::FailInlined(_) => Err(Halt::Waits),
        Op::End(held) => Err(Halt::End(*held)),
        Op::Defect => Err(defect("the compiler failed here").into()),
    }
}

/// `set`. The next instruction.
fn set(ctx: &mut Ctx, run: &mut Run, pc: u32, instr: &Instr, slot: Slot, value: &Expr, ty: Option<Type>) -> u32 {
    if assign(ctx, slot, value.eval(ctx), ty) {
        return instr.ok;
    }
    run.failed = Some((pc, WRONG_TYPE.into()));
    instr.no
}

fn end(code: &Code<'_>, ctx: &mut Ctx, run: &mut Run, pc: u32, held: bool) -> Ending {
    // A service without an error assertion comes here straight from its failure.
    if !held && run.failed.is_some() && run.broken.is_none() && code.fault_tail.is_none() {
        run.explain(ctx, code, pc, "");
    }
    match (run.broken.take(), held) {
        (Some(fault), _) => Ending::Broken(fault),
        (None, true) => Ending::Held,
        (None, false) => Ending::Failed,
    }
}

pub(super) fn assign(ctx: &mut Ctx, slot: Slot, value: Value, ty: Option<Type>) -> bool {
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
pub(super) fn call(ctx: &mut Ctx, run: &mut Run, site: &CallSite, at: u32) -> bool {
    let base = ctx.slots.len();
    ctx.slots.grow_to(base + site.slots);
    for (slot, expr, ty) in &site.inputs {
        let Some(value) = passed(expr.eval(ctx), *ty) else {
            ctx.slots.truncate(base);
            return false;
        };
        *ctx.place(base + slot.0 as usize) = value;
    }
    run.calls.push(Activation { at, base: ctx.base, around: run.opened() });
    ctx.base = base;
    true
}

/// Leaves an encapsulated assertion. Outputs that were set are copied back, even after a failure.
pub(super) fn ret(ctx: &mut Ctx, run: &mut Run, program: &Program, held: bool) -> Result<u32, Fault> {
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
    run.loops.truncate(activation.around.loops);
    Ok(if held { instr.ok } else { instr.no })
}

pub(super) fn next_round(ctx: &mut Ctx, run: &mut Run, data: &Loop) -> Result<bool, Fault> {
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
            ctx.set_if(data.current, value);
            ctx.set_if(data.iterations, round);
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
