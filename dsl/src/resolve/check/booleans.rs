//! Variables used as conditions. A variable alone is a condition only if everything that sets it gives `true` or `false`, so that
//! a text such as `"no"` never decides anything. If that is certain, `== true` is unnecessary.

#![expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: a policy's id is made by the set, and indexes the tables that are as long as the set"
)]

use hashbrown::HashMap;

use crate::ast::{
    BinaryOp, Call, Callee, Comparison, Cond, Direction, Expr, ExprKind, Multi, Predicate, Stmt, StmtKind, Type, VarRef,
};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::build::Space;
use crate::resolve::check::Set;
use crate::resolve::index::PolicyId;
use crate::resolve::names::Sym;
use crate::resolve::summary::{Event, SetBy};
use crate::resolve::visit::{self, Visit};
use crate::span::Span;
use crate::spec::Kind as PropKind;

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut facts = Facts::default();
    let mut asked: Vec<Vec<Asked>> = Vec::new();
    for policy in set.policies {
        let mut walk = Walk { set, facts: &mut facts, asked: Vec::new() };
        walk.block(&policy.item.body);
        asked.push(walk.asked);
    }
    let mut known = Known { set, facts: &facts, memo: HashMap::new() };
    // By span, so that a fragment is judged by all frames that include it.
    let mut superfluous: HashMap<Span, (bool, Diagnostic)> = HashMap::new();
    let mut wrong: HashMap<Span, Diagnostic> = HashMap::new();
    for (owner, space) in set.spaces() {
        if set.lacks_something(space) {
            continue;
        }
        for (place, member) in space.members.iter().enumerate() {
            for Asked { name, span, compared } in &asked[member.policy.index()] {
                let slot = space.frame.slot_of(*name).is_some();
                if !slot && set.names.builtin(*name).is_none() {
                    // It is unknown (reported elsewhere) or a part of a variable.
                    if set.names.chain(*name).all(|name| space.frame.slot_of(name).is_none()) {
                        continue;
                    }
                }
                let answer = match set.names.builtin(*name) {
                    _ if slot => known.ask(owner.id, *name),
                    Some(builtin) if builtin.ty == Type::Boolean => Answer::Yes(*span),
                    _ => Answer::No(None),
                };
                let certain = matches!(answer, Answer::Yes(_));
                match compared {
                    Some(wanted) => {
                        let text = set.text(*span).split('}').next().map_or_else(String::new, |name| format!("{name}}}"));
                        let form = if *wanted { text.clone() } else { format!("not {text}") };
                        let message = format!("`{text}` is true or false, which makes it a condition");
                        let warning =
                            Diagnostic::warning(codes::COMPARED_BOOLEAN, message, *span).help(format!("write `{form}`"));
                        superfluous.entry(*span).or_insert((true, warning)).0 &= certain;
                    }
                    None if !certain => {
                        let way = || space.chain(place);
                        wrong.entry(*span).or_insert_with(|| not_boolean(set, *name, *span, answer).included_by(way()));
                    }
                    None => {}
                }
            }
        }
    }
    found.extend(wrong.into_values());
    found.extend(superfluous.into_values().filter_map(|(certain, warning)| certain.then_some(warning)));
}

fn not_boolean(set: &Set<'_>, name: Sym, span: Span, answer: Answer) -> Diagnostic {
    let text = set.text(span);
    let message = format!("`{text}` is not certain to be true or false, so it is not a condition by itself");
    let error = Diagnostic::error(codes::NOT_BOOLEAN, message, span);
    let compare = format!("compare it: `{text} == true` or `{text} is not empty`");
    let Answer::No(Some(setter)) = answer else { return error.help(compare) };
    let target = set.text(setter).trim_matches('"');
    let declared = target.eq_ignore_ascii_case(set.names.text(name));
    let help = if declared { format!("{compare}; or declare its type where it is set: `{target}: boolean`") } else { compare };
    error.help(help).related(setter, "set here")
}

/// A variable used as a condition.
struct Asked {
    name: Sym,
    /// The span of the variable, or of the whole comparison.
    span: Span,
    /// What it is compared with.
    compared: Option<bool>,
}

/// What is known of the places that set variables, by their span.
#[derive(Default)]
struct Facts {
    /// It gives `true` or `false`.
    boolean: HashMap<Span, ()>,
    /// It copies this variable.
    copies: HashMap<Span, Sym>,
}

struct Walk<'w, 's> {
    set: &'w Set<'s>,
    facts: &'w mut Facts,
    asked: Vec<Asked>,
}

impl Walk<'_, '_> {
    fn assignment(&mut self, target: Span, ty: Option<Type>, value: &Expr) {
        match (ty, &*value.kind) {
            (Some(Type::Boolean), _) | (None, ExprKind::Bool(_) | ExprKind::Condition(_)) => {
                self.facts.boolean.insert(target, ());
            }
            (None, ExprKind::Text(_) | ExprKind::Raw(_)) if matches!(value.literal(), Some("true" | "false")) => {
                self.facts.boolean.insert(target, ());
            }
            (None, ExprKind::Group(inner)) => self.assignment(target, None, inner),
            (None, ExprKind::Var(var)) if self.is_whole(value) => {
                self.facts.copies.extend(self.set.names.get(&var.name).map(|name| (target, name)));
            }
            _ => {}
        }
    }

    /// Whether an expression is a whole variable.
    fn is_whole(&self, value: &Expr) -> bool {
        matches!(&*value.kind, ExprKind::Var(_)) && !self.set.text(value.span.span).contains(['[', '|'])
    }

