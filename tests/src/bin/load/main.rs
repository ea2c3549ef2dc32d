//! Measures the gateway as ratios to a bare hyper server on the same machine in the same minutes: `tests/load/README.md`.
//!
//! Server and generator are pinned to a core each. Every row alternates between floor and gateway, so that a slow phase of the
//! machine affects both; the median of the ratios is printed. Everything is bounded: connections, rounds, seconds.

mod browser;
mod flows;
mod growth;
mod hostile;
mod imported;
mod lists;
mod openid;
mod peer;
mod stores;
mod table;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Outcome, Reply, Script, Target};
use portcullis_tests::pair::Pair;
use portcullis_tests::process::{self, Process, Start, command};
use portcullis_tests::{block_on, grants, put};

use peer::Peer;
use table::{Aim, Measured, Row, Table};

/// One `Respond`, and a value that customizations change.
const SERVICES: &str = r##"
fragment "Bench value" {
    set a = "0"
    set b = "0"
    include "#Bench value"
}

service "Bench respond" at "/bench/respond" methods GET {
    Respond(body: "hello\n")
}

service "Bench pair" at "/bench/pair" methods GET {
    include "Bench value"
    Respond(body: "${a} ${b}")
}
"##;

const USAGE: &str = "load [--seconds N] [--rounds N] [--connections N] [--server-core N] [--client-core N] [--stored N] [--expired N] [--listed N] [--policies N] [--only TEXT]
\
     load --peer URL [--peer-header 'Name: value']... [--peer-body FORM] [--peer-process ID] [--seconds N] [--rounds N] [--connections N]";

#[derive(Clone)]
struct Options {
    /// Length of one measurement.
    seconds: f64,
    rounds: usize,
    connections: usize,
    server_core: usize,
    client_core: usize,
    only: Option<String>,
    /// How many tokens are stored beside those of the rows, and how many expired ones are cleaned away.
    stored: usize,
    expired: usize,
    /// How many clients the lists of the manager have; ten times as many tokens.
    listed: usize,
    /// How many policies there are beside those that ship, for the row that says what they cost.
    policies: usize,
    /// Another server to measure, instead of all rows.
    peer: Option<Peer>,
}

impl Options {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Whether this row is asked for.
    fn wanted(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.contains(only.as_str()))
    }
}

