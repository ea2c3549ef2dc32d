//! One file: a declaration with its body.

use std::collections::{BTreeSet, HashMap};

use portcullis_dsl::ast::*;
use portcullis_dsl::span::{FileId, Lines, Span};

use crate::model::{Argument, Export, Policy, Role, Service};
use crate::names::{Names, find_policy};
use crate::report::{Finding, Grade, PolicyReport, StepReport, Told};
use crate::translate::build::{arg, at, block, call, comments, docs, is_variable, lit, name, native, stmt, var};
use crate::translate::{self, Outcome};

/// What a file declares.
#[derive(Clone, Debug)]
pub enum Head {
    /// `service`
    Service(String),
    /// `fragment`
    Fragment(String),
    /// `assertion`, with the policy as its body.
    Assertion(usize, String),
    /// `assertion` that includes a fragment.
    Wrapper(usize, String),
    /// `task` that includes a fragment.
    Task(usize, String),
    /// `before` or `after`: whether it is the first, its name, the fragment that it includes.
    Around(bool, String, String),
    /// `customize`
    Customize(String),
    /// `extension`
    Extension(String),
    /// `customize` that includes the fragment with a policy's body.
    Shared(usize, String),
}

/// A file.
pub struct Unit {
    /// Its path.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The policy that is its body.
    pub policy: Option<usize>,
    /// Steps that cannot stay as they were translated, and why.
    pub refused: HashMap<usize, String>,
    /// Variables that nothing sets.
    pub declares: BTreeSet<String>,
    /// The service has another path, and is switched off.
    pub moved: bool,
    pub(super) head: Head,
    outcome: Outcome,
    /// First and last byte of each statement, and its step.
    spans: Vec<(usize, usize, usize)>,
}

impl Unit {
    /// A file that is made later.
    pub fn new(path: String, head: Head, policy: Option<usize>) -> Unit {
        Unit {
            path,
            text: String::new(),
            policy,
            refused: HashMap::new(),
            declares: BTreeSet::new(),
            moved: false,
            head,
            outcome: Outcome::default(),
            spans: Vec::new(),
        }
    }

    /// Makes its text. What cannot be written as it was translated becomes `Unsupported`.
    pub fn make(&mut self, export: &Export, names: &Names) {
        // Each round refuses at least one step more.
        for _ in 0..3 {
            let item = self.item(export, names);
            match portcullis_dsl::lay_out(&File { connection: None, items: vec![item.clone()], trailing: Vec::new() }) {
                Ok(text) => {
                    self.text = text;
                    self.find_spans(&item);
                    return;
                }
                Err(error) => {
                    let mut bad = Vec::new();
                    unwritable(&item.body, &mut bad);
                    let why = format!("a text that the language can hold: {error}");
                    let more = bad.into_iter().filter(|step| self.refused.insert(*step, why.clone()).is_none()).count();
                    if more == 0 {
                        break;
                    }
                }
            }
        }
        self.text = format!("// This policy could not be written; the report names it.\n{}", self.stub());
        self.spans.clear();
    }

    /// A declaration that refuses everything.
    fn stub(&self) -> String {
        let mut item = Item {
            leading: Vec::new(),
            kind: ItemKind::Fragment,
            name: name(self.name()),
            body: block(vec![unreadable("it could not be written")]),
            span: Span::default(),
        };
        if matches!(self.head, Head::Assertion(..) | Head::Wrapper(..)) {
            item.kind = ItemKind::Assertion(Vec::new());
        }
        portcullis_dsl::lay_out(&File { connection: None, items: vec![item], trailing: Vec::new() }).unwrap_or_default()
    }

    fn name(&self) -> &str {
        match &self.head {
            Head::Service(name) | Head::Fragment(name) | Head::Customize(name) | Head::Extension(name) => name,
            Head::Assertion(_, name) | Head::Wrapper(_, name) | Head::Task(_, name) | Head::Shared(_, name) => name,
            Head::Around(_, name, _) => name,
        }
    }

    /// The fragment that a `before` or `after` includes.
    pub fn around(&self) -> Option<&str> {
        if let Head::Around(_, _, fragment) = &self.head { Some(fragment) } else { None }
    }

