//! Runs commands of the command line inside the gateway that serves the home, so that its caches are correct at once. It uses a
//! socket in `data/` that only its owner can open; a question and its answer are one JSON line each.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Account, Host, Ran, read_status, status};
use crate::data::time::Clock;
use crate::data::value::Value;
use crate::front::home::{DATA, Home};
use crate::policy::exec::Ending;
use crate::services::telemetry::{AuditLog, AuditRecord, Level};

const SOCKET: &str = "control.sock";
/// Longest request or answer.
const MAX_LINE: u64 = 16 << 20;
/// A gateway that has locked the home opens its socket well within this time.
const PATIENCE: Duration = Duration::from_secs(2);

/// The command line's question.
#[derive(Serialize, Deserialize)]
struct Request {
    command: String,
    inputs: Vec<(String, serde_json::Value)>,
}

/// What else is asked, one member each.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Other {
    /// A change that was made beside the gateway, for its audit log.
    record: Option<Record>,
    /// What it says of itself.
    account: bool,
    /// The task to run.
    task: Option<String>,
}

/// An event of the audit log.
#[derive(Serialize, Deserialize)]
struct Record {
    event: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

/// How a command ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Whether it succeeded.
    pub held: bool,
    /// The fault, if there was one.
    pub fault: Option<String>,
    /// Outputs in order; null = never set.
    pub outputs: Vec<(String, serde_json::Value)>,
}

impl Ended {
    /// Runs a command here. `None`: there is no such command, or an input has the wrong type.
    pub async fn run(host: &Host, command: &str, inputs: &[(String, Value)]) -> Option<Ended> {
        let (ending, outputs) = host.site().run_named(command, inputs).await?;
        let (held, fault) = match ending {
            Ending::Held => (true, None),
            Ending::Failed => (false, None),
            Ending::Broken(fault) => (false, Some(fault.to_string())),
        };
        let outputs = outputs
            .into_iter()
            .map(|(name, value)| (name.to_string(), if value.is_undefined() { serde_json::Value::Null } else { value.to_json() }))
            .collect();
        Some(Ended { held, fault, outputs })
    }
}

/// The result of a question.
#[derive(Debug)]
pub enum Asked {
    /// No gateway runs on this home.
    Nobody,
    /// The running gateway has no such command, or an input has the wrong type.
    Unknown,
    /// It ran the command.
    Ended(Ended),
}

/// Asks the gateway that runs on this home. If one runs but cannot be asked, that is an error: a command beside it would change
/// the database behind its caches.
pub async fn ask(home: &Home, command: &str, inputs: &[(String, Value)]) -> io::Result<Asked> {
    let inputs = inputs.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    let Some(answer) = exchange(home, &Request { command: command.to_owned(), inputs }).await? else { return Ok(Asked::Nobody) };
    Ok(serde_json::from_str::<Option<Ended>>(&answer)?.map_or(Asked::Unknown, Asked::Ended))
}

/// The report of the gateway that runs on this home; `None` if there is none.
pub async fn account(home: &Home) -> io::Result<Option<Account>> {
    let Some(answer) = exchange(home, &Other { account: true, ..Other::default() }).await? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&answer)?))
}

/// Lets the gateway that runs on this home run a task now; `None` if there is none.
pub async fn run_task(home: &Home, name: &str) -> io::Result<Option<Ran>> {
    let Some(answer) = exchange(home, &Other { task: Some(name.to_owned()), ..Other::default() }).await? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&answer)?))
}

/// Records a change in the home: through the gateway that runs on it, otherwise directly to the configured target.
pub async fn record(home: &Home, event: &str, fields: &[(&str, &str)]) -> io::Result<()> {
    let fields: serde_json::Map<_, _> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let record = Some(Record { event: event.to_owned(), fields: fields.clone() });
    if exchange(home, &Other { record, ..Other::default() }).await?.is_some() {
        return Ok(());
    }
    let config = home.config().map_err(io::Error::other)?;
    let record = AuditRecord::own(Clock::default().now_millis(), Level::Info, event, "", fields);
    AuditLog::record_once(&config.logging.audit, home.root(), record)
}

