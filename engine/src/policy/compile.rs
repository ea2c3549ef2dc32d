//! From checked trees to one flat program.
//!
//! Every service, task, command and encapsulated assertion becomes a stretch of instructions; fragments and hooks are compiled in
//! where they are included. An instruction has a success and a failure target, so composites cost nothing at run time: they only
//! determine the targets.

mod call;
mod code;
mod conditions;
mod expressions;
pub mod names;
mod statements;

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_dsl::ast::{self, ItemKind};
use portcullis_dsl::shared::parts;
use portcullis_dsl::span::{FileId, Span};
use portcullis_dsl::{Diagnostic, Library, Policy, PolicyId};
use smol_str::SmolStr;

use crate::data::pattern::Written;
use crate::policy::assertion;
use crate::policy::codes::defect;
use crate::policy::ctx::Slot;
use crate::policy::exec::program::{CallSite, Failing, FrameProgram, Made, NOWHERE, Op, Program, Told, Touched};
use crate::policy::expr::Expr;
use crate::policy::reads::Reads;
use code::{Code, Label};
use names::{Flow, UsedName};

/// Compiles a library. The diagnostics are those that only the engine can give: selectors, properties that an assertion refuses.
/// The names are those of `gateway.yaml` that the policies will ask for.
pub fn compile(
    library: &Library,
    entries: &HashMap<&'static str, &'static assertion::Entry>,
) -> (Program, Vec<Diagnostic>, Vec<UsedName>) {
    let patterns = Patterns::default();
    let owners = library.policies().iter().filter(|policy| policy.owns_frame());
    let (called, others): (Vec<&Policy>, Vec<&Policy>) =
        owners.partition(|policy| matches!(policy.item.kind, ItemKind::Assertion(_)));
    let mut compiler = Compiler::new(library, entries, &patterns, HashMap::new());
    for policy in called {
        compiler.frame(policy);
    }
    let Compiler { mut code, mut frames, mut cookies, mut diagnostics, mut names, .. } = compiler;
    // Nothing calls the others, so several threads share them.
    let made = parts(&others, |part| {
        let mut compiler = Compiler::new(library, entries, &patterns, frames.clone());
        let made: Vec<_> = part.iter().filter_map(|policy| Some((policy.id, compiler.stretch(policy)?))).collect();
        let Compiler { code, cookies, diagnostics, names, .. } = compiler;
        (made, code, cookies, diagnostics, names)
    });
    for (stretches, part, cookies_too, diagnostics_too, names_too) in made {
        let base = code.append(part);
        frames.extend(stretches.into_iter().map(|(id, program)| (id, Arc::new(program.moved(base)))));
        cookies_too.into_iter().for_each(|cookie| note(&mut cookies, cookie));
        diagnostics.extend(diagnostics_too);
        names.extend(names_too);
    }
    let (program, astray) = code.link(frames, cookies, Arc::clone(library.sources()));
    diagnostics.extend(astray.into_iter().map(|span| defect("an instruction that leads nowhere", span)));
    // A fragment is compiled for each policy that includes it.
    let mut seen = HashSet::new();
    diagnostics.retain(|found| seen.insert((found.code, found.span)));
    (program, diagnostics, names)
}

/// Regular expressions: a fragment's are needed by each policy that includes it, and are compiled once for all.
type Patterns = Mutex<HashMap<(String, bool), Arc<Written>>>;

struct Compiler<'a> {
    library: &'a Library,
    entries: &'a HashMap<&'static str, &'static assertion::Entry>,
    patterns: &'a Patterns,
    code: Code,
    /// Encapsulated assertions.
    frames: HashMap<PolicyId, Arc<FrameProgram>>,
    /// The state of the frame being compiled.
    reads: Reads,
    /// The state of the frame being compiled.
    flow: Flow,
    /// Of all frames.
    names: Vec<UsedName>,
    /// Cookies that the policies set: names, or prefixes of names with a `*`.
    cookies: Vec<SmolStr>,
    /// Variables that were named since [`Compiler::touched`], and whether an assertion may set them.
    touched: RefCell<Vec<(Slot, bool)>>,
    diagnostics: Vec<Diagnostic>,
}

/// Notes a cookie of this gateway, once.
fn note(cookies: &mut Vec<SmolStr>, cookie: SmolStr) {
    if !cookies.contains(&cookie) {
        cookies.push(cookie);
    }
}