fn main() -> Result<()> {
    let options = options()?;
    if std::env::var_os("PORTCULLIS_LOAD_PINNED").is_none() {
        return run_pinned(&options);
    }
    let mut table = Table::new(&format!(
        "{} connections, {} rounds of {} s each; server on core {}, generator on core {}",
        options.connections, options.rounds, options.seconds, options.server_core, options.client_core
    ));
    if let Some(peer) = &options.peer {
        peer::row(peer, &options, &mut table)?;
        table.print();
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    put(home.path(), "services/bench.policy", SERVICES);
    grants::prepare(home.path());
    // All browsers have one address here.
    let unlimited = "customize \"OTK Authorization Server Configuration\" {\n    set session_limit = 0\n}\n";
    // In the file that the first start would otherwise write, because a policy can only be customized once.
    put(home.path(), "customizations/authorization/#otk-authorization-server-configuration.policy", unlimited);
    put(home.path(), "gateway.yaml", "logging: { level: warn, audit: off }\n");
    let bare = bare(&options)?;
    // The first start creates keys and tables; the second is the one that operators wait for.
    drop(gateway(home.path(), &options)?);
    start_and_memory(home.path(), &options, &mut table, "")?;
    let gateway = gateway(home.path(), &options)?;
    let bench = Bench { options: &options, bare: &bare, gateway: &gateway, home: home.path() };
    bench.respond(&mut table)?;
    flows::rows(&bench, &mut table)?;
    openid::rows(&bench, &mut table)?;
    browser::flows(&bench, &mut table)?;
    hostile::rows(&bench, &mut table)?;
    normal(&options, &bare, &mut table)?;
    split(&bench, &mut table)?;
    stores::rows(&options, &bare, &mut table)?;
    lists::rows(&options, &bare, &mut table)?;
    growth::rows(&bench, &mut table)?;
    imported::rows(&bench, &mut table)?;
    bench.reload(&mut table)?;
    table.print();
    Ok(())
}

/// The same database with `synchronous=NORMAL`: writes that a power cut may lose are cheaper.
fn normal(options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    let settings =
        "logging: { level: warn, audit: off }\nconnections: { OAuth: { url: \"sqlite://data/otk.db\", synchronous: normal } }\n";
    put(home.path(), "gateway.yaml", settings);
    let gateway = gateway(home.path(), options)?;
    let bench = Bench { options, bare, gateway: &gateway, home: home.path() };
    flows::issued_only(&bench, table, "client_credentials, synchronous=NORMAL")
}

/// The cost of the second gateway: one without a database asks another one, both on the server's core. The ratio is to a single gateway.
fn split(one: &Bench<'_>, table: &mut Table) -> Result<()> {
    let name = "client_credentials, two gateways (to one)";
    if !one.wanted(name) {
        return Ok(());
    }
    let start = Start { core: Some(one.options.server_core), ..Start::default() };
    let pair = Pair::start("logging: { level: warn, audit: off }\n", &start)?;
    let home = pair.behind_home();
    let two = Bench { gateway: &pair.front, home: &home, ..*one };
    let (single, double) = (flows::issuing(one, "Single")?, flows::issuing(&two, "Double")?);
    let mut row = Row::new(name, None);
    for _ in 0..one.options.rounds {
        let single = measured(one.gateway, || one.run(one.https(), single()))?;
        let double = measured(two.gateway, || two.run(two.https(), double()))?;
        row.add(single, double);
    }
    table.row(row);
    Ok(())
}

/// Runs this program again, on one core.
fn run_pinned(options: &Options) -> Result<()> {
    let status = std::process::Command::new("taskset")
        .args(["-c", &options.client_core.to_string()])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("PORTCULLIS_LOAD_PINNED", "1")
        .status()
        .context("taskset (util-linux) is needed")?;
    if !status.success() {
        bail!("the measurement ended early");
    }
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        seconds: 3.0,
        rounds: 5,
        connections: 64,
        server_core: 0,
        client_core: 1,
        only: None,
        stored: 10_000,
        expired: 10_000,
        listed: 1_000,
        policies: 100,
        peer: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().context(USAGE)?;
        match flag.as_str() {
            "--seconds" => options.seconds = value.parse::<f64>()?.clamp(0.1, 60.0),
            "--rounds" => options.rounds = value.parse::<usize>()?.clamp(1, 50),
            "--connections" => options.connections = value.parse::<usize>()?.clamp(1, 1000),
            "--server-core" => options.server_core = value.parse()?,
            "--client-core" => options.client_core = value.parse()?,
            "--stored" => options.stored = value.parse::<usize>()?.min(10_000_000),
            "--expired" => options.expired = value.parse::<usize>()?.min(10_000_000),
            "--listed" => options.listed = value.parse::<usize>()?.min(1_000_000),
            "--policies" => options.policies = value.parse::<usize>()?.clamp(10, 100_000),
            "--peer" => options.peer.get_or_insert_default().url = value,
            "--peer-header" => options.peer.get_or_insert_default().headers.push(value),
            "--peer-body" => options.peer.get_or_insert_default().body = Some(value),
            "--peer-process" => options.peer.get_or_insert_default().process = Some(value.parse()?),
            // The same rows: the environment says which server it is.
            "--only" => options.only = Some(value.replace("MariaDB", "MySQL")),
            _ => bail!("{USAGE}"),
        }
    }
    Ok(options)
}

fn bare(options: &Options) -> Result<Process> {
    let program: PathBuf = process::build("portcullis-tests", "bare")?;
    Process::start(&program, &[], &Start { core: Some(options.server_core), ..Start::default() })
}

fn gateway(home: &Path, options: &Options) -> Result<Process> {
    Process::gateway(home, &Start { core: Some(options.server_core), ..Start::default() })
}

