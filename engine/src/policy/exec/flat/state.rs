//! What is known at a place of a policy.

use crate::data::value::Value;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::Opened;

/// The variables of all frames that are open there, and what else is open.
#[derive(Clone, Default)]
pub struct State {
    /// Known values; undefined where they are not known.
    pub values: Vec<Value>,
    /// Whether they are unknown.
    pub unknown: Vec<bool>,
    /// Open loops.
    pub loops: usize,
    /// Open blocks.
    pub blocks: usize,
    /// Where the open error handlers continue, as nodes.
    pub handlers: Vec<usize>,
}

/// Two ways to the same place have left different things open.
pub struct Torn;

impl State {
    /// Frames up to this place. New variables are undefined.
    pub fn resize(&mut self, slots: usize) {
        self.values.resize_with(slots, Value::default);
        self.unknown.resize(slots, false);
    }

    /// A variable's value; `None` if it is not known.
    pub fn known(&self, base: usize, slot: Slot) -> Option<&Value> {
        let place = base + slot.0 as usize;
        if *self.unknown.get(place)? { None } else { self.values.get(place) }
    }

    /// A variable has this value. `None`: there is no such variable.
    pub fn set(&mut self, base: usize, slot: Slot, value: Value) -> Option<()> {
        let place = base + slot.0 as usize;
        *self.values.get_mut(place)? = value;
        *self.unknown.get_mut(place)? = false;
        Some(())
    }

    /// A variable has an unknown value.
    pub fn forget(&mut self, base: usize, slot: Slot) -> Option<()> {
        self.set(base, slot, Value::Undefined)?;
        *self.unknown.get_mut(base + slot.0 as usize)? = true;
        Some(())
    }

    /// Nothing is known of a frame's variables.
    pub fn forget_from(&mut self, base: usize) {
        self.values.iter_mut().skip(base).for_each(|value| *value = Value::Undefined);
        self.unknown.iter_mut().skip(base).for_each(|unknown| *unknown = true);
    }

    /// What is open.
    pub fn opened(&self) -> Opened {
        Opened { loops: self.loops, handlers: self.handlers.len(), blocks: self.blocks }
    }

    /// Leaves what was opened since.
    pub fn close_to(&mut self, around: Opened) {
        self.loops = around.loops;
        self.blocks = around.blocks;
        self.handlers.truncate(around.handlers);
    }

    /// Another way leads here: only what both know is known. Whether that is less than before.
    pub fn meet(&mut self, other: &State) -> Result<bool, Torn> {
        let fits = self.loops == other.loops && self.blocks == other.blocks && self.handlers == other.handlers;
        if !fits || self.values.len() != other.values.len() {
            return Err(Torn);
        }
        let mut less = false;
        let own = self.values.iter_mut().zip(&mut self.unknown);
        for ((value, unknown), (theirs, unknown_there)) in own.zip(other.values.iter().zip(&other.unknown)) {
            if !*unknown && (*unknown_there || !value.is_same(theirs)) {
                *value = Value::Undefined;
                *unknown = true;
                less = true;
            }
        }
        Ok(less)
    }
}
