//! `portcullis replay`: recorded requests are sent to a gateway, and its answers compared with the recorded ones or with those of another
//! gateway.

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis_import::Input;
use portcullis_import::read::MAX_BYTES;
use portcullis_import::replay::{
    Answer, Carried, Kind, Outcome, Recorded, Recording, Replayed, Replays, Side, compare, mask, mask_target, read,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::services::outbound::Anybody;

use super::{Done, Failure, NO, runtime, say};

/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// Options of `replay`.
#[derive(Args)]
#[command(
    after_help = "The requests are really sent, with what they change: use gateways of a test environment. What a gateway answers instead \
                  of a recorded code, token or cookie is put into the requests that follow. Redirects are not followed.\n\n\
                  Exit codes: 0 every answer is equal but for what differs by nature (tokens, ids, times), 1 some are not, or a request \
                  was not sent or not answered, 2 the input is of no use.\n\n\
                  A case file sets up a gateway of its own: clients, users, settings, the clock. The gateways here must have what it sets \
                  up before its first request (the report lists it); values that its commands give come by --var. Requests after the \
                  clock was moved, or the gateway changed, are not sent."
)]
pub struct ReplayArgs {
    /// HAR files, Postman collections (v2.0, v2.1) and environments, SoapUI projects (REST and SOAP), case files and folders with case
    /// files.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// The gateway. A path in the URL comes before the paths of the requests.
    #[arg(long, value_name = "URL")]
    against: String,
    /// A second gateway: its answers are compared with those of the first, instead of the recorded ones.
    #[arg(long, value_name = "URL")]
    and: Option<String>,
    /// Send only what was recorded from this host (`name` or `name:port`). Needed if there are several.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// A variable of a collection or a property of a project. Wins over what files say.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Do not compare this header field, or this place of a body (`body.scope`).
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Certificates (PEM) to trust besides those that browsers trust.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Do not check certificates: anybody on the way can read and change what is sent, passwords included.
    #[arg(long)]
    insecure: bool,
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// The report as JSON, to standard output.
    #[arg(long)]
    json: bool,
    /// Also write the report: as JSON if the name ends in `.json`, as Markdown if it ends in `.md`, else as text.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Input that is of no use.
fn unusable(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), code: 2 }
}

pub fn run(args: &ReplayArgs) -> Done {
    let against = gateway(&args.against)?;
    let and = args.and.as_deref().map(gateway).transpose()?;
    let variables = variables(args)?;
    let cases = cases::read(&args.cases)?;
    let recording = recorded(args, &variables, !cases.is_empty())?;
    let tls = tls(args)?;
    let client = Client { pool: pool(tls), limit: Duration::from_secs(args.timeout) };
    let mut notes = Vec::new();
    if args.insecure {
        let note = "certificates were not checked (--insecure): the answers may be anybody's";
        let _ = writeln!(io::stderr(), "warning: {note}");
        notes.push(note.to_owned());
    }
    let requests = runtime()?.block_on(async {
        let mut requests = all(&client, &against, and.as_ref(), &recording, &args.ignore).await;
        let gateways: Vec<&Url> = std::iter::once(&against).chain(&and).collect();
        for case in &cases {
            let (own, note) = cases::play(&client, &gateways, case, &variables, &args.ignore).await;
            requests.extend(own);
            notes.extend(note);
        }
        requests
    });
    if requests.is_empty() {
        return Err(unusable("there is no request to send"));
    }
    let (left, right) = match &and {
        Some(and) => (against.to_string(), and.to_string()),
        None => ("recorded".to_owned(), against.to_string()),
    };
    let replays = Replays { left, right, notes, requests };
    let json = || serde_json::to_string_pretty(&replays);
    if let Some(path) = &args.report {
        let end = path.extension().map(|end| end.to_ascii_lowercase()).unwrap_or_default();
        let text = match end.to_str() {
            Some("json") => json()? + "\n",
            Some("md") => replays.markdown(),
            _ => replays.text(),
        };
        fs::write(path, text).map_err(|error| unusable(format!("{}: {error}", path.display())))?;
    }
    say(if args.json { json()? } else { replays.text().trim_end().to_owned() });
    Ok(if replays.all_equal() { ExitCode::SUCCESS } else { NO })
}

