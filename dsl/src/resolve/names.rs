//! Variable names as numbers. Case is ignored. Every dotted prefix of a name is a name too, so a walk up a chain of parents finds
//! the variable behind `${resp.http.status}`.

#![expect(clippy::indexing_slicing, reason = "INVARIANT: a symbol is made by the table that it indexes, which only grows")]

use hashbrown::HashMap;

use crate::spec::{Builtin, Catalogue};

/// A variable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sym(u32);

impl Sym {
    /// Position in tables by name.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One name.
#[derive(Debug)]
struct Entry {
    lower: Box<str>,
    parent: Option<Sym>,
    builtin: Option<&'static Builtin>,
}

/// All variable names of a policy set.
#[derive(Debug)]
pub(crate) struct Names {
    entries: Vec<Entry>,
    by_text: HashMap<Box<str>, Sym>,
    catalogue: Catalogue,
}

impl Names {
    /// No names yet.
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Names { entries: Vec::new(), by_text: HashMap::new(), catalogue: catalogue.clone() }
    }

    /// The number of `name`, created if it is new.
    pub(crate) fn intern(&mut self, name: &str) -> Sym {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.intern_lower(&name.to_ascii_lowercase())
        } else {
            self.intern_lower(name)
        }
    }

    fn intern_lower(&mut self, lower: &str) -> Sym {
        if let Some(&sym) = self.by_text.get(lower) {
            return sym;
        }
        // Shortest prefix first, without recursion: a name may have any number of dots.
        let mut parent = None;
        let ends = lower.match_indices('.').map(|(at, _)| at).chain([lower.len()]);
        for end in ends {
            let part = &lower[..end];
            parent = Some(match self.by_text.get(part) {
                Some(&sym) => sym,
                None => {
                    let sym = Sym(self.entries.len() as u32);
                    self.entries.push(Entry { lower: part.into(), parent, builtin: self.catalogue.builtin(part) });
                    self.by_text.insert(part.into(), sym);
                    sym
                }
            });
        }
        parent.unwrap_or(Sym(0))
    }

    /// The number of `name`, if it occurs anywhere.
    pub(crate) fn get(&self, name: &str) -> Option<Sym> {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.by_text.get(name.to_ascii_lowercase().as_str()).copied()
        } else {
            self.by_text.get(name).copied()
        }
    }

    /// The name in lower case.
    pub(crate) fn text(&self, sym: Sym) -> &str {
        &self.entries[sym.index()].lower
    }

    /// The built-in behind the name.
    pub(crate) fn builtin(&self, sym: Sym) -> Option<&'static Builtin> {
        self.entries[sym.index()].builtin
    }

    /// The name and its dotted prefixes, longest first.
    pub(crate) fn chain(&self, sym: Sym) -> impl Iterator<Item = Sym> + '_ {
        std::iter::successors(Some(sym), |sym| self.entries[sym.index()].parent)
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The catalogue that says what is built in.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}
