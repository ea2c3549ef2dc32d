//! Cycles of includes and calls, and sets that are nested too deep or grow too large. All walks here keep their own stack: ten
//! thousand fragments that include each other in a row must give a diagnostic and not end the process.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's and a name's id are made by the set, and index the tables that are as long as the set"
)]

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::index::{Kind, PolicyId};
use crate::resolve::summary::Event;
use crate::span::Span;

/// Deepest nesting of includes and calls.
const MAX_DEPTH: u32 = 64;
/// Deepest nesting of blocks along includes and calls. Walks over them need stack space.
const MAX_NESTING: u32 = 400;
/// Most steps of a policy after all its includes are expanded.
const MAX_STEPS: u64 = 200_000;

#[derive(Clone, Copy)]
struct Edge {
    to: PolicyId,
    span: Span,
    call: bool,
    nesting: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done { depth: u32, nesting: u32, steps: u64, deepest: Option<Span> },
}

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let edges: Vec<Vec<Edge>> = set.events.iter().map(|events| events.iter().filter_map(edge).collect()).collect();
    let mut marks = vec![Mark::New; set.policies.len()];
    for policy in set.policies {
        if marks[policy.id.index()] == Mark::New {
            visit(set, &edges, policy.id, &mut marks, found);
        }
    }
    for policy in set.policies {
        let Mark::Done { depth, nesting, steps, deepest } = marks[policy.id.index()] else { continue };
        // Reported where the limit is crossed, not again in everything above: the next policy down is still within it.
        let too_nested = nesting > MAX_NESTING && depth <= MAX_DEPTH && below(&edges[policy.id.index()], &marks) <= MAX_NESTING;
        let crossed = depth == MAX_DEPTH + 1 || too_nested;
        if let (true, Some(span)) = (crossed, deepest) {
            let message = format!("includes and calls below `{}` are nested too deep", policy.name);
            let error = Diagnostic::error(codes::TOO_LARGE, message, span);
            found.push(error.help(format!("at most {MAX_DEPTH} policies, and {MAX_NESTING} blocks along them")));
        }
        if steps > MAX_STEPS && policy.owns_frame() {
            let message = format!("`{}` grows to more than {MAX_STEPS} steps when its includes are expanded", policy.name);
            let error = Diagnostic::error(codes::TOO_LARGE, message, policy.name_span());
            found.push(error.help("turn what is included repeatedly into an assertion"));
        }
    }
}

fn edge(event: &Event) -> Option<Edge> {
    match event {
        Event::Include { to, span, nesting, .. } => Some(Edge { to: *to, span: *span, call: false, nesting: *nesting }),
        Event::Call { to, span, nesting } => Some(Edge { to: *to, span: *span, call: true, nesting: *nesting }),
        _ => None,
    }
}

fn visit(set: &Set<'_>, edges: &[Vec<Edge>], start: PolicyId, marks: &mut [Mark], found: &mut Vec<Diagnostic>) {
    let mut stack = vec![(start, 0)];
    marks[start.index()] = Mark::Open;
    while let Some((policy, next)) = stack.last_mut() {
        let (policy, at) = (*policy, *next);
        *next += 1;
        match edges[policy.index()].get(at) {
            Some(edge) => match marks[edge.to.index()] {
                Mark::New => {
                    marks[edge.to.index()] = Mark::Open;
                    stack.push((edge.to, 0));
                }
                Mark::Open => found.push(circle(set, edges, &stack, *edge)),
                Mark::Done { .. } => {}
            },
            None => {
                marks[policy.index()] = done(&edges[policy.index()], set.events[policy.index()].len(), marks);
                stack.pop();
            }
        }
    }
}

/// The deepest nesting among the policies that these edges lead to.
fn below(edges: &[Edge], marks: &[Mark]) -> u32 {
    let nesting = edges.iter().map(|edge| match marks[edge.to.index()] {
        Mark::Done { nesting, .. } => nesting,
        Mark::New | Mark::Open => 0,
    });
    nesting.max().unwrap_or(0)
}

fn done(edges: &[Edge], own: usize, marks: &[Mark]) -> Mark {
    let (mut depth, mut nesting, mut steps, mut deepest) = (0, 0, own as u64, None);
    for edge in edges {
        if let Mark::Done { depth: below, nesting: blocks, steps: more, .. } = marks[edge.to.index()] {
            if below + 1 > depth || edge.nesting + blocks > nesting {
                deepest = Some(edge.span);
            }
            depth = depth.max(below + 1);
            nesting = nesting.max(edge.nesting.saturating_add(blocks));
            if !edge.call {
                steps = steps.saturating_add(more);
            }
        }
    }
    Mark::Done { depth, nesting, steps, deepest }
}

/// The cycle that `last` closes: from the policy it leads to, up the stack to where it is.
fn circle(set: &Set<'_>, edges: &[Vec<Edge>], stack: &[(PolicyId, usize)], last: Edge) -> Diagnostic {
    let from = stack.iter().position(|(policy, _)| *policy == last.to).unwrap_or(0);
    let ring = &stack[from..];
    let name = |policy: PolicyId| {
        let policy = set.policy(policy);
        let hash = if policy.kind() == Kind::Customize { "#" } else { "" };
        format!("`{hash}{}`", policy.name)
    };
    if let [(policy, _)] = ring {
        let verb = if last.call { "calls" } else { "includes" };
        let error = Diagnostic::error(codes::CYCLE, format!("{} {verb} itself", name(*policy)), last.span);
        return error.help("policies have no recursion; repeat with `ForEach`");
    }
    let way: Vec<_> = ring.iter().map(|(policy, _)| name(*policy)).chain([name(last.to)]).collect();
    let shown = if way.len() > 8 { [&way[..4], &["…".to_owned()], &way[way.len() - 3..]].concat() } else { way };
    let message = format!("policies include or call each other in a cycle: {}", shown.join(" → "));
    let error = Diagnostic::error(codes::CYCLE, message, last.span);
    let steps = ring.iter().take(ring.len() - 1).filter_map(|(policy, next)| edges[policy.index()].get(next - 1));
    steps
        .take(6)
        .fold(error, |error, step| error.related(step.span, format!("{} here", if step.call { "called" } else { "included" })))
}
