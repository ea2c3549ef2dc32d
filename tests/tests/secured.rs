//! TLS to real database servers: who is verified by what, what is refused and in which words, and certificates of the gateway's own. The
//! accounts of the servers insist on TLS, so what works is encrypted.

use std::path::Path;

use portcullis_tests::databases::{Database, Kind, PASSWORD, Secured};
use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::process::{Process, Said, Start, command};
use portcullis_tests::{block_on, put};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name, and its key.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server that knows one authority, and a home with certificates of two.
struct Place {
    home: tempfile::TempDir,
    database: Database,
}

impl Place {
    fn start(kind: Kind) -> Option<Place> {
        let (known, other) = (Authority::new("Known"), Authority::new("Other"));
        let (certificate, key) = known.certify("localhost");
        let secured = Secured { authority: known.pem.clone(), certificate, key };
        let database = Database::start_secured(kind, &secured).expect("a server")?;
        let home = tempfile::tempdir().expect("a folder");
        let mine = [("own", known.certify("certified")), ("stranger", other.certify("certified"))];
        for (name, (certificate, key)) in mine {
            put(home.path(), &format!("tls/{name}.pem"), &certificate);
            put(home.path(), &format!("tls/{name}.key"), &key);
        }
        put(home.path(), "tls/ca.pem", &known.pem);
        put(home.path(), "tls/other-ca.pem", &other.pem);
        Some(Place { home, database })
    }

    fn yaml(&self, host: &str, account: &str, query: &str, settings: &str) -> String {
        let (scheme, name) = match self.database.kind() {
            Kind::MySql => ("mysql", "gateway"),
            Kind::Postgres => ("postgres", "postgres"),
        };
        let url = format!("{scheme}://{account}@{host}:{}/{name}{query}", self.database.port());
        format!("connections:\n  OAuth: {{ url: '{url}'{settings} }}\n")
    }

    /// Asks the server with these settings.
    fn ask(&self, host: &str, account: &str, query: &str, settings: &str) -> Said {
        asked(self.home.path(), &self.yaml(host, account, query, settings))
    }
}

fn asked(home: &Path, yaml: &str) -> Said {
    put(home, "gateway.yaml", yaml);
    let said = command(home, &["db", "version"]).expect("a command");
    assert!(!format!("{said:?}").contains(PASSWORD), "{said:?}");
    said
}

#[test]
fn a_server_is_verified_as_the_settings_say() {
    for kind in [Kind::MySql, Kind::Postgres] {
        let Some(place) = Place::start(kind) else { continue };
        let secret = format!("secret:{PASSWORD}");
        let (ca, other) = (", ca: tls/ca.pem", ", ca: tls/other-ca.pem");
        let (mode, weak) = match kind {
            Kind::MySql => ("VERIFY_IDENTITY", "REQUIRED"),
            Kind::Postgres => ("verify-full", "require"),
        };
        let (full, encrypted) = (format!("?sslmode={mode}"), format!("?sslmode={weak}"));
        let by_address = format!("?ssl-mode={mode}&sslrootcert=tls/ca.pem");
        let works: [(&str, &str, &str); 6] = [
            ("localhost", "", ca),
            ("localhost", &full, ca),
            ("localhost", "?sslrootcert=tls/ca.pem", ""),
            ("localhost", &by_address, ""),
            // This machine itself need not be verified.
            ("127.0.0.1", &encrypted, ""),
            ("127.0.0.1", "", ""),
        ];
        for (host, query, settings) in works {
            let said = place.ask(host, &secret, query, settings);
            assert!(said.success, "{kind:?} {host} {query} {settings}: {said:?}");
        }
        let refused: [(&str, &str, &str, &str); 7] = [
            ("localhost", "", other, "UnknownIssuer"),
            ("localhost", &full, "", "UnknownIssuer"),
            ("localhost", "?sslrootcert=tls/other-ca.pem", "", "UnknownIssuer"),
            ("127.0.0.1", "", ca, "not valid for name"),
            ("localhost", &encrypted, ca, "does not verify"),
            ("localhost", "", ", ca: tls/none.pem", "none.pem"),
            ("localhost", "?sslrootcert=tls/own.key", "", "holds no certificate"),
        ];
        for (host, query, settings, cause) in refused {
            let said = place.ask(host, &secret, query, settings);
            assert!(!said.success && said.stderr.contains(cause), "{kind:?} {host} {query} {settings}: {said:?}");
        }
        // The server itself refuses what is not encrypted, and a wrong password.
        let plain = if kind == Kind::MySql { "?ssl-mode=DISABLED" } else { "?sslmode=disable" };
        assert!(!place.ask("localhost", &secret, plain, "").success, "{kind:?}");
        assert!(!place.ask("localhost", &format!("secret:{PASSWORD}x"), "", ca).success, "{kind:?}");
        let said = place.ask("localhost", "secret", "", &format!("{ca}, password: '{PASSWORD}x'"));
        assert!(!said.success, "{kind:?}: {said:?}");
    }
}