/// Time from start to first answer on an existing home, and memory at rest.
fn start_and_memory(home: &Path, options: &Options, table: &mut Table, with: &str) -> Result<()> {
    let mut millis = Vec::new();
    let mut resident = 0;
    for _ in 0..options.rounds {
        let begun = Instant::now();
        let process = gateway(home, options)?;
        let target = Target { address: process.http, tls: false };
        let (status, ..) = block_on(load::once(target, &get("/bench/respond")))?;
        millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(status, 200);
        if millis.len() == options.rounds {
            // At rest: the allocator has given back what the start used.
            std::thread::sleep(Duration::from_secs(12));
            resident = process.resident_kib()?;
        }
    }
    table.fact(
        &format!("start to first answer{with}"),
        format!("{:.0} ms", table::median(&mut millis)),
        Aim::AtMost(150.0),
        table::median(&mut millis),
    );
    let mib = resident as f64 / 1024.0;
    table.fact(&format!("resident memory at rest{with}"), format!("{mib:.1} MiB"), Aim::AtMost(30.0), mib);
    Ok(())
}

/// The request line and what every request needs.
fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// The same request again and again.
struct Repeat(Vec<u8>);

impl Script for Repeat {
    fn next(&mut self, _: Option<&Reply<'_>>, request: &mut Vec<u8>) -> bool {
        request.extend_from_slice(&self.0);
        true
    }
}

/// The request to the bare server with which a row is compared.
#[derive(Clone, Copy)]
enum Floor {
    PlainGet,
    TlsGet,
    TlsPost,
}

impl Floor {
    /// Measures the bare server.
    fn run(self, bare: &Process, options: &Options) -> Result<Outcome> {
        let (target, request) = match self {
            Floor::PlainGet => (Target { address: bare.http, tls: false }, get("/")),
            Floor::TlsGet => (Target { address: bare.https, tls: true }, get("/")),
            Floor::TlsPost => {
                let body = "grant_type=client_credentials&scope=read";
                let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
                let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                (Target { address: bare.https, tls: true }, request.into_bytes())
            }
        };
        run_for(target, repeated(options, &request), options.time())
    }
}

/// The same request on every connection.
fn repeated(options: &Options, request: &[u8]) -> Vec<Box<dyn Script>> {
    (0..options.connections).map(|_| Box::new(Repeat(request.to_vec())) as Box<dyn Script>).collect()
}

/// A run in which every answer is good.
fn run_for(target: Target, scripts: Vec<Box<dyn Script>>, time: Duration) -> Result<Outcome> {
    let outcome = runtime()?.block_on(load::run(target, scripts, time))?;
    if outcome.bad > 0 || outcome.broken > 0 {
        bail!("{} bad answers, {} broken connections: {}", outcome.bad, outcome.broken, outcome.example.unwrap_or_default());
    }
    Ok(outcome)
}

struct Bench<'a> {
    options: &'a Options,
    bare: &'a Process,
    gateway: &'a Process,
    home: &'a Path,
}

