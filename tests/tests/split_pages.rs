//! The OAuth Manager and the account page at a gateway without a database: what they show and change is at the gateway behind it. Two
//! processes on two loopback addresses.

use portcullis_tests::block_on;
use portcullis_tests::load::{self, Target};
use portcullis_tests::pair::{Pair, run};
use portcullis_tests::process::{Start, command_with};

/// Status, head, body.
type Got = (u16, String, String);

/// A browser at the gateway for clients: its cookies.
struct Browser<'p> {
    pair: &'p Pair,
    cookies: Vec<(String, String)>,
}

impl Browser<'_> {
    fn send(&mut self, method: &str, target: &str, form: &str) -> Got {
        let address = self.pair.front.https;
        let host = format!("localhost:{}", address.port());
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let fields = format!("Host: {host}\r\nOrigin: https://{host}\r\nCookie: {}\r\n", cookies.join("; "));
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let request = format!("{method} {target} HTTP/1.1\r\n{fields}{kind}Content-Length: {}\r\n\r\n{form}", form.len());
        // On a busy machine a handshake may take longer than the gateway waits for it.
        let answer = (0..3).map(|_| block_on(load::once(Target { address, tls: true }, request.as_bytes()))).find_map(Result::ok);
        let (status, head, body) = answer.unwrap_or_else(|| panic!("no answer: {}", self.pair.front.log()));
        for line in head.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")) {
            let pair = line.split_once(':').map_or("", |(_, field)| field).split(';').next().unwrap_or("").trim();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(own, _)| own != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    fn get(&mut self, target: &str) -> Got {
        self.send("GET", target, "")
    }

    /// A page that must be there.
    fn page(&mut self, target: &str) -> String {
        let got = self.get(target);
        assert_eq!(got.0, 200, "{target}: {got:?}\n{}", self.pair.front.log());
        got.2
    }

    /// Sends a form with the secret of the page that it is on.
    fn post(&mut self, target: &str, page: &str, form: &str) -> Got {
        self.send("POST", target, &format!("csrf={}&{form}", field(page, "csrf")))
    }

    fn sign_in(&mut self, target: &str, name: &str) {
        let got = self.send("POST", target, &format!("username={name}&password=correct-horse-battery&action=login"));
        assert_eq!(got.0, 303, "{got:?}\n{}", self.pair.front.log());
    }
}

/// The value of a hidden field.
fn field(page: &str, name: &str) -> String {
    let after = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page}")).1;
    after.split('"').next().unwrap_or("").to_owned()
}

/// What stands between two texts.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before}: {page}"));
    rest.split(after).next().unwrap_or("")
}

fn start() -> Pair {
    let pair = Pair::start("", &Start::default()).expect("two gateways");
    for name in ["admin", "alice"] {
        let said = command_with(&pair.front_home(), &["user", "add", name], "correct-horse-battery").expect("a user");
        assert!(said.success, "{}", said.stderr);
    }
    pair
}

