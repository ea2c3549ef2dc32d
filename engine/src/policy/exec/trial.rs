//! What is known before any request: most configuration assertions do nothing but set constants. Each call is tried once, when the policies
//! are compiled, with what is known then. If nothing that happens on its way depends on the request, the time or an unknown variable, and
//! it does nothing but set variables, then every run would do the same, and only its outputs are kept. Otherwise its beginning is kept, up
//! to the first instruction that decides something by what is unknown: a run sets the variables that the beginning would set, and goes on
//! from there. Services are tried in the same way.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Response};
use portcullis_dsl::ast::Type;
use smol_str::SmolStr;

use super::program::{CallSite, FrameProgram, Instr, NOWHERE, Op, Program};
use super::steps::{assign, call, next_round, ret, set};
use super::{LoopState, Run};
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Environment, Slot};
use crate::policy::exec::compare::{Compare, Condition};
use crate::policy::expr::{Expr, JsonNode, Piece};
use crate::policy::request::Request;
use crate::services::Services;

/// Longest way that is tried, in instructions.
const MAX_STEPS: usize = 2_000;

/// What is known of a call.
#[derive(Default)]
pub enum Settled {
    /// Nothing.
    #[default]
    Unknown,
    /// Its outputs, as slots of the caller: it does nothing else.
    Whole(Box<[(Slot, Value)]>),
    /// How it begins.
    Begun(Beginning),
}

/// How a call or a service begins in every run.
pub struct Beginning {
    parts: Box<[Part]>,
    /// The last instruction that failed.
    failed: Option<u32>,
    /// Where it goes on.
    next: u32,
}

enum Part {
    /// Variables and their values.
    Values(Box<[(Slot, Value)]>),
    /// An instruction that sets a variable to what is unknown here.
    Set(u32),
}

impl Beginning {
    /// Does in a run what the beginning would do. Where it goes on.
    pub(super) fn run(&self, program: &Program, ctx: &mut Ctx, run: &mut Run) -> u32 {
        for part in &self.parts {
            match part {
                Part::Values(values) => values.iter().for_each(|(slot, value)| ctx.set(*slot, value.clone())),
                Part::Set(at) => {
                    let Some(instr) = program.code.get(*at as usize) else { return NOWHERE };
                    let next = set(ctx, run, *at, instr);
                    if next != instr.ok {
                        return next;
                    }
                }
            }
        }
        if let Some(at) = self.failed {
            run.failed = Some((at, "it fails".into()));
        }
        self.next
    }
}

/// Finds out what is known of calls and services.
pub fn settle(program: &mut Program) {
    let nowhere: Arc<dyn Environment> = Arc::new(Nowhere::default());
    // Callees come before their callers, so what they call is known by then.
    for at in 0..program.code.len() {
        let settled = match program.code.get(at).map(|instr| &instr.op) {
            Some(Op::Call(site)) => Trial::new(program, &nowhere).call(site),
            _ => continue,
        };
        if let Some(Op::Call(site)) = program.code.get_mut(at).map(|instr| &mut instr.op) {
            site.settled = settled;
        }
    }
    let begun: Vec<_> = program.frames.iter().map(|(id, frame)| (*id, Trial::new(program, &nowhere).frame(frame))).collect();
    for (id, beginning) in begun {
        if let Some(frame) = program.frames.get_mut(&id).and_then(Arc::get_mut) {
            frame.begun = beginning;
        }
    }
}

/// A run without a request.
struct Trial<'p> {
    program: &'p Program,
    ctx: Ctx,
    run: Run,
    /// By slot of all frames: whether its value is unknown.
    unknown: Vec<bool>,
    /// How many calls are open in what is tried itself.
    own: usize,
    parts: Vec<Part>,
    /// Variables that were set since the last part.
    fresh: BTreeSet<Slot>,
    /// The last instruction that failed.
    failed: Option<u32>,
    /// How it begins, once nothing more can be added.
    begun: Option<Beginning>,
}

/// How a trial ended.
enum Tried {
    /// With `Return`.
    Returned(bool),
    /// At an instruction that depends on what is unknown, or does more than set variables.
    Stopped,
}

