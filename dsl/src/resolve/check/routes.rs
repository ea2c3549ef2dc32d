//! Paths and methods of services: no two services may answer the same request.

use std::collections::HashMap;

use crate::ast::{ItemKind, ServiceHead};
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::codes;
use crate::resolve::index::Policy;

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut by_path: HashMap<&str, Vec<(&Policy, &ServiceHead)>> = HashMap::new();
    for policy in set.policies {
        let ItemKind::Service(head) = &policy.item.kind else { continue };
        // One that is declared but switched off may wait on the path of the one it replaces.
        if head.disabled {
            continue;
        }
        let others = by_path.entry(head.path.trim_end_matches('/')).or_default();
        if let Some((before, _)) = others.iter().find(|(before, other)| before.name != policy.name && meet(head, other)) {
            let message = format!("`{}` is the path of service `{}` already", *head.path, before.name);
            let ItemKind::Service(other) = &before.item.kind else { continue };
            let error = Diagnostic::error(codes::DUPLICATE_ROUTE, message, head.path.span);
            found.push(error.help("choose another path, or other methods").related(other.path.span, "also here"));
        }
        others.push((policy, head));
    }
}

/// Whether some method goes to both; a service without methods answers all.
fn meet(a: &ServiceHead, b: &ServiceHead) -> bool {
    a.methods.is_empty() || b.methods.is_empty() || a.methods.iter().any(|method| b.methods.contains(method))
}

/// What is wrong with a path, if anything: it begins with `/`, has no empty or dot segments, and `*` only as its last segment.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let Some(rest) = path.strip_prefix('/') else { return Some("a path begins with `/`") };
    let segments: Vec<_> = rest.split('/').collect();
    let last = segments.len() - 1;
    segments.iter().enumerate().find_map(|(at, segment)| match *segment {
        "" if at != last => Some("a path has no empty segments"),
        "." | ".." => Some("a path has no `.` and `..`"),
        "*" if at != last => Some("`*` stands for the rest of a path, so it comes last"),
        "*" => None,
        other if other.contains('*') => Some("`*` is a segment of its own"),
        other if other.contains(['?', '#']) => Some("a path has no query and no fragment"),
        other if other.contains(|c: char| c.is_whitespace() || c.is_control()) => Some("a path has no blanks"),
        _ => None,
    })
}