    fn ask(&mut self, var: &VarRef, span: Span, compared: Option<bool>) {
        self.asked.extend(self.set.names.get(&var.name).map(|name| Asked { name, span, compared }));
    }
}

impl<'a> Visit<'a> for Walk<'_, '_> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        if let StmtKind::Set { target, ty, value } | StmtKind::Default { target, ty, value } = &stmt.kind {
            self.assignment(target.span, ty.as_ref().map(|ty| ty.node), value);
        }
        visit::walk_stmt(self, stmt);
    }

    fn cond(&mut self, cond: &'a Cond) {
        if let Cond::Truth(value) = cond
            && let ExprKind::Var(var) = &*value.kind
        {
            self.ask(var, value.span.span, None);
        }
        visit::walk_cond(self, cond);
    }

    fn comparison(&mut self, comparison: &'a Comparison) {
        if let Comparison {
            mode: Multi::All,
            left,
            ty: None,
            predicate: Predicate::Binary(op @ (BinaryOp::Eq | BinaryOp::Ne), right),
            ..
        } = comparison
            && let (ExprKind::Var(var), ExprKind::Bool(wanted)) = (&*left.kind, &*right.kind)
            && self.is_whole(left)
        {
            self.ask(var, comparison.span.span, Some(*wanted == (*op == BinaryOp::Eq)));
        }
        visit::walk_comparison(self, comparison);
    }

    fn call(&mut self, call: &'a Call) {
        if let Callee::Native(name) = &call.callee
            && let Some(spec) = self.set.catalogue().get(name)
        {
            let targets = call
                .args
                .iter()
                .filter(|arg| spec.prop(&arg.name).is_some_and(|prop| matches!(prop.kind, PropKind::Target(Type::Boolean))));
            targets.for_each(|arg| self.facts.boolean.extend([(arg.value.span.span, ())]));
        }
        visit::walk_call(self, call);
    }
}

/// Whether a variable, if set, is always `true` or `false`.
#[derive(Clone, Copy)]
enum Answer {
    /// It is; this is a place that shows it.
    Yes(Span),
    /// Nothing sets it.
    Open,
    /// Not certain: this place may set it to something else.
    No(Option<Span>),
}

struct Known<'k, 's> {
    set: &'k Set<'s>,
    facts: &'k Facts,
    /// By frame and variable; [`Answer::Open`] while the answer is being computed.
    memo: HashMap<(PolicyId, Sym), Answer>,
}

impl Known<'_, '_> {
    fn ask(&mut self, owner: PolicyId, name: Sym) -> Answer {
        if let Some(answer) = self.memo.get(&(owner, name)) {
            return *answer;
        }
        self.memo.insert((owner, name), Answer::Open);
        let answer = self.settings(owner, name);
        self.memo.insert((owner, name), answer);
        answer
    }

    fn settings(&mut self, owner: PolicyId, name: Sym) -> Answer {
        let set = self.set;
        let Some(space) = set.spaces.get(owner.index()).and_then(Option::as_ref) else { return Answer::No(None) };
        let mut answer = Answer::Open;
        for member in &space.members {
            let events = &set.events[member.policy.index()];
            for event in events {
                let Event::Set { name: target, span, by, .. } = event else { continue };
                if *target != name {
                    continue;
                }
                match self.setting(owner, member.policy, *span, *by, name) {
                    Answer::Yes(place) => answer = Answer::Yes(place),
                    Answer::Open => {}
                    Answer::No(_) => return Answer::No(Some(*span)),
                }
            }
        }
        answer
    }

    fn setting(&mut self, owner: PolicyId, policy: PolicyId, span: Span, by: SetBy, name: Sym) -> Answer {
        let set = self.set;
        let param = || set.policy(owner).params().iter().find(|param| param.name.span == span);
        match by {
            SetBy::Param(Direction::Out) => Answer::Open,
            SetBy::Param(Direction::In)
                if param().is_some_and(|param| matches!(&param.ty, Some(ty) if ty.node == Type::Boolean)) =>
            {
                Answer::Yes(span)
            }
            SetBy::Assignment | SetBy::Default | SetBy::Target => match self.facts.copies.get(&span) {
                _ if self.facts.boolean.contains_key(&span) => Answer::Yes(span),
                Some(source) => self.ask(owner, *source),
                None => Answer::No(None),
            },
            // A loop sets no `.break` itself, and `.exceededlimit` to `true` only.
            SetBy::Statement if set.names.text(name).ends_with(".exceededlimit") => Answer::Yes(span),
            SetBy::Statement if set.names.text(name).ends_with(".break") => Answer::Open,
            SetBy::Output => {
                let called = set.events[policy.index()].iter().find_map(|event| match event {
                    Event::Call { to, span: place, .. } if *place == span => Some(*to),
                    _ => None,
                });
                called.map_or(Answer::No(None), |callee| self.ask(callee, name))
            }
            SetBy::Param(Direction::In) | SetBy::Statement | SetBy::Item | SetBy::Native => Answer::No(None),
        }
    }
}

impl Set<'_> {
    /// Whether something is missing in a frame that might set any variable, so that nothing is certain about its variables.
    fn lacks_something(&self, space: &Space) -> bool {
        space.members.iter().any(|member| {
            let mut events = self.events[member.policy.index()].iter();
            self.broken.contains(&self.policy(member.policy).file) || events.any(|event| matches!(event, Event::Unresolved))
        })
    }
}
