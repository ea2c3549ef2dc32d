//! Follows a program with what is known of its variables.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use portcullis_dsl::ast::Type;
use smol_str::SmolStr;

use super::fold::{Fold, Needs, Noted, Placing, held, is_defined, may_misfit, shows_defined};
use super::graph::{Act, Can, Graph, Node, Step};
use super::nowhere::Nowhere;
use super::state::State;
use crate::data::value::Value;
use crate::policy::assertion::Places;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::exec::compare::Compare;
use crate::policy::exec::inputs::WRONG_TYPE;
use crate::policy::exec::loops::LoopState;
use crate::policy::exec::program::{CallSite, FrameProgram, Instr, Loop, Op, Opened, Program};
use crate::policy::expr::Expr;
use crate::policy::request::Request;

/// Most nodes of a policy.
const MAX_NODES: usize = 12_000;
/// How often nodes may be visited: what is known of a variable in a loop is found in several rounds.
const MAX_VISITS: usize = 60_000;

/// Follows a policy from its first instruction. `None`: it is too long, or has no flat form.
pub fn walk(program: &Program, frame: &FrameProgram) -> Option<Graph> {
    let mut walk = Walk::new(program, frame);
    let mut state = State::default();
    state.enter(0, frame.slots);
    for (_, slot, _) in &frame.inputs {
        state.forget(0, *slot)?;
    }
    let entry = walk.reach(0, frame.entry, Stage::Whole, state)?;
    let tail = match frame.fault_tail {
        Some(tail) => {
            let mut state = State::default();
            state.enter(0, frame.slots);
            state.forget_from(0);
            Some(walk.reach(0, tail, Stage::Whole, state)?)
        }
        None => None,
    };
    let mut visits = 0;
    while let Some(Reverse((_, id))) = walk.queue.pop() {
        visits += 1;
        if visits > MAX_VISITS || walk.nodes.len() > MAX_NODES {
            return None;
        }
        walk.visit(id)?;
    }
    let mut kept = walk.kept;
    let told = frame.told.iter().flat_map(|told| [told.code, told.answered]);
    kept.extend(frame.outputs.iter().map(|(_, slot)| *slot).chain(told).map(|slot| slot.0 as usize));
    let given = frame.inputs.iter().map(|(_, slot, _)| slot.0 as usize).collect();
    let met = walk.places.into_iter().map(|place| place.state).collect();
    Some(Graph { nodes: walk.nodes, entry, tail, slots: walk.slots, kept, given, met })
}

/// A chain of calls.
pub(super) struct Path<'p> {
    /// The path and the instruction that calls; `None` for the policy itself.
    pub(super) caller: Option<(usize, u32, &'p CallSite)>,
    pub(super) base: usize,
    pub(super) slots: usize,
    /// What is open around the call.
    pub(super) around: Opened,
    pub(super) order: Box<[u32]>,
}

/// A part of an instruction's work.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Whole,
    /// An input of a call has the wrong type.
    CallFailed,
}

/// What is known of a node while the walk lasts.
struct Place {
    path: usize,
    pc: u32,
    stage: Stage,
    state: Option<State>,
    queued: bool,
}

pub(super) struct Walk<'p> {
    pub(super) program: &'p Program,
    /// How many ways lead to each instruction, within its policy.
    ways: Vec<u8>,
    pub(super) ctx: Ctx,
    pub(super) paths: Vec<Path<'p>>,
    pub(super) path_ids: HashMap<(usize, u32), usize>,
    nodes: Vec<Node>,
    places: Vec<Place>,
    ids: HashMap<(usize, u32, Stage), usize>,
    queue: BinaryHeap<Reverse<(Box<[u32]>, usize)>>,
    pub(super) slots: usize,
    /// Variables of the policy itself that assertions touch: an error answer reads them after the end.
    kept: Vec<usize>,
}

/// What a visit finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) steps: Vec<Step>,
    pub(super) ok: Option<usize>,
    pub(super) no: Option<usize>,
    skip: Option<usize>,
}

/// The place of an instruction that is being visited.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    pub(super) path: usize,
    pub(super) base: usize,
    pub(super) pc: u32,
    pub(super) instr: &'p Instr,
}

impl At<'_> {
    /// A variable by its place among those of all frames.
    pub(super) fn place(&self, slot: Slot) -> Option<Slot> {
        u32::try_from(self.base + slot.0 as usize).ok().map(Slot)
    }
}