    fn item(&mut self, export: &Export, names: &Names) -> Item {
        let policy = self.policy.and_then(|at| export.policies.get(at));
        let mut leading = Vec::new();
        let kind = match &self.head {
            Head::Fragment(_) => ItemKind::Fragment,
            Head::Customize(_) | Head::Shared(..) => ItemKind::Customize,
            Head::Extension(_) => ItemKind::Extension,
            Head::Service(name) => service(policy, name, self.moved),
            Head::Around(true, ..) => ItemKind::Before,
            Head::Around(false, ..) => ItemKind::After,
            Head::Assertion(encass, _) | Head::Wrapper(encass, _) => {
                let encass = export.encasses.get(*encass);
                leading.extend(encass.map(|encass| origin(&encass.guid, "")).unwrap_or_default());
                leading.extend(
                    encass.filter(|encass| !encass.doc.trim().is_empty()).map(|encass| docs(&encass.doc)).unwrap_or_default(),
                );
                let (inputs, outputs) =
                    encass.map(|encass| (encass.inputs.as_slice(), encass.outputs.as_slice())).unwrap_or_default();
                ItemKind::Assertion(params(inputs, outputs))
            }
            Head::Task(task, _) => {
                let times = export.tasks.get(*task).map(|task| task.cron.trim().to_owned()).unwrap_or_default();
                ItemKind::Task(Schedule::At(at(times)))
            }
        };
        if let Some(policy) = policy {
            let mut own = origin(if policy.guid.is_empty() { &policy.id } else { &policy.guid }, &policy.version);
            own.append(&mut leading);
            leading = own;
            if !policy.doc.trim().is_empty() {
                leading.extend(docs(&policy.doc));
            }
        }
        let mut body = self.body(export, names, policy);
        for name in self.declares.iter().rev() {
            body.stmts.insert(
                0,
                stmt(StmtKind::Declare { target: crate::translate::build::name(name.clone()), ty: None, allowed: None }),
            );
        }
        Item { leading, kind, name: name(self.name()), body, span: Span::default() }
    }

    fn body(&mut self, export: &Export, names: &Names, policy: Option<&Policy>) -> Block {
        if let Some(policy) = policy {
            return match &policy.body {
                Ok(steps) => {
                    let (block, outcome) = translate::policy(names, self.name(), &policy.place, steps, &self.refused);
                    self.outcome = outcome;
                    block
                }
                Err(damage) => block(vec![unreadable(&format!("{} ({})", damage.why, damage.place))]),
            };
        }
        if let Head::Around(_, _, fragment) = &self.head {
            return block(vec![stmt(StmtKind::Include(name(fragment.clone())))]);
        }
        if let Head::Shared(at, _) = &self.head
            && let Some(fragment) = names.shared.get(at)
        {
            return block(vec![stmt(StmtKind::Include(name(fragment.clone())))]);
        }
        let key = match &self.head {
            Head::Wrapper(encass, _) => export.encasses.get(*encass).map(|encass| encass.policy.as_str()),
            Head::Task(task, ..) => export.tasks.get(*task).map(|task| task.policy.as_str()),
            _ => None,
        };
        let target = key
            .and_then(|key| find_policy(export, key))
            .and_then(|at| export.policies.get(at))
            .and_then(|policy| names.fragment_of(policy));
        match target {
            Some(target) => block(vec![stmt(StmtKind::Include(name(target.name.clone())))]),
            None => block(vec![unreadable(&format!("the policy `{}`, which the export lacks", key.unwrap_or("")))]),
        }
    }

    fn find_spans(&mut self, built: &Item) {
        self.spans.clear();
        let (parsed, _) = portcullis_dsl::parse(FileId::default(), &self.text);
        if let Some(item) = parsed.items.first() {
            pair(&built.body, &item.body, &mut self.spans);
        }
    }

    /// The innermost step at a byte.
    pub fn step_at(&self, offset: usize) -> Option<usize> {
        let around = self.spans.iter().filter(|(start, end, _)| (*start..*end).contains(&offset));
        around.min_by_key(|(start, end, _)| end - start).map(|(.., step)| *step)
    }

    /// Counts its steps, and says where each is.
    pub fn count(&self, report: &mut PolicyReport) {
        let lines = Lines::new(&self.text);
        report.to =
            format!("{}:{}", self.path, self.text.lines().position(|line| !line.starts_with("//")).map_or(1, |at| at + 1));
        let steps = &mut report.steps;
        steps.comments = self.outcome.comments;
        steps.disabled = self.outcome.disabled;
        for (number, kind, grade) in &self.outcome.grades {
            match grade {
                Grade::Exact => steps.exact += 1,
                Grade::Rewritten => steps.rewritten += 1,
                Grade::Missing => steps.missing += 1,
            }
            let line = self.line(*number, &lines);
            report.places.push(StepReport { step: *number, kind: kind.clone(), line, grade: *grade });
        }
    }

    fn line(&self, step: usize, lines: &Lines) -> usize {
        let starts = self.spans.iter().filter(|(.., own)| *own == step).map(|(start, ..)| *start);
        starts.min().map_or(0, |start| lines.line(start))
    }

    /// Its findings, with places.
    pub fn findings(&self) -> Vec<Told> {
        let lines = Lines::new(&self.text);
        let one = |finding: &Finding| Told {
            topic: finding.topic,
            policy: finding.policy.clone(),
            from: finding.place.to_string(),
            to: match self.line(finding.step, &lines) {
                0 => self.path.clone(),
                line => format!("{}:{line}", self.path),
            },
            message: finding.message.clone(),
        };
        self.outcome.findings.iter().map(one).collect()
    }
}

