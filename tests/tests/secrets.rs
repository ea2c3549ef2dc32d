//! No log contains a secret: runs the gateway as a process at its most verbose, while users and clients act correctly and
//! incorrectly.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, command, command_with};
use portcullis_tests::{block_on, put};

const CLIENT: &str = "talkative";
const CLIENT_SECRET: &str = "secret-of-the-client";
const CALLBACK: &str = "https%3A%2F%2Fapp.example%2Fcb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A browser and a client's back channel, which record every secret they see.
struct Visitor<'p> {
    process: &'p Process,
    cookies: Vec<(String, String)>,
    secrets: Vec<(String, String)>,
}

impl Visitor<'_> {
    fn send(&mut self, method: &str, target: &str, fields: &str, body: &str) -> (u16, String, String) {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}");
        if !cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        if !body.is_empty() {
            head += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        }
        let request = format!("{head}\r\n{body}");
        let place = Target { address: self.process.https, tls: true };
        let (status, head, body) = block_on(load::once(place, request.as_bytes())).expect("an answer");
        for line in head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")) {
            let pair = line["set-cookie:".len()..].trim().split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
            self.note("cookie", value);
        }
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    fn note(&mut self, what: &str, secret: &str) {
        // A shorter text could be anything.
        if secret.len() >= 8 {
            self.secrets.push((what.to_owned(), secret.to_owned()));
        }
    }

    /// Asks the token endpoint as the client, and records the result.
    fn tokens(&mut self, form: &str) -> (u16, String) {
        let basic = STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"));
        self.note("client credentials", &basic);
        let (status, _, body) = self.send("POST", "/auth/oauth/v2/token", &format!("Authorization: Basic {basic}\r\n"), form);
        for name in ["access_token", "refresh_token", "id_token"] {
            if let Some(token) = between(&body, &format!("\"{name}\":\""), "\"") {
                self.note(name, &token);
            }
        }
        (status, body)
    }
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0.to_owned())
}

fn location(head: &str) -> String {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("location:")).expect("a redirect");
    line["location:".len()..].trim().to_owned()
}

/// The two fields of a page's form.
fn session(visitor: &mut Visitor<'_>, page: &str) -> String {
    let field =
        |name: &str| between(page, &format!("name=\"{name}\" value=\""), "\"").unwrap_or_else(|| panic!("no {name}: {page}"));
    let (id, data) = (field("sessionID"), field("sessionData"));
    visitor.note("sessionData", &data);
    format!("sessionID={id}&sessionData={data}")
}

