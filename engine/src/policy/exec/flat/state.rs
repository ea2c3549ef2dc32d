//! What is known at a place of a policy.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::Opened;

/// The variables of all frames that are open there, and what else is open. Copies share the frames that they leave as they are: there is
/// one of these for each instruction.
#[derive(Clone, Default)]
pub struct State {
    /// Where each frame begins, and what is known of it; the innermost last.
    frames: Vec<(usize, Rc<Frame>)>,
    /// Variables that hold what another one holds, which is not known: the copies with their originals, by their places among those of all
    /// frames.
    copies: Rc<BTreeMap<usize, usize>>,
    /// Open loops.
    pub loops: usize,
    /// Open blocks, the innermost last: the variables of those that do not have them where the policy has them ([`Assertion::placed`]), by
    /// their places among those of all frames.
    ///
    /// [`Assertion::placed`]: crate::policy::assertion::Assertion::placed
    pub blocks: Vec<Option<Rc<[usize]>>>,
    /// Where the open error handlers continue, as nodes.
    pub handlers: Vec<usize>,
}

/// What is known of the variables of a frame.
#[derive(Clone, Default)]
pub struct Frame {
    /// Known values; undefined where they are not known.
    pub values: Vec<Value>,
    /// Whether they are unknown.
    pub unknown: Vec<bool>,
    /// Whether they are surely not undefined.
    defined: Vec<bool>,
}

/// Two ways to the same place have left different things open.
pub struct Torn;

impl State {
    /// Enters a frame that begins there. Its variables are undefined.
    pub fn enter(&mut self, base: usize, slots: usize) {
        let frame = Frame { values: vec![Value::Undefined; slots], unknown: vec![false; slots], defined: vec![false; slots] };
        self.frames.push((base, Rc::new(frame)));
        self.parted(|place| (base..base + slots).contains(&place));
    }

    /// Leaves the frame that begins there.
    pub fn leave(&mut self, base: usize) {
        self.frames.retain(|(own, _)| *own < base);
        self.parted(|place| place >= base);
    }

    /// The frame that begins there.
    pub fn frame(&self, base: usize) -> Option<&Frame> {
        self.frames.iter().rev().find(|(own, _)| *own == base).map(|(_, frame)| &**frame)
    }

    fn frame_mut(&mut self, base: usize) -> Option<&mut Frame> {
        self.frames.iter_mut().rev().find(|(own, _)| *own == base).map(|(_, frame)| Rc::make_mut(frame))
    }

    /// A variable's value; `None` if it is not known.
    pub fn known(&self, base: usize, slot: Slot) -> Option<&Value> {
        let (frame, place) = (self.frame(base)?, slot.0 as usize);
        if *frame.unknown.get(place)? { None } else { frame.values.get(place) }
    }

    /// All variables whose values are known, by their places, and these values.
    pub fn all_known(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.frames.iter().flat_map(|(base, frame)| {
            let variables = frame.values.iter().zip(&frame.unknown).enumerate();
            variables.filter(|(_, (_, unknown))| !**unknown).map(|(place, (value, _))| (*base + place, value))
        })
    }

    /// A variable has this value. `None`: there is no such variable.
    pub fn set(&mut self, base: usize, slot: Slot, value: Value) -> Option<()> {
        let (frame, place) = (self.frame_mut(base)?, slot.0 as usize);
        *frame.defined.get_mut(place)? = !value.is_undefined();
        *frame.values.get_mut(place)? = value;
        *frame.unknown.get_mut(place)? = false;
        self.parted(|changed| changed == base + place);
        Some(())
    }

    /// A variable has an unknown value.
    pub fn forget(&mut self, base: usize, slot: Slot) -> Option<()> {
        self.parted(|place| place == base + slot.0 as usize);
        let frame = self.frame(base)?;
        if !*frame.unknown.get(slot.0 as usize)? || *frame.defined.get(slot.0 as usize)? {
            self.frame_mut(base)?.forget(slot.0 as usize);
        }
        Some(())
    }

    /// A variable has a new value, which is not known; whether it is surely not undefined.
    pub fn renew(&mut self, base: usize, slot: Slot, defined: bool) -> Option<()> {
        self.forget(base, slot)?;
        if defined {
            self.define(base + slot.0 as usize);
        }
        Some(())
    }