/// The current scope: the frame of the variables, and the policy whose text is being compiled.
#[derive(Clone, Copy)]
struct Scope<'a> {
    frame: &'a portcullis_dsl::Frame,
    /// The policy whose text is being compiled: the frame's own or an included one.
    policy: &'a Policy,
    /// What `fail` does here.
    fail: Option<FailTo>,
    /// Where `Done` goes: the successful end of a service, task or command.
    done: Option<Label>,
}

/// Where `fail` goes.
#[derive(Clone, Copy)]
enum FailTo {
    /// To the end of the service, task or command. The slot takes the code.
    Service(Label, Slot),
    /// To the end of the assertion. The output in this slot takes the code for the caller.
    Assertion(Label, Slot),
}

impl Scope<'_> {
    fn file(&self) -> FileId {
        self.policy.file
    }
}

impl<'a> Compiler<'a> {
    fn new(
        library: &'a Library,
        entries: &'a HashMap<&'static str, &'static assertion::Entry>,
        patterns: &'a Patterns,
        frames: HashMap<PolicyId, Arc<FrameProgram>>,
    ) -> Self {
        Compiler {
            library,
            entries,
            patterns,
            code: Code::default(),
            frames,
            reads: Reads::default(),
            flow: Flow::default(),
            names: Vec::new(),
            cookies: Vec::new(),
            touched: RefCell::default(),
            diagnostics: Vec::new(),
        }
    }

    /// Compiles an encapsulated assertion, once. The call graph has no cycles: the resolver has checked.
    fn frame(&mut self, policy: &'a Policy) -> Option<Arc<FrameProgram>> {
        if let Some(done) = self.frames.get(&policy.id) {
            return Some(done.clone());
        }
        let program = Arc::new(self.stretch(policy)?);
        self.frames.insert(policy.id, program.clone());
        Some(program)
    }

    /// Compiles a policy with variables of its own.
    fn stretch(&mut self, policy: &'a Policy) -> Option<FrameProgram> {
        let frame = self.library.frame(policy.id)?;
        // One hidden slot after the frame's own holds the code given to `fail`.
        let code_slot = Slot(frame.slots() as u32);
        // Callees first, so that their entries are known and stretches do not interleave.
        self.callees(&policy.item.body);
        if let ItemKind::Service(head) = &policy.item.kind
            && let Some(errors) = &head.errors
        {
            self.callee(errors);
        }

        self.reads = Reads::default();
        self.flow = Flow::default();
        let entry = self.code.label();
        let (held, failed) = (self.code.label(), self.code.label());
        let fail_tail = self.code.label();
        let fault_tail = self.code.label();
        let scope = Scope { frame, policy, fail: None, done: None };
        let mut program = FrameProgram {
            name: policy.name.as_str().into(),
            entry: 0,
            fault_tail: None,
            failing: None,
            told: None,
            slots: frame.slots() + 1,
            inputs: Vec::new(),
            outputs: Vec::new(),
            failure: None,
            reads: Reads::default(),
            changes: Vec::new(),
            span: policy.item.name.span,
            flat: Made::default(),
        };
        self.code.place(entry);
        match &policy.item.kind {
            ItemKind::Service(head) => {
                let scope = Scope { fail: Some(FailTo::Service(fail_tail, code_slot)), done: Some(held), ..scope };
                self.block(&policy.item.body, scope, held, failed);
                self.code.place(held);
                self.code.emit(Op::End(true), policy.item.span, held, held);
                let ended = self.code.label();
                self.service_tails(head, scope, [failed, fail_tail, fault_tail], code_slot, ended);
                let [plain, coded] = [failed, fail_tail].map(|tail| self.code.address(tail));
                program.failing = Some(Failing { plain, coded, code: code_slot });
                program.fault_tail = head.errors.is_some().then_some(self.code.address(fault_tail));
            }
            ItemKind::Before | ItemKind::After => {
                // `Done` before a service ends it with success, too; one more hidden slot says so.
                let told = Told { code: code_slot, answered: Slot(code_slot.0 + 1) };
                program.slots += 1;
                program.told = Some(told);
                let done = self.code.label();
                let scope = Scope { fail: Some(FailTo::Service(fail_tail, code_slot)), done: Some(done), ..scope };
                self.block(&policy.item.body, scope, held, failed);
                self.code.place(done);
                let answered = Op::Set(told.answered, Expr::Const(crate::data::value::Value::Bool(true)), None);
                self.code.emit(answered, policy.item.span, held, held);
                self.code.place(held);
                self.ends(policy, Op::End, held, [failed, fail_tail, fault_tail]);
            }
            ItemKind::Task(_) | ItemKind::Command(_) => {
                if let ItemKind::Task(ast::Schedule::At(times)) = &policy.item.kind
                    && let Err(why) = crate::data::time::Schedule::parse(times)
                {
                    let message = format!("`{}` are no times of a task: {why}", times.node);
                    self.error(crate::policy::codes::BAD_PROPERTY, message, times.span);
                }
                let output = policy.failure().map(|param| self.slot(&param.name, scope));
                let scope =
                    Scope { fail: Some(FailTo::Service(fail_tail, output.unwrap_or(code_slot))), done: Some(held), ..scope };
                // Only the command line calls a command, and it cannot evaluate expressions, so the command fills in its defaults
                // itself.
                for param in self.library.params(policy) {
                    if let Some(default) = &param.default {
                        let value = self.default_input(default, scope);
                        let op = Op::Default(self.slot(&param.name, scope), value, param.ty.as_ref().map(|ty| ty.node));
                        self.code.emit(op, default.span.span, Label::NEXT, failed);
                    }
                }
                self.block(&policy.item.body, scope, held, failed);
                self.code.place(held);
                self.ends(policy, Op::End, held, [failed, fail_tail, fault_tail]);
            }
            _ => {
                let output = policy.failure().map(|param| self.slot(&param.name, scope));
                let scope = Scope { fail: output.map(|slot| FailTo::Assertion(fail_tail, slot)), ..scope };
                self.block(&policy.item.body, scope, held, failed);
                self.code.place(held);
                self.outputs_within(policy, scope);
                self.ends(policy, Op::Return, held, [failed, fail_tail, fault_tail]);
            }
        }
        let is_assertion = matches!(policy.item.kind, ItemKind::Assertion(_));
        for param in self.library.params(policy) {
            let slot = self.slot(&param.name, scope);
            let name = param.name.node.as_str().into();
            match param.direction {
                ast::Direction::In => program.inputs.push((name, slot, param.ty.as_ref().map(|ty| ty.node))),
                ast::Direction::Out if param.failure && is_assertion => program.failure = Some((name, slot)),
                ast::Direction::Out => program.outputs.push((name, slot)),
            }
        }
        program.entry = self.code.address(entry);
        program.reads = std::mem::take(&mut self.reads);
        program.changes = self.flow.changed();
        self.diagnostics.extend(self.flow.torn());
        self.names.extend(self.flow.names());
        Some(program)
    }

