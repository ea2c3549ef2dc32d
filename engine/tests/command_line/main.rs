//! The built program as an operator uses it: what it prints, where, and with which exit code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]
mod place;
mod users;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use place::*;

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

    // A second start does not report a first start.
    fs::remove_file(place.home().join("customizations/#greeting.policy")).expect("it is there");
    let serving = place.serve();
    assert_eq!(serving.get("/hello"), "hello");
    assert!(!place.log().contains("first start"), "{}", place.log());
    assert!(!place.home().join("customizations/#greeting.policy").exists());
    assert_eq!(serving.terminate(), 0);
}

/// Hints are such as work here: no sample where there are none, no address that is not listened on.
#[test]
fn a_first_start_hints_at_what_works() {
    for (settings, arguments, shown, hidden) in [
        (
            "",
            ["127.0.0.1:0", "127.0.0.1:0"],
            &["make a client at https://localhost:", "try: curl http://localhost:"][..],
            &["sample"][..],
        ),
        ("sample_data: true\n", ["127.0.0.1:0", "off"], &["a sample at https://localhost:"], &["make a client", "try: curl"]),
        ("host_name: gateway.example\n", ["0.0.0.0:0", "off"], &["make a client at https://localhost:"], &["0.0.0.0"]),
    ] {
        let place = Place::new();
        assert_eq!(place.said(&["init", "home"]).0, 0);
        place.put("home/gateway.yaml", settings);
        let log = fs::File::create(place.0.path().join("log")).expect("a file");
        let mut command = place.command(&["serve", "--https", arguments[0], "--http", arguments[1]]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let serving = Serving { child, address: String::new() };
        until("it welcomes", || shown.iter().all(|text| place.log().contains(text)));
        let log = place.log();
        // The log has the addresses as they are.
        let told: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ") && !line.contains(" WARN ")).collect();
        let told = told.join("\n");
        assert!(hidden.iter().all(|text| !told.contains(text)), "{settings}: {told}");
        drop(serving);
    }
    let place = Place::new();
    let (_, made, _) = place.said(&["init", "home"]);
    assert!(made.contains("it will listen on https://127.0.0.1:8443 and http://127.0.0.1:8080"), "{made}");
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
    // `explain` shows the steps of a policy in order, including the hooks for the operator.
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
        "hook                  state       in      file",
        "customize \"Greeting\"  as shipped  itself  customizations/#greeting.policy (to be made)",
    ];
    let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[expected.len()].starts_with("more: "), "{list}");
    // What a hook may set, with its value; and what was set instead, and where.
    let (_, variables, _) = place.said(&["list", "variables", "word"]);
    assert!(variables.contains("word") && variables.contains("\"hello\"") && variables.contains("Greeting"), "{variables}");
    place.put("home/customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"hi\"\n}\n");
    let (_, variables, _) = place.said(&["list", "variables", "word"]);
    assert!(variables.contains("\"hi\" (customizations/#greeting.policy:2)"), "{variables}");
    assert!(place.said(&["list", "hooks"]).1.contains("customized"));
    let (_, found, _) = place.said(&["list", "says hello"]);
    assert!(found.contains("/hello") && !found.contains("greet"), "a word is looked for in descriptions, too: {found}");
    let (code, _, said) = place.said(&["list", "hooks", "nonsense"]);
    assert!(code == 1 && said.contains("`nonsense`"), "{said}");
    let (_, json, _) = place.said(&["list", "--json", "hooks"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["hooks"][0]["file"], "customizations/#greeting.policy");
    // What explains a variable or a policy ends with the file to edit.
    for name in ["word", "Greeting"] {
        let (_, explained, _) = place.said(&["explain", name]);
        let end = explained.rsplit("to change it, edit\n").next().unwrap();
        assert!(end.contains("home/customizations/#greeting.policy\n        customize \"Greeting\" {"), "{explained}");
    }
    assert!(place.said(&["explain", "Hello"]).1.contains("it has no hook"));
    place.put("home/customizations/#greeting.policy", "// customize \"Greeting\" {\n//     set word = \"hi\"\n// }\n");
    let (code, checked, said) = place.said(&["check"]);
    assert_eq!(code, 0);
    // A new home is for this machine only, so it needs no name yet.
    assert_eq!(checked, "checked 4 files with 1 service: 0 errors, 0 warnings\n", "{said}");
    place.put("home/gateway.yaml", "listeners: { https: ':8443' }\n");
    assert!(place.said(&["check"]).2.contains("`host_name`"));
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
    let (code, rotated, _) = place.said(&["key", "rotate", "signer"]);
    assert!(code == 0 && rotated.starts_with("rotated signer: "), "{rotated}");
    let (_, list, _) = place.said(&["key", "list"]);
    assert!(list.starts_with("alias "), "{list}");
    let signers: Vec<&str> = list.lines().filter(|line| line.starts_with("signer ")).collect();
    assert_eq!(signers.len(), 2, "{list}");
    let former = signers[1].split_whitespace().nth(1).expect("an identifier");
    let (code, retired, _) = place.said(&["key", "retire", "signer", former]);
    assert!(code == 0 && retired.starts_with(&format!("retired {former} of signer")), "{retired}");
    // An identifier may begin with a dash.
    for kid in ["-hV0pQ3", "--no-such", "-"] {
        let (code, _, said) = place.said(&["key", "retire", "signer", kid]);
        assert!(code == 1 && said.contains(&format!("`signer` has no key `{kid}`")), "{kid}: {said}");
    }
}