/// `Unsupported` in place of a whole policy.
fn unreadable(why: &str) -> Stmt {
    call(native("Unsupported", vec![arg("step", lit("policy")), arg("needs", lit(why))]))
}

/// Where it came from, for a later look at the export.
fn origin(guid: &str, version: &str) -> Vec<Comment> {
    match (guid, version) {
        ("", _) => Vec::new(),
        (guid, "") => comments(&format!("exported as {guid}")),
        (guid, version) => comments(&format!("exported as {guid}, version {version}")),
    }
}

fn service(policy: Option<&Policy>, name: &str, moved: bool) -> ItemKind {
    let none = Service { enabled: true, ..Service::default() };
    let service =
        policy.and_then(|policy| if let Role::Service(service) = &policy.role { Some(service) } else { None }).unwrap_or(&none);
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let mut methods: Vec<String> = service.methods.iter().map(|method| method.to_ascii_uppercase()).collect();
    methods.retain(|method| known.contains(&method.as_str()));
    methods.dedup();
    let mut paths = service.paths();
    let usable = !paths.is_empty() && !moved;
    if !usable {
        paths = vec![format!("/imported/{}", slug(name))];
    }
    ItemKind::Service(ServiceHead {
        paths: paths.into_iter().map(at).collect(),
        methods: methods.into_iter().map(at).collect(),
        errors: None,
        raw_paths: false,
        disabled: !service.enabled || !usable,
    })
}

fn slug(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(fits).collect::<String>().split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn params(inputs: &[Argument], outputs: &[Argument]) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let mut add = |argument: &Argument, direction: Direction| {
        let twice = params.iter().any(|own: &Param| own.direction == direction && own.name.eq_ignore_ascii_case(&argument.name));
        if twice || !is_variable(&argument.name) {
            return;
        }
        let implicit = direction == Direction::In && !argument.prompt;
        let doc = argument.label.split_whitespace().collect::<Vec<_>>().join(" ");
        params.push(Param {
            direction,
            name: name(argument.name.clone()),
            failure: false,
            // An input that is left out is undefined; one without a prompt is the caller's variable of its name.
            optional: direction == Direction::In && argument.prompt,
            ty: None,
            allowed: None,
            default: implicit.then(|| var(&argument.name)),
            leading: if doc.is_empty() || doc == argument.name { Vec::new() } else { docs(&doc) },
            trailing: None,
        });
    };
    inputs.iter().for_each(|argument| add(argument, Direction::In));
    outputs.iter().for_each(|argument| add(argument, Direction::Out));
    params
}

/// Steps whose statements cannot be written.
fn unwritable(body: &Block, bad: &mut Vec<usize>) {
    for one in &body.stmts {
        let item = Item {
            leading: Vec::new(),
            kind: ItemKind::Fragment,
            name: name("x"),
            body: block(vec![one.clone()]),
            span: Span::default(),
        };
        if portcullis_dsl::lay_out(&File { connection: None, items: vec![item], trailing: Vec::new() }).is_ok() {
            continue;
        }
        let before = bad.len();
        inner(one).into_iter().for_each(|block| unwritable(block, bad));
        if bad.len() == before && one.span.span != Span::default() {
            bad.push(one.span.span.start as usize);
        }
    }
}

/// The blocks in a statement.
fn inner(stmt: &Stmt) -> Vec<&Block> {
    match &stmt.kind {
        StmtKind::Group { body, .. } | StmtKind::ForEach { body, .. } => vec![body],
        StmtKind::If { arms, otherwise } => arms.iter().map(|(_, block)| block).chain(otherwise).collect(),
        StmtKind::HandleErrors { body, handler, .. } => std::iter::once(body).chain(handler).collect(),
        StmtKind::Call(call) => call.block.iter().collect(),
        StmtKind::Else(left, right) => inner(left).into_iter().chain(inner(right)).collect(),
        _ => Vec::new(),
    }
}

/// Walks a built block and the parsed one of its text together: the built one knows steps, the parsed one places.
fn pair(built: &Block, parsed: &Block, spans: &mut Vec<(usize, usize, usize)>) {
    for (one, there) in built.stmts.iter().zip(&parsed.stmts) {
        pair_stmt(one, there, spans);
    }
}

fn pair_stmt(built: &Stmt, parsed: &Stmt, spans: &mut Vec<(usize, usize, usize)>) {
    let (own, there) = (built.span.span, parsed.span.span);
    if own != Span::default() {
        spans.push((there.start as usize, there.end as usize, own.start as usize));
    }
    if let (StmtKind::Else(left, right), StmtKind::Else(first, second)) = (&built.kind, &parsed.kind) {
        pair_stmt(left, first, spans);
        pair_stmt(right, second, spans);
        return;
    }
    for (one, there) in inner(built).into_iter().zip(inner(parsed)) {
        pair(one, there, spans);
    }
}