    /// Whether a variable is surely not undefined; by its place.
    pub fn is_defined(&self, place: usize) -> bool {
        let frame = self.frames.iter().rev().find(|(base, _)| *base <= place);
        frame.is_some_and(|(base, frame)| frame.defined.get(place - base) == Some(&true))
    }

    /// A variable is surely not undefined; by its place.
    pub fn define(&mut self, place: usize) {
        if let Some((base, frame)) = self.frames.iter_mut().rev().find(|(base, _)| *base <= place)
            && frame.defined.get(place - *base) == Some(&false)
            && let Some(defined) = Rc::make_mut(frame).defined.get_mut(place - *base)
        {
            *defined = true;
        }
    }

    /// Nothing is known of the variables of this frame and of those inside it.
    pub fn forget_from(&mut self, base: usize) {
        for (_, frame) in self.frames.iter_mut().filter(|(own, _)| *own >= base) {
            let frame = Rc::make_mut(frame);
            (0..frame.values.len()).for_each(|place| frame.forget(place));
        }
        self.parted(|place| place >= base);
    }

    /// A variable holds what this one holds, whose value is not known. Both by their places.
    pub fn copy(&mut self, copy: usize, original: usize) {
        if copy != original {
            Rc::make_mut(&mut self.copies).insert(copy, original);
        }
    }

    /// The variable that a variable is a copy of, or itself; by their places.
    pub fn original(&self, place: usize) -> usize {
        self.copies.get(&place).copied().unwrap_or(place)
    }

    /// These variables no longer hold what others hold.
    fn parted(&mut self, changed: impl Fn(usize) -> bool) {
        if self.copies.iter().any(|(copy, original)| changed(*copy) || changed(*original)) {
            Rc::make_mut(&mut self.copies).retain(|copy, original| !changed(*copy) && !changed(*original));
        }
    }

    /// What is open.
    pub fn opened(&self) -> Opened {
        Opened { loops: self.loops, handlers: self.handlers.len(), blocks: self.blocks.len() }
    }

    /// Leaves what was opened since.
    pub fn close_to(&mut self, around: Opened) {
        self.loops = around.loops;
        self.blocks.truncate(around.blocks);
        self.handlers.truncate(around.handlers);
    }

    /// Another way leads here: only what both know is known. Whether that is less than before.
    pub fn meet(&mut self, other: &State) -> Result<bool, Torn> {
        let fits = self.loops == other.loops && self.blocks == other.blocks && self.handlers == other.handlers;
        if !fits || self.frames.len() != other.frames.len() {
            return Err(Torn);
        }
        let same = |copy: &usize, original: &usize| other.copies.get(copy) == Some(original);
        let mut less =
            !Rc::ptr_eq(&self.copies, &other.copies) && !self.copies.iter().all(|(copy, original)| same(copy, original));
        if less {
            Rc::make_mut(&mut self.copies).retain(|copy, original| same(copy, original));
        }
        for ((base, own), (base_there, there)) in self.frames.iter_mut().zip(&other.frames) {
            if base != base_there || own.values.len() != there.values.len() {
                return Err(Torn);
            }
            if Rc::ptr_eq(own, there) {
                continue;
            }
            let lost = own.lost(there);
            let defined: Vec<bool> = own.defined.iter().zip(&there.defined).map(|(own, there)| *own && *there).collect();
            if !lost.is_empty() || defined != own.defined {
                let own = Rc::make_mut(own);
                lost.into_iter().for_each(|place| own.forget(place));
                own.defined = defined;
                less = true;
            }
        }
        Ok(less)
    }
}

impl Frame {
    fn forget(&mut self, place: usize) {
        let variable = (self.values.get_mut(place), self.unknown.get_mut(place), self.defined.get_mut(place));
        if let (Some(value), Some(unknown), Some(defined)) = variable {
            *value = Value::Undefined;
            (*unknown, *defined) = (true, false);
        }
    }

    /// The variables that are known here and not known there, or otherwise.
    fn lost(&self, there: &Frame) -> Vec<usize> {
        let own = self.values.iter().zip(&self.unknown);
        let both = own.zip(there.values.iter().zip(&there.unknown)).enumerate();
        let lost = both.filter(|(_, ((value, unknown), (value_there, unknown_there)))| {
            !**unknown && (**unknown_there || !value.is_same(value_there))
        });
        lost.map(|(place, _)| place).collect()
    }
}