#[test]
fn a_server_without_tls_is_refused_where_it_must_be_verified() {
    for kind in [Kind::MySql, Kind::Postgres] {
        let Some(database) = Database::start(kind).expect("a server") else { continue };
        let home = tempfile::tempdir().expect("a folder");
        put(home.path(), "tls/ca.pem", &Authority::new("Known").pem);
        let yaml = |settings: &str| format!("connections:\n  OAuth: {{ url: '{}'{settings} }}\n", database.url());
        let said = asked(home.path(), &yaml(", ca: tls/ca.pem"));
        assert!(!said.success && said.stderr.contains("does not support TLS"), "{kind:?}: {said:?}");
        assert!(said.stderr.contains("`allow_plaintext`"), "{kind:?}: what to do: {said:?}");
        assert!(asked(home.path(), &yaml("")).success, "{kind:?}: this machine may do without");
        assert!(asked(home.path(), &yaml(", allow_plaintext: true")).success, "{kind:?}");
    }
}

#[test]
fn a_server_may_ask_for_a_certificate() {
    for kind in [Kind::MySql, Kind::Postgres] {
        let Some(place) = Place::start(kind) else { continue };
        let ca = ", ca: tls/ca.pem";
        let own = "?sslcert=tls/own.pem&sslkey=tls/own.key";
        for (query, works) in [
            (own, true),
            ("?ssl-cert=tls/own.pem&ssl-key=tls/own.key", true),
            ("", false),
            ("?sslcert=tls/stranger.pem&sslkey=tls/stranger.key", false),
        ] {
            let said = place.ask("localhost", "certified", query, ca);
            assert_eq!(said.success, works, "{kind:?} {query}: {said:?}");
        }
        for (query, cause) in [
            ("?sslcert=tls/own.pem&sslkey=tls/stranger.key", "does not fit to"),
            ("?sslcert=tls/own.pem", "name both `sslcert` and `sslkey`"),
            ("?sslcert=tls/own.pem&sslkey=tls/none.key", "none.key"),
        ] {
            let said = place.ask("localhost", "certified", query, ca);
            assert!(!said.success && said.stderr.contains(cause), "{kind:?} {query}: {said:?}");
        }
        // A whole gateway, with all of its connections.
        let misspelt = format!("{own}&pasword={PASSWORD}");
        put(place.home.path(), "gateway.yaml", &place.yaml("localhost", "certified", &misspelt, ca));
        prepare(place.home.path());
        let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
        let client = GrantClient::register(place.home.path(), "Certified").expect("a client").at(&process);
        let answer = block_on(async {
            let code = client.code("alice").await?;
            client.redeem(&code).await
        });
        assert!(matches!(answer, Ok(Answer::Tokens { .. })), "{kind:?}: {answer:?}\n{}", process.log());
        assert!(!format!("{}{}", process.log(), process.stdout()).contains(PASSWORD), "{kind:?}: {}", process.log());
    }
}
