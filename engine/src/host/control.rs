//! Commands of the command line, run inside the gateway that serves the home: what a command changes is then at once true for every
//! cache of the running gateway. A socket in `data/`, for its owner only; one JSON line asks, one answers.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Host;
use crate::exec::Ending;
use crate::home::{DATA, Home};
use crate::value::Value;

const SOCKET: &str = "control.sock";
/// Longest request or answer.
const MAX_LINE: u64 = 16 << 20;

/// What the command line asks.
#[derive(Serialize, Deserialize)]
struct Request {
    command: String,
    inputs: Vec<(String, serde_json::Value)>,
}

/// How a command ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Whether it held.
    pub held: bool,
    /// What broke, when something did.
    pub fault: Option<String>,
    /// Outputs in order; null = never set.
    pub outputs: Vec<(String, serde_json::Value)>,
}

impl Ended {
    /// Runs a command here. `None`: there is none of that name, or an input is not of its type.
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

/// Asks the gateway that runs on this home. `Ok(None)`: none runs, or it does not listen.
pub async fn ask(home: &Home, command: &str, inputs: &[(String, Value)]) -> io::Result<Option<Ended>> {
    let Ok(mut stream) = UnixStream::connect(home.path(DATA).join(SOCKET)).await else { return Ok(None) };
    let inputs = inputs.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    let mut line = serde_json::to_vec(&Request { command: command.to_owned(), inputs })?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Listens for as long as the gateway runs. Where that is impossible (a path too long for a socket) commands open the home themselves.
pub(super) async fn run(host: Arc<Host>) {
    let path = host.home().path(DATA).join(SOCKET);
    let _ = std::fs::remove_file(&path);
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => return tracing::debug!(%error, "commands will not run inside this gateway"),
    };
    if let Err(error) = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)) {
        let _ = std::fs::remove_file(&path);
        return tracing::warn!(%error, "the control socket cannot be kept to its owner, so it is not opened");
    }
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
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// Takes the socket away.
pub(super) fn remove(home: &Home) {
    let _ = std::fs::remove_file(home.path(DATA).join(SOCKET));
}

async fn serve(host: &Host, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let request: Request = serde_json::from_str(&line)?;
    let inputs: Vec<(String, Value)> = request.inputs.into_iter().map(|(name, value)| (name, plain(value))).collect();
    let ended = Ended::run(host, &request.command, &inputs).await;
    let mut answer = serde_json::to_vec(&ended)?;
    answer.push(b'\n');
    write.write_all(&answer).await
}

/// A flag's value as the command line would have given it.
fn plain(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::String(text) => Value::from(text),
        other => Value::json(other),
    }
}
