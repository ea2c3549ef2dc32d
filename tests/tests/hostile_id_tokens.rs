//! Id_tokens that come back to the gateway: to its validation point, and as `id_token_hint` at the authorization endpoint and at the logout.
//! Those of the matrix of hostile tokens are accepted nowhere, though the test has the gateway's own keys. Prints how many there were.

use portcullis_tests::browser::Browser;
use portcullis_tests::hostile::{ISSUER, Keys, Kind, Lure, Matrix};
use portcullis_tests::jwt::now;
use portcullis_tests::load::{self, Reply, Target};
use portcullis_tests::process::{Process, Start, add_client, command_with};
use portcullis_tests::{block_on, put};
use serde_json::{Value, json};

const SETTINGS: &str = "customize \"OTK Storage Configuration\" {\n    set hash_stored_client_secrets = false\n}\n";

/// The validation point for a caller without a certificate.
const CHECK: &str = r#"
service "Check" at "/check" methods POST errors "OTK Fail with error message" (givenErrorCode: ${error.code}, apiPrefix: "5004") {
    include "OTK id_token Check"
}
"#;

const REQUEST: &str = "/auth/oauth/v2/authorize?response_type=code&client_id=web&scope=openid";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

struct Lab {
    process: Process,
    home: tempfile::TempDir,
    gateway: Target,
    /// In which alice is signed in.
    browser: Browser,
    /// The id_token that she got there, and its subject.
    token: String,
    sub: String,
}

impl Lab {
    fn start() -> Lab {
        let home = tempfile::tempdir().expect("a folder");
        put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", SETTINGS);
        put(home.path(), "services/check.policy", CHECK);
        let process = Process::gateway(home.path(), &Start::default()).expect("a start");
        let gateway = Target { address: process.https, tls: true };
        let user = command_with(home.path(), &["user", "add", "alice"], "alice-password\n").expect("a command");
        assert!(user.success, "{}", user.stderr);
        let custom = json!({"post_logout_redirect_uris": ["https://web.example/bye"]}).to_string();
        for (id, callback, custom) in
            [("web", "https://web.example/cb", custom.as_str()), ("other", "https://other.example/cb", "{}")]
        {
            let more = [
                "--client_secret",
                "secret-of-the-client",
                "--scope",
                "openid",
                "--callback",
                callback,
                "--client_key_custom",
                custom,
            ];
            add_client(home.path(), id, &more).expect("a client");
        }
        let mut lab = Lab { process, home, gateway, browser: Browser::at(gateway), token: String::new(), sub: String::new() };
        let back = block_on(lab.browser.sign_in(REQUEST, "alice", "alice-password")).expect("signed in");
        let code = back.parameter("code").expect("a code").to_owned();
        let form = format!("grant_type=authorization_code&code={code}&client_id=web&client_secret=secret-of-the-client");
        let (status, body) = block_on(lab.send("/auth/oauth/v2/token", &form)).expect("tokens");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        lab.token = answer["id_token"].as_str().expect("an id_token").to_owned();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(&lab.token).expect("a token");
        lab.sub = claims["sub"].as_str().expect("a subject").to_owned();
        lab
    }

    /// Status and body.
    async fn send(&self, path: &str, form: &str) -> Option<(u16, String)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        // A body beyond the limit ends the connection.
        let (status, head, body) = load::once(self.gateway, request.as_bytes()).await.ok()?;
        assert!(status < 500, "{head}{}\n{}", String::from_utf8_lossy(&body), self.process.log());
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn validated(&self, token: &str) -> bool {
        let answer = self.send("/check", &format!("action=validate&id_token={token}")).await;
        answer.is_some_and(|(_, body)| body.contains("<result>valid</result>"))
    }

    /// Whether nobody has to sign in, because the hint says that the right user has.
    async fn silent(&self, token: &str) -> bool {
        let page = self.browser.clone().get(&format!("{REQUEST}&prompt=none&id_token_hint={token}")).await;
        page.is_ok_and(|page| page.parameter("code").is_some())
    }

    /// Whether the browser is sent on after the logout, as only a genuine hint allows.
    async fn sent_on(&self, token: &str) -> bool {
        let path = format!("/connect/session/end?id_token_hint={token}&post_logout_redirect_uri=https%3A%2F%2Fweb.example%2Fbye");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let Ok((status, head, body)) = load::once(self.gateway, request.as_bytes()).await else { return false };
        assert!(status < 500, "{status}");
        Reply { status, head: &head, body: &body }.header("location").is_some()
    }
}

#[test]
fn no_hostile_id_token_is_accepted() {
    let lab = Lab::start();
    let (status, _, set) = block_on(load::once(
        lab.gateway,
        b"GET /openid/connect/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ))
    .expect("the key set");
    assert_eq!(status, 200);
    let own = Keys::of_gateway(lab.home.path(), &serde_json::from_slice(&set).expect("JSON")).expect("keys");
    let lure = Lure::start().expect("a port");
    let sub = lab.sub.clone();
    let claims = |number: usize| json!({"iss": ISSUER, "sub": sub, "aud": "web", "iat": now(), "exp": now() + 300, "n": number});
    let (mut refused, mut accepted) = (0, 0);
    for place in ["validation point", "id_token_hint, authorization", "id_token_hint, logout"] {
        let takes = async |token: &str| match place {
            "validation point" => lab.validated(token).await,
            "id_token_hint, logout" => lab.sent_on(token).await,
            _ => lab.silent(token).await,
        };
        let kind = if place == "validation point" { Kind::IdToken } else { Kind::Hint };
        let mut matrix = Matrix::new(&own, &lure, kind, &claims).expect("tokens");
        let mut wrong = Vec::new();
        block_on(async {
            for (name, token) in &matrix.tokens {
                if takes(token).await {
                    wrong.push(name.as_str());
                }
            }
        });
        assert!(wrong.is_empty(), "{place}: {} hostile tokens are accepted: {wrong:#?}", wrong.len());
        println!("{place}: {} hostile tokens, none accepted", matrix.count());
        refused += matrix.count();
        let mut honest = matrix.honest().expect("tokens");
        honest.push(lab.token.clone());
        honest.push(matrix.with(&json!({"aud": ["web"], "azp": "web"})).expect("a token"));
        if kind == Kind::Hint {
            // It says whom the client means, however old it is.
            honest.push(matrix.with(&json!({"exp": now() - 3600, "iat": now() - 7200})).expect("a token"));
        }
        for token in honest {
            assert!(block_on(takes(&token)), "{place}: {token} is refused\n{}", lab.process.log());
            accepted += 1;
        }
        // Another client's, and another user's.
        for changed in [json!({"aud": "other"}), json!({"sub": "somebody"}), json!({"azp": "other", "aud": "other"})] {
            let token = matrix.with(&changed).expect("a token");
            // At the logout it is as good as the other client's own request, which may not come back here.
            if place == "id_token_hint, logout" && changed["sub"] == "somebody" {
                continue;
            }
            assert!(!block_on(takes(&token)), "{place}: {changed}");
            refused += 1;
        }
    }
    assert_eq!(lure.came(), 0, "a header led to a call");
    println!("{refused} hostile id_tokens refused, {accepted} honest ones accepted");
    assert!(refused > 3000, "{refused}");
}
