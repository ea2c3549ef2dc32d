//! The variable space of one service, assertion, task or command with everything it includes. Names get numbered slots here.
//! Reading a name is resolved to a slot, a selector on a slot, a built-in, or nothing.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::ast::{Allowed, Type};
use crate::resolve::names::{Names, Sym};
use crate::spec::Builtin;

/// The variable space of one service, assertion, task or command.
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) names: Arc<Names>,
    /// By slot: the name and its author's spelling.
    pub(crate) slots: Vec<(Sym, SmolStr)>,
    /// Sorted by name.
    pub(crate) index: Vec<(Sym, u32)>,
    /// Variables whose members are data, and cannot be set. Sorted.
    documents: Vec<Sym>,
    /// By slot: whether the variable holds JSON, so that what follows its name is a member.
    json: Vec<bool>,
    /// Variables with bounds.
    bounds: Vec<(Sym, Type, Allowed)>,
    /// The items of loops under the loop's own prefix.
    items: Vec<Sym>,
}

/// What a name means in a frame.
#[derive(Clone, Debug)]
pub enum Access {
    /// A variable of the frame.
    Slot(usize),
    /// A variable of the frame, and what follows the dot after its name.
    Selector(usize, String),
    /// A variable of the frame that holds JSON, and the name of a member in its author's spelling: members are data, so case
    /// counts.
    Member(usize, String),
    /// A built-in; for a family, the whole name selects the value.
    Builtin(&'static Builtin),
    /// Nothing sets it: undefined.
    Unknown,
}

/// The number of values: the only part, besides its members, of what may be JSON or a list.
pub(crate) fn is_length(rest: &str) -> bool {
    rest.eq_ignore_ascii_case("length")
}

impl Frame {
    pub(crate) fn new(
        names: Arc<Names>,
        slots: Vec<(Sym, SmolStr)>,
        mut documents: Vec<Sym>,
        json: Vec<bool>,
        bounds: Vec<(Sym, Type, Allowed)>,
        items: Vec<Sym>,
    ) -> Self {
        documents.sort_unstable();
        documents.dedup();
        let mut index: Vec<_> = slots.iter().enumerate().map(|(slot, (sym, _))| (*sym, slot as u32)).collect();
        index.sort_unstable();
        Frame { names, slots, index, documents, json, bounds, items }
    }

    /// How many variables there are.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The author's spelling of a slot's name; empty for a slot that does not exist.
    pub fn name(&self, slot: usize) -> &str {
        self.slots.get(slot).map_or("", |(_, spelling)| spelling)
    }

    /// The values that a slot's variable may have by its declaration.
    pub fn bounds(&self, slot: usize) -> Option<(Type, &Allowed)> {
        let (sym, _) = self.slots.get(slot)?;
        self.bounds.iter().find(|(name, ..)| name == sym).map(|(_, ty, allowed)| (*ty, allowed))
    }

    /// The slot for the item of a loop with this prefix, if no other variable has the name.
    pub fn item(&self, prefix: &str) -> Option<usize> {
        let name = self.names.get(prefix).filter(|name| self.is_item(*name))?;
        self.slot_of(name)
    }

    pub(crate) fn is_item(&self, name: Sym) -> bool {
        self.items.contains(&name)
    }

    /// The slot of exactly this name, ignoring case.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.names.get(name).and_then(|sym| self.slot_of(sym))
    }

    pub(crate) fn slot_of(&self, sym: Sym) -> Option<usize> {
        let at = self.index.binary_search_by_key(&sym, |(sym, _)| *sym).ok()?;
        self.index.get(at).map(|(_, slot)| *slot as usize)
    }

    /// The variable with the JSON document of which this name would be a member.
    pub(crate) fn document_above(&self, name: Sym) -> Option<Sym> {
        self.names.chain(name).skip(1).find(|above| self.documents.binary_search(above).is_ok())
    }

    /// Whether the variable that `name` reads (itself, or the one of which it is a member) holds JSON.
    pub fn is_json(&self, name: &str) -> bool {
        matches!(self.access(name), Access::Slot(slot) | Access::Member(slot, _) if self.holds_json(slot))
    }

    pub(crate) fn holds_json(&self, slot: usize) -> bool {
        self.json.get(slot).is_some_and(|is_json| *is_json)
    }

    /// The slots whose names start with `prefix.`, each with the rest of its name in lower case.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(String, usize)> {
        let prefix = prefix.to_ascii_lowercase();
        let rest_of = |sym: Sym| self.names.text(sym).strip_prefix(&prefix)?.strip_prefix('.').map(str::to_owned);
        self.slots.iter().enumerate().filter_map(|(slot, (sym, _))| Some((rest_of(*sym)?, slot))).collect()
    }

    /// What `name` means: a variable of the frame, otherwise the longest dotted prefix that is one, otherwise a built-in.
    pub fn access(&self, name: &str) -> Access {
        if let Some(slot) = self.slot(name) {
            return Access::Slot(slot);
        }
        let prefixes = name.rmatch_indices('.').map(|(dot, _)| dot);
        for dot in prefixes {
            if let Some(slot) = self.slot(&name[..dot]) {
                let rest = name[dot + 1..].to_owned();
                let is_data = self.slots.get(slot).is_some_and(|(name, _)| self.documents.binary_search(name).is_ok());
                let is_member = self.holds_json(slot) && !is_length(&rest) || is_data;
                return if is_member { Access::Member(slot, rest) } else { Access::Selector(slot, rest) };
            }
        }
        match self.names.catalogue().builtin(name) {
            Some(builtin) => Access::Builtin(builtin),
            None => Access::Unknown,
        }
    }
}
