//! Steps as statements of the language.

mod access;
pub mod build;
mod compare;
mod crypto;
mod data;
mod logic;
mod lookups;
mod message;
mod routing;
pub mod text;
mod unsupported;
mod xml;

use std::collections::{HashMap, HashSet};

use portcullis_dsl::ast::{Block, Comment, File, GroupKind, Item, ItemKind, Name, Stmt, StmtKind};
use portcullis_dsl::span::{FileId, Span};

use crate::known;
use crate::model::{Place, Prop, Step};
use crate::names::Names;
use crate::report::{Finding, Grade, Topic};
use build::{comments, group, name, stmt};

/// What became of a step.
pub enum Made {
    /// These statements mean the same.
    Exact(Vec<Stmt>),
    /// They mean the same, and look different: why.
    Rewritten(Vec<Stmt>, String),
    /// Nothing is needed here: why.
    Nothing(String),
    /// There is no translation: what it needs.
    Missing(String),
}

impl Made {
    fn exact(stmt: Stmt) -> Made {
        Made::Exact(vec![stmt])
    }

    fn rewritten(stmts: Vec<Stmt>, why: impl Into<String>) -> Made {
        Made::Rewritten(stmts, why.into())
    }

    fn missing(needs: impl Into<String>) -> Made {
        Made::Missing(needs.into())
    }
}

/// What came out of a policy.
#[derive(Default)]
pub struct Outcome {
    /// What a person should know.
    pub findings: Vec<Finding>,
    /// By step: what became of it.
    pub grades: Vec<(usize, String, Grade)>,
    /// Comments that became comments.
    pub comments: usize,
    /// Disabled steps that became comments, with what is in them.
    pub disabled: usize,
}

/// Translates one policy.
pub struct Translator<'t> {
    names: &'t Names,
    /// Name of the policy as it is written here.
    policy: &'t str,
    /// Where the policy was read.
    place: &'t Place,
    /// Steps that cannot stay although they were translated: by number, why not.
    refused: &'t HashMap<usize, String>,
    out: Outcome,
    /// Statements that the one being made needs before it.
    before: Vec<Stmt>,
    /// A piece that the step being made lacks.
    needs: Option<String>,
    /// Number and line of the step being made.
    at: (usize, usize),
    made: usize,
    /// Credentials that a step put aside for the next authentication.
    credentials: Option<(portcullis_dsl::ast::Expr, portcullis_dsl::ast::Expr)>,
    /// Variables that hold a moment, in lower case: what follows their names may be a pattern of a date.
    moments: HashSet<String>,
}

/// Statements of a policy's steps.
pub fn policy(names: &Names, policy: &str, place: &Place, body: &Step, refused: &HashMap<usize, String>) -> (Block, Outcome) {
    let mut translator = Translator {
        names,
        policy,
        place,
        refused,
        out: Outcome::default(),
        before: Vec::new(),
        needs: None,
        at: (0, body.line),
        made: 0,
        credentials: None,
        moments: HashSet::from(["request.time".to_owned()]),
    };
    let block = translator.block(&body.children, false);
    (block, translator.out)
}