/// A gateway's address.
fn gateway(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|error| unusable(format!("`{}` is not a URL: {error}", mask(text))))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(unusable(format!("`{}` is not the address of a gateway: http:// or https://", mask(text))));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(unusable("the address of a gateway has no user, query or fragment"));
    }
    Ok(url)
}

/// The variables of the command line.
fn variables(args: &ReplayArgs) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |pair: &String| {
        let (name, value) = pair.split_once('=').ok_or_else(|| unusable("a variable is NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    args.variables.iter().map(pair).collect()
}

/// Reads the files that are no cases, and chooses what is sent.
fn recorded(args: &ReplayArgs, variables: &BTreeMap<String, String>, with_cases: bool) -> Result<Recording, Failure> {
    let mut inputs = Vec::new();
    for path in args.cases.iter().filter(|path| !cases::is_case(path)) {
        let named = |error: &dyn std::fmt::Display| unusable(format!("{}: {error}", path.display()));
        let meta = fs::metadata(path).map_err(|error| named(&error))?;
        if !meta.is_file() {
            return Err(named(&"not a file"));
        }
        if meta.len() > MAX_BYTES as u64 {
            return Err(named(&format!("the file has more than {} MiB", MAX_BYTES >> 20)));
        }
        inputs.push(Input { path: path.display().to_string(), bytes: fs::read(path).map_err(|error| named(&error))? });
    }
    let mut recording = read(&inputs, variables);
    if !recording.unusable.is_empty() {
        let lines: Vec<String> = recording.unusable.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
        return Err(unusable(lines.join("\n")));
    }
    if !args.host.is_empty() {
        let host = |origin: &str| origin.split("://").nth(1).unwrap_or(origin).to_owned();
        let wanted = |origin: &str| {
            let full = host(origin);
            let name = full.rsplit_once(':').map_or(full.as_str(), |(name, _)| name);
            args.host.iter().any(|own| own.eq_ignore_ascii_case(&full) || own.eq_ignore_ascii_case(name))
        };
        recording.requests.retain(|request| request.origin.as_deref().is_none_or(wanted));
    }
    let origins = recording.origins();
    // A recording of a browser has requests to other servers, too, with cookies that are none of the gateway's business.
    if origins.len() > 1 && args.host.is_empty() {
        return Err(unusable(format!("requests of several servers were recorded, choose with --host: {}", origins.join(", "))));
    }
    if recording.requests.is_empty() && !with_cases {
        let mut lines = vec!["there is no request to send".to_owned()];
        lines.extend(recording.skipped.iter().map(|one| format!("{}: {}", one.place, one.why)));
        return Err(unusable(lines.join("\n")));
    }
    if args.and.is_none() && !with_cases && recording.requests.iter().all(|request| request.answer.is_none()) {
        return Err(unusable("no answer was recorded: name a second gateway to compare with (--and URL)"));
    }
    Ok(recording)
}

/// Sends everything, one request after the other: later ones may depend on earlier ones.
async fn all(client: &Client, against: &Url, and: Option<&Url>, recording: &Recording, ignored: &[String]) -> Vec<Replayed> {
    let mut carried = (Carried::default(), Carried::default());
    let mut done = Vec::with_capacity(recording.requests.len() + recording.skipped.len());
    for request in &recording.requests {
        done.push(one(client, against, and, request, &mut carried, ignored).await);
    }
    done.extend(recording.skipped.iter().map(|one| Replayed {
        name: one.place.clone(),
        place: one.place.clone(),
        request: one.place.clone(),
        outcome: Outcome::Skipped,
        why: one.why.clone(),
        statuses: [None, None],
        differences: Vec::new(),
    }));
    done
}

async fn one(
    client: &Client,
    against: &Url,
    and: Option<&Url>,
    request: &Recorded,
    carried: &mut (Carried, Carried),
    ignored: &[String],
) -> Replayed {
    let missing = carried.0.missing(request);
    if !missing.is_empty() {
        return Replayed {
            name: mask(&request.name),
            place: request.place.clone(),
            request: format!("{} {}", request.method, mask_target(&request.target)),
            outcome: Outcome::Skipped,
            why: format!(
                "variables without value: {} (`--var NAME=VALUE`, or an environment; no earlier answer has such a member)",
                missing.join(", ")
            ),
            statuses: [None, None],
            differences: Vec::new(),
        };
    }
    let first = carried.0.apply(request);
    let second = carried.1.apply(request);
    let sent = async {
        match and {
            None => (client.send(against, &first).await, None),
            Some(and) => {
                let (one, other) = tokio::join!(client.send(against, &first), client.send(and, &second));
                (one, Some(other))
            }
        }
    };
    let (one, other) = sent.await;
    let (origin, own) = (request.origin.as_deref(), against.origin().ascii_serialization());
    let others = and.map(|and| and.origin().ascii_serialization());
    let recorded = request.answer.as_ref().map(|answer| Side { answer, origin });
    // What is new to each gateway is known from the recorded answer.
    if let Some(recorded) = recorded {
        if let Ok(answer) = &one {
            carried.0.learn(compare(recorded, Side { answer, origin: Some(&own) }, &[]).1);
        }
        if let Some(Ok(answer)) = &other {
            carried.1.learn(compare(recorded, Side { answer, origin: others.as_deref() }, &[]).1);
        }
    }
    // What requests take by name, and cookies, need no recorded answer.
    if let Ok(answer) = &one {
        carried.0.learn_names(answer);
    }
    if let Some(Ok(answer)) = &other {
        carried.1.learn_names(answer);
    }
    let status = |answer: &Result<Answer, String>| answer.as_ref().ok().map(|answer| answer.status);
    let mut replayed = Replayed {
        name: mask(&request.name),
        place: request.place.clone(),
        request: format!("{} {}", request.method, mask_target(&request.target)),
        outcome: Outcome::Unanswered,
        why: String::new(),
        statuses: match &other {
            Some(other) => [status(&one), status(other)],
            None => [recorded.map(|side| side.answer.status), status(&one)],
        },
        differences: Vec::new(),
    };
    let sides = match (&one, &other, recorded) {
        (Err(why), _, _) => Err(format!("{own}: {why}")),
        (_, Some(Err(why)), _) => Err(format!("{}: {why}", others.as_deref().unwrap_or_default())),
        (Ok(one), Some(Ok(other)), _) => {
            Ok((Side { answer: one, origin: Some(&own) }, Side { answer: other, origin: others.as_deref() }))
        }
        (Ok(one), None, Some(recorded)) => Ok((recorded, Side { answer: one, origin: Some(&own) })),
        (Ok(_), None, None) => Err("no answer was recorded to compare with".to_owned()),
    };
    match sides {
        Err(why) => replayed.why = why,
        Ok((left, right)) => {
            replayed.differences = compare(left, right, ignored).0;
            let differs = replayed.differences.iter().any(|one| one.kind == Kind::Differs);
            replayed.outcome = if differs { Outcome::Different } else { Outcome::Equal };
        }
    }
    replayed
}

/// Sends requests. Follows no redirects, keeps no cookies.
struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limit: Duration,
}

impl Client {
    async fn send(&self, gateway: &Url, request: &Recorded) -> Result<Answer, String> {
        match tokio::time::timeout(self.limit, self.exchange(gateway, request)).await {
            Ok(done) => done,
            Err(_) => Err(format!("no answer within {} seconds", self.limit.as_secs())),
        }
    }

    async fn exchange(&self, gateway: &Url, request: &Recorded) -> Result<Answer, String> {
        let base = gateway.as_str().trim_end_matches('/');
        let mut builder = Request::builder().method(request.method.as_str()).uri(format!("{base}{}", request.target));
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value.as_str());
        }
        // The reason would show the value that is wrong.
        let built = builder.body(Full::new(Bytes::from(request.body.clone()))).map_err(|_| "the request is not one of HTTP")?;
        let answer = self.pool.request(built).await.map_err(|error| causes(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| causes(&*error))?.to_bytes();
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers.iter().map(field).collect(), body: Some(body.to_vec()) })
    }
}

/// An error with all that caused it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        parts.push(cause.to_string());
        next = cause.source();
    }
    parts.dedup();
    parts.join(": ")
}

fn pool(tls: ClientConfig) -> Pool<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Pool::builder(TokioExecutor::new()).build(connector)
}

fn tls(args: &ReplayArgs) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if args.insecure {
        let anybody = Arc::new(Anybody(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth());
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &args.ca {
        let named = |error: &dyn std::fmt::Display| unusable(format!("{}: {error}", path.display()));
        let pem = fs::read(path).map_err(|error| named(&error))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|error| named(&error))?).map_err(|error| named(&error))?;
            found += 1;
        }
        if found == 0 {
            return Err(named(&"there is no certificate in it"));
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
