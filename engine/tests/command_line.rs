//! The built program as an operator uses it: what it prints, where, and with which exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// A small shipped tree and a home beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        place.put(
            "tree/policies/hello.policy",
            "/// Says hello.\nservice \"Hello\" at \"/hello\" methods GET {\n    include \"Greeting\"\n    Respond(body: \"${word}\")\n}\n",
        );
        place.put(
            "tree/policies/tool.policy",
            "/// Greets from the command line.\ncommand \"tool greet\" (\n    /// Whom.\n    in full_name,\n    in loud: boolean = false,\n    in word = \"hello\",\n    out line\n) fails with error {\n    if ${full_name} == \"nobody\" { fail \"nobody is not greeted\" }\n    set line = \"${word} ${full_name}\"\n    if ${loud} { set line = upper(${line}) }\n}\n",
        );
        place.put(
            "tree/fragments/greeting.policy",
            "fragment \"Greeting\" {\n    set word = \"hello\"\n    include \"#Greeting\"\n}\n",
        );
        place.put("tree/customizations/#greeting.policy", "// customize \"Greeting\" {\n//     set word = \"hi\"\n// }\n");
        place.put("tree/policies/gateway.welcome.txt", "try: curl {http}/hello\n");
        place
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn home(&self) -> std::path::PathBuf {
        self.0.path().join("home")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.0.path());
        command
            .env_remove("PORTCULLIS_LOG")
            .env("PORTCULLIS_HOME", self.home())
            .env("PORTCULLIS_SHIPPED", self.0.path().join("tree"));
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("it starts")
    }

    /// Runs, and gives exit code, standard output and standard error.
    fn said(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn serve(&self) -> Serving {
        let mut child = self
            .command(&["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.0.path().join("log")).expect("a file"))
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (https, http) = (line(), line());
        assert!(https.starts_with("listening https://127.0.0.1:"), "{https}");
        let address = http.strip_prefix("listening http://").expect(&http).to_owned();
        Serving { child, address }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }
}

struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned())
    }

    fn terminate(mut self) -> i32 {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill exists");
        assert!(killed.success());
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn from_first_start_to_shutdown() {
    let place = Place::new();
    let (code, _, said) = place.said(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("portcullis init DIR"), "{said}");

    let serving = place.serve();
    assert_eq!(serving.get("/hello"), "hello");
    until("it says what it made and what to try", || {
        let log = place.log();
        log.contains("first start on ")
            && log.contains("1 files in customizations/")
            && log.contains(&format!("curl http://localhost:{}", port(&serving.address)))
    });
    let (code, status, _) = place.said(&["status"]);
    assert_eq!(code, 0);
    assert!(status.contains("policy set 1 with 1 services") && status.contains("no change since the start"), "{status}");

    place.put("home/customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"hi\"\n}\n");
    until("the change is live", || serving.get("/hello") == "hi");
    place.put("home/customizations/#greeting.policy", "customize \"Greeting\" {\n    set wrd = \"hi\"\n    Nonsense()\n}\n");
    until("the mistake is told", || place.said(&["status"]).0 == 1);
    let (_, status, _) = place.said(&["status"]);
    assert!(status.contains("#greeting.policy:3:5") && status.contains("refused"), "{status}");
    assert_eq!(serving.get("/hello"), "hi");
    until("the log tells the mistake", || place.log().contains("Nonsense"));

    assert_eq!(serving.terminate(), 0);
    let (code, _, said) = place.said(&["status"]);
    assert_eq!(code, 3);
    assert!(said.contains("no gateway is running"), "{said}");

    // A second start says nothing of a first.
    fs::remove_file(place.home().join("customizations/#greeting.policy")).expect("it is there");
    let serving = place.serve();
    assert_eq!(serving.get("/hello"), "hello");
    assert!(!place.log().contains("first start"), "{}", place.log());
    assert!(!place.home().join("customizations/#greeting.policy").exists());
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn mistakes_keep_it_from_starting() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    place.put("home/services/own.policy", "service \"Own\" at \"/own\" {\n    Respnd()\n}\n");
    for words in [&["serve"][..], &["check"]] {
        let (code, out, said) = place.said(words);
        assert_eq!(code, 1, "{words:?}: {out} {said}");
        assert!(said.contains("services/own.policy:2:5") && said.contains("Respond"), "{words:?}: {said}");
    }
    fs::remove_file(place.home().join("services/own.policy")).expect("it is there");
    place.put("home/gateway.yaml", "listners: {}\n");
    for words in [&["serve"][..], &["check"]] {
        let (code, _, said) = place.said(words);
        assert_eq!(code, 1);
        assert!(said.contains("gateway.yaml:1:1") && said.contains("did you mean `listeners`"), "{words:?}: {said}");
    }
}

#[test]
fn a_port_in_use_is_said() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, said) = place.said(&["serve", "--https", "off", "--http", &address]);
    assert_eq!(code, 1);
    assert!(said.contains(&format!("cannot listen on {address}")) && said.contains("another process"), "{said}");
}

