//! A test's own OpenLDAP server, in its own folder and on its own ports: started, stopped, started again.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::servers::free_port;

/// Longer than any start takes.
const START: Duration = Duration::from_secs(20);

/// Schema of account attributes of other directories, which OpenLDAP lacks.
const SCHEMA: &str = r#"
attributetype ( 1.3.6.1.4.1.55555.1.1 NAME 'userAccountControl' EQUALITY integerMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.2 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.55555.1.3 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.55555.2.1 NAME 'otherAccount' SUP top AUXILIARY
    MAY ( userAccountControl $ nsAccountLock $ sAMAccountName ) )
"#;

/// The path of `slapd`: `PORTCULLIS_TEST_SLAPD`, or Debian's. `None` if it is not installed.
pub fn slapd() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("PORTCULLIS_TEST_SLAPD") {
        return Some(path.into());
    }
    ["/usr/sbin/slapd", "/usr/local/libexec/slapd", "/usr/lib/slapd"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// A server. Dropping it kills it.
pub struct Directory {
    folder: tempfile::TempDir,
    program: PathBuf,
    child: Option<Child>,
    /// Port of `ldap://`.
    pub plain: u16,
    /// Port of `ldaps://`.
    pub secure: u16,
}

impl Directory {
    /// A server with these entries (LDIF) below `dc=example`, and a certificate of its own authority for `localhost` only. Only
    /// `cn=gateway,dc=example` may search.
    pub fn start(program: &Path, entries: &str) -> Result<Directory> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("data"))?;
        for name in ["ca", "other-ca"] {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
            std::fs::write(path(&format!("{name}.pem")), authority.pem())?;
            if name == "ca" {
                let key = KeyPair::generate()?;
                let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
                std::fs::write(path("cert.pem"), certificate.pem())?;
                std::fs::write(path("key.pem"), key.serialize_pem())?;
            }
        }
        std::fs::write(path("other.schema"), SCHEMA)?;
        std::fs::write(path("entries.ldif"), entries)?;
        let at = folder.path().display();
        let config = format!(
            "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {at}/other.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile {at}/pid
TLSCACertificateFile {at}/ca.pem
TLSCertificateFile {at}/cert.pem
TLSCertificateKeyFile {at}/key.pem
database mdb
suffix dc=example
directory {at}/data
overlay ppolicy
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=gateway,dc=example read by anonymous auth by * none
"
        );
        std::fs::write(path("slapd.conf"), config)?;
        let added = Command::new(program)
            .args(["-T", "add", "-f"])
            .arg(path("slapd.conf"))
            .arg("-l")
            .arg(path("entries.ldif"))
            .output()
            .with_context(|| program.display().to_string())?;
        if !added.status.success() {
            bail!("the entries cannot be added:\n{}", String::from_utf8_lossy(&added.stderr));
        }
        let mut directory = Directory { program: program.to_owned(), child: None, plain: 0, secure: 0, folder };
        (directory.plain, directory.secure) = (free_port()?, free_port()?);
        directory.resume()?;
        Ok(directory)
    }

    /// A file of its folder: `ca.pem`, the authority of its certificate, or `other-ca.pem`, another one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it again at the same place.
    pub fn resume(&mut self) -> Result<()> {
        let log = std::fs::File::create(self.path("log"))?;
        let child = Command::new(&self.program)
            .args(["-d", "stats", "-h"])
            .arg(format!("ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/", self.plain, self.secure))
            .arg("-f")
            .arg(self.path("slapd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let child = self.child.insert(child);
        let begun = Instant::now();
        let answers = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
        while !(answers(self.plain) && answers(self.secure)) {
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START {
                bail!("slapd does not start:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its log, which contains every operation.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.stop();
    }
}
