//! The whole flow of a browser and its client: authorize, login, consent, token. Each connection is, again and again, a new
//! browser of its own user, so every flow checks a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Result, bail};
use portcullis::Secret;
use portcullis::identity::Passwords;
use portcullis_tests::load::{Reply, Script};

use super::Bench;
use super::table::{Aim, Table};

const ROW: &str = "browser flow: authorize, login, consent, token";
const CALLBACK: &str = "https%3A%2F%2Fapp.example%2Fcb";
const PASSWORD: &str = "load-password";
/// Parallel browsers: passwords are the bottleneck, and more browsers would only queue.
const BROWSERS: usize = 16;

pub fn flows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    if !bench.wanted(ROW) {
        return Ok(());
    }
    let (id, secret) = bench.client("Load browser", "https://app.example/cb")?;
    let users = BROWSERS.min(bench.options.connections);
    for user in 0..users {
        bench.user(&format!("load{user}"), PASSWORD)?;
    }
    let hash = hash_millis()?;
    let mut rates = Vec::new();
    for _ in 0..bench.options.rounds {
        let done = Arc::new(AtomicU64::new(0));
        let browsers = (0..users).map(|user| {
            let (user, done) = (format!("load{user}"), Arc::clone(&done));
            Box::new(Browser { id: id.clone(), secret: secret.clone(), user, done, step: Step::Start, cookie: None })
                as Box<dyn Script>
        });
        let outcome = bench.run(bench.https(), browsers.collect())?;
        let flows = done.load(Relaxed);
        if flows == 0 {
            bail!("no flow came to its end in {} answers: {}", outcome.good, outcome.example.unwrap_or_default());
        }
        rates.push(flows as f64 / outcome.elapsed.as_secs_f64());
    }
    let rate = super::table::median(&mut rates);
    let said = format!("{rate:.1} flows/s; a password check (argon2id, 19 MiB, 2 passes) costs {hash:.1} ms of a core");
    // The check leaves this share of a core for the flow itself.
    table.fact(ROW, format!("{said}, {:.0} % of the time", rate * hash / 10.0), Aim::None, rate);
    Ok(())
}

/// The cost of one password check, on this program's core.
pub fn hash_millis() -> Result<f64> {
    let passwords = Passwords::default();
    let begun = Instant::now();
    let times = 10;
    for _ in 0..times {
        passwords.hash(&Secret::new(PASSWORD)).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0 / f64::from(times))
}

enum Step {
    Start,
    Login,
    Redirected,
    Consent,
    Token,
}

struct Browser {
    id: String,
    secret: String,
    user: String,
    done: Arc<AtomicU64>,
    step: Step,
    cookie: Option<String>,
}

impl Script for Browser {
    fn next(&mut self, answer: Option<&Reply<'_>>, request: &mut Vec<u8>) -> bool {
        // A failed flow shows in the counts, and the next one starts.
        match answer.and_then(|answer| self.follow(answer, request)) {
            Some(()) => {}
            None => self.start(request),
        }
        true
    }
}

impl Browser {
    fn start(&mut self, request: &mut Vec<u8>) {
        self.cookie = None;
        self.step = Step::Login;
        let path = format!("/auth/oauth/v2/authorize?response_type=code&client_id={}&redirect_uri={CALLBACK}&state=s", self.id);
        request.extend(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes());
    }

    /// The next request of the flow; `None` at its end.
    fn follow(&mut self, answer: &Reply<'_>, request: &mut Vec<u8>) -> Option<()> {
        for line in answer.head.split("\r\n") {
            if let Some(field) = line.get(..12).filter(|name| name.eq_ignore_ascii_case("set-cookie: ")).map(|_| &line[12..])
                && let Some(pair) = field.split(';').next()
            {
                // One name and value each: later cookies replace earlier ones of the same browser.
                let cookies = self.cookie.get_or_insert_default();
                if !cookies.is_empty() {
                    cookies.push_str("; ");
                }
                cookies.push_str(pair);
            }
        }
        let page = std::str::from_utf8(answer.body).unwrap_or("");
        let session = || Some(format!("sessionID={}&sessionData={}", field(page, "sessionID")?, field(page, "sessionData")?));
        match self.step {
            Step::Start => None,
            Step::Login => {
                self.step = Step::Redirected;
                let form = format!("{}&username={}&password={PASSWORD}&action=login", session()?, self.user);
                self.post("/auth/oauth/v2/authorize/login", &form, request)
            }
            Step::Redirected => {
                self.step = Step::Consent;
                let location = answer.header("location")?;
                let path = location.split_once("://").map_or(location, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
                let cookie = self.cookie.as_deref().unwrap_or("");
                request.extend(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n").into_bytes());
                Some(())
            }
            Step::Consent => {
                self.step = Step::Token;
                self.post("/auth/oauth/v2/authorize/consent", &format!("{}&action=Grant", session()?), request)
            }
            Step::Token => match answer.header("location") {
                Some(location) => {
                    let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code="))?;
                    let form = format!(
                        "grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&client_id={}&client_secret={}",
                        self.id, self.secret
                    );
                    self.post("/auth/oauth/v2/token", &form, request)
                }
                None => {
                    self.done.fetch_add(u64::from(answer.member("access_token").is_some()), Relaxed);
                    None
                }
            },
        }
    }

    fn post(&self, path: &str, form: &str, request: &mut Vec<u8>) -> Option<()> {
        let cookie = self.cookie.as_deref().unwrap_or("");
        request.extend(
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{form}",
                form.len()
            )
            .into_bytes(),
        );
        Some(())
    }
}

/// The value of a hidden field.
fn field<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next()
}