impl<'p> Trial<'p> {
    fn new(program: &'p Program, nowhere: &Arc<dyn Environment>) -> Self {
        let ctx = Ctx::new(Arc::clone(nowhere), Request::new(Method::GET, ""), SmolStr::default());
        Trial {
            program,
            ctx,
            run: Run::default(),
            unknown: Vec::new(),
            own: 0,
            parts: Vec::new(),
            fresh: BTreeSet::new(),
            failed: None,
            begun: None,
        }
    }

    /// What is known of a call.
    fn call(mut self, site: &CallSite) -> Settled {
        // Nothing is known of the caller: every slot that it could name is unknown.
        let read = |slot: Slot| slot.0 as usize + 1;
        let outer = site.outputs.iter().chain(&site.failure).map(|(_, slot)| read(*slot)).max().unwrap_or(0);
        self.ctx.slots.resize_with(outer, Value::default);
        self.unknown.resize(outer, true);
        self.own = 1;
        let Some(entry) = self.enter(site, u32::MAX) else { return Settled::Unknown };
        if let Some(Tried::Returned(true)) = self.go(entry)
            && let Some(outputs) = self.outputs(site)
        {
            return Settled::Whole(outputs);
        }
        self.beginning(entry).map_or(Settled::Unknown, Settled::Begun)
    }

    /// How a service begins.
    fn frame(mut self, frame: &FrameProgram) -> Option<Beginning> {
        if !frame.inputs.is_empty() {
            return None;
        }
        self.ctx.slots.resize_with(frame.slots, Value::default);
        self.unknown.resize(frame.slots, false);
        self.go(frame.entry)?;
        self.beginning(frame.entry)
    }

    /// Tries it; `None` if the program is wrong, or the way is too long.
    fn go(&mut self, entry: u32) -> Option<Tried> {
        let mut pc = entry;
        for _ in 0..MAX_STEPS {
            let instr = self.program.code.get(pc as usize)?;
            if let (Op::Return(held), true) = (&instr.op, self.is_own()) {
                self.keep(pc);
                return Some(Tried::Returned(*held));
            }
            let next = self.step(pc, instr);
            if self.ctx.went_astray() {
                self.begun = None;
                return None;
            }
            let Some(next) = next else {
                // What was called is called again by the run.
                let at = self.run.calls.get(self.own).map_or(pc, |call| call.at);
                self.keep(at);
                return Some(Tried::Stopped);
            };
            pc = next;
        }
        None
    }

    /// Tries an instruction. The next one; `None` if that is unknown.
    fn step(&mut self, pc: u32, instr: &Instr) -> Option<u32> {
        let holds = match &instr.op {
            Op::Jump => true,
            Op::PushHandler(_) => {
                self.opens(pc);
                true
            }
            Op::PopHandler => true,
            Op::Set(slot, value, ty) => self.assign(pc, *slot, value, *ty)?,
            Op::Default(slot, ..) if self.is_unknown(*slot) => return None,
            Op::Default(slot, value, ty) => !self.ctx.get(*slot).is_empty() || self.assign(pc, *slot, value, *ty)?,
            Op::Within(bounds) if !self.is_unknown(bounds.slot) => bounds.check(&mut self.ctx).ok().map(|()| true)?,
            Op::Test(compare) if self.knows_compare(compare) => compare.holds(&self.ctx),
            Op::LoopBegin(list) if self.knows(list) => {
                self.opens(pc);
                self.run.loops.push(LoopState::over(list.eval(&self.ctx)));
                true
            }
            Op::LoopNext(data) if !self.is_unknown(data.stop) => {
                let goes_on = next_round(&mut self.ctx, &mut self.run, data).ok()?;
                if goes_on {
                    let written = [data.item, Some(data.current), Some(data.iterations)];
                    written.into_iter().flatten().for_each(|slot| self.mark(slot, false));
                } else if !self.ctx.get(data.exceeded).is_undefined() {
                    self.mark(data.exceeded, false);
                }
                goes_on
            }
            Op::LoopLeave => self.run.loops.pop().is_some(),
            Op::Call(site) => match &site.settled {
                Settled::Whole(known) => {
                    for (slot, value) in known {
                        self.ctx.set(*slot, value.clone());
                        self.mark(*slot, false);
                    }
                    true
                }
                _ => return self.enter(site, pc),
            },
            Op::Return(held) => return self.leave(*held),
            _ => return None,
        };
        if !holds && self.is_own() && !matches!(instr.op, Op::LoopNext(_)) {
            self.failed = Some(pc);
        }
        Some(if holds { instr.ok } else { instr.no })
    }

