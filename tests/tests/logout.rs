//! Clients learn of a logout even if the gateway is killed before it tells them.

use std::time::Duration;

use portcullis_tests::browser::Browser;
use portcullis_tests::load::{self, Target};
use portcullis_tests::party::Party;
use portcullis_tests::process::{Process, Start, command, command_with};
use portcullis_tests::{block_on, put};
use serde_json::{Value, json};

#[test]
fn a_logout_that_waits_survives_kill_9() {
    let party = Party::start("200 OK").expect("a server");
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "rp.pem", &party.certificate);
    let settings = |tasks: &str| {
        let address = party.address;
        put(home.path(), "gateway.yaml", &format!("outbound: {{ trusted: [rp.pem], client_targets: [\"{address}\"] }}\n{tasks}"));
    };
    // Nobody is told before the kill.
    settings("tasks: { \"OTK Back-Channel Logout\": { enabled: false } }\n");
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    assert!(command_with(home.path(), &["user", "add", "alice"], "alice-password\n").expect("a command").success);
    let custom =
        json!({"openid_registration": {"response": {"backchannel_logout_uri": format!("https://{}/out", party.address)}}});
    let words = [
        "client",
        "add",
        "--name",
        "Web",
        "--org",
        "Tests",
        "--client_id",
        "web",
        "--client_secret",
        "web-secret",
        "--scope",
        "openid",
        "--callback",
        "https://web.example/cb",
        "--client_key_custom",
        &custom.to_string(),
    ];
    let said = command(home.path(), &words).expect("a command");
    assert!(said.success, "{}", said.stderr);

    let gateway = Target { address: process.https, tls: true };
    let mut browser = Browser::at(gateway);
    let sub = block_on(async {
        let request = "/auth/oauth/v2/authorize?response_type=code&client_id=web&scope=openid";
        let back = browser.sign_in(request, "alice", "alice-password").await.expect("signed in");
        let form = format!(
            "grant_type=authorization_code&client_id=web&client_secret=web-secret&code={}",
            back.parameter("code").expect("a code")
        );
        let request = format!(
            "POST /auth/oauth/v2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        let (status, _, body) = load::once(gateway, request.as_bytes()).await.expect("tokens");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let token = answer["id_token"].as_str().expect("an id_token");
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).expect("claims");
        let page = browser.post("/connect/session/end", "action=logout").await.expect("signed out");
        assert_eq!(page.status, 200, "{}", page.text);
        claims["sub"].clone()
    });
    process.kill().expect("a kill");
    assert_eq!(party.received().len(), 0);

    settings("");
    let process = Process::gateway(home.path(), &Start::default()).expect("a start after kill -9");
    let mut turns = 0;
    while party.received().is_empty() {
        turns += 1;
        assert!(turns < 1200, "nobody was told\n{}", process.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = party.received();
    assert_eq!(told[0].line, "post /out");
    let token = told[0].body.strip_prefix("logout_token=").expect("a logout token");
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).expect("claims");
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("web"), &sub));
    assert_eq!(claims["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
}