    /// The two ends of a policy that answers nothing: the successful one, here, and the one of all failures.
    fn ends(&mut self, policy: &Policy, end: fn(bool) -> Op, held: Label, failures: [Label; 3]) {
        let [failed, ..] = failures;
        self.code.emit(end(true), policy.item.span, held, held);
        failures.into_iter().for_each(|label| self.code.place(label));
        self.code.emit(end(false), policy.item.span, failed, failed);
    }

    /// The code after a service's body: its error assertion, called in one of three ways, then the end.
    fn service_tails(
        &mut self,
        head: &'a ast::ServiceHead,
        scope: Scope<'a>,
        [failed, fail_tail, fault_tail]: [Label; 3],
        code_slot: Slot,
        ended: Label,
    ) {
        let span = scope.policy.item.name.span;
        if let Some(errors) = &head.errors {
            let Some(callee) = self.callee(errors) else {
                [failed, fail_tail, fault_tail, ended].into_iter().for_each(|label| self.code.place(label));
                return self.defective("the error assertion is missing", errors.span.span);
            };
            // After a failure without `fail`: the clause's own arguments. After `fail CODE`: the first input is the code. After a
            // fault: it is undefined.
            for (label, code) in
                [(failed, None), (fail_tail, Some(Expr::Slot(code_slot))), (fault_tail, Some(Expr::Const(Default::default())))]
            {
                self.code.place(label);
                let mut site = self.call_site(errors, &callee, scope);
                if let (Some(code), Some((_, first, _))) = (code, callee.inputs.first()) {
                    site.inputs.retain(|(slot, _, _)| slot != first);
                    site.inputs.push((*first, code, None));
                }
                self.code.emit(Op::DropDraft, errors.span.span, Label::NEXT, Label::NEXT);
                self.code.emit(Op::Call(Arc::new(site)), errors.span.span, ended, ended);
            }
        } else {
            self.code.place(failed);
            self.code.place(fail_tail);
            self.code.place(fault_tail);
        }
        self.code.place(ended);
        self.code.emit(Op::End(false), span, ended, ended);
    }