    /// What the tried call gives its caller; `None` if that is not known.
    fn outputs(&mut self, site: &CallSite) -> Option<Box<[(Slot, Value)]>> {
        let mut given = Vec::with_capacity(site.outputs.len());
        for (inner, outer) in site.outputs.iter().chain(&site.failure) {
            if self.is_unknown(*inner) {
                return None;
            }
            let value = self.ctx.get(*inner).clone();
            if !value.is_undefined() {
                given.push((*outer, value));
            }
        }
        if self.ctx.went_astray() { None } else { Some(given.into()) }
    }

    /// Whether the next instruction is of what is tried, and not of something that it calls.
    fn is_own(&self) -> bool {
        self.run.calls.len() == self.own
    }

    /// Keeps what has happened, as the beginning of a run that goes on there. What happens later is not added.
    fn keep(&mut self, next: u32) {
        if self.begun.is_none() {
            self.flush();
            self.begun = Some(Beginning { parts: std::mem::take(&mut self.parts).into(), failed: self.failed, next });
        }
    }

    /// A loop or a handler begins, which a beginning cannot leave open.
    fn opens(&mut self, pc: u32) {
        if self.is_own() {
            self.keep(pc);
        }
    }

    /// Makes a part of the variables that were set.
    fn flush(&mut self) {
        // Something that is called may have been tried half; what is kept is from before.
        let base = self.run.calls.get(self.own).map_or(self.ctx.base, |call| call.base);
        let values = self.fresh.iter().filter_map(|slot| Some((*slot, self.ctx.slots.get(base + slot.0 as usize)?.clone())));
        let values: Box<[_]> = values.collect();
        if !values.is_empty() {
            self.parts.push(Part::Values(values));
        }
        self.fresh.clear();
    }

    /// The beginning, if a run gains by it.
    fn beginning(self, entry: u32) -> Option<Beginning> {
        self.begun.filter(|begun| begun.next != entry)
    }

    fn enter(&mut self, site: &CallSite, at: u32) -> Option<u32> {
        let mut unknown = Vec::new();
        for (slot, value, ty) in &site.inputs {
            if !self.knows(value) {
                // Everything has a text; whether it converts to another type is not known.
                if !matches!(ty, None | Some(Type::String)) {
                    return None;
                }
                unknown.push(*slot);
            }
        }
        if !call(&mut self.ctx, &mut self.run, site, at) {
            return None;
        }
        self.unknown.resize(self.ctx.slots.len(), false);
        unknown.into_iter().for_each(|slot| self.mark(slot, true));
        Some(site.entry)
    }

    fn leave(&mut self, held: bool) -> Option<u32> {
        let activation = self.run.calls.last()?;
        let Some(Op::Call(site)) = self.program.code.get(activation.at as usize).map(|instr| &instr.op) else { return None };
        let mut given = Vec::new();
        for (inner, outer) in &site.outputs {
            if self.is_unknown(*inner) || !self.ctx.get(*inner).is_undefined() {
                given.push((activation.base + outer.0 as usize, self.is_unknown(*inner)));
            }
        }
        if let Some((inner, outer)) = site.failure
            && (!held || self.is_unknown(inner) || !self.ctx.get(inner).is_undefined())
        {
            given.push((activation.base + outer.0 as usize, self.is_unknown(inner)));
        }
        if self.run.calls.len() == self.own + 1 && given.iter().any(|(_, unknown)| *unknown) {
            // What it gives is unknown here, so a run has to call it.
            self.keep(activation.at);
        }
        let next = ret(&mut self.ctx, &mut self.run, self.program, held).ok()?;
        self.unknown.truncate(self.ctx.slots.len());
        for (index, unknown) in given {
            let slot = u32::try_from(index.checked_sub(self.ctx.base)?).ok()?;
            self.mark(Slot(slot), unknown);
        }
        Some(next)
    }

