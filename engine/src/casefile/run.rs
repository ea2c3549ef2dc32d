//! Runs a case: its steps one by one, against its own gateway.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::Failure;
use super::browsers::Browsers;
use super::client::{Answer, Client};
use super::gateway::{CaseGateway, Lab};
use super::matching;
use super::scratch::Scratch;
use super::step::{Case, Request, Step, StepKind};
use super::text::Vars;
use crate::data::value::Value;
use crate::policy::exec::Ending;
use crate::services::store::{Dialect, QueryOptions, Statement};

/// Longer than anything in a case may take unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// A failure shows at most this many characters of a body.
const SHOWN: usize = 2000;

/// Runs a case until its end or the first mismatch.
pub async fn run(case: &Case, lab: &Lab) -> Result<(), Failure> {
    let failed = |message: String| Failure::new(&case.file, 1, message);
    let scratch = lab.scratch().await.map_err(failed)?;
    let result = play(case, lab, scratch.as_ref()).await;
    match scratch {
        Some(scratch) => result.and(scratch.drop().await.map_err(failed)),
        None => result,
    }
}

async fn play(case: &Case, lab: &Lab, scratch: Option<&Scratch>) -> Result<(), Failure> {
    let gateway = CaseGateway::start(case, lab, scratch).await?;
    let client = gateway.client().map_err(|message| Failure::new(&case.file, 1, message))?;
    let mut run = CaseRun {
        gateway,
        client,
        vars: Vars::default(),
        browsers: Browsers::default(),
        last: Vec::new(),
        parallel: None,
        edit: None,
    };
    let mut result = Ok(());
    for (index, step) in case.steps.iter().enumerate() {
        run.set_facts();
        let done = tokio::time::timeout(PATIENCE, run.step(step)).await;
        result = match done.unwrap_or_else(|_| Err((step.line, "this did not end within a minute".to_owned()))) {
            Ok(()) => run.settle_edit(case.steps.get(index + 1)).map_err(|message| (step.line, message)),
            Err(failed) => Err(failed),
        }
        .map_err(|(line, message)| Failure::new(&step.file, line, format!("{message}{}", run.circumstances())));
        if result.is_err() {
            break;
        }
    }
    run.gateway.stop().await;
    result
}

pub(super) struct CaseRun {
    pub(super) gateway: CaseGateway,
    pub(super) client: Client,
    pub(super) vars: Vars,
    browsers: Browsers,
    /// Answers to the last request.
    last: Vec<Answer>,
    parallel: Option<usize>,
    /// The result of an edit: the report if it was refused.
    edit: Option<Result<(), String>>,
}

/// The line, and what is wrong.
pub(super) type Wrong = (usize, String);