impl Found {
    pub(super) fn values(&mut self, at: At<'_>, values: Vec<(Slot, Value)>) {
        if !values.is_empty() {
            self.steps.push(Step { act: Act::Values(values), base: at.base, origin: at.pc });
        }
    }

    /// An instruction that names variables of its own frame, as the program does.
    fn op(&mut self, at: At<'_>, op: Op, noted: Noted, can: Can) {
        let Noted { reads, sets, may_set } = noted;
        self.steps.push(Step { act: Act::Op { op, reads, sets, may_set, moves: false, can }, base: at.base, origin: at.pc });
    }

    /// One that names variables by their places among those of all frames: what is folded does.
    pub(super) fn folded(&mut self, at: At<'_>, op: Op, reads: Vec<usize>, sets: Option<Slot>, can: Can) {
        let sets = sets.iter().map(|slot| slot.0 as usize).collect();
        self.moving(at, op, Noted { reads, sets, may_set: Vec::new() }, can);
    }

    /// The same with all its variables.
    fn moving(&mut self, at: At<'_>, op: Op, noted: Noted, can: Can) {
        let Noted { reads, sets, may_set } = noted;
        self.steps.push(Step { act: Act::Op { op, reads, sets, may_set, moves: true, can }, base: 0, origin: at.pc });
    }

    pub(super) fn failed(&mut self, at: At<'_>, reason: std::borrow::Cow<'static, str>) {
        self.steps.push(Step { act: Act::Failed(reason), base: at.base, origin: at.pc });
    }
}

/// What may happen in an assertion.
const ANYTHING: Can = Can { fail: true, fault: true, more: true };
/// What always happens.
const SURELY: Can = Can { fail: false, fault: false, more: true };