    /// Whether the value is of the variable's type; `None` if that is not known.
    fn assign(&mut self, pc: u32, slot: Slot, value: &Expr, ty: Option<Type>) -> Option<bool> {
        if self.knows(value) {
            let value = value.eval(&self.ctx);
            let assigned = assign(&mut self.ctx, slot, value, ty);
            if assigned {
                self.mark(slot, false);
            }
            return Some(assigned);
        }
        // Everything has a text; whether it converts to another type is not known.
        if !matches!(ty, None | Some(Type::String)) {
            return None;
        }
        if self.is_own() && self.begun.is_none() {
            self.flush();
            self.parts.push(Part::Set(pc));
        }
        self.ctx.set(slot, Value::Undefined);
        self.mark(slot, true);
        Some(true)
    }

    fn mark(&mut self, slot: Slot, unknown: bool) {
        if let Some(flag) = self.unknown.get_mut(self.ctx.base + slot.0 as usize) {
            *flag = unknown;
        }
        if self.is_own() {
            if unknown {
                self.fresh.remove(&slot);
            } else {
                self.fresh.insert(slot);
            }
        }
    }

    fn is_unknown(&self, slot: Slot) -> bool {
        self.unknown.get(self.ctx.base + slot.0 as usize).copied().unwrap_or(true)
    }

    /// Whether an expression's value is known and the same in every run.
    fn knows(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Const(_) => true,
            Expr::Slot(slot) | Expr::Selected(slot, _) => !self.is_unknown(*slot),
            Expr::Builtin(_) => false,
            Expr::Index(inner, _) | Expr::Joined(inner, _) | Expr::Member(inner, _) => self.knows(inner),
            Expr::Text(pieces) | Expr::Template(_, pieces) => pieces.iter().all(|piece| self.knows_piece(piece)),
            Expr::Json(node) => self.knows_node(node),
            Expr::List(items) => items.iter().all(|item| self.knows(item)),
            Expr::Call(function, args) => function.is_pure() && args.iter().all(|arg| self.knows(arg)),
            Expr::Either(both) | Expr::Arithmetic(_, both) => self.knows(&both.0) && self.knows(&both.1),
            Expr::Condition(condition) => self.knows_condition(condition),
        }
    }

    fn knows_piece(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Literal(_) => true,
            // An address that is left out of a page is logged each time.
            Piece::Address(..) => false,
            Piece::Value(expr) | Piece::Raw(expr) => self.knows(expr),
        }
    }

    fn knows_node(&self, node: &JsonNode) -> bool {
        match node {
            JsonNode::Object(members) => {
                members.iter().all(|(key, _, node)| key.iter().all(|piece| self.knows_piece(piece)) && self.knows_node(node))
            }
            JsonNode::Array(items) => items.iter().all(|item| self.knows_node(item)),
            JsonNode::Value(expr) => self.knows(expr),
            JsonNode::Null => true,
        }
    }

    fn knows_condition(&self, condition: &Condition) -> bool {
        match condition {
            Condition::All(all) | Condition::Any(all) => all.iter().all(|condition| self.knows_condition(condition)),
            Condition::Test(compare) => self.knows_compare(compare),
        }
    }

    fn knows_compare(&self, compare: &Compare) -> bool {
        self.knows(&compare.left) && compare.right().is_none_or(|right| self.knows(right))
    }
}

/// No gateway: nothing that is tried asks for one.
#[derive(Default)]
struct Nowhere {
    services: Services,
    modifier: SmolStr,
}

impl Environment for Nowhere {
    fn services(&self) -> &Services {
        &self.services
    }

    fn served(&self) -> Vec<&SmolStr> {
        Vec::new()
    }

    fn service_path(&self, _name: &str) -> &str {
        ""
    }

    fn instance_modifier(&self) -> &SmolStr {
        &self.modifier
    }

    fn own_cookies(&self) -> &[SmolStr] {
        &[]
    }

    fn answer(self: Arc<Self>, _request: Request) -> BoxFuture<'static, Response<Bytes>> {
        Box::pin(async { Response::default() })
    }
}