impl Translator<'_> {
    fn find(&mut self, topic: Topic, message: &str) {
        let place = Place { line: self.at.1, ..self.place.clone() };
        self.out.findings.push(Finding {
            topic,
            policy: self.policy.to_owned(),
            place,
            step: self.at.0,
            message: message.to_owned(),
        });
    }

    /// A place where the gateways differ, by its number in the guide.
    fn trap(&mut self, number: u8, message: &str) {
        self.find(Topic::Trap(number), message);
    }

    fn security(&mut self, message: &str) {
        self.find(Topic::Security, message);
    }

    fn note(&mut self, message: &str) {
        self.find(Topic::Note, message);
    }

    /// The step being made lacks this.
    fn need(&mut self, what: &str) {
        self.needs.get_or_insert_with(|| what.to_owned());
    }

    /// A variable that no policy has.
    fn fresh(&mut self, what: &str) -> String {
        self.made += 1;
        format!("_{what}_{}", self.made)
    }

    /// Statements of several steps. In an `AtLeastOne` each step stays one statement.
    fn block(&mut self, steps: &[Step], arms: bool) -> Block {
        let mut out = Block::default();
        let mut waiting: Vec<Comment> = Vec::new();
        for step in steps {
            if step.kind == "Comment" && !step.disabled {
                self.out.comments += 1;
                waiting.extend(comments(step.text("comment")));
                continue;
            }
            if step.disabled {
                waiting.extend(self.disabled(step));
                continue;
            }
            let mut made = self.step(step, arms);
            let label = step.left.as_deref().filter(|_| is_group(step)).map(str::to_owned);
            let left = step.left.as_deref().filter(|_| label.is_none());
            waiting.extend(left.map(comments).unwrap_or_default());
            if let Some(first) = made.first_mut() {
                waiting.append(&mut first.leading);
                first.leading = std::mem::take(&mut waiting);
            }
            let used = is_group(step) && step.left.is_none();
            if let (Some(last), Some(right), false) = (made.last_mut(), step.right.as_deref(), used) {
                last.trailing = Some(build::comment(right)).filter(|comment| !comment.text.is_empty());
            }
            if made.is_empty()
                && let Some(right) = step.right.as_deref()
            {
                waiting.extend(comments(right));
            }
            out.stmts.extend(made);
        }
        out.trailing = waiting;
        out
    }

    /// A disabled step as comment lines: without their slashes they are policy text.
    fn disabled(&mut self, step: &Step) -> Vec<Comment> {
        self.out.disabled += step.count();
        let findings = self.out.findings.len();
        let (comments, disabled, grades) = (self.out.comments, self.out.disabled, self.out.grades.len());
        let enabled = Step { disabled: false, ..step.clone() };
        let block = self.block(std::slice::from_ref(&enabled), false);
        // What is switched off is no finding, and is counted as one.
        self.out.findings.truncate(findings);
        self.out.grades.truncate(grades);
        self.out.comments = comments;
        self.out.disabled = disabled;
        let body = Item { leading: Vec::new(), kind: ItemKind::Fragment, name: name("x"), body: block, span: Span::default() };
        let file = File { connection: None, items: vec![body], trailing: Vec::new() };
        let mut lines = build::comments("switched off:");
        match portcullis_dsl::lay_out(&file) {
            Ok(text) => {
                let inside = text.lines().skip(1).take_while(|line| *line != "}");
                let line = |line: &str| build::comments(line.strip_prefix("    ").unwrap_or(line));
                if let Some(one) = text.lines().next().and_then(|line| line.strip_prefix("fragment \"x\" { ")) {
                    lines.extend(build::comments(one.strip_suffix(" }").unwrap_or(one)));
                }
                lines.extend(inside.flat_map(line));
            }
            Err(_) => lines.extend(unsupported::original(step)),
        }
        lines
    }

    /// The statements of one step that counts. Each has the step's number as its span, so that places can be found again.
    fn step(&mut self, step: &Step, arm: bool) -> Vec<Stmt> {
        self.at = (step.number, step.line);
        self.needs = None;
        let outer = std::mem::take(&mut self.before);
        let (comments, disabled) = (self.out.comments, self.out.disabled);
        let mark = self.out.grades.len();
        self.out.grades.push((step.number, step.kind.clone(), Grade::Exact));
        self.look_for_wraps(step);
        let made = match self.refused.get(&step.number) {
            Some(why) => Made::Missing(why.clone()),
            None => self.made(step),
        };
        self.at = (step.number, step.line);
        let made = match self.needs.take() {
            Some(needs) if !is_group(step) => Made::Missing(needs),
            _ => made,
        };
        if let Made::Exact(_) | Made::Rewritten(..) = &made {
            for name in known::left_aside(step) {
                self.find(Topic::Aside, &format!("{}: nothing here stands for `{name}`", step.kind));
            }
        }
        let mut before = std::mem::replace(&mut self.before, outer);
        let (mut stmts, grade) = match made {
            Made::Exact(stmts) => (stmts, Grade::Exact),
            Made::Rewritten(stmts, why) => {
                self.find(Topic::Rewritten, &format!("{}: {why}", step.kind));
                (stmts, Grade::Rewritten)
            }
            Made::Nothing(why) => {
                self.find(Topic::Dropped, &format!("{}: {why}", step.kind));
                let stmts = if arm { vec![stmt(StmtKind::Continue)] } else { Vec::new() };
                (stmts, Grade::Rewritten)
            }
            Made::Missing(needs) => {
                // What is inside is lost with it.
                self.out.grades.truncate(mark + 1);
                (self.out.comments, self.out.disabled) = (comments, disabled);
                let mut inside = Vec::new();
                let mut each = |step: &Step| inside.push((step.number, step.kind.clone(), Grade::Missing));
                step.children.iter().for_each(|child| child.walk(&mut each));
                self.out.grades.extend(inside);
                self.find(Topic::Missing, &format!("{}: {needs}", step.kind));
                before.clear();
                (vec![unsupported::statement(step, &needs)], Grade::Missing)
            }
        };
        if let Some(own) = self.out.grades.get_mut(mark) {
            own.2 = grade;
        }
        if !before.is_empty() {
            before.append(&mut stmts);
            stmts = before;
        }
        for stmt in &mut stmts {
            mark_step(stmt, step.number);
        }
        if arm && stmts.len() > 1 {
            let leading = stmts.first_mut().map(|first| std::mem::take(&mut first.leading)).unwrap_or_default();
            let mut all = group(GroupKind::All, None, build::block(stmts));
            all.leading = leading;
            mark_step(&mut all, step.number);
            return vec![all];
        }
        stmts
    }

    /// Texts in which a tool broke lines: what was one blank, or none, are many now.
    fn look_for_wraps(&mut self, step: &Step) {
        let run = " ".repeat(build::WRAPPED);
        let wrapped = |prop: &Prop| prop.text().is_some_and(|text| !text.contains('\n') && text.trim().contains(&run));
        let found = step.props.iter().find(|(_, prop)| wrapped(prop) || prop.map().is_some_and(|map| map.values().any(wrapped)));
        if let Some((name, _)) = found {
            let name = name.clone();
            self.trap(20, &format!("`{name}` has a run of blanks, as if a tool had broken its line: look at the text"));
        }
    }

    fn made(&mut self, step: &Step) -> Made {
        match step.kind.as_str() {
            "All" => Made::exact(self.group(step, GroupKind::All)),
            "OneOrMore" => Made::exact(self.group(step, GroupKind::AtLeastOne)),
            "ConcurrentAll" => {
                let all = self.group(step, GroupKind::All);
                Made::rewritten(vec![all], "its steps run one after the other")
            }
            "True" => Made::exact(stmt(StmtKind::Continue)),
            "False" => Made::exact(stmt(StmtKind::Stop)),
            "ForEachLoop" => self.for_each(step),
            "HandleErrors" => self.handle_errors(step),
            "Comparison" => self.comparison(step),
            "SetVariable" => self.set_variable(step),
            "Include" => self.include(step),
            "Encapsulated" => self.encapsulated(step),
            "RaiseError" => {
                let text =
                    if step.text("errorMessage").is_empty() { "raised".to_owned() } else { step.text("errorMessage").to_owned() };
                let value = self.text(&text);
                Made::exact(stmt(StmtKind::Raise(value)))
            }
            "ExportVariables" => Made::Nothing("variables of a fragment are its includer's anyway".to_owned()),
            "AuditDetail" => self.audit_detail(step),
            "Audit" => Made::Nothing("the level of the message's audit record is `logging.audit` here".to_owned()),
            "Regex" => self.regex(step),
            "ManipulateMultiValuedVariable" | "ManipulateMultivaluedVariable" => self.manipulate(step),
            "Split" => self.split(step),
            "Join" => self.join(step),
            "MapValue" => self.map_value(step),
            "UUIDGenerator" | "GenerateUUID" => self.uuid(step),
            "EncodeDecode" => self.encode_decode(step),
            "GenerateSecurityHash" => self.hash(step),
            "DecodeJsonWebToken" => self.decode_jwt(step),
            "EncodeJsonWebToken" => self.encode_jwt(step),
            "HardcodedResponse" => self.respond(step),
            "CustomizeErrorResponse" => self.error_response(step),
            "AddHeader" => self.add_header(step),
            "ManageCookie" => self.cookie(step),
            "EvaluateJsonPathExpression" | "EvaluateJsonPathExpressionV2" => self.json_path(step),
            "ResponseXpath" | "RequestXpath" => self.xpath(step),
            "JsonTransformation" => self.json_transformation(step),
            "XslTransformation" => self.transform_xml(step),
            "HtmlFormData" => self.form_fields(step),
            "CodeInjectionProtection" => self.code_injection(step),
            "RequestSizeLimit" => self.size_limit(step),
            "HttpRouting" => self.route(step),
            "JdbcQuery" => self.jdbc(step),
            "CacheStorage" => self.cache_store(step),
            "CacheLookup" => self.cache_lookup(step),
            "RateLimit" => self.rate_limit(step),
            "WssReplayProtection" => self.replay_protection(step),
            "Ssl" => self.tls(step),
            "HttpBasic" => self.basic(),
            "Authentication" => self.authenticate(step),
            "XpathCredentialSource" => self.xpath_credentials(step),
            "CookieCredentialSource" => self.cookie_credentials(step),
            "IdentityAttributes" => self.identity_attributes(step),
            "CertificateAttributes" => self.certificate_attributes(step),
            "IndexLookupByItem" => self.index_of(step),
            "ItemLookupByIndex" => self.item_at(step),
            "LookupDynamicContextVariables" => self.variable_by_name(step),
            "LookupTrustedCertificate" => self.trusted_certificate(step),
            kind => Made::missing(self.unknown(kind)),
        }
    }

    fn unknown(&self, kind: &str) -> String {
        let known = known::kind(kind).is_some();
        if known { format!("an assertion like `{kind}`") } else { format!("`{kind}`, which this gateway does not have") }
    }

    /// `All` and `AtLeastOne`. The comment of the step is its label.
    fn group(&mut self, step: &Step, kind: GroupKind) -> Stmt {
        let body = self.block(&step.children, kind == GroupKind::AtLeastOne);
        let label = step.left.as_deref().or(step.right.as_deref());
        let label = label.map(|label| label.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|label| !label.is_empty());
        let usable = label.clone().filter(|label| !label.contains("${"));
        let mut made = group(kind, usable.clone().map(label_name), body);
        if usable.is_none() {
            made.leading = label.map(|label| build::comments(&label)).unwrap_or_default();
        }
        made
    }

    /// A message that a step names: `REQUEST`, `RESPONSE`, or another variable.
    fn target(&mut self, step: &Step, property: &str) -> String {
        let named = step.prop(property);
        let (word, other) = match named {
            Some(Prop::Map(_)) => {
                let prop = named.and_then(|prop| prop.text_of("target")).unwrap_or("OTHER");
                (prop, named.and_then(|prop| prop.text_of("otherTargetMessageVariable")).unwrap_or(""))
            }
            _ => (step.text(property), step.text("otherTargetMessageVariable")),
        };
        match word.to_ascii_uppercase().as_str() {
            "REQUEST" => "request".to_owned(),
            "RESPONSE" => "response".to_owned(),
            _ => other.to_owned(),
        }
    }

    /// A variable by its name, or else the step has no translation.
    fn source(&mut self, name: &str) -> portcullis_dsl::ast::Expr {
        let inside = text::lone(name).unwrap_or(name).to_owned();
        match self.variable(&inside) {
            Some(value) => value,
            None => {
                self.need(&format!("a variable named `{name}`"));
                build::lit("")
            }
        }
    }

    /// A variable to set, or else the step has no translation.
    fn target_name(&mut self, name: &str) -> portcullis_dsl::ast::Expr {
        if !build::is_variable(name) {
            self.need(&format!("a variable named `{name}`"));
        }
        build::lit(name)
    }
}

fn label_name(label: String) -> Name {
    name(label)
}

/// Notes the number of a step in a statement that has none yet.
fn mark_step(stmt: &mut Stmt, number: usize) {
    if stmt.span.span == Span::default() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        stmt.span.span = Span { file: FileId::default(), start: number, end: number };
    }
    if let StmtKind::Else(left, right) = &mut stmt.kind {
        mark_step(left, number);
        mark_step(right, number);
    }
}

/// Whether a step's comment becomes the label of what it is.
fn is_group(step: &Step) -> bool {
    matches!(step.kind.as_str(), "All" | "OneOrMore" | "ConcurrentAll")
}