#[test]
fn the_manager_changes_what_is_stored_behind() {
    let mut pair = start();
    let mut admin = Browser { pair: &pair, cookies: Vec::new() };
    admin.sign_in("/oauth/manager", "admin");
    let page = admin.page("/oauth/manager");
    assert!(
        page.contains("<dd><bdi>0</bdi>, with <bdi>0</bdi> keys</dd>") && page.contains("This gateway has no database"),
        "{page}"
    );

    // A client with its key, which works at once.
    let page = admin.page("/oauth/manager/clients?view=register");
    let form = "action=register&name=Shop&org=Example&type=confidential&client_custom={}&scope=read&environment=ALL&status=ENABLED\
                &client_key_custom={}&new_client_id=shop-1&client_secret=a-secret-of-some-length";
    let got = admin.post("/oauth/manager/clients", &page, form);
    assert!(got.0 == 200 && got.2.contains("New credentials"), "{got:?}\n{}", pair.front.log());
    let grant = "grant_type=password&username=alice&password=correct-horse-battery&client_id=shop-1&client_secret=";
    let token = |admin: &mut Browser<'_>, secret: &str| admin.send("POST", "/auth/oauth/v2/token", &format!("{grant}{secret}"));
    assert_eq!(token(&mut admin, "a-secret-of-some-length").0, 200, "{}", pair.front.log());
    let again = admin.post("/oauth/manager/clients", &page, form);
    assert!(again.0 == 400 && again.2.contains("It exists already."), "{again:?}");

    // The list, the client, another name; its form is old then.
    let list = admin.page("/oauth/manager/clients?q=sHO");
    let ident = between(&list, "client_ident=", "\"").to_owned();
    let edit = admin.page(&format!("/oauth/manager/clients?client_ident={ident}&view=edit"));
    let form = format!(
        "action=update&client_ident={ident}&version={}&name=Shop+2&org=Example&type=confidential&client_custom={{}}",
        field(&edit, "version")
    );
    let got = admin.post("/oauth/manager/clients", &edit, &form);
    assert!(got.0 == 200 && got.2.contains("Saved."), "{got:?}");
    let got = admin.post("/oauth/manager/clients", &edit, &form);
    assert!(got.0 == 409 && got.2.contains("Somebody else changed this client"), "{got:?}");

    // The key: another secret, other values; the old secret ends at this gateway, too.
    let key = admin.page("/oauth/manager/clients?client_key=shop-1");
    let form = format!(
        "action=key-update&client_key=shop-1&version={}&scope=read+write&environment=iOS&status=ENABLED&client_key_custom={{}}",
        field(&key, "version")
    );
    let got = admin.post("/oauth/manager/clients", &key, &form);
    assert!(got.0 == 200 && got.2.contains("Saved.") && got.2.contains("read write</textarea>"), "{got:?}");
    let got = admin.post("/oauth/manager/clients", &key, "action=key-secret&client_key=shop-1");
    let secret = between(&got.2, "id=\"shown-secret\" tabindex=\"0\" data-copy=\"Copy\" data-copied=\"Copied\">", "<").to_owned();
    assert_eq!(token(&mut admin, "a-secret-of-some-length").0, 401);
    let got = token(&mut admin, &secret);
    let access = between(&got.2, "\"access_token\":\"", "\"").to_owned();

    // The token: found by its owner, disabled, and gone from this gateway's cache at once.
    let api = |access: &str| {
        let request = format!(
            "GET /oauth/v2/protectedapi/foo HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {access}\r\n\r\n",
            pair.front.https.port()
        );
        block_on(load::once(Target { address: pair.front.https, tls: true }, request.as_bytes())).expect("an answer").0
    };
    assert_eq!(api(&access), 200);
    let tokens = admin.page("/oauth/manager/tokens?by=resource_owner&q=alice");
    let id = field(&tokens, "token_id");
    let got = admin.post("/oauth/manager/tokens", &tokens, &format!("action=disable&token_id={id}"));
    assert!(got.0 == 200 && got.2.contains("Disabled the token of <bdi>alice</bdi>."), "{got:?}");
    assert_eq!(api(&access), 401);
    let got = admin.post("/oauth/manager/tokens", &tokens, &format!("action=enable&token_id={id}"));
    assert!(got.0 == 200 && got.2.contains("Enabled the token of <bdi>alice</bdi>."), "{got:?}");
    assert_eq!(api(&access), 200);

    // What alice sees, and ends.
    let mut alice = Browser { pair: &pair, cookies: Vec::new() };
    alice.sign_in("/oauth/account", "alice");
    let page = alice.page("/oauth/account");
    assert!(page.contains("<bdi>Shop 2</bdi>") && page.contains("(this browser)"), "{page}");
    let got = alice.post("/oauth/account", &page, "action=end-application&client_id=shop-1");
    assert!(got.0 == 200 && got.2.contains("No application has access."), "{got:?}");
    assert_eq!(api(&access), 401);

    // The client goes, behind too.
    let delete = admin.page(&format!("/oauth/manager/clients?client_ident={ident}&view=delete"));
    assert!(delete.contains("its keys (<bdi>1</bdi>)"), "{delete}");
    let got = admin.post("/oauth/manager/clients", &delete, &format!("action=delete&client_ident={ident}"));
    assert!(got.0 == 200 && got.2.contains("Deleted <bdi>Shop 2</bdi> of <bdi>Example</bdi>."), "{got:?}");
    assert_eq!(token(&mut admin, &secret).0, 401);
    let clients = run(&pair.behind_home(), &["client", "list", "--json"]).expect("a command");
    assert!(!clients.stdout.contains("shop-1"), "{}", clients.stdout);
    let cookies = admin.cookies;

    // While the gateway behind is gone there is an error, and no empty list.
    pair.kill_behind().expect("an end");
    let mut admin = Browser { pair: &pair, cookies };
    let got = admin.get("/oauth/manager/clients");
    assert!(got.0 == 503 && !got.2.contains("There is no client"), "{got:?}");
}
