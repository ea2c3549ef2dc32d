//! Paths and methods of services: no two services may answer the same request.

use hashbrown::HashMap;

use crate::ast::{ItemKind, ServiceHead};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::index::Policy;
use crate::span::Span;

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut by_path: HashMap<&str, Vec<(&Policy, &ServiceHead, Span)>> = HashMap::new();
    for policy in set.policies {
        let ItemKind::Service(head) = &policy.item.kind else { continue };
        // A disabled service may have the path of the service that it is to replace.
        if head.disabled {
            continue;
        }
        for path in &head.paths {
            let others = by_path.entry(path.trim_end_matches('/')).or_default();
            if let Some((before, _, there)) =
                others.iter().find(|(before, other, _)| before.name != policy.name && meet(head, other))
            {
                let message = format!("`{}` is already the path of service `{}`", **path, before.name);
                let error = Diagnostic::error(codes::DUPLICATE_ROUTE, message, path.span);
                found.push(error.help("choose another path, or other methods").related(*there, "also here"));
            }
            others.push((policy, head, path.span));
        }
    }
}

/// Whether both answer some method; a service without methods answers all.
fn meet(a: &ServiceHead, b: &ServiceHead) -> bool {
    a.methods.is_empty() || b.methods.is_empty() || a.methods.iter().any(|method| b.methods.contains(method))
}

/// What is wrong with a path that the grammar accepted, if anything.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    segments.iter().enumerate().find_map(|(at, segment)| match *segment {
        "" if at + 1 != segments.len() => Some("a path has no empty segments"),
        "." | ".." => Some("a path has no `.` and `..`"),
        other if other.contains(['?', '#']) => Some("a path has no query and no fragment"),
        other if other.contains(['\\', ';']) => Some("a path has no `\\` and no `;`"),
        other if needless_escape(other) => Some("a path must not escape letters, digits, `-`, `.`, `_`, `~`, `/` or `\\`"),
        other if other.contains(|c: char| c.is_whitespace() || c.is_control()) => Some("a path has no blanks"),
        _ => None,
    })
}

/// Whether no request can have this segment: see `path.rs` in the engine.
fn needless_escape(segment: &str) -> bool {
    segment.split('%').skip(1).any(|after| {
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_none_or(|byte| byte.is_ascii_alphanumeric() || b"-._~/\\".contains(&byte) || byte.is_ascii_control())
    })
}
