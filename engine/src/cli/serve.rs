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

/// The texts printed after a first start, from the shipped tree. `{https}`, `{http}` and `{home}` are filled in, and a line with
/// an address that is turned off is left out. The second is for gateways with sample data, the third for those without.
const WELCOME: [&str; 3] = ["policies/gateway.welcome.txt", "policies/gateway.samples.txt", "policies/gateway.first-client.txt"];

/// Time for the rest after `limits.shutdown_timeout`: closing databases, finishing a reload.
const MARGIN: Duration = Duration::from_secs(5);

/// How often freed memory is given back.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// Options of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// HTTPS address, instead of the one in gateway.yaml: `127.0.0.1:8443`, `:8443`, port 0 for any free one, or `off`.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    https: Option<ListenAddress>,
    /// HTTP address, likewise.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    http: Option<ListenAddress>,
    /// Serve also imported services that can come to a step without translation; a request that comes there is refused.
    #[arg(long)]
    allow_unsupported: bool,
}

fn address(text: &str) -> Result<ListenAddress, NoAddress> {
    ListenAddress::parse(text).ok_or(NoAddress)
}

/// The error for a text that is not an address.
#[derive(Debug, thiserror::Error)]
#[error("expected an address and port such as `127.0.0.1:8443` or `:8443`, or `off`")]
struct NoAddress;

pub fn run(place: &Place, args: &ServeArgs) -> Done {
    let home = place.any_home()?;
    let config = home.config()?;
    let _log = telemetry::start_log(&config.logging)?;
    // Only at the first start: an operator who deletes a customization does not want it back at the next start.
    if !home.path(DATA).is_dir() {
        let made = home.init()?;
        note(&format!("first start on {}: created {}", home.root().display(), summary(&made)));
    }
    let first = !has_served(&home);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before anything is created, so that signals are handled from now on.
    let signals = Signals::listen(config.limits.drain_delay.0 + config.limits.shutdown_timeout.0 + MARGIN)?;
    let code = runtime.block_on(serve(home, args, first, signals));
    // Background work (such as retrying a database) must not keep the process alive.
    runtime.shutdown_background();
    code
}

async fn serve(home: Home, args: &ServeArgs, first: bool, mut signals: Signals) -> Done {
    // From the start: until it is handled, this signal ends the process, also one that asks for a reload as soon as we are ready.
    let mut hangup = signal(SignalKind::hangup())?;
    let options = Options { https: args.https, http: args.http, allow_unsupported: args.allow_unsupported, ..Options::default() };
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
    tokio::spawn(give_back());
    loop {
        tokio::select! {
            () = signals.stop() => break,
            // Not awaited, so that the next signal is handled whatever happens here.
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
    tracing::info!("stopping: finishing the running requests");
    // A running reload may take a while.
    let watcher = tokio::task::spawn_blocking(move || drop(watch));
    let left = serving.shutdown().await;
    if tokio::time::timeout(Duration::from_secs(1), watcher).await.is_err() {
        tracing::warn!("a reload was still running");
    }
    if left > 0 {
        tracing::warn!(connections = left, "stopped; some requests did not finish in time");
    } else {
        tracing::info!("stopped");
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives freed memory back to the system. The allocator does that after many allocations of a thread, and when one ends. A gateway at rest
/// has neither, and would keep what its start took, or its busiest minute.
async fn give_back() {
    let mut interval = tokio::time::interval(GIVING_BACK);
    loop {
        interval.tick().await;
        // It only counts as a thread of the allocator if it allocates. Without a thread, it is tried again.
        let _ = std::thread::Builder::new().name("memory".to_owned()).spawn(|| drop(std::hint::black_box(Box::new(0_u8))));
    }
}

/// The signals SIGTERM and SIGINT. A separate thread, which shares nothing with the gateway, listens for them. INVARIANT: the
/// process ends in time after the first signal, and at once after the second, whatever peers, policies, files or the reader of
/// the log do.
struct Signals {
    told: watch::Receiver<bool>,
}

impl Signals {
    /// Listens. `patience`: how long an orderly shutdown may take.
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
                Ok(()) => "stopped at once after the second signal",
                Err(_) => "stopped although something did not end in time",
            };
            // The reader of the log may have stopped reading; the process does not wait for it.
            std::thread::spawn(move || tracing::warn!("{why}"));
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::process::exit(0);
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Signals { told })
    }

    /// Waits for the first signal.
    async fn stop(&mut self) {
        // The sender is never dropped, because its thread ends with the process.
        let _ = self.told.wait_for(|told| *told).await;
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Says what a first start created and what to try, on standard error: standard output has only the `listening` lines.
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

/// Informs the service manager, if one started this process.
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
