//! The requests of a case, sent to gateways that are there already. What only a gateway of the case's own can have is named: who
//! replays must know it. A request that depends on it is left out, with the reason.

use super::browsers::Browsers;
use super::client::Answer;
use super::matching::{self, Mismatch};
use super::step::{Case, Expectation, Request, Step, StepKind};
use super::text::Vars;

/// Fields that a client makes for each connection. A case that writes one tests what no client library sends.
const OWN: [&str; 9] =
    ["connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "te", "trailer", "upgrade", "expect"];

/// A case, on its way through its requests.
#[derive(Debug)]
pub struct Elsewhere<'c> {
    case: &'c Case,
    /// The next step.
    at: usize,
    gateways: Vec<Gateway>,
    /// A request has been there.
    asked: bool,
    /// How often the next request is sent at once.
    parallel: Option<usize>,
    /// Why nothing is sent any more.
    ended: Option<String>,
    /// What a gateway must have before.
    needs: Vec<String>,
    /// What is not checked.
    unchecked: Vec<String>,
}

/// What belongs to one gateway.
#[derive(Debug)]
struct Gateway {
    /// Its address, without a slash at the end.
    base: String,
    secure: bool,
    vars: Vars,
    browsers: Browsers,
}

/// What comes next.
#[derive(Debug)]
pub enum Turn<'c> {
    /// A request to send.
    Ask(Ask<'c>),
    /// One that is left out.
    Left {
        /// File and line.
        place: String,
        /// Method and target as the case has them.
        request: String,
        /// Why.
        why: String,
    },
}

/// A request to send.
#[derive(Debug)]
pub struct Ask<'c> {
    /// File and line.
    pub place: String,
    /// As each gateway gets it.
    pub sends: Vec<Sent>,
    /// What must come back.
    pub expected: Option<&'c Expectation>,
}

