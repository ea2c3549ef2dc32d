//! Database servers of a test's own, in folders of its own: to be killed, stopped and started again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::servers::free_port;

/// Longer than any start takes, even after a crash on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
}

/// A server. Dropping it kills it.
pub struct Database {
    kind: Kind,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    secured: bool,
}

/// What a server needs for TLS, as PEM.
pub struct Secured {
    /// Whose certificates clients may show.
    pub authority: String,
    /// Its own certificate.
    pub certificate: String,
    /// The key of that.
    pub key: String,
}

/// The password of the account `secret`.
pub const PASSWORD: &str = "pass-word-17-hidden";

/// The servers that are installed, each of which is started. Says which are not.
pub fn installed() -> Result<Vec<Database>> {
    let mut found = Vec::new();
    for kind in [Kind::MySql, Kind::Postgres] {
        match Database::start(kind)? {
            Some(database) => found.push(database),
            None => println!("skipped: {kind:?} is not installed"),
        }
    }
    Ok(found)
}

impl Database {
    /// Makes an empty database and starts its server; `None` if that is not installed.
    pub fn start(kind: Kind) -> Result<Option<Database>> {
        Database::start_with(kind, None)
    }

    /// The same with TLS. The account `secret` has a password and needs TLS, and the account `certified` needs a certificate.
    pub fn start_secured(kind: Kind, secured: &Secured) -> Result<Option<Database>> {
        Database::start_with(kind, Some(secured))
    }

    fn start_with(kind: Kind, secured: Option<&Secured>) -> Result<Option<Database>> {
        let Some(programs) = programs(kind) else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let mut database = Database { kind, folder, port, child: None, secured: secured.is_some() };
        // The servers run under accounts of their own.
        fs::set_permissions(database.folder.path(), Permissions::from_mode(0o755))?;
        let data = database.data();
        for folder in [&data, &database.temporary()] {
            fs::create_dir(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            give(kind, folder)?;
        }
        match kind {
            Kind::MySql => {
                let mut install = database.as_account("mariadb-install-db");
                install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                said(install.arg(format!("--datadir={}", data.display())))?;
            }
            Kind::Postgres => {
                let mut install = database.as_account(&programs.join("initdb").display().to_string());
                install.args(["-A", "trust", "-U", "gateway", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
                said(install.arg(&data))?;
            }
        }
        if let Some(secured) = secured {
            database.secure(secured)?;
        }
        database.run()?;
        if secured.is_some() && kind == Kind::Postgres {
            let accounts =
                format!("create role secret superuser login password '{PASSWORD}'; create role certified superuser login");
            let mut client = Command::new("psql");
            client.args(["-q", "-h", "127.0.0.1", "-U", "gateway", "-d", "postgres", "-c", &accounts, "-p"]);
            said(client.arg(port.to_string()))?;
        }
        Ok(Some(database))
    }

    fn secure(&self, secured: &Secured) -> Result<()> {
        let data = self.data();
        let mut files = vec![("ca.pem", &secured.authority), ("own.pem", &secured.certificate), ("own.key", &secured.key)];
        let accounts = "host all gateway 127.0.0.1/32 trust\nhostssl all secret 127.0.0.1/32 scram-sha-256\n\
                        hostssl all certified 127.0.0.1/32 cert\n"
            .to_owned();
        if self.kind == Kind::Postgres {
            files.push(("pg_hba.conf", &accounts));
        }
        for (name, text) in files {
            let path = data.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            give(self.kind, &path)?;
        }
        Ok(())
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address for `gateway.yaml`.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::MySql => format!("mysql://gateway:gateway@127.0.0.1:{}/gateway", self.port),
            Kind::Postgres => format!("postgres://gateway@127.0.0.1:{}/postgres", self.port),
        }
    }

    /// Starts it, again perhaps, and waits until it takes connections.
    pub fn run(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.spawn()?;
            while begun.elapsed() < START && self.runs()? {
                if self.answers() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            // After a kill, what is left of the old server may still be ending.
            if begun.elapsed() > START {
                bail!("{:?} does not start:\n{}", self.kind, fs::read_to_string(self.log()).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// SIGKILL to all of its processes.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            for pid in self.processes(&child) {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = child.wait();
        }
    }

    /// SIGSTOP to all of its processes: it is there and says nothing.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("it does not run")?;
        for pid in self.processes(child) {
            // One that has ended meanwhile is of no interest.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// The server's own process first, then its children.
    fn processes(&self, child: &Child) -> Vec<Pid> {
        let own = child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|word| word.parse().ok());
        std::iter::once(own).chain(children).filter_map(|id| Pid::from_raw(id as i32)).collect()
    }

    fn spawn(&mut self) -> Result<()> {
        let data = self.data();
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::MySql => {
                let first = self.folder.path().join("first.sql");
                let mut accounts = "create database if not exists gateway character set utf8mb4;\n\
                     create user if not exists gateway@'127.0.0.1' identified by 'gateway';\n\
                     grant all on *.* to gateway@'127.0.0.1';\n"
                    .to_owned();
                if self.secured {
                    accounts += &format!(
                        "create user if not exists secret@'127.0.0.1' identified by '{PASSWORD}' require ssl;\n\
                         create user if not exists certified@'127.0.0.1' require x509;\n\
                         grant all on *.* to secret@'127.0.0.1';\ngrant all on *.* to certified@'127.0.0.1';\n"
                    );
                }
                fs::write(&first, accounts)?;
                let mut command = self.as_account("mariadbd");
                command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-buffer-pool-size=32M"]);
                command.arg(format!("--init-file={}", first.display())).arg(format!("--datadir={}", data.display()));
                command.arg(format!("--socket={}", data.join("socket").display())).arg(format!("--port={port}"));
                if self.secured {
                    let files = [("ca", "ca.pem"), ("cert", "own.pem"), ("key", "own.key")];
                    command.args(files.map(|(word, file)| format!("--ssl-{word}={}", data.join(file).display())));
                }
                command
            }
            Kind::Postgres => {
                let programs = programs(self.kind).context("it is not installed")?;
                let mut command = self.as_account(&programs.join("postgres").display().to_string());
                command.args(["-h", "127.0.0.1", "-p", &port, "-c", "shared_buffers=32MB"]);
                // Rivals in a test meet all the time, and need not wait a second each time.
                command.args(["-c", "deadlock_timeout=50ms", "-k"]).arg(&data).arg("-D").arg(&data);
                if self.secured {
                    command.args(["-c", "ssl=on", "-c", "ssl_ca_file=ca.pem", "-c", "ssl_cert_file=own.pem"]);
                    command.args(["-c", "ssl_key_file=own.key"]);
                }
                command
            }
        };
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("{:?} cannot be started", self.kind))?);
        Ok(())
    }

    fn runs(&mut self) -> Result<bool> {
        let Some(child) = &mut self.child else { return Ok(false) };
        Ok(child.try_wait()?.is_none())
    }

    fn answers(&self) -> bool {
        let mut asked = match self.kind {
            Kind::MySql => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-h", "127.0.0.1", "-u", "gateway", "-pgateway", "-e", "select 1", "gateway"]);
                command.arg(format!("--port={}", self.port));
                command
            }
            Kind::Postgres => {
                let mut command = Command::new("psql");
                command.args(["-h", "127.0.0.1", "-U", "gateway", "-d", "postgres", "-c", "select 1", "-p"]);
                command.arg(self.port.to_string());
                command
            }
        };
        asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// MariaDB, when it starts, removes the temporary tables of each other server that shares the folder.
    fn temporary(&self) -> PathBuf {
        self.folder.path().join("temporary")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A program under the account of the server, which does not run as root.
    fn as_account(&self, program: &str) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let account = account(self.kind);
            command.arg(format!("--reuid={account}")).arg(format!("--regid={account}")).arg("--init-groups").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").env("TMPDIR", self.temporary());
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.thaw();
        self.kill();
    }
}

fn account(kind: Kind) -> &'static str {
    match kind {
        Kind::MySql => "mysql",
        Kind::Postgres => "postgres",
    }
}

