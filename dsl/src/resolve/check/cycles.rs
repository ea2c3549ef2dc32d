//! Circles of includes and calls, and sets that go too deep or grow too large. All walks here keep their own stack: a set of ten
//! thousand fragments that include each other in a row must end in a message, and not in the process.

use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::codes;
use crate::resolve::index::PolicyId;
use crate::resolve::summary::Event;
use crate::span::Span;

/// Deepest nesting of includes and calls.
const MAX_DEPTH: u32 = 64;
/// Most steps of a policy once all its includes stand in place.
const MAX_STEPS: u64 = 200_000;

#[derive(Clone, Copy)]
struct Edge {
    to: PolicyId,
    span: Span,
    call: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done { depth: u32, steps: u64, deepest: Option<Span> },
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
        let Mark::Done { depth, steps, deepest } = marks[policy.id.index()] else { continue };
        if let (true, Some(span)) = (depth == MAX_DEPTH + 1, deepest) {
            let message = format!("includes and calls below `{}` are nested more than {MAX_DEPTH} deep", policy.name);
            found.push(Diagnostic::error(codes::TOO_LARGE, message, span));
        }
        if steps > MAX_STEPS && policy.owns_frame() {
            let message = format!("`{}` grows to more than {MAX_STEPS} steps once its includes stand in place", policy.name);
            let error = Diagnostic::error(codes::TOO_LARGE, message, policy.name_span());
            found.push(error.help("make an assertion of what is included over and over"));
        }
    }
}

fn edge(event: &Event) -> Option<Edge> {
    match event {
        Event::Include { to, span } => Some(Edge { to: *to, span: *span, call: false }),
        Event::Call { to, span } => Some(Edge { to: *to, span: *span, call: true }),
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

fn done(edges: &[Edge], own: usize, marks: &[Mark]) -> Mark {
    let (mut depth, mut steps, mut deepest) = (0, own as u64, None);
    for edge in edges {
        if let Mark::Done { depth: below, steps: more, .. } = marks[edge.to.index()] {
            if below + 1 > depth {
                (depth, deepest) = (below + 1, Some(edge.span));
            }
            if !edge.call {
                steps = steps.saturating_add(more);
            }
        }
    }
    Mark::Done { depth, steps, deepest }
}

/// The circle that `last` closes: from the policy it leads to, up the stack to where it stands.
fn circle(set: &Set<'_>, edges: &[Vec<Edge>], stack: &[(PolicyId, usize)], last: Edge) -> Diagnostic {
    let from = stack.iter().position(|(policy, _)| *policy == last.to).unwrap_or(0);
    let ring = &stack[from..];
    let name = |policy: PolicyId| format!("`{}`", set.policy(policy).name);
    if let [(policy, _)] = ring {
        let verb = if last.call { "calls" } else { "includes" };
        let error = Diagnostic::error(codes::CYCLE, format!("{} {verb} itself", name(*policy)), last.span);
        return error.help("policies have no recursion; repeat with `ForEach`");
    }
    let way: Vec<_> = ring.iter().map(|(policy, _)| name(*policy)).chain([name(last.to)]).collect();
    let shown = if way.len() > 8 { [&way[..4], &["…".to_owned()], &way[way.len() - 3..]].concat() } else { way };
    let message = format!("policies include or call each other in a circle: {}", shown.join(" → "));
    let error = Diagnostic::error(codes::CYCLE, message, last.span);
    let steps = ring.iter().take(ring.len() - 1).filter_map(|(policy, next)| edges[policy.index()].get(next - 1));
    steps
        .take(6)
        .fold(error, |error, step| error.related(step.span, format!("{} here", if step.call { "called" } else { "included" })))
}