#[test]
fn policies_are_shown_and_explained() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    let (code, shown, _) = place.said(&["show", "Greeting"]);
    assert_eq!(code, 0);
    assert!(shown.starts_with("// fragments/greeting.policy:1:1\nfragment \"Greeting\" {"), "{shown}");
    let (code, _, said) = place.said(&["show", "Greting"]);
    assert_eq!(code, 1);
    assert!(said.contains("did you mean `Greeting`?"), "{said}");
    let (code, explained, _) = place.said(&["explain", "word"]);
    assert_eq!(code, 0);
    assert!(explained.contains("fragments/greeting.policy:2"), "{explained}");
    assert_eq!(place.said(&["explain", "wrod"]).0, 1);
    // A policy explains its steps in order; what a shipped fragment leaves to the operator is among them.
    let (_, steps, _) = place.said(&["explain", "Hello"]);
    let expected = "  steps:\n    include \"Greeting\"\n      customize \"Greeting\"\n";
    assert!(steps.contains(expected), "{steps}");
    let (code, list, _) = place.said(&["list"]);
    assert_eq!(code, 0);
    let expected = [
        "methods  path    service  file",
        "GET      /hello  Hello    policies/hello.policy",
        "command                file",
        "portcullis tool greet  policies/tool.policy",
    ];
    assert_eq!(list.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), expected);
    let (code, checked, said) = place.said(&["check"]);
    assert_eq!(code, 0);
    // A new home is open to others, and does not know its name yet.
    assert_eq!(checked, "checked 4 files with 1 service: 0 errors, 1 warning\n");
    assert!(said.contains("`host_name`"), "{said}");
    assert_eq!(place.said(&["catalogue", "Respond"]).0, 0);
}

#[test]
fn commands_of_policies_are_subcommands() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    assert!(place.said(&["--help"]).1.contains("tool"));
    let help = place.said(&["tool", "greet", "--help"]).1;
    assert!(
        help.contains("Greets from the command line") && help.contains("--full_name <FULL_NAME>") && help.contains("Whom"),
        "{help}"
    );
    for (words, expected) in [
        (&["tool", "greet", "--full_name", "world"][..], (0, "line: hello world\n")),
        (&["tool", "greet", "--full-name", "-w-", "--loud"], (0, "line: HELLO -W-\n")),
        (&["tool", "greet", "--full_name=a", "--word", "hi", "--json"], (0, "{\"line\":\"hi a\"}\n")),
        (&["tool", "greet", "--full_name", "nobody"], (1, "")),
        (&["tool", "greet"], (2, "")),
        (&["tool", "great"], (2, "")),
    ] {
        let (code, out, said) = place.said(words);
        assert_eq!((code, out.as_str()), expected, "{words:?}: {said}");
    }
    assert!(place.said(&["tool", "greet", "--full_name", "nobody"]).2.contains("tool greet: nobody is not greeted"));
}

#[test]
fn keys_can_be_rotated() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    assert_eq!(place.said(&["key", "add", "signer", "--kind", "ed25519"]).0, 0);
    assert_eq!(place.said(&["key", "add", "signer"]).0, 1);
    assert_eq!(place.said(&["key", "rotate", "signer"]).0, 0);
    let (_, list, _) = place.said(&["key", "list"]);
    assert_eq!(list.lines().filter(|line| line.starts_with("signer ")).count(), 2, "{list}");
}

#[test]
fn a_home_is_never_overwritten() {
    let place = Place::new();
    let (_, made, _) = place.said(&["init", "home"]);
    assert!(made.contains("customizations/#greeting.policy"), "{made}");
    place.put("home/customizations/#greeting.policy", "// mine\n");
    assert_eq!(place.said(&["init", "home"]).1, "home is a home already; nothing was changed\n");
    let kept = fs::read_to_string(place.home().join("customizations/#greeting.policy")).expect("it is there");
    assert_eq!(kept, "// mine\n");
    assert!(Path::new(&place.home()).join("keys").is_dir());
}

