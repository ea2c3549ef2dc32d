//! Follows calls: what goes into an encapsulated assertion, and what comes out.

use super::fold::{Fold, Needs, held, is_defined, may_misfit};
use super::graph::{Act, Can, Step};
use super::state::State;
use super::walk::{At, Found, Path, Stage, Walk};
use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::inputs::{passed, wrong_input};
use crate::policy::exec::program::{CallSite, Input, Op};
use crate::policy::expr::Expr;

impl<'p> Walk<'p> {
    pub(super) fn call(&mut self, at: At<'p>, mut state: State, site: &'p CallSite) -> Option<Found> {
        let mut found = Found::default();
        let caller = self.paths.get(at.path)?;
        let (before, order) = (caller.slots, caller.order.iter().copied().chain([at.pc]).collect());
        let base = at.base + before;
        let around = state.opened();
        let path = match self.path_ids.get(&(at.path, at.pc)) {
            Some(path) => *path,
            None => {
                let path = self.paths.len();
                self.paths.push(Path { caller: Some((at.path, at.pc, site)), base, slots: site.slots, around, order });
                self.path_ids.insert((at.path, at.pc), path);
                path
            }
        };
        if self.paths.get(path)?.around != around {
            return None;
        }
        self.slots = self.slots.max(base + site.slots);
        let outside = state.clone();
        state.enter(base, site.slots);
        let inner = |slot: Slot| Slot(before as u32 + slot.0);
        let given = |slot: u32| site.inputs.iter().any(|(given, ..)| given.0 == slot);
        let unset = (0..site.slots as u32).filter(|slot| !given(*slot));
        found.values(at, unset.map(|slot| (inner(Slot(slot)), Value::Undefined)).collect());
        let mut may_fail = false;
        for (slot, value, ty) in &site.inputs {
            let value = Fold::with(&mut self.ctx, &state, at.base, |fold| fold.expr(value));
            if let Expr::Const(value) = value {
                let Some(value) = passed(value, *ty) else {
                    found.failed(at, wrong_input(&site.name));
                    found.ok = Some(self.reach(at.path, at.pc, Stage::CallFailed, outside)?);
                    if may_fail {
                        found.no = found.ok;
                    }
                    return Some(found);
                };
                state.set(base, *slot, value.clone())?;
                found.values(at, vec![(inner(*slot), value)]);
                continue;
            }
            let (needs, own, held) = (Needs::of(&value), at.place(inner(*slot))?, held(&value, *ty));
            let can = Can { fail: may_misfit(*ty), fault: false, more: needs.more };
            may_fail |= can.fail;
            let input = Input { slot: own, value, ty: *ty, callee: site.name.clone() };
            let defined = ty.is_none() && is_defined(&input.value, &state);
            found.folded(at, Op::Pass(Box::new(input)), needs.reads, Some(own), can);
            state.renew(base, *slot, defined)?;
            held.into_iter().for_each(|original| state.copy(own.0 as usize, original));
        }
        if may_fail {
            found.no = Some(self.reach(at.path, at.pc, Stage::CallFailed, outside)?);
        }
        found.ok = Some(self.reach(path, site.entry, Stage::Whole, state)?);
        Some(found)
    }

    pub(super) fn call_failed(&mut self, at: At<'p>, mut state: State) -> Option<Found> {
        let Op::Call(site) = &at.instr.op else { return None };
        let mut found = Found::default();
        if let Some((_, outer)) = site.failure {
            state.set(at.base, outer, Value::Undefined)?;
            found.values(at, vec![(outer, Value::Undefined)]);
        }
        found.ok = self.go(at, at.instr.no, state)?;
        Some(found)
    }

    pub(super) fn leave(&mut self, at: At<'p>, mut state: State, held: bool) -> Option<Found> {
        let mut found = Found::default();
        let path = self.paths.get(at.path)?;
        if state.opened() != path.around {
            return None;
        }
        let (caller, pc, site) = path.caller?;
        let outer = self.paths.get(caller)?;
        let instr = self.program.code.get(pc as usize)?;
        let to = At { path: caller, base: outer.base, pc, instr };
        let before = outer.slots as u32;
        let outputs = site.outputs.iter().map(|(inner, outer)| (*inner, *outer, false));
        // A failure without a code must not keep the code of an earlier one.
        let failure = site.failure.map(|(inner, outer)| (inner, outer, !held));
        for (inner, outer, always) in outputs.chain(failure) {
            match state.known(at.base, inner).cloned() {
                Some(value) if always || !value.is_undefined() => {
                    state.set(to.base, outer, value.clone())?;
                    found.values(to, vec![(outer, value)]);
                }
                Some(_) => {}
                None => {
                    let (own, inside) = (to.place(outer)?.0 as usize, at.place(inner)?.0 as usize);
                    let held = state.original(inside);
                    if held == state.original(own) {
                        continue;
                    }
                    // What is undefined is not given, and the caller's variable keeps what it has.
                    let defined = state.is_defined(inside) || state.is_defined(held);
                    let given = always || defined || state.known(to.base, outer).is_some_and(Value::is_undefined);
                    state.renew(to.base, outer, defined)?;
                    if given && held < at.base {
                        state.copy(own, held);
                    }
                    let given = vec![(Slot(before + inner.0), outer, given)];
                    found.steps.push(Step { act: Act::Give(given), base: to.base, origin: at.pc });
                }
            }
        }
        state.leave(at.base);
        found.ok = self.go(to, if held { instr.ok } else { instr.no }, state)?;
        Some(found)
    }
}