#[test]
fn a_home_is_never_overwritten() {
    let place = Place::new();
    let (_, made, _) = place.said(&["init", "home"]);
    assert!(made.contains("customizations/#greeting.policy"), "{made}");
    place.put("home/customizations/#greeting.policy", "// mine\n");
    assert_eq!(place.said(&["init", "home"]).1, "home is already a home; nothing was changed\n");
    let kept = fs::read_to_string(place.home().join("customizations/#greeting.policy")).expect("it is there");
    assert_eq!(kept, "// mine\n");
    assert!(Path::new(&place.home()).join("keys").is_dir());
}

/// systemd (`Type=notify`) hears when requests are answered, when files are read again, and when it stops.
#[test]
fn the_service_manager_is_told() {
    let place = Place::new();
    let socket = place.0.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let told = || {
        let mut bytes = [0; 512];
        let read = manager.recv(&mut bytes).expect("it is told");
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    };
    let mut command = place.command(&["serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut child =
        command.env("NOTIFY_SOCKET", &socket).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("it listened before it said so");
    assert!(line.starts_with("listening https://"), "{line}");
    let process = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a number of a process")).expect("a process");
    let signal = |signal| rustix::process::kill_process(process, signal).expect("it is sent");
    // A reload may be asked for while it starts; it follows then.
    signal(Signal::HUP);
    assert!(told().contains("READY=1"));
    assert!(told().contains("RELOADING=1\nMONOTONIC_USEC="));
    assert!(told().contains("STATUS=serving"));
    place.put("home/services/broken.policy", "service \"Broken\" at {\n");
    // Saves are read by themselves, which nobody waits for: only signals are answered here.
    signal(Signal::HUP);
    assert!(told().contains("RELOADING=1\nMONOTONIC_USEC="));
    let refused = told();
    assert!(refused.contains("READY=1") && refused.contains("STATUS=a change was refused"), "{refused}");
    signal(Signal::TERM);
    assert!(told().contains("STOPPING=1"));
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let (code, text, said) = place.said(&["completions", shell]);
        assert!(code == 0 && text.contains("serve") && text.contains("full_name"), "{shell}: {said}{text}");
    }
    assert_eq!(place.said(&["manual", "nowhere"]).0, 2);
    fs::create_dir(place.0.path().join("man")).expect("a folder");
    let (code, made, said) = place.said(&["manual", "man"]);
    assert!(code == 0 && made.contains("man/portcullis.1") && made.contains("man/portcullis-tool-greet.1"), "{said}{made}");
    let page = fs::read_to_string(place.0.path().join("man/portcullis-user-add.1")).expect("a page");
    assert!(page.contains(".TH PORTCULLIS-USER-ADD 1") && page.contains("role"), "{page}");
    let (code, schema, _) = place.said(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert!(code == 0 && schema["properties"]["listeners"].is_object());
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
    // Nobody answers there, and the password is among the keys, which cases do not see.
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