#[test]
fn no_secret_is_in_a_log_at_any_level() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "logging:\n  level: trace,portcullis=trace\n  access: true\n");
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    // While it runs, so that the log also contains what commands send to the gateway.
    let user = command_with(home.path(), &["user", "add", "sample"], "sample-password").expect("a command");
    assert!(user.success, "{}", user.stderr);
    let client = ["client", "add", "--name", "App", "--org", "Tests", "--scope", "READ", "--callback", "https://app.example/cb"];
    let client = command(home.path(), &[&client[..], &["--client_id", CLIENT, "--client_secret", CLIENT_SECRET]].concat());
    assert!(client.as_ref().is_ok_and(|said| said.success), "{client:?}");
    let mut visitor = Visitor { process: &process, cookies: Vec::new(), secrets: Vec::new() };
    for (what, secret) in [("password", "sample-password"), ("client secret", CLIENT_SECRET), ("verifier", VERIFIER)] {
        visitor.note(what, secret);
    }

    // The code flow, with a wrong password first.
    let request = format!(
        "/auth/oauth/v2/authorize?response_type=code&client_id={CLIENT}&redirect_uri={CALLBACK}&state=8e5c1f7a\
         &code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let (status, _, page) = visitor.send("GET", &request, "Accept: text/html\r\n", "");
    assert_eq!(status, 200, "{page}");
    let form = session(&mut visitor, &page);
    visitor.note("wrong password", "mistyped-password");
    let login = "/auth/oauth/v2/authorize/login";
    let wrong = format!("{form}&username=sample&password=mistyped-password&action=login");
    assert_eq!(visitor.send("POST", login, "Accept: text/html\r\n", &wrong).0, 401);
    let right = format!("{form}&username=sample&password=sample-password&action=login");
    let (status, head, _) = visitor.send("POST", login, "Accept: text/html\r\n", &right);
    assert_eq!(status, 303, "{head}");
    let (_, _, page) = visitor.send("GET", &location(&head), "Accept: text/html\r\n", "");
    let form = session(&mut visitor, &page);
    let (status, head, _) = visitor.send("POST", "/auth/oauth/v2/authorize/consent", "", &format!("{form}&action=Grant"));
    assert_eq!(status, 302, "{head}");
    let code = between(&location(&head), "code=", "&").expect("a code");
    visitor.note("code", &code);

    // Tokens used in every way, and refused requests.
    let redeem = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier=");
    visitor.note("wrong verifier", &"w".repeat(50));
    assert_eq!(visitor.tokens(&format!("{redeem}{}", "w".repeat(50))).0, 400);
    let (status, body) = visitor.tokens(&format!("{redeem}{VERIFIER}"));
    assert_eq!(status, 200, "{body}");
    let access = between(&body, "\"access_token\":\"", "\"").expect("an access token");
    let refresh = between(&body, "\"refresh_token\":\"", "\"").expect("a refresh token");
    let api = "/oauth/v2/protectedapi/foo";
    assert_eq!(visitor.send("GET", api, &format!("Authorization: Bearer {access}\r\n"), "").0, 200);
    assert_eq!(visitor.send("GET", &format!("{api}?access_token={access}"), "", "").0, 200);
    assert_eq!(visitor.send("POST", api, "", &format!("access_token={access}")).0, 200);
    visitor.note("unknown token", "no-token-of-ours-0123456789");
    assert_eq!(visitor.send("GET", &format!("{api}?access_token=no-token-of-ours-0123456789"), "", "").0, 401);
    assert_eq!(visitor.tokens(&format!("grant_type=refresh_token&refresh_token={refresh}")).0, 200);
    assert_eq!(visitor.tokens(&format!("grant_type=refresh_token&refresh_token={refresh}")).0, 400);
    assert_eq!(visitor.tokens("grant_type=password&username=sample&password=mistyped-password").0, 401);
    let (_, body) = visitor.tokens("grant_type=password&username=sample&password=sample-password");
    let access = between(&body, "\"access_token\":\"", "\"").expect("an access token");
    let given_back = format!("client_id={CLIENT}&client_secret={CLIENT_SECRET}&token={access}");
    assert_eq!(visitor.send("POST", "/auth/oauth/v2/token/revoke", "", &given_back).0, 200);
    visitor.note("wrong client secret", "mistyped-client-secret");
    let wrong = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret=mistyped-client-secret");
    assert_eq!(visitor.send("POST", "/auth/oauth/v2/token", "", &wrong).0, 401);
    // Passwords in URLs are refused, and no log contains the URL.
    assert_eq!(
        visitor.send("GET", &format!("{login}?{form}&action=login&username=sample&password=mistyped-password"), "", "").0,
        400
    );
    // Malformed or too large requests are refused before any policy.
    assert_eq!(visitor.send("GET", &format!("{api}?access_token={access}%zz"), "", "").0 / 100, 4);

    for name in ["otk.session_secret", "otk.session_secret_encryption"] {
        let secret = fs::read_to_string(home.path().join("keys/secrets").join(name)).expect("a secret");
        visitor.note(name, secret.trim());
    }
    let plain = Target { address: visitor.process.http, tls: false };
    let (.., metrics) = block_on(load::once(plain, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")).expect("metrics");
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    assert!(metrics.contains("portcullis_log_dropped_total 0"), "lines are missing: {metrics}");
    let secrets = std::mem::take(&mut visitor.secrets);
    assert!(secrets.len() > 25, "only {} secrets came up", secrets.len());
    assert!(process.terminate().expect("an end"), "{}", process.log());
    let log = process.log();
    assert!(log.contains("TRACE"), "the log is not as talkative as it can be");
    for (what, secret) in &secrets {
        if let Some(line) = log.lines().find(|line| line.contains(secret.as_str())) {
            panic!("a {what} is in the log: {line}");
        }
    }
}
