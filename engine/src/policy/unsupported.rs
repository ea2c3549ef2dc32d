//! Which policies can come to a step that has no translation.

use std::collections::{BTreeSet, HashSet};

use portcullis_dsl::ast::{Call, Callee, Stmt, StmtKind};
use portcullis_dsl::visit::{self, Visit};
use portcullis_dsl::{Diagnostic, Library, Policy};

use crate::policy::codes;

/// What a policy includes and calls.
struct Uses<'a> {
    library: &'a Library,
    found: Vec<&'a Policy>,
}

impl<'a> Visit<'a> for Uses<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        let named = match &stmt.kind {
            StmtKind::Include(name) => match name.strip_prefix('#') {
                Some(target) => self.library.hook(target),
                None => self.library.fragment(name),
            },
            StmtKind::IncludeExtension(name) => self.library.extension(name),
            _ => None,
        };
        self.found.extend(named);
        visit::walk_stmt(self, stmt);
    }

    fn call(&mut self, call: &'a Call) {
        if let Callee::Encapsulated(name) = &call.callee {
            self.found.extend(self.library.assertion(name));
        }
        visit::walk_call(self, call);
    }
}

/// The names of the services that can come to such a step. The diagnostics are those of the compiler, which say where the steps are.
pub fn services(library: &Library, diagnostics: &[Diagnostic]) -> BTreeSet<String> {
    let places: Vec<_> = diagnostics.iter().filter(|found| found.code == codes::UNSUPPORTED).map(|found| found.span).collect();
    if places.is_empty() {
        return BTreeSet::new();
    }
    let holds = |policy: &Policy| {
        let item = policy.item.span;
        places.iter().any(|place| place.file == policy.file && (item.start..item.end).contains(&place.start))
    };
    let comes_to_one = |first: &Policy| {
        let mut seen = HashSet::from([first.id]);
        let mut open = vec![first];
        while let Some(policy) = open.pop() {
            if holds(policy) {
                return true;
            }
            let mut uses = Uses { library, found: Vec::new() };
            visit::walk_item(&mut uses, &policy.item);
            open.extend(uses.found.into_iter().filter(|used| seen.insert(used.id)));
        }
        false
    };
    // What runs before each service is a part of each. What runs after it decides nothing.
    let everywhere = library.before().into_iter().any(comes_to_one);
    library.services().filter(|service| everywhere || comes_to_one(service)).map(|service| service.name.clone()).collect()
}