/// A request as a gateway gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl<'c> Elsewhere<'c> {
    /// A case before its first request. `gateways` are addresses; `variables` stand for what commands of the case would give.
    pub fn new<'v>(case: &'c Case, gateways: &[&str], variables: impl Iterator<Item = (&'v str, &'v str)> + Clone) -> Self {
        let gateway = |address: &&str| {
            let base = address.trim_end_matches('/').to_owned();
            let secure = base.starts_with("https:");
            let mut vars = Vars::default();
            vars.set(if secure { "https" } else { "http" }, base.clone());
            if !secure {
                // One that ends TLS before the gateway is asked without it.
                vars.set("https", base.clone());
            }
            variables.clone().for_each(|(name, value)| vars.set(name, value));
            Gateway { base, secure, vars, browsers: Browsers::default() }
        };
        let gateways = gateways.iter().map(gateway).collect();
        let (needs, unchecked) = (Vec::new(), Vec::new());
        Elsewhere { case, at: 0, gateways, asked: false, parallel: None, ended: None, needs, unchecked }
    }

    /// The next request. `now` is the time in milliseconds.
    pub fn turn(&mut self, now: i64) -> Option<Turn<'c>> {
        while let Some(step) = self.case.steps.get(self.at) {
            self.at += 1;
            match &step.kind {
                StepKind::Request(request) => {
                    let parallel = self.parallel.take();
                    self.asked = true;
                    let asked = match (&self.ended, parallel) {
                        (Some(why), _) => Err(why.clone()),
                        (None, Some(count)) => Err(format!("it is sent {count} times at once; only `portcullis test` does that")),
                        (None, None) => self.ask(request, step, now),
                    };
                    return Some(asked.map_or_else(
                        |why| Turn::Left { place: place(step), request: format!("{} {}", request.method, request.target), why },
                        Turn::Ask,
                    ));
                }
                StepKind::Raw { .. } => {
                    (self.asked, self.parallel) = (true, None);
                    let why = "these bytes are no request that a client sends; only `portcullis test` does".to_owned();
                    let why = self.ended.clone().unwrap_or(why);
                    return Some(Turn::Left { place: place(step), request: "raw bytes".to_owned(), why });
                }
                _ => self.pass(step),
            }
        }
        None
    }

    /// A step that sends nothing.
    fn pass(&mut self, step: &Step) {
        let at = step.line;
        let change = match &step.kind {
            StepKind::File { path, .. } => format!("the file `{path}` (line {at})"),
            StepKind::Save { path, .. } | StepKind::Delete(path) => format!("an edit of `{path}` (line {at})"),
            StepKind::Rename(path, _) => format!("a new name of `{path}` (line {at})"),
            StepKind::Config(_) => format!("the settings of line {at}"),
            StepKind::User { name, .. } => format!("the user `{name}` (line {at})"),
            StepKind::Command { words, .. } => {
                let name: Vec<&str> = words.iter().map(String::as_str).take_while(|word| !word.starts_with("--")).collect();
                format!("the command `{}` (line {at})", name.join(" "))
            }
            StepKind::Task(name) => format!("a run of the task `{name}` (line {at})"),
            StepKind::Sql { connection, .. } => format!("the statements for `{connection}` (line {at})"),
            StepKind::Clock(_) => {
                let why = "the case moves the clock, and the time of a gateway that runs is not moved";
                self.ended.get_or_insert_with(|| format!("before this (line {at}), {why}"));
                return;
            }
            StepKind::Rows { .. } => return self.unchecked.push(format!("rows (line {at})")),
            StepKind::Log { .. } | StepKind::Refused(_) => return self.unchecked.push(format!("the log (line {at})")),
            StepKind::Token { .. } => return self.unchecked.push(format!("a token's signature and claims (line {at})")),
            StepKind::Parallel(count) => return self.parallel = Some(*count),
            StepKind::NoCookies => return self.gateways.iter_mut().for_each(|gateway| gateway.browsers.close()),
            StepKind::Browser(name) => {
                return self.gateways.iter_mut().for_each(|gateway| gateway.browsers.take(name, &mut gateway.vars));
            }
            StepKind::Response(_)
            | StepKind::Responses(_)
            | StepKind::Request(_)
            | StepKind::Raw { .. }
            | StepKind::Only(_)
            | StepKind::AllCharacters => return,
        };
        if self.asked {
            self.ended.get_or_insert_with(|| format!("before this, the case changes its gateway: {change}"));
        } else {
            self.needs.push(change);
        }
    }

    fn ask(&mut self, request: &Request, step: &Step, now: i64) -> Result<Ask<'c>, String> {
        if request.certificate.is_some() {
            return Err("it shows a client certificate that the case makes; only `portcullis test` has it".to_owned());
        }
        if !request.secure && self.gateways.iter().any(|gateway| gateway.secure) {
            return Err("it goes to the port without TLS; name a gateway by an `http://` address".to_owned());
        }
        if let Some((_, name, _)) =
            request.headers.iter().find(|(_, name, _)| OWN.iter().any(|own| own.eq_ignore_ascii_case(name)))
        {
            return Err(format!(
                "it has a `{name}` of its own, which belongs to a connection; only `portcullis test` sends that"
            ));
        }
        let sends = self.gateways.iter_mut().map(|gateway| gateway.send(request, now)).collect::<Result<Vec<_>, _>>()?;
        let after = self.case.steps.get(self.at..).unwrap_or_default();
        let own = after.iter().take_while(|step| !matches!(step.kind, StepKind::Request(_) | StepKind::Raw { .. }));
        let expected = own.filter_map(|step| match &step.kind {
            StepKind::Response(expected) => Some(expected),
            _ => None,
        });
        Ok(Ask { place: place(step), sends, expected: expected.into_iter().next() })
    }

    /// Learns from an answer of the gateway with this number, and gives what is not as the case expects it.
    pub fn answered(&mut self, gateway: usize, ask: &Ask<'_>, answer: &Answer, now: i64) -> Vec<Mismatch> {
        let (Some(gateway), Some(sent)) = (self.gateways.get_mut(gateway), ask.sends.get(gateway)) else { return Vec::new() };
        let path = sent.target.split('?').next().unwrap_or("");
        gateway.browsers.learn(answer, path, now, &mut gateway.vars);
        let Some(expected) = ask.expected else { return Vec::new() };
        let (mismatches, captured) = matching::differences(expected, answer, &gateway.vars);
        // What an answer gives goes into later requests, even if another part of it is not as expected.
        for (name, value) in captured {
            gateway.vars.set(name, value);
        }
        mismatches
    }

    /// What the reader of a report must know.
    pub fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.needs.is_empty() {
            parts.push(format!("a gateway must have beforehand what the case sets up: {}", self.needs.join(", ")));
        }
        if !self.unchecked.is_empty() {
            parts.push(format!("not checked: {}", self.unchecked.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("{}: {}", self.case.file, parts.join("; ")))
    }
}

impl Gateway {
    fn send(&mut self, request: &Request, now: i64) -> Result<Sent, String> {
        self.vars.set("now", (now / 1000).to_string());
        let target = self.expand(&request.target)?;
        // A `Location` can be followed as it is.
        let target = target.strip_prefix(&self.base).unwrap_or(&target).to_owned();
        if !target.starts_with('/') {
            return Err("its address is that of another server".to_owned());
        }
        let mut headers = Vec::with_capacity(request.headers.len() + 1);
        for (_, name, value) in &request.headers {
            headers.push((name.clone(), self.expand(value)?));
        }
        let path = target.split('?').next().unwrap_or("");
        if !request.headers.iter().any(|(_, name, _)| name.eq_ignore_ascii_case("cookie"))
            && let Some(cookies) = self.browsers.field(path, self.secure, now)
        {
            headers.push(("Cookie".to_owned(), cookies));
        }
        let body = self.expand(&request.body)?;
        Ok(Sent { method: request.method.clone(), target, headers, body })
    }

    fn expand(&self, text: &str) -> Result<String, String> {
        if text.contains("{http}") && self.vars.get("http").is_none() {
            return Err("the address of the port without TLS is not known; `--var http=URL` gives it".to_owned());
        }
        if text.contains("{home}") && self.vars.get("home").is_none() {
            return Err("the folder of the gateway is not known; `--var home=PATH` gives it".to_owned());
        }
        self.vars.expand(text).map_err(|message| {
            // Which values there are says nothing to who has not written the case.
            let message = message.split(" (there are:").next().unwrap_or(&message).to_owned();
            format!("{message}: no earlier answer has given it; `--var NAME=VALUE` does")
        })
    }
}

fn place(step: &Step) -> String {
    format!("{}:{}", step.file, step.line)
}
