//! `portcullis serve`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Done, Place, say};
use crate::front::home::{DATA, Home, KEYS};
use crate::front::host::{Host, Options, Serving, has_served};
use crate::front::reload;
use crate::services::config::ListenAddress;
use crate::services::telemetry;

/// What is printed after a first start, from the shipped tree; `{https}`, `{http}` and `{home}` are filled in, and a line with an address
/// that is not listened on is left out. The second is for gateways with sample data, the third for those without.
const WELCOME: [&str; 3] = ["policies/gateway.welcome.txt", "policies/gateway.samples.txt", "policies/gateway.first-client.txt"];

/// What there is to do once requests have had `limits.shutdown_timeout`: databases are closed, a reload comes to its end.
const MARGIN: Duration = Duration::from_secs(5);

/// Options of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Where to answer HTTPS, instead of what gateway.yaml says: `127.0.0.1:8443`, `:8443`, port 0 for any free one, or `off`.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    https: Option<ListenAddress>,
    /// Where to answer plain HTTP, likewise.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    http: Option<ListenAddress>,
}

fn address(text: &str) -> Result<ListenAddress, NoAddress> {
    ListenAddress::parse(text).ok_or(NoAddress)
}

/// What a text is not.
#[derive(Debug, thiserror::Error)]
#[error("expected an address and port such as `127.0.0.1:8443` or `:8443`, or `off`")]
struct NoAddress;

pub fn run(place: &Place, args: &ServeArgs) -> Done {
    let home = place.any_home()?;
    let config = home.config()?;
    let _log = telemetry::start_log(&config.logging)?;
    // Only once: an operator who deletes a customization does not want it back at the next start.
    if !home.path(DATA).is_dir() {
        let made = home.init()?;
        note(&format!("first start on {}: made {}", home.root().display(), summary(&made)));
    }
    let first = !has_served(&home);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before anything is made, so that a signal from now on finds somebody who listens.
    let signals = Signals::listen(config.limits.drain_delay.0 + config.limits.shutdown_timeout.0 + MARGIN)?;
    let code = runtime.block_on(serve(home, args, first, signals));
    // Background work (a database being retried) does not keep the process.
    runtime.shutdown_background();
    code
}

