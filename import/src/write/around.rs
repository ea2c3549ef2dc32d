//! Policies that ran before or after each service. Each stays a fragment; a `before` or an `after` beside it includes it.

use std::collections::HashMap;

use portcullis_dsl::ast::{Call, Callee, Stmt, StmtKind};
use portcullis_dsl::span::FileId;
use portcullis_dsl::visit::{self, Visit};

use super::unit::Unit;
use crate::model::{Policy, Role};

/// The moments, each with whether it is before services. Those before run in the order of their names, those after in the reverse order,
/// as here.
const MOMENTS: [(&str, bool); 6] = [
    ("message-received", true),
    ("pre-security", true),
    ("pre-service", true),
    ("post-service", false),
    ("post-security", false),
    ("message-completed", false),
];

/// The moment of a policy that ran around services, and whether it is before them.
pub(super) fn moment(policy: &Policy) -> Option<(&'static str, bool)> {
    let Role::Special(what) = &policy.role else { return None };
    let (kind, tag) = what.split_once(' ')?;
    let known = MOMENTS.into_iter().find(|(moment, _)| tag.trim().eq_ignore_ascii_case(moment));
    known.filter(|_| kind.eq_ignore_ascii_case("global"))
}

/// What the policy sees or does differently here.
pub(super) fn told(moment: &str) -> &'static str {
    match moment {
        "message-received" | "pre-security" | "pre-service" => {
            "it runs before the policy of each service, and only where a service answers"
        }
        "message-completed" => "it runs after each answer of a service, and the answer waits for it",
        _ => "it runs after each answer of a service, and cannot change the answer any more",
    }
}

/// Takes out what would include a step without translation: it would keep every service from running.
pub(super) fn without_unsupported(units: &mut Vec<Unit>) {
    if !units.iter().any(|unit| unit.around().is_some()) {
        return;
    }
    let mut uses: HashMap<String, Uses> = HashMap::new();
    for unit in units.iter() {
        let (file, _) = portcullis_dsl::parse(FileId::default(), &unit.text);
        for item in &file.items {
            let uses = uses.entry(item.name.to_lowercase()).or_default();
            visit::walk_item(uses, item);
        }
    }
    let lacks = |name: &str| {
        let mut open = vec![name.to_lowercase()];
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = open.pop() {
            let Some(uses) = uses.get(&name) else { continue };
            if uses.unsupported {
                return true;
            }
            if seen.insert(name) {
                open.extend(uses.names.iter().cloned());
            }
        }
        false
    };
    units.retain(|unit| unit.around().is_none_or(|fragment| !lacks(fragment)));
}

/// What a declaration includes and calls.
#[derive(Default)]
struct Uses {
    names: Vec<String>,
    unsupported: bool,
}

impl<'a> Visit<'a> for Uses {
    fn stmt(&mut self, stmt: &'a Stmt) {
        if let StmtKind::Include(name) | StmtKind::IncludeExtension(name) = &stmt.kind {
            self.names.push(name.trim_start_matches('#').to_lowercase());
        }
        visit::walk_stmt(self, stmt);
    }

    fn call(&mut self, call: &'a Call) {
        match &call.callee {
            Callee::Encapsulated(name) => self.names.push(name.to_lowercase()),
            Callee::Native(name) => self.unsupported |= name.node == "Unsupported",
        }
        visit::walk_call(self, call);
    }
}