#[test]
fn users_are_added_listed_and_deleted() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    let with_input = |words: &[&str], input: &str| {
        let mut child =
            place.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    place.put("home/gateway.yaml", "logging: { audit: audit.log }\n");
    assert!(with_input(&["user", "add", "alice", "--role", "admin"], "correct horse\n").status.success());
    let again = with_input(&["user", "add", "alice"], "x\n");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is a user `alice` already"));
    assert_eq!(with_input(&["user", "add", "bob"], "\n").status.code(), Some(2));
    assert!(with_input(&["user", "password", "alice"], "another\n").status.success());
    assert!(place.said(&["user", "list"]).1.starts_with("alice  admin  enabled"));
    assert_eq!(place.said(&["user", "disable", "alice"]).0, 0);
    assert!(place.said(&["user", "list"]).1.starts_with("alice  admin  disabled"));
    assert_eq!(place.said(&["user", "enable", "alice"]).0, 0);
    assert!(place.said(&["user", "list"]).1.starts_with("alice  admin  enabled"));
    assert_eq!(place.said(&["user", "disable", "bob"]).0, 1);
    assert_eq!(place.said(&["user", "delete", "alice"]).0, 0);
    assert_eq!(place.said(&["user", "delete", "alice"]).0, 1);
    // Nobody runs who could record it; the command does, what it did and nothing else.
    let records = fs::read_to_string(place.home().join("audit.log")).expect("records");
    let events: Vec<String> = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .inspect(|record| assert_eq!(record["user"], "alice"))
        .map(|record| record["event"].as_str().expect("an event").to_owned())
        .collect();
    assert_eq!(events, ["user_added", "user_password_changed", "user_disabled", "user_enabled", "user_deleted"]);
    let kept = fs::read_to_string(place.home().join("data/users.json")).unwrap_or_default();
    assert!(!kept.contains("another"), "{kept}");
}

#[test]
fn files_are_formatted_only_when_asked() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    let path = place.home().join("services/own.policy");
    place.put("home/services/own.policy", "service \"Own\" at \"/own\" {\n  Respond( body:\"x\" )\n}\n");
    let (code, said, _) = place.said(&["fmt", "--check"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("differs ") && said.contains("own.policy"), "{said}");
    assert_eq!(place.said(&["fmt"]).0, 0);
    assert!(fs::read_to_string(&path).expect("a file").contains("    Respond(body: \"x\")\n"));
    assert_eq!(place.said(&["fmt", "--check"]), (0, String::new(), String::new()));
    place.put("home/services/own.policy", "service \"Own\" at {\n");
    let (code, _, said) = place.said(&["fmt"]);
    assert_eq!(code, 1);
    assert!(said.contains("own.policy:1"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "service \"Own\" at {\n");
}

#[test]
fn cases_never_ask_a_real_directory() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    // Nobody answers there, and the password is one of the keys, which cases do not see.
    place.put(
        "home/gateway.yaml",
        "identity_providers:\n  Staff:\n    type: ldap\n    url: ldap://127.0.0.1:1\n    base: o=x\n    bind_dn: cn=x\n    \
         bind_password_file: keys/ldap.password\n",
    );
    place.put(
        "home/services/own.policy",
        "service \"Own\" at \"/own\" {\n    HttpBasic()\n    Authenticate(provider: \"Staff\")\n    Respond(body: \"x\")\n}\n",
    );
    place.put(
        "staff.case",
        "# Ann may.\n== user ann secret\n== request\nGET /own\nAuthorization: Basic {base64:ann:secret}\n== response\n200\n",
    );
    let (code, said, error) = place.said(&["test", "staff.case"]);
    assert_eq!(code, 0, "{said} {error}");
    place.put("home/gateway.yaml", "identity_providers:\n  Staff:\n    type: ldap\n    url: ldaps://ldap.example\n");
    let (code, _, error) = place.said(&["check"]);
    assert!(code == 1 && error.contains("identity provider `Staff`: type `ldap` needs a `base`"), "{error}");
}

#[test]
fn cases_run_against_the_home() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    place.put("home/customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"hi\"\n}\n");
    place.put("good.case", "# The home's greeting is used.\n== request\nGET /hello\n== response\n200\n\n= hi\n");
    place.put("bad.case", "# This is not so.\n== request\nGET /hello\n== response\n404\n");
    let (code, said, error) = place.said(&["test", "good.case"]);
    assert_eq!(code, 0, "{said} {error}");
    assert!(said.starts_with("1 cases, 0 failed"), "{said}");
    let (code, said, error) = place.said(&["test", "good.case", "bad.case"]);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("2 cases, 1 failed") && error.contains("bad.case") && error.contains("This is not so"),
        "{said} {error}"
    );
}