impl CaseRun {
    async fn step(&mut self, step: &Step) -> Result<(), Wrong> {
        let here = |message: String| (step.line, message);
        match &step.kind {
            StepKind::File { .. } | StepKind::Config(_) | StepKind::Only(_) | StepKind::AllCharacters => Ok(()), // there from the start
            StepKind::User { name, password, roles, attributes } => {
                let (name, password) = (self.expand(name, step)?, self.expand(password, step)?);
                self.gateway.add_user(&name, &password, roles, attributes).map_err(here)
            }
            StepKind::Token { token, by, expected } => self.token(step, token, by, expected.as_ref()).await,
            StepKind::Command { label, words, fails, expected } => {
                let words = words.iter().map(|word| self.expand(word, step)).collect::<Result<Vec<_>, _>>()?;
                let outputs = self.command(&words, *fails).await.map_err(here)?;
                self.keep_outputs(label.as_deref(), &outputs);
                match expected {
                    Some((line, text)) => self.check_outputs(text, outputs).map_err(|message| (*line, message)),
                    None => Ok(()),
                }
            }
            StepKind::Task(name) => self.task(name).await.map_err(here),
            StepKind::Sql { connection, text } => {
                let text = self.expand(text, step)?;
                self.sql(connection, &text).await.map_err(here)
            }
            StepKind::Rows { connection, query, rows } => {
                let query = self.expand(query, step)?;
                let got = self.rows(connection, &query).await.map_err(here)?;
                self.check_rows(rows, &got, step.line)
            }
            StepKind::Parallel(count) => {
                self.parallel = Some(*count);
                Ok(())
            }
            StepKind::Request(request) => self.request(request, step).await,
            StepKind::Raw { secure, bytes } => {
                let answer = self.client.send(*secure, None, bytes).await;
                self.last = vec![answer.map_err(|error| here(format!("no answer: {error}")))?];
                Ok(())
            }
            StepKind::Response(expected) => {
                let Some(answer) = self.last.first() else { return Err(here("there was no answer".to_owned())) };
                matching::answer(expected, answer, &mut self.vars)
            }
            StepKind::Responses(expected) => self.check_histogram(expected, step.line),
            StepKind::Clock(millis) => {
                self.gateway.advance(*millis);
                Ok(())
            }
            StepKind::Save { path, content } => {
                self.gateway.write(path, content).map_err(here)?;
                self.edit = Some(self.gateway.reload());
                Ok(())
            }
            StepKind::Delete(path) => {
                self.gateway.delete(path).map_err(|error| here(format!("{path}: {error}")))?;
                self.edit = Some(self.gateway.reload());
                Ok(())
            }
            StepKind::Rename(old, new) => {
                self.gateway.rename(old, new).map_err(|error| here(format!("{old}: {error}")))?;
                self.edit = Some(self.gateway.reload());
                Ok(())
            }
            StepKind::Refused(texts) => match self.edit.take() {
                Some(Err(report)) => match texts.iter().find(|(_, text)| !report.contains(text)) {
                    Some((line, text)) => Err((*line, format!("the report does not contain `{text}`:\n{report}"))),
                    None => Ok(()),
                },
                Some(Ok(())) => Err(here("the edit was expected to be refused, but it took effect".to_owned())),
                None => Err(here("there is no edit before this".to_owned())),
            },
            StepKind::Log { contains, text } => {
                let text = self.expand(text, step)?;
                let log = self.gateway.log();
                match (log.contains(&text), contains) {
                    (true, true) | (false, false) => Ok(()),
                    (false, true) => Err(here(format!("the log does not contain `{text}`:\n{log}"))),
                    (true, false) => Err(here(format!("the log should not contain `{text}`:\n{log}"))),
                }
            }
            StepKind::NoCookies => {
                self.browsers.close();
                Ok(())
            }
            StepKind::Browser(name) => {
                self.browsers.take(name, &mut self.vars);
                Ok(())
            }
        }
    }

    /// An edit that is refused unexpectedly is a failure.
    fn settle_edit(&mut self, next: Option<&Step>) -> Result<(), String> {
        if matches!(next.map(|step| &step.kind), Some(StepKind::Refused(_))) {
            return Ok(());
        }
        match self.edit.take() {
            Some(Err(report)) => Err(format!("the edit was refused:\n{report}")),
            _ => Ok(()),
        }
    }

    pub(super) fn expand(&self, text: &str, step: &Step) -> Result<String, Wrong> {
        self.vars.expand(text).map_err(|message| (step.line, message))
    }

    fn set_facts(&mut self) {
        self.vars.set("now", (self.gateway.now_millis() / 1000).to_string());
        self.vars.set("https", self.gateway.https());
        self.vars.set("http", self.gateway.http());
        self.vars.set("home", self.gateway.path("").display().to_string().trim_end_matches('/'));
    }

    async fn request(&mut self, request: &Request, step: &Step) -> Result<(), Wrong> {
        // Parallel requests may differ by their number.
        let count = self.parallel.take();
        let mut texts = Vec::new();
        let mut path = String::new();
        for nth in 1..=count.unwrap_or(1) {
            self.vars.set("nth", nth.to_string());
            let text;
            (text, path) = self.request_text(request, step)?;
            texts.push(text);
        }
        let certificate = request.certificate.as_deref();
        let answers = match (count, texts.as_slice()) {
            (None, [text]) => self.client.send(request.secure, certificate, text).await.map(|answer| vec![answer]),
            _ => self.client.send_all(request.secure, certificate, &texts).await,
        };
        self.last = answers.map_err(|error| (step.line, format!("no answer: {error}")))?;
        self.learn(&path);
        Ok(())
    }

