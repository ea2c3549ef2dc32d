//! Codes of `fail` for which a service's error answer has no words. What an answer knows is what its policies name: members of JSON, and what
//! they compare with. An answer that names no code passes any on, and one that looks at parts of codes may know them all.

use hashbrown::HashSet;

use crate::ast::{Call, Callee, Comparison, Expr, ExprKind, ItemKind, Json, Part, Predicate, Stmt, StmtKind, Syntax};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::resolve::check::Set;
use crate::resolve::index::{Kind, PolicyId};
use crate::resolve::visit::{self, Visit};
use crate::span::{FileId, Span};

pub(crate) fn check(set: &Set<'_>, found: &mut Vec<Diagnostic>) {
    let mut told = HashSet::new();
    for (policy, _) in set.spaces() {
        let ItemKind::Service(head) = &policy.item.kind else { continue };
        let Some(errors) = &head.errors else { continue };
        let Some(answer) = set.index.get(Kind::Assertion, errors.callee.name()) else { continue };
        let known = known(set, answer);
        if known.any || !known.words.iter().any(|word| is_code(word)) {
            continue;
        }
        // The variable by which assertions tell the answer what they failed with.
        let passed = errors.args.iter().find_map(|arg| match &*arg.value.kind {
            ExprKind::Var(var) => Some(var.name.node.as_str()),
            _ => None,
        });
        for (code, span) in failures(set, policy.id, passed) {
            if is_code(&code) && !known.words.contains(&code) && told.insert(span) {
                let message = format!("`{}` has no answer for the code `{code}`", errors.callee.name().node);
                let help = "it is answered like any code that nobody knows";
                found.push(Diagnostic::warning(codes::UNKNOWN_CODE, message, span).help(help));
            }
        }
    }
}

fn is_code(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The owners of frames that are reached from one by calls, itself first.
fn reach<'a>(set: &Set<'a>, from: PolicyId, follow: impl Fn(PolicyId) -> bool, mut each: impl FnMut(FileId, &mut Walk<'a>)) {
    let mut seen: HashSet<PolicyId> = [from].into_iter().collect();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        let Some(Some(space)) = set.spaces.get(id.index()) else { continue };
        for member in &space.members {
            let policy = set.policy(member.policy);
            let mut walk = Walk::default();
            walk.block(&policy.item.body);
            each(policy.file, &mut walk);
            let callees = walk.calls.iter().filter_map(|name| set.index.get(Kind::Assertion, name));
            open.extend(callees.filter(|callee| follow(*callee) && seen.insert(*callee)));
        }
    }
}

/// Literal codes that a service, or what it calls, fails with.
fn failures(set: &Set<'_>, service: PolicyId, passed: Option<&str>) -> Vec<(String, Span)> {
    let passes = |callee: PolicyId| {
        let failure = set.policy(callee).failure();
        failure.is_some_and(|failure| passed.is_some_and(|passed| failure.name.eq_ignore_ascii_case(passed)))
    };
    let mut all = Vec::new();
    reach(set, service, passes, |_, walk| all.append(&mut walk.fails));
    // As it is written: `000` is not 0.
    all.into_iter()
        .map(|(code, span)| if is_code(set.text(span)) { (set.text(span).to_owned(), span) } else { (code, span) })
        .collect()
}

struct Known {
    words: HashSet<String>,
    any: bool,
}

/// What an error answer names, with all that it calls.
fn known(set: &Set<'_>, answer: PolicyId) -> Known {
    let mut known = Known { words: HashSet::new(), any: false };
    reach(
        set,
        answer,
        |_| true,
        |file, walk| {
            known.any |= walk.partial;
            known.words.extend(walk.words.drain(..));
            for path in &walk.files {
                if let Some(json) = set.data.json(file, path) {
                    let mut inner = Walk::default();
                    inner.json(json);
                    known.words.extend(inner.words);
                }
            }
        },
    );
    known
}

/// What a policy says that matters here.
#[derive(Default)]
struct Walk<'a> {
    fails: Vec<(String, Span)>,
    calls: Vec<&'a str>,
    words: Vec<String>,
    files: Vec<&'a str>,
    /// Whether it looks at parts of texts.
    partial: bool,
}

fn literal(expr: &Expr) -> Option<String> {
    match &*expr.kind {
        ExprKind::Int(number) => Some(number.to_string()),
        _ => expr.literal().map(str::to_owned),
    }
}

impl<'a> Visit<'a> for Walk<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        if let StmtKind::Fail(code) = &stmt.kind {
            self.fails.extend(literal(code).map(|word| (word, code.span.span)));
        }
        visit::walk_stmt(self, stmt);
    }

    fn call(&mut self, call: &'a Call) {
        if let Callee::Encapsulated(name) = &call.callee {
            self.calls.push(&name.node);
        }
        visit::walk_call(self, call);
    }

    fn comparison(&mut self, comparison: &'a Comparison) {
        self.partial |= matches!(
            comparison.predicate,
            Predicate::Matches(_) | Predicate::StartsWith(_) | Predicate::EndsWith(_) | Predicate::Contains(_)
        );
        visit::walk_comparison(self, comparison);
    }

    fn expr(&mut self, expr: &'a Expr) {
        self.words.extend(literal(expr));
        if let ExprKind::File(Syntax::Json, path) = &*expr.kind {
            self.files.push(&path.node);
        }
        visit::walk_expr(self, expr);
    }

    fn json(&mut self, json: &'a Json) {
        if let Json::Object(members) = json {
            let names = members.iter().filter_map(|member| match member.key.as_slice() {
                [Part::Text(name)] => Some(name.clone()),
                _ => None,
            });
            self.words.extend(names);
        }
        visit::walk_json(self, json);
    }
}
