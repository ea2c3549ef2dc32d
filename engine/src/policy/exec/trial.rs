//! Calls whose outcome is known before any request: most configuration assertions do nothing but set constants. Each call is tried once,
//! when the policies are compiled, with what is known then. If nothing that happens on its way depends on the request, the time or an
//! unknown variable, and it does nothing but set variables, then every run would do the same, and only its outputs are kept.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Response};
use portcullis_dsl::ast::Type;
use smol_str::SmolStr;

use super::program::{CallSite, Op, Program};
use super::{LoopState, Run, assign, call, next_round, ret};
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Environment, Slot};
use crate::policy::exec::compare::{Compare, Condition};
use crate::policy::expr::{Expr, JsonNode, Piece};
use crate::policy::request::Request;
use crate::services::Services;

/// Longest way that is tried, in instructions.
const MAX_STEPS: usize = 2_000;

/// Finds out which calls do the same in every run.
pub fn settle_calls(program: &mut Program) {
    let nowhere: Arc<dyn Environment> = Arc::new(Nowhere::default());
    // Callees come before their callers, so what they call is known by then.
    for at in 0..program.code.len() {
        let known = match program.code.get(at).map(|instr| &instr.op) {
            Some(Op::Call(site)) => Trial::new(program, &nowhere).outcome(site),
            _ => continue,
        };
        if let Some(Op::Call(site)) = program.code.get_mut(at).map(|instr| &mut instr.op) {
            site.known = known;
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
}

impl<'p> Trial<'p> {
    fn new(program: &'p Program, nowhere: &Arc<dyn Environment>) -> Self {
        let ctx = Ctx::new(Arc::clone(nowhere), Request::new(Method::GET, ""), SmolStr::default());
        Trial { program, ctx, run: Run::default(), unknown: Vec::new() }
    }

    /// What the call sets; `None` if that is not known.
    fn outcome(mut self, site: &CallSite) -> Option<Box<[(Slot, Value)]>> {
        // Nothing is known of the caller: every slot that it could name is unknown.
        let read = |slot: Slot| slot.0 as usize + 1;
        let outer = site.outputs.iter().chain(&site.failure).map(|(_, slot)| read(*slot)).max().unwrap_or(0);
        self.ctx.slots.resize_with(outer, Value::default);
        self.unknown.resize(outer, true);
        let mut pc = self.enter(site, u32::MAX)?;
        for _ in 0..MAX_STEPS {
            let instr = self.program.code.get(pc as usize)?;
            if let (Op::Return(held), [_]) = (&instr.op, self.run.calls.as_slice()) {
                return if *held { self.set(site) } else { None };
            }
            let holds = match &instr.op {
                Op::Jump | Op::PushHandler(_) | Op::PopHandler => true,
                Op::Set(slot, value, ty) => self.assign(*slot, value, *ty)?,
                Op::Default(slot, ..) if self.is_unknown(*slot) => return None,
                Op::Default(slot, value, ty) => !self.ctx.get(*slot).is_empty() || self.assign(*slot, value, *ty)?,
                Op::Within(bounds) if !self.is_unknown(bounds.slot) => bounds.check(&mut self.ctx).ok().map(|()| true)?,
                Op::Test(compare) if self.knows_compare(compare) => compare.holds(&self.ctx),
                Op::LoopBegin(list) if self.knows(list) => {
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
                Op::Call(site) => match &site.known {
                    Some(known) => {
                        for (slot, value) in known {
                            self.ctx.set(*slot, value.clone());
                            self.mark(*slot, false);
                        }
                        true
                    }
                    None => {
                        pc = self.enter(site, pc)?;
                        continue;
                    }
                },
                Op::Return(held) => {
                    pc = self.leave(*held)?;
                    continue;
                }
                _ => return None,
            };
            if self.ctx.went_astray() {
                return None;
            }
            pc = if holds { instr.ok } else { instr.no };
        }
        None
    }

    /// What the tried call gives its caller.
    fn set(&mut self, site: &CallSite) -> Option<Box<[(Slot, Value)]>> {
        let mut given = Vec::with_capacity(site.outputs.len());
        for (inner, outer) in site.outputs.iter().chain(&site.failure) {
            if self.is_unknown(*inner) {
                return None;
            }
            let value = self.ctx.take(*inner);
            if !value.is_undefined() {
                given.push((*outer, value));
            }
        }
        if self.ctx.went_astray() { None } else { Some(given.into()) }
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
        let next = ret(&mut self.ctx, &mut self.run, self.program, held).ok()?;
        self.unknown.truncate(self.ctx.slots.len());
        for (index, unknown) in given {
            *self.unknown.get_mut(index)? = unknown;
        }
        Some(next)
    }

    /// Whether the value is of the variable's type; `None` if that is not known.
    fn assign(&mut self, slot: Slot, value: &Expr, ty: Option<Type>) -> Option<bool> {
        if self.knows(value) {
            let value = value.eval(&self.ctx);
            let assigned = assign(&mut self.ctx, slot, value, ty);
            if assigned {
                self.mark(slot, false);
            }
            return Some(assigned);
        }
        if !matches!(ty, None | Some(Type::String)) {
            return None;
        }
        self.ctx.set(slot, Value::Undefined);
        self.mark(slot, true);
        Some(true)
    }

    fn mark(&mut self, slot: Slot, unknown: bool) {
        if let Some(flag) = self.unknown.get_mut(self.ctx.base + slot.0 as usize) {
            *flag = unknown;
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