impl<'p> Walk<'p> {
    fn new(program: &'p Program, frame: &FrameProgram) -> Walk<'p> {
        let mut ways = vec![0u8; program.code.len()];
        let mut lead = |target: u32, count: u8| {
            if let Some(ways) = ways.get_mut(target as usize) {
                *ways = ways.saturating_add(count);
            }
        };
        for (pc, instr) in program.code.iter().enumerate() {
            lead(instr.ok, 1);
            // A call that fails either was not begun or came to its end.
            lead(instr.no, if matches!(instr.op, Op::Call(_)) { 2 } else { 1 });
            if matches!(instr.op, Op::Begin(_)) {
                lead(pc as u32 + 1, 1);
            }
        }
        lead(frame.entry, 1);
        frame.fault_tail.into_iter().for_each(|tail| lead(tail, 2));
        let ctx = Ctx::new(Arc::new(Nowhere::default()), Request::new(Method::GET, ""), SmolStr::default());
        let own = Path { caller: None, base: 0, slots: frame.slots, around: Opened::default(), order: Box::default() };
        Walk {
            program,
            ways,
            ctx,
            paths: vec![own],
            path_ids: HashMap::new(),
            nodes: Vec::new(),
            places: Vec::new(),
            ids: HashMap::new(),
            queue: BinaryHeap::new(),
            slots: frame.slots,
            kept: Vec::new(),
        }
    }

    /// A way leads to an instruction, with this knowledge. The node; `None` if the ways there do not fit together.
    pub(super) fn reach(&mut self, path: usize, pc: u32, stage: Stage, state: State) -> Option<usize> {
        let id = match self.ids.get(&(path, pc, stage)) {
            Some(id) => *id,
            None => {
                let id = self.nodes.len();
                let end = (stage == Stage::CallFailed).then_some(u32::MAX);
                let order = self.paths.get(path)?.order.iter().copied().chain([pc]).chain(end).collect();
                self.nodes.push(Node { order, ..Node::default() });
                self.places.push(Place { path, pc, stage, state: None, queued: false });
                self.ids.insert((path, pc, stage), id);
                id
            }
        };
        let meets = self.ways.get(pc as usize)? > &1;
        let place = self.places.get_mut(id)?;
        match &mut place.state {
            Some(known) if meets => {
                if !known.meet(&state).ok()? {
                    return Some(id);
                }
            }
            unset => *unset = Some(state),
        }
        if !std::mem::replace(&mut place.queued, true) {
            self.queue.push(Reverse((self.nodes.get(id)?.order.clone(), id)));
        }
        Some(id)
    }

    pub(super) fn go(&mut self, at: At<'_>, pc: u32, state: State) -> Option<Option<usize>> {
        self.reach(at.path, pc, Stage::Whole, state).map(Some)
    }

    fn visit(&mut self, id: usize) -> Option<()> {
        let place = self.places.get_mut(id)?;
        place.queued = false;
        let (path, pc, stage) = (place.path, place.pc, place.stage);
        // Where only one way leads, a later visit brings its own knowledge.
        let state = if *self.ways.get(pc as usize)? > 1 { place.state.clone()? } else { place.state.take()? };
        let handler = state.handlers.last().copied();
        let program = self.program;
        let instr = program.code.get(pc as usize)?;
        let at = At { path, base: self.paths.get(path)?.base, pc, instr };
        let found = match stage {
            Stage::Whole => self.instr(at, state)?,
            Stage::CallFailed => self.call_failed(at, state)?,
        };
        // A variable that its frame does not have is a fault, which must not be left out.
        let path = self.paths.get(path)?;
        let there = |step: &Step| match &step.act {
            Act::Op { reads, .. } => reads.iter().all(|place| *place < path.base + path.slots),
            _ => true,
        };
        if !found.steps.iter().all(there) {
            return None;
        }
        let node = self.nodes.get_mut(id)?;
        let Found { steps, ok, no, skip } = found;
        let order = std::mem::take(&mut node.order);
        *node = Node { order, steps, ok, no, skip, handler, known: Vec::new() };
        Some(())
    }

    /// What is left of an instruction, and where it leads.
    fn instr(&mut self, at: At<'p>, mut state: State) -> Option<Found> {
        let At { instr, base, .. } = at;
        let mut found = Found::default();
        match &instr.op {
            Op::Jump => found.ok = self.go(at, instr.ok, state)?,
            Op::Set(slot, value, ty) => return self.set(at, state, *slot, value, *ty),
            Op::Default(slot, value, ty) => match state.known(base, *slot) {
                Some(known) if !known.is_empty() => found.ok = self.go(at, instr.ok, state)?,
                Some(_) => return self.set(at, state, *slot, value, *ty),
                None => {
                    let value = Fold::with(&mut self.ctx, &state, base, |fold| fold.expr(value));
                    let (mut needs, own) = (Needs::of(&value), at.place(*slot)?);
                    needs.reads.push(own.0 as usize);
                    let can = Can { fail: may_misfit(*ty), fault: false, more: needs.more };
                    let defined = ty.is_none() && is_defined(&value, &state);
                    found.folded(at, Op::Default(own, value, *ty), needs.reads, Some(own), can);
                    if can.fail {
                        found.no = self.go(at, instr.no, state.clone())?;
                    }
                    state.renew(base, *slot, defined)?;
                    found.ok = self.go(at, instr.ok, state)?;
                }
            },
            Op::Within(bounds) => {
                let (slot, place) = (bounds.slot, base + bounds.slot.0 as usize);
                let noted = Noted { reads: vec![place], may_set: vec![place], ..Noted::default() };
                match state.known(base, slot).cloned() {
                    Some(before) => {
                        self.ctx.slots.copy(&state.frame(base)?.values);
                        if bounds.check(&mut self.ctx).is_err() {
                            found.op(at, instr.op.clone(), noted, Can { fault: true, ..SURELY });
                            return Some(found);
                        }
                        let after = self.ctx.get(slot).clone();
                        if !after.is_same(&before) {
                            state.set(base, slot, after.clone())?;
                            found.values(at, vec![(slot, after)]);
                        }
                    }
                    None => {
                        found.op(at, instr.op.clone(), noted, Can { fault: true, ..SURELY });
                        state.forget(base, slot)?;
                    }
                }
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::Test(compare) => return self.test(at, state, compare),
            Op::Sync(..) | Op::Async(..) => {
                self.assertion(at, &mut state, &mut found)?;
                found.no = self.go(at, instr.no, state.clone())?;
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::Begin(_) => {
                let open = self.assertion(at, &mut state, &mut found)?;
                found.no = self.go(at, instr.no, state.clone())?;
                found.skip = self.go(at, at.pc + 1, state.clone())?;
                state.blocks.push(open);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::EndBlock(ending) => {
                match state.blocks.pop()? {
                    Some(variables) => {
                        let noted = Noted { reads: variables.to_vec(), ..Noted::default() };
                        found.moving(at, instr.op.clone(), noted, ANYTHING);
                    }
                    None => found.op(at, instr.op.clone(), self.touches(at, &mut state)?, ANYTHING),
                }
                found.no = self.go(at, instr.no, state.clone())?;
                if *ending == crate::policy::runnable::BlockEnd::Held {
                    found.ok = self.go(at, instr.ok, state)?;
                }
            }
            Op::Call(site) => return self.call(at, state, site),
            Op::Return(held) => return self.leave(at, state, *held),
            Op::LoopBegin(list) => {
                let list = Fold::with(&mut self.ctx, &state, base, |fold| fold.expr(list));
                if let (Expr::Const(list), Some(Instr { op: Op::LoopNext(_), no, .. })) =
                    (&list, self.program.code.get(instr.ok as usize))
                    && LoopState::over(list.clone()).is_over()
                {
                    found.ok = self.go(at, *no, state)?;
                    return Some(found);
                }
                let reads = Needs::of(&list).reads;
                found.folded(at, Op::LoopBegin(list), reads, None, SURELY);
                state.loops += 1;
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::LoopNext(data) => return self.round(at, state, data),
            Op::LoopLeave => {
                state.loops = state.loops.checked_sub(1)?;
                found.op(at, Op::LoopLeave, Noted::default(), SURELY);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::PushHandler(message) => {
                let mut caught = state.clone();
                caught.forget_from(base);
                let may_set = vec![base + message.0 as usize];
                found.op(at, instr.op.clone(), Noted { may_set, ..Noted::default() }, SURELY);
                found.no = self.go(at, instr.no, caught)?;
                state.handlers.push(found.no?);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::PopHandler => {
                state.handlers.pop()?;
                found.op(at, Op::PopHandler, Noted::default(), SURELY);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::Raise(text) => {
                let text = Fold::with(&mut self.ctx, &state, base, |fold| fold.expr(text));
                let reads = Needs::of(&text).reads;
                found.folded(at, Op::Raise(text), reads, None, Can { fault: true, ..SURELY });
            }
            Op::Done => {
                // Only where nothing but loops and handlers can be open.
                if self.paths.get(at.path)?.caller.is_some() || !state.blocks.is_empty() {
                    return None;
                }
                state.close_to(Opened::default());
                found.op(at, Op::Done, Noted::default(), SURELY);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::Fail(slot, code) | Op::FailCall(slot, code) => {
                let inlined = matches!(instr.op, Op::FailCall(..));
                let path = self.paths.get(at.path)?;
                if path.caller.is_some() != inlined {
                    return None;
                }
                let around = path.around;
                let known = Fold::with(&mut self.ctx, &state, base, |fold| fold.expr(code));
                let (reads, own) = (Needs::of(&known).reads, at.place(*slot)?);
                state.close_to(around);
                match &known {
                    Expr::Const(value) => state.set(base, *slot, value.clone())?,
                    _ => state.forget(base, *slot)?,
                }
                let op = if inlined { Op::FailInlined(Box::new((own, known, around))) } else { Op::Fail(own, known) };
                found.folded(at, op, reads, Some(own), SURELY);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::DropDraft => {
                found.op(at, Op::DropDraft, Noted::default(), SURELY);
                found.ok = self.go(at, instr.ok, state)?;
            }
            Op::End(_) => found.op(at, instr.op.clone(), Noted::default(), SURELY),
            Op::Defect => found.op(at, Op::Defect, Noted::default(), Can { fault: true, ..SURELY }),
            Op::Row(_) | Op::Values(_) | Op::Failed(_) | Op::Pass(_) | Op::Give(_) | Op::FailInlined(_) => return None,
        }
        Some(found)
    }

    fn set(&mut self, at: At<'p>, mut state: State, slot: Slot, value: &Expr, ty: Option<Type>) -> Option<Found> {
        let mut found = Found::default();
        let value = Fold::with(&mut self.ctx, &state, at.base, |fold| fold.expr(value));
        if let Expr::Const(value) = value {
            let value = match ty {
                None => Some(value),
                Some(ty) => value.convert(ty),
            };
            match value {
                Some(value) => {
                    state.set(at.base, slot, value.clone())?;
                    found.values(at, vec![(slot, value)]);
                    found.ok = self.go(at, at.instr.ok, state)?;
                }
                None => {
                    found.failed(at, WRONG_TYPE.into());
                    found.ok = self.go(at, at.instr.no, state)?;
                }
            }
            return Some(found);
        }
        let own = at.place(slot)?;
        let held = held(&value, ty);
        if held == Some(state.original(own.0 as usize)) {
            found.ok = self.go(at, at.instr.ok, state)?;
            return Some(found);
        }
        let needs = Needs::of(&value);
        let can = Can { fail: may_misfit(ty), fault: false, more: needs.more };
        let defined = ty.is_none() && is_defined(&value, &state);
        found.folded(at, Op::Set(own, value, ty), needs.reads, Some(own), can);
        if can.fail {
            found.no = self.go(at, at.instr.no, state.clone())?;
        }
        state.renew(at.base, slot, defined)?;
        held.into_iter().for_each(|original| state.copy(own.0 as usize, original));
        found.ok = self.go(at, at.instr.ok, state)?;
        Some(found)
    }

    fn test(&mut self, at: At<'p>, mut state: State, compare: &Compare) -> Option<Found> {
        let mut found = Found::default();
        let (known, folded) = Fold::with(&mut self.ctx, &state, at.base, |fold| (fold.holds(compare), fold.compare(compare)));
        match known {
            Some(true) => found.ok = self.go(at, at.instr.ok, state)?,
            Some(false) => {
                found.failed(at, "it fails".into());
                found.ok = self.go(at, at.instr.no, state)?;
            }
            None => {
                let (reads, defined) = (Needs::of_compare(&folded).reads, shows_defined(&folded));
                found.folded(at, Op::Test(folded), reads, None, Can { fail: true, ..SURELY });
                found.no = self.go(at, at.instr.no, state.clone())?;
                defined.into_iter().for_each(|place| state.define(place));
                found.ok = self.go(at, at.instr.ok, state)?;
            }
        }
        Some(found)
    }

    /// Nothing is known of what an assertion may set.
    fn touches(&mut self, at: At<'p>, state: &mut State) -> Option<Noted> {
        let touched = self.program.touched.get(&at.pc)?;
        for slot in touched.sets.iter() {
            state.forget(at.base, *slot)?;
        }
        let places = |slots: &[Slot]| slots.iter().map(|slot| at.base + slot.0 as usize).collect::<Vec<_>>();
        let noted = Noted { reads: places(&touched.all), may_set: places(&touched.sets), ..Noted::default() };
        if self.paths.get(at.path)?.caller.is_none() {
            self.kept.extend(&noted.reads);
        }
        Some(noted)
    }

    /// An assertion, with what is known of its variables if it can have them anywhere; these variables then, for the end of its block. What
    /// it may set is not known after it.
    fn assertion(&mut self, at: At<'p>, state: &mut State, found: &mut Found) -> Option<Option<Rc<[usize]>>> {
        let op = &at.instr.op;
        let placed = |places: &dyn Places| match op {
            Op::Sync(assertion, twice) => Some(Op::Sync(assertion.placed(places)?, *twice)),
            Op::Async(assertion, twice) => Some(Op::Async(assertion.placed(places)?, *twice)),
            Op::Begin(assertion) => Some(Op::Begin(assertion.placed(places)?)),
            _ => None,
        };
        let Some((op, noted)) = Fold::with(&mut self.ctx, state, at.base, |fold| Placing::of(fold, placed)) else {
            found.op(at, op.clone(), self.touches(at, state)?, ANYTHING);
            return Some(None);
        };
        for place in noted.sets.iter().chain(&noted.may_set) {
            state.forget(at.base, Slot(place.checked_sub(at.base)? as u32))?;
        }
        let variables = noted.may_set.as_slice().into();
        found.moving(at, op, noted, ANYTHING);
        Some(Some(variables))
    }

    fn round(&mut self, at: At<'p>, mut state: State, data: &Loop) -> Option<Found> {
        let mut found = Found::default();
        let set = [data.item, data.current, data.iterations, Some(data.exceeded)];
        let may_set = set.into_iter().flatten().map(|slot| at.base + slot.0 as usize).collect();
        let noted = Noted { reads: vec![at.base + data.stop.0 as usize], may_set, ..Noted::default() };
        found.op(at, at.instr.op.clone(), noted, Can { fail: true, ..SURELY });
        let mut over = state.clone();
        over.loops = over.loops.checked_sub(1)?;
        over.forget(at.base, data.exceeded)?;
        found.no = self.go(at, at.instr.no, over)?;
        for slot in [data.item, data.current, data.iterations].into_iter().flatten() {
            state.forget(at.base, slot)?;
        }
        found.ok = self.go(at, at.instr.ok, state)?;
        Some(found)
    }
}