impl Bench<'_> {
    fn wanted(&self, row: &str) -> bool {
        self.options.wanted(row)
    }

    fn time(&self) -> Duration {
        self.options.time()
    }

    fn run(&self, target: Target, scripts: Vec<Box<dyn Script>>) -> Result<Outcome> {
        run_for(target, scripts, self.time())
    }

    /// Alternates between floor and gateway. `scripts` makes the gateway's requests, anew for each round.
    fn row(
        &self,
        table: &mut Table,
        name: &str,
        floor: Floor,
        aim: Option<f64>,
        target: Target,
        mut scripts: impl FnMut() -> Result<Vec<Box<dyn Script>>>,
    ) -> Result<()> {
        if !self.wanted(name) {
            return Ok(());
        }
        let mut row = Row::new(name, aim);
        for _ in 0..self.options.rounds {
            let scripts = scripts().with_context(|| name.to_owned())?;
            let floor = measured(self.bare, || floor.run(self.bare, self.options))?;
            let ours = measured(self.gateway, || self.run(target, scripts)).with_context(|| name.to_owned())?;
            row.add(floor, ours);
        }
        table.row(row);
        Ok(())
    }

    fn repeat(&self, request: Vec<u8>) -> Result<Vec<Box<dyn Script>>> {
        Ok(repeated(self.options, &request))
    }

    fn https(&self) -> Target {
        Target { address: self.gateway.https, tls: true }
    }

    fn http(&self) -> Target {
        Target { address: self.gateway.http, tls: false }
    }

    fn respond(&self, table: &mut Table) -> Result<()> {
        let request = || self.repeat(get("/bench/respond"));
        self.row(table, "one Respond, plain HTTP", Floor::PlainGet, Some(0.90), self.http(), request)?;
        self.row(table, "one Respond, TLS 1.3", Floor::TlsGet, Some(0.90), self.https(), request)
    }

    /// A save every 200 ms under load: no failed request, and each answer of one version.
    fn reload(&self, table: &mut Table) -> Result<()> {
        if !self.wanted("reload under load") {
            return Ok(());
        }
        let scripts: Vec<Box<dyn Script>> = (0..self.options.connections)
            .map(|_| {
                Box::new(|answer: Option<&Reply<'_>>, request: &mut Vec<u8>| {
                    if let Some(answer) = answer {
                        let text = std::str::from_utf8(answer.body).unwrap_or("");
                        let (a, b) = text.split_once(' ').unwrap_or((text, ""));
                        assert!(a == b && !a.is_empty(), "two versions in one answer: {text}");
                    }
                    request.extend_from_slice(b"GET /bench/pair HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    true
                }) as Box<dyn Script>
            })
            .collect();
        let time = Duration::from_secs(20);
        let target = self.http();
        let home = self.home.to_owned();
        let (outcome, saves) = runtime()?.block_on(async move {
            let running = tokio::spawn(load::run(target, scripts, time));
            let begun = Instant::now();
            let mut saves = 0;
            while begun.elapsed() < time {
                saves += 1;
                let text = format!("customize \"Bench value\" {{\n    set a = \"{saves}\"\n    set b = \"{saves}\"\n}}\n");
                put(&home, "customizations/#bench-value.policy", &text);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            anyhow::Ok((running.await??, saves))
        })?;
        let failed = outcome.bad + outcome.broken;
        let text =
            format!("{failed} of {} requests failed during {saves} saves ({:.0}/s)", outcome.good + failed, outcome.rate());
        table.fact("reload under load", text, Aim::AtMost(0.0), failed as f64);
        Ok(())
    }

    /// What each connection may use up in a measurement, at this total rate per second.
    fn most(&self, per_second: f64) -> usize {
        (per_second * self.options.seconds / self.options.connections as f64).ceil() as usize
    }

    /// Registers a client; returns its key and secret.
    fn client(&self, name: &str, callback: &str) -> Result<(String, String)> {
        self.client_with(name, callback, &["--scope", "READ"])
    }

    fn client_with(&self, name: &str, callback: &str, more: &[&str]) -> Result<(String, String)> {
        let args = ["client", "add", "--name", name, "--org", "Load", "--callback", callback, "--json"];
        let made = self.command(&[&args[..], more].concat())?;
        let (key, secret) = made["client_key"].as_str().zip(made["secret"].as_str()).context("no credentials")?;
        Ok((key.to_owned(), secret.to_owned()))
    }

    /// Adds a user.
    fn user(&self, name: &str, password: &str) -> Result<()> {
        let said = process::command_with(self.home, &["user", "add", name], password)?;
        if !said.success {
            bail!("portcullis user add: {}{}", said.stdout, said.stderr);
        }
        Ok(())
    }

    /// Runs a command of the gateway's on its home and reads its JSON.
    fn command(&self, args: &[&str]) -> Result<serde_json::Value> {
        let said = command(self.home, args)?;
        if !said.success {
            bail!("portcullis {}: {}{}", args.join(" "), said.stdout, said.stderr);
        }
        Ok(serde_json::from_str(&said.stdout)?)
    }
}

/// A measurement with the processor time it took a server.
fn measured(server: &Process, run: impl FnOnce() -> Result<Outcome>) -> Result<Measured> {
    let before = server.cpu()?;
    let outcome = run()?;
    let spent = server.cpu()?.saturating_sub(before);
    Ok(Measured { rate: outcome.rate(), micros: spent.as_secs_f64() * 1e6 / outcome.good.max(1) as f64 })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