/// Makes the account of the server the owner.
fn give(kind: Kind, path: &Path) -> Result<()> {
    if is_root() {
        said(Command::new("chown").arg(account(kind)).arg(path))?;
    }
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of a server's programs; `None` if they are not installed.
fn programs(kind: Kind) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    if kind == Kind::Postgres {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    let (server, client) = match kind {
        Kind::MySql => ("mariadbd", "mariadb"),
        Kind::Postgres => ("initdb", "psql"),
    };
    let has_client = folders.iter().any(|folder| folder.join(client).exists());
    folders.into_iter().find(|folder| folder.join(server).exists()).filter(|_| has_client)
}

/// Runs a program that must succeed.
pub fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} cannot be started"))?;
    if !output.status.success() {
        bail!("{command:?}:\n{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A pooler before a PostgreSQL server: PgBouncer, which lends a session for one transaction only. Dropping it kills it.
pub struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts one before this server; `None` if it is not installed.
    pub fn start(before: &Database) -> Result<Option<Pooler>> {
        let Some(program) = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists())
        else {
            return Ok(None);
        };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::write(folder.path().join("users"), "\"gateway\" \"\"\n")?;
        fs::write(
            folder.path().join("ini"),
            format!(
                "[databases]\npostgres = host=127.0.0.1 port={} user=gateway\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = \
                 {port}\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 5\nunix_socket_dir =\n",
                before.port,
                folder.path().join("users").display()
            ),
        )?;
        let mut command = before.as_account(program);
        let log = fs::File::create(folder.path().join("log"))?;
        command.arg(folder.path().join("ini")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let pooler = Pooler { child: command.spawn()?, port, _folder: folder };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > START {
                bail!("PgBouncer does not start");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(pooler))
    }

    /// Its address for `gateway.yaml`.
    pub fn url(&self) -> String {
        format!("postgres://gateway@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, Kind, give};

    #[test]
    fn a_server_leaves_the_temporary_tables_of_others_alone() {
        let another = tempfile::Builder::new().prefix("#sql-temptable-").suffix(".MAI").tempfile().expect("a file");
        give(Kind::MySql, another.path()).expect("another owner");
        if Database::start(Kind::MySql).expect("a server").is_some() {
            assert!(another.path().exists());
        }
    }
}
