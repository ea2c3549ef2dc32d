//! Two gateway processes: one for clients, without a database, and one behind it that has the stores, on another loopback address. Each
//! trusts the other's authority, and nothing else.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::{Process, Said, Start, command};
use crate::put;

/// The address of the gateway behind.
pub const BEHIND: &str = "127.0.0.2";
/// The name of the gateway for clients. Nobody has to find it.
pub const FRONT: &str = "dmz.example.com";

/// The two.
pub struct Pair {
    /// For clients.
    pub front: Process,
    /// With the stores; none while it is down.
    pub behind: Option<Process>,
    /// Where it answers HTTPS, also after a restart.
    pub port: u16,
    folder: tempfile::TempDir,
}

/// Settings of the gateway for clients. `more` stands below them.
fn front_settings(more: &str) -> String {
    format!(
        "host_name: {FRONT}\nkit: [dmz-oauth2, internal-tools]\nconnections: {{ OAuth: none }}\nsample_data: false\nmonitoring: {{ listen: off }}\n{more}"
    )
}

/// Settings of the gateway behind it. `caller` is the subject of whom it lets in.
fn behind_settings(caller: &str) -> String {
    format!(
        "host_name: {BEHIND}\nkit: [internal-clientstore, internal-tokenstore, internal-sessionstore, internal-validation, \
         persistence-sql]\nsample_data: false\nmonitoring: {{ listen: off }}\nidentity_providers:\n  Gateway as a Client Identity \
         Provider:\n    type: federated\n    users: [{{ name: dmz, subject: '{caller}' }}]\n"
    )
}

/// The subject of the certificate that the gateway for clients shows.
pub fn caller() -> String {
    format!("CN={FRONT}, O=Portcullis")
}

impl Pair {
    /// Starts both. `more` is written below the settings of both, `start` says how.
    pub fn start(more: &str, start: &Start) -> Result<Pair> {
        let folder = tempfile::tempdir()?;
        let (front, behind) = (folder.path().join("front"), folder.path().join("behind"));
        let port = TcpListener::bind((BEHIND, 0))?.local_addr()?.port();
        put(&front, "gateway.yaml", &front_settings(more));
        put(&behind, "gateway.yaml", &(behind_settings(&caller()) + more));
        say_where(&front, &format!("{BEHIND}:{port}"));
        // Listing the keys makes those of a new home.
        for home in [&front, &behind] {
            run(home, &["key", "list"])?;
        }
        let authority = |home: &Path| home.join("keys/ca.pem").display().to_string();
        run(&front, &["key", "trust", "add", "behind", &authority(&behind)])?;
        run(&behind, &["key", "trust", "add", "dmz", &authority(&front)])?;
        let process = start_behind(&behind, port, start)?;
        let front = Process::gateway(&front, start)?;
        Ok(Pair { front, behind: Some(process), port, folder })
    }

    /// The home of the gateway for clients.
    pub fn front_home(&self) -> PathBuf {
        self.folder.path().join("front")
    }

    /// The home of the gateway behind.
    pub fn behind_home(&self) -> PathBuf {
        self.folder.path().join("behind")
    }

    /// Kills the gateway behind.
    pub fn kill_behind(&mut self) -> Result<()> {
        self.behind.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it again at the same address.
    pub fn restart_behind(&mut self) -> Result<()> {
        self.behind = Some(start_behind(&self.behind_home(), self.port, &Start::default())?);
        Ok(())
    }

    /// Lets only the caller with this certificate's subject in.
    pub fn let_in(&self, subject: &str) {
        put(&self.behind_home(), "gateway.yaml", &behind_settings(subject));
    }
}

/// Names the gateway that has the stores, as an operator does.
pub fn say_where(front: &Path, host: &str) {
    let storage = format!(
        "customize \"OTK Storage Configuration\" {{\n    set host_oauth_clientstore_server = \"{host}\"\n    set \
         host_oauth_tokenstore_server = \"{host}\"\n    set host_oauth_session_server = \"{host}\"\n    set store_timeout_sec = 2\n}}\n"
    );
    let validation = format!("customize \"OTK OVP Configuration\" {{\n    set host_oauth_ovp_server = \"{host}\"\n}}\n");
    put(front, "customizations/configuration/#otk-storage-configuration.policy", &storage);
    put(front, "customizations/configuration/#otk-ovp-configuration.policy", &validation);
}

/// Runs a command that must succeed.
pub fn run(home: &Path, words: &[&str]) -> Result<Said> {
    let said = command(home, words)?;
    if !said.success {
        bail!("{words:?}: {}{}", said.stdout, said.stderr);
    }
    Ok(said)
}

fn start_behind(home: &Path, port: u16, start: &Start) -> Result<Process> {
    let mut args = vec!["serve".to_owned(), "--home".to_owned(), home.display().to_string()];
    args.extend(["--https".to_owned(), format!("{BEHIND}:{port}"), "--http".to_owned(), format!("{BEHIND}:0")]);
    Process::start(crate::process::portcullis()?, &args, start)
}
