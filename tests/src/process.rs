//! A gateway as a separate process, for what can only be seen from outside, such as start, kill -9, and load.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than any start takes, even the first of an unoptimised build, which creates keys.
const START: Duration = Duration::from_secs(60);

/// Processor time of all threads of a process so far.
pub fn cpu_of(process: u32) -> Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split(' ').next().context("no schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// A running process. Dropping it kills it.
pub struct Process {
    child: Child,
    /// Where it answers HTTPS.
    pub https: SocketAddr,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Time from starting the process to the line that says where it listens.
    pub started_in: Duration,
    stdout: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

/// Options for starting a process.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Further arguments.
    pub args: Vec<String>,
    /// Core to pin it to.
    pub core: Option<usize>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Nobody reads its standard output after the first line that follows its addresses.
    pub hangs_up: bool,
}

impl Process {
    /// `portcullis serve` on free ports of the loopback address.
    pub fn gateway(home: &Path, start: &Start) -> Result<Process> {
        let mut args = vec!["serve".to_owned(), "--home".to_owned(), home.display().to_string()];
        args.extend(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"].map(str::to_owned));
        args.extend(start.args.iter().cloned());
        Process::start(portcullis()?, &args, start)
    }

    /// Any program that prints `listening https://…` and `listening http://…`.
    pub fn start(program: &Path, args: &[String], start: &Start) -> Result<Process> {
        let mut command = match start.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let begun = Instant::now();
        let mut child = command
            .args(args)
            .envs(start.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (stdout, log) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new())));
        let (lines, listening) = channel();
        follow(child.stdout.take(), Arc::clone(&stdout), Some(lines), start.hangs_up);
        follow(child.stderr.take(), Arc::clone(&log), None, false);
        let found = wait_for_addresses(&listening, begun);
        let Some((https, http)) = found else {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "{} {} did not say where it listens:\n{}{}",
                program.display(),
                args.join(" "),
                stdout.lock().map_or_else(|_| String::new(), |text| text.clone()),
                log.lock().map_or_else(|_| String::new(), |text| text.clone())
            );
        };
        Ok(Process { child, https, http, started_in: begun.elapsed(), stdout, log })
    }

    /// What it has printed.
    pub fn stdout(&self) -> String {
        self.stdout.lock().map_or_else(|_| String::new(), |text| text.clone())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().map_or_else(|_| String::new(), |text| text.clone())
    }

    /// Waits for a text in its log, which may appear after the answer that it is about.
    pub fn logs(&self, what: impl Fn(&str) -> bool) -> bool {
        let begun = Instant::now();
        while !what(&self.log()) {
            if begun.elapsed() > Duration::from_secs(10) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time of all its threads so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(self.id())
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then waits for the end; returns whether the exit was clean.
    pub fn terminate(&mut self) -> Result<bool> {
        self.signal("TERM")?;
        Ok(self.child.wait()?.success())
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) -> Result<()> {
        Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status()?;
        Ok(())
    }

    /// Whether it ends within this time.
    pub fn ends_within(&mut self, time: Duration) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects a stream's text, and passes its lines on. Closes it, if wanted, once nobody takes them.
fn follow(stream: Option<impl Read + Send + 'static>, text: Arc<Mutex<String>>, lines: Option<Sender<String>>, hangs_up: bool) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if let Ok(mut text) = text.lock() {
                text.push_str(&line);
                text.push('\n');
            }
            if let Some(lines) = &lines
                && lines.send(line).is_err()
                && hangs_up
            {
                return;
            }
        }
    });
}

fn wait_for_addresses(lines: &Receiver<String>, begun: Instant) -> Option<(SocketAddr, SocketAddr)> {
    let (mut https, mut http) = (None, None);
    while https.is_none() || http.is_none() {
        let line = lines.recv_timeout(START.saturating_sub(begun.elapsed())).ok()?;
        if let Some(address) = line.strip_prefix("listening https://") {
            https = address.trim_end_matches('/').parse().ok();
        } else if let Some(address) = line.strip_prefix("listening http://") {
            http = address.trim_end_matches('/').parse().ok();
        }
    }
    https.zip(http)
}

/// The gateway's binary, of this test's profile; built now, so that no old one is tested.
pub fn portcullis() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build("portcullis", "portcullis").map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// Builds a binary of the workspace and gives its path. `PORTCULLIS_BIN_DIR` names a folder of ready ones instead.
pub fn build(package: &str, binary: &str) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("PORTCULLIS_BIN_DIR") {
        return Ok(PathBuf::from(folder).join(binary));
    }
    // target/<profile>/deps/<this test>, or target/<profile>/<this program>
    let own = std::env::current_exe()?;
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("no target folder")?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--package", package, "--bin", binary]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if !command.status().context("cannot run cargo")?.success() {
        bail!("cargo could not build {binary}");
    }
    Ok(folder.join(binary))
}

/// The result of a command.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a subcommand on a home to its end.
pub fn command(home: &Path, args: &[&str]) -> Result<Said> {
    command_with(home, args, "")
}

/// Registers a client under this id, which is also its name; `more` are further options of `client add`.
///
/// # Errors
///
/// What the command says when it refuses.
pub fn add_client(home: &Path, id: &str, more: &[&str]) -> Result<()> {
    let words = ["client", "add", "--name", id, "--org", "Tests", "--client_id", id];
    let said = command(home, &[&words[..], more].concat())?;
    anyhow::ensure!(said.success, "{}{}", said.stdout, said.stderr);
    Ok(())
}

/// The same as [`command`], with a line on its standard input.
pub fn command_with(home: &Path, args: &[&str], line: &str) -> Result<Said> {
    let mut child = Command::new(portcullis()?)
        .args(args)
        .arg("--home")
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that reads nothing may have closed standard input.
        let _ = writeln!(stdin, "{line}");
    }
    let output = child.wait_with_output()?;
    Ok(Said {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