async fn serve(home: Home, args: &ServeArgs, first: bool, mut signals: Signals) -> Done {
    let options = Options { https: args.https, http: args.http, ..Options::default() };
    let serving = tokio::select! {
        serving = Host::serve(home, options) => serving?,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    let host = Arc::clone(serving.host());
    let watch = if host.config().reload.watch { Some(reload::watch(Arc::clone(&host))?) } else { None };
    for (scheme, url) in [("https", serving.https()), ("http", serving.http())] {
        if let Some(url) = url {
            tracing::info!("answering {scheme} at {url}");
            say(format!("listening {url}"));
        }
    }
    if let Some(url) = serving.admin() {
        tracing::info!("answering /metrics, /live, /ready and /status at {url}");
    }
    let _ = io::stdout().flush();
    if first {
        welcome(&host, &serving);
    }
    manager(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = signals.stop() => break,
            // Not waited for: whatever it meets, the next signal is heard.
            _ = hangup.recv() => {
                let host = Arc::clone(&host);
                tokio::task::spawn_blocking(move || {
                    host.reopen_audit();
                    match NotifyState::monotonic_usec_now() {
                        Ok(now) => manager(&[NotifyState::Reloading, now]),
                        Err(_) => manager(&[NotifyState::Status("reloading")]),
                    }
                    host.reload_keys();
                    let state = if host.reload().is_ok() { "serving" } else { "a change was refused; see `portcullis status`" };
                    manager(&[NotifyState::Ready, NotifyState::Status(state)]);
                });
            }
        }
    }
    manager(&[NotifyState::Stopping, NotifyState::Status("finishing the requests under way")]);
    serving.drain().await;
    tracing::info!("stopping: requests under way are finished");
    // A reload under way may take its time.
    let watcher = tokio::task::spawn_blocking(move || drop(watch));
    let left = serving.shutdown().await;
    if tokio::time::timeout(Duration::from_secs(1), watcher).await.is_err() {
        tracing::warn!("a reload was still under way");
    }
    if left > 0 {
        tracing::warn!(connections = left, "stopped; some requests did not finish in time");
    } else {
        tracing::info!("stopped");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a process is told from outside: SIGTERM and SIGINT. A thread of its own listens, which shares nothing with the gateway. INVARIANT:
/// the process ends within its time after the first of them, and at once after the second, whatever peers, policies, files or the reader of
/// the log do.
struct Signals {
    told: watch::Receiver<bool>,
}

impl Signals {
    /// Listens. `patience`: how long an orderly end may take.
    fn listen(patience: Duration) -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, told) = watch::channel(false);
        let (mut terminate, mut interrupt) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let listen = async move {
            either(&mut terminate, &mut interrupt).await;
            tell.send_replace(true);
            let why = match tokio::time::timeout(patience, either(&mut terminate, &mut interrupt)).await {
                Ok(()) => "stopped at once, as told twice",
                Err(_) => "stopped although something did not end in time",
            };
            // Whoever reads the log may have stopped reading: the process does not wait for that.
            std::thread::spawn(move || tracing::warn!("{why}"));
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::process::exit(0);
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Signals { told })
    }

    /// Waits for the first of them.
    async fn stop(&mut self) {
        // The other end is never dropped: its thread ends with the process.
        let _ = self.told.wait_for(|told| *told).await;
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Says what a first start made and what to try. To standard error: standard output has the `listening` lines and nothing else.
fn welcome(host: &Host, serving: &Serving) {
    let home = host.home();
    for folder in [KEYS, DATA] {
        let mut names: Vec<String> = std::fs::read_dir(home.path(folder))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        names.sort();
        note(&format!("made {}: {}", home.path(folder).display(), names.join(", ")));
    }
    let root = home.root().display().to_string();
    let (https, http) = (named(serving.https(), host), named(serving.http(), host));
    let [all, samples, none] = WELCOME;
    for page in [if home.wants_samples(&host.config()) { samples } else { none }, all] {
        let Ok(Some(text)) = home.shipped().file(page) else { continue };
        let works = |line: &&str| !(line.contains("{https}") && https.is_none() || line.contains("{http}") && http.is_none());
        let lines: Vec<&str> = text.text.lines().filter(works).collect();
        let text = lines.join("\n").replace("{https}", https.as_deref().unwrap_or_default());
        note(&text.replace("{http}", http.as_deref().unwrap_or_default()).replace("{home}", &root));
    }
}

/// An address as clients call it: by a name that is in the certificate.
fn named(url: Option<String>, host: &Host) -> Option<String> {
    let url = url?;
    let (scheme, address) = url.split_once("://")?;
    let address: std::net::SocketAddr = address.parse().ok()?;
    let here = address.ip().is_loopback() || address.ip().is_unspecified();
    let name = if here { "localhost".to_owned() } else { host.config().host_name.0.clone() };
    Some(format!("{scheme}://{name}:{}", address.port()))
}

/// Tells the service manager, if one has started this process.
fn manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// `gateway.yaml, keys/, data/, 57 files in customizations/`.
fn summary(made: &[String]) -> String {
    let (customizations, mut parts): (Vec<&String>, Vec<&String>) =
        made.iter().partition(|path| path.starts_with("customizations/") && !path.ends_with('/'));
    parts.retain(|path| *path != "customizations/" || customizations.is_empty());
    let mut words: Vec<String> = parts.into_iter().cloned().collect();
    if !customizations.is_empty() {
        words.push(format!("{} files in customizations/", customizations.len()));
    }
    words.join(", ")
}