/// One question and its answer; `None` if no gateway is running.
async fn exchange(home: &Home, question: &impl Serialize) -> io::Result<Option<String>> {
    let Some(mut stream) = connect(home).await? else { return Ok(None) };
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::other("the gateway closed the connection; it is unknown whether the command was done"));
    }
    Ok(Some(answer))
}

/// Connects to the gateway that runs on this home; `None` if there is none.
async fn connect(home: &Home) -> io::Result<Option<UnixStream>> {
    let until = Instant::now() + PATIENCE;
    loop {
        let connected = match Address::of(home) {
            Ok(address) => UnixStream::connect(&address.path).await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => return Ok(Some(stream)),
            Err(_) if !status::is_running(home) => return Ok(None),
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                let process = read_status(home).map_or_else(String::new, |status| format!(" (process {})", status.pid));
                return Err(io::Error::other(format!(
                    "a gateway runs on this home{process} but cannot be asked at {}: {error}. Nothing was done, because its \
                     caches would become wrong. If it is stopping, try again afterwards. Otherwise its log says why, and the \
                     command works after you restart or stop it",
                    home.path(DATA).join(SOCKET).display()
                )));
            }
        }
    }
}

/// The socket's path in a form that fits into a socket address, which has only about a hundred bytes.
struct Address {
    path: PathBuf,
    /// Kept open as long as a path through it is used.
    _folder: Option<std::fs::File>,
}

impl Address {
    fn of(home: &Home) -> io::Result<Address> {
        let path = home.path(DATA).join(SOCKET);
        match std::os::unix::net::SocketAddr::from_pathname(&path) {
            Ok(_) => Ok(Address { path, _folder: None }),
            #[cfg(target_os = "linux")]
            Err(_) => {
                use std::os::fd::AsRawFd;
                let folder = std::fs::File::open(home.path(DATA))?;
                Ok(Address { path: format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into(), _folder: Some(folder) })
            }
            #[cfg(not(target_os = "linux"))]
            Err(error) => Err(error),
        }
    }
}

/// Opens the socket. A gateway without one still serves, but commands refuse to work beside it.
pub(super) fn listen(home: &Home) -> Option<UnixListener> {
    remove(home);
    let opened = Address::of(home).and_then(|address| {
        let listener = UnixListener::bind(&address.path)?;
        std::fs::set_permissions(&address.path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    opened
        .inspect_err(|error| {
            remove(home);
            let path = home.path(DATA).join(SOCKET);
            tracing::warn!(%error, "the control socket {} cannot be opened: commands that change data will be refused", path.display());
        })
        .ok()
}

/// Answers for as long as the gateway runs.
pub(super) async fn run(host: Arc<Host>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let host = Arc::clone(&host);
                tokio::spawn(async move {
                    if let Err(error) = serve(&host, stream).await {
                        tracing::debug!(%error, "a command broke off");
                    }
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Removes the socket.
pub(super) fn remove(home: &Home) {
    let _ = std::fs::remove_file(home.path(DATA).join(SOCKET));
}

async fn serve(host: &Arc<Host>, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let other: Other = serde_json::from_str(&line)?;
    let mut answer = if other.account {
        serde_json::to_vec(&host.account().await)?
    } else if let Some(name) = other.task {
        serde_json::to_vec(&host.run_task(&name).await)?
    } else if let Some(Record { event, fields }) = other.record {
        let services = host.services();
        services.audit.record(AuditRecord::own(services.clock.now_millis(), Level::Info, &event, "", fields));
        serde_json::to_vec(&true)?
    } else {
        let (command, inputs) = question(&line)?;
        serde_json::to_vec(&Ended::run(host, &command, &inputs).await)?
    };
    answer.push(b'\n');
    write.write_all(&answer).await
}

/// The command and the inputs in a line.
pub(crate) fn question(line: &str) -> serde_json::Result<(String, Vec<(String, Value)>)> {
    let request: Request = serde_json::from_str(line)?;
    Ok((request.command, request.inputs.into_iter().map(|(name, value)| (name, plain(value))).collect()))
}

/// A flag's value as the command line would pass it.
fn plain(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::String(text) => Value::from(text),
        // A flag that was given several times.
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(plain)),
        other => Value::json(other),
    }
}