    /// Checks the bounds of outputs, whatever set them.
    fn outputs_within(&mut self, policy: &'a Policy, scope: Scope<'a>) {
        let outputs = self.library.params(policy).iter().filter(|param| param.direction == ast::Direction::Out);
        for param in outputs.filter(|param| param.allowed.is_some()) {
            let slot = self.slot(&param.name, scope);
            if let Some(bounds) = statements::bounds(slot, scope) {
                self.code.emit(Op::Within(Arc::new(bounds)), param.name.span, Label::NEXT, Label::NEXT);
            }
        }
    }

    /// The slot of a variable. The resolver gives every name that a frame sets one.
    fn slot(&mut self, name: &str, scope: Scope<'a>) -> Slot {
        match scope.frame.slot(name) {
            Some(slot) => self.touch(slot),
            None => {
                self.report(defect(&format!("`{name}` has no slot"), scope.policy.item.name.span));
                Slot(NOWHERE)
            }
        }
    }

    /// A variable is named.
    fn touch(&self, slot: usize) -> Slot {
        let slot = Slot(slot as u32);
        self.touched.borrow_mut().push((slot, false));
        slot
    }

    /// An assertion is given a variable, which it may set.
    fn hand_out(&self, slot: usize) -> Slot {
        let slot = Slot(slot as u32);
        self.touched.borrow_mut().push((slot, true));
        slot
    }

    /// The variables that were named since the last call.
    fn touched(&self) -> Touched {
        let touched = std::mem::take(&mut *self.touched.borrow_mut());
        let all: BTreeSet<Slot> = touched.iter().map(|(slot, _)| *slot).collect();
        let sets: BTreeSet<Slot> = touched.iter().filter(|(_, sets)| *sets).map(|(slot, _)| *slot).collect();
        Touched { all: all.into_iter().collect(), sets: sets.into_iter().collect() }
    }

    /// Emits an instruction that must not be reached, and reports why these policies do not load.
    fn defective(&mut self, what: &str, span: Span) {
        self.report(defect(what, span));
        let here = self.code.label();
        self.code.place(here);
        self.code.emit(Op::Defect, span, here, here);
    }

    /// A regular expression that stands in a policy.
    fn regex(&mut self, pattern: &str, ignore_case: bool) -> Result<Arc<Written>, regex::Error> {
        match self.patterns.lock().unwrap_or_else(PoisonError::into_inner).entry((pattern.to_owned(), ignore_case)) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(unknown) => Ok(Arc::clone(unknown.insert(Arc::new(Written::new(pattern, ignore_case)?)))),
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn callee(&mut self, call: &ast::Call) -> Option<Arc<FrameProgram>> {
        let policy = self.library.assertion(call.callee.name())?;
        self.frame(policy)
    }

    /// How a call of an encapsulated assertion passes values.
    fn call_site(&mut self, call: &ast::Call, callee: &Arc<FrameProgram>, scope: Scope<'a>) -> CallSite {
        self.reads.extend(&callee.reads);
        let mut inputs = Vec::new();
        if let Some(policy) = self.library.assertion(call.callee.name()) {
            let params = self.library.params(policy).iter().filter(|param| param.direction == ast::Direction::In);
            for (param, (_, slot, ty)) in params.zip(&callee.inputs) {
                let given = call.args.iter().find(|arg| arg.name.eq_ignore_ascii_case(&param.name));
                let value = match (given, &param.default) {
                    (Some(arg), _) => self.expr(&arg.value, scope),
                    // Variables in a default are the caller's (undefined if the caller lacks them); files are the callee's.
                    (None, Some(default)) => self.default_input(default, Scope { policy, ..scope }),
                    // `in name?`: undefined, as every slot is at first.
                    (None, None) => continue,
                };
                inputs.push((*slot, value, *ty));
            }
        }
        let outputs =
            callee.outputs.iter().filter_map(|(name, inner)| Some((*inner, Slot(scope.frame.slot(name)? as u32)))).collect();
        let failure = callee.failure.as_ref().and_then(|(name, inner)| Some((*inner, Slot(scope.frame.slot(name)? as u32))));
        CallSite { entry: callee.entry, slots: callee.slots, inputs, outputs, failure, name: callee.name.clone() }
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span) {
        self.report(Diagnostic::error(code, message, span));
    }
}