    /// The bytes to send, and the path.
    fn request_text(&self, request: &Request, step: &Step) -> Result<(Vec<u8>, String), Wrong> {
        let target = self.expand(&request.target, step)?;
        // A `Location` can be followed as it is.
        let origin = if request.secure { self.gateway.https() } else { self.gateway.http() };
        let target = target.strip_prefix(&origin).unwrap_or(&target).to_owned();
        let path = target.split('?').next().unwrap_or("").to_owned();
        let body = self.expand(&request.body, step)?;
        let mut text = format!("{} {target} HTTP/1.1\r\n", request.method);
        let has = |name: &str| request.headers.iter().any(|(_, own, _)| own.eq_ignore_ascii_case(name));
        if !has("host") {
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            text.push_str(&format!("Host: {host}\r\n"));
        }
        for (line, name, value) in &request.headers {
            let value = self.vars.expand(value).map_err(|message| (*line, message))?;
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !has("cookie")
            && let Some(cookies) = self.browsers.field(&path, request.secure, self.gateway.now_millis())
        {
            text.push_str(&format!("Cookie: {cookies}\r\n"));
        }
        let may_have_body = !body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        if may_have_body && !has("content-length") && !has("transfer-encoding") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        Ok((text.into_bytes(), path))
    }

    /// Remembers what a browser would.
    fn learn(&mut self, path: &str) {
        let [answer] = self.last.as_slice() else { return };
        self.browsers.learn(answer, path, self.gateway.now_millis(), &mut self.vars);
    }

    async fn task(&self, name: &str) -> Result<(), String> {
        let site = self.gateway.site();
        if !site.library.tasks().any(|task| task.name == name) {
            let names: Vec<&str> = site.library.tasks().map(|task| task.name.as_str()).collect();
            return Err(format!("there is no task `{name}`; there are: {}", names.join(", ")));
        }
        match site.run_named(name, &[]).await {
            Some((Ending::Held, _)) => Ok(()),
            Some((Ending::Broken(fault), _)) => Err(format!("the task broke: {fault}")),
            _ => Err("the task failed".to_owned()),
        }
    }

    async fn command(&self, words: &[String], fails: bool) -> Result<Vec<(String, Value)>, String> {
        let site = self.gateway.site();
        let names: Vec<String> = site.library.commands().map(|policy| policy.name.to_string()).collect();
        let (name, inputs) = (1..=words.len())
            .rev()
            .map(|count| words.split_at(count))
            .map(|(name, inputs)| (name.join(" "), inputs))
            .find(|(name, _)| names.contains(name))
            .ok_or_else(|| format!("there is no command `{}`; there are: {}", words.join(" "), names.join(", ")))?;
        let inputs = self::inputs(inputs)?;
        let (ending, outputs) =
            site.run_named(&name, &inputs).await.ok_or_else(|| format!("`{name}` does not take these values"))?;
        match (&ending, fails) {
            (Ending::Held, false) | (Ending::Failed, true) => {}
            (Ending::Held, true) => return Err(format!("`{name}` was expected to fail, but it did not")),
            (Ending::Failed, false) => {
                let said: Vec<String> = outputs.iter().map(|(name, value)| format!("{name}: {}", value.as_text())).collect();
                return Err(format!("`{name}` failed ({})", said.join(", ")));
            }
            (Ending::Broken(fault), _) => return Err(format!("`{name}`: {fault}")),
        }
        Ok(outputs.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    fn keep_outputs(&mut self, label: Option<&str>, outputs: &[(String, Value)]) {
        for (name, value) in outputs.iter().filter(|(_, value)| !value.is_undefined()) {
            let name = label.map_or_else(|| name.clone(), |label| format!("{label}.{name}"));
            self.vars.set(name, value.as_text());
        }
    }

    fn check_outputs(&mut self, pattern: &str, outputs: Vec<(String, Value)>) -> Result<(), String> {
        let wanted: Json = serde_json::from_str(pattern).map_err(|error| format!("this is not JSON: {error}"))?;
        let got: Map<String, Json> = outputs
            .into_iter()
            .filter(|(_, value)| !value.is_undefined())
            .map(|(name, value)| (name, value.to_json().clone()))
            .collect();
        let mut captured = Vec::new();
        matching::json(&wanted, Some(&Json::Object(got)), "$", false, &self.vars, &mut captured)?;
        for (name, value) in captured {
            self.vars.set(name, value);
        }
        Ok(())
    }

    async fn sql(&self, connection: &str, text: &str) -> Result<(), String> {
        for statement in statements(text) {
            self.query(connection, statement).await?;
        }
        Ok(())
    }

    async fn rows(&self, connection: &str, query: &str) -> Result<Vec<Vec<String>>, String> {
        let rows = self.query(connection, query.trim().trim_end_matches(';')).await?;
        // Only some databases have booleans; the others return 1 and 0.
        let text = |value: &Value| match value {
            Value::Bool(value) => u8::from(*value).to_string(),
            value => value.as_text().into_owned(),
        };
        Ok(rows.iter().map(|row| row.iter().map(text).collect()).collect())
    }

    async fn query(&self, connection: &str, statement: &str) -> Result<Vec<Vec<Value>>, String> {
        let gateway = self.gateway.services();
        let connection = gateway.connections.get(connection).ok_or_else(|| format!("there is no connection `{connection}`"))?;
        // Cases are written in standard SQL, where a backslash in a text is a plain character.
        let text = if connection.dialect() == Dialect::MySql { statement.replace('\\', "\\\\") } else { statement.to_owned() };
        let prepared = Statement::new(&[text]).map_err(|error| format!("{statement}: {error}"))?;
        let rows = connection.run(&prepared, &[], QueryOptions::default()).await;
        rows.map(|rows| rows.rows).map_err(|error| format!("{statement}: {error}"))
    }

    fn check_rows(&mut self, wanted: &[(usize, Vec<String>)], got: &[Vec<String>], line: usize) -> Result<(), Wrong> {
        let table = || got.iter().map(|row| row.join(" | ")).collect::<Vec<_>>().join("\n");
        if wanted.len() != got.len() {
            return Err((line, format!("expected {} rows, got {}:\n{}", wanted.len(), got.len(), table())));
        }
        let mut captured = Vec::new();
        for ((line, columns), row) in wanted.iter().zip(got) {
            let mut fits = columns.len() == row.len();
            for (column, value) in columns.iter().zip(row) {
                let pieces = self.vars.pieces(column).map_err(|message| (*line, message))?;
                fits &= (pieces.is_empty() && value.is_empty()) || matching::whole(&pieces, value, &mut captured);
            }
            if !fits {
                return Err((*line, format!("expected the row `{}`, got `{}`", columns.join(" | "), row.join(" | "))));
            }
        }
        for (name, value) in captured {
            self.vars.set(name, value);
        }
        Ok(())
    }

    fn check_histogram(
        &mut self,
        expected: &[(std::ops::RangeInclusive<usize>, super::step::Expectation)],
        line: usize,
    ) -> Result<(), Wrong> {
        let mut counts = vec![0usize; expected.len()];
        let mut others = Vec::new();
        for answer in &self.last {
            let mut lines = expected.iter().zip(&mut counts);
            match lines.find(|((_, expected), _)| matching::answer(expected, answer, &mut self.vars).is_ok()) {
                Some((_, count)) => *count += 1,
                None => others.push(show(answer)),
            }
        }
        if let Some(other) = others.first() {
            return Err((line, format!("{} answers match no line here; the first:\n{other}", others.len())));
        }
        match expected.iter().zip(&counts).find(|((wanted, _), count)| !wanted.contains(count)) {
            Some(((wanted, expectation), count)) => {
                let wanted = format!("{}{}", wanted.start(), if wanted.start() == wanted.end() { "" } else { " or more" });
                Err((expectation.line, format!("expected {wanted} such answers, got {count} (all: {counts:?})")))
            }
            None => Ok(()),
        }
    }

    /// Help for finding the cause: the last answer and the end of the log.
    fn circumstances(&self) -> String {
        let mut text = String::new();
        if let [answer] = self.last.as_slice() {
            text.push_str("\n--- the answer\n");
            text.push_str(&show(answer));
        }
        let log = self.gateway.log();
        let lines: Vec<&str> = log.lines().collect();
        if !lines.is_empty() {
            text.push_str("\n--- the end of the log\n");
            let (_, last) = lines.split_at(lines.len().saturating_sub(12));
            text.push_str(&last.join("\n"));
        }
        text
    }
}

fn show(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let body = answer.text();
    text.push('\n');
    text.extend(body.chars().take(SHOWN));
    if body.chars().count() > SHOWN {
        text.push('…');
    }
    text
}

/// `--name value` and `--flag` as inputs of a command.
fn inputs(words: &[String]) -> Result<Vec<(String, Value)>, String> {
    let mut inputs: Vec<(String, Value)> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").ok_or_else(|| format!("`{word}` is not a `--name`"))?;
        let value = match words.peek() {
            Some(value) if !value.starts_with("--") => words.next().map_or("", String::as_str),
            _ => "true",
        };
        // The command line decides how outputs are printed.
        if name != "json" {
            let name = name.replace('-', "_");
            match inputs.iter_mut().find(|(own, _)| *own == name) {
                Some((_, own)) => *own = Value::list(own.values().iter().cloned().chain([Value::from(value)])),
                None => inputs.push((name, Value::from(value))),
            }
        }
    }
    Ok(inputs)
}

/// Statements of a text: each ends in `;` outside quotes.
fn statements(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            ';' if !quoted => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found.retain(|statement| !statement.is_empty());
    found
}
