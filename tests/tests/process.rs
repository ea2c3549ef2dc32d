//! The gateway as a process: its first start, its end, and what survives when it is killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_tests::load::{self, Reply, Script, Target};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};

/// Writes an identifier and answers once it is durable; reads them all.
const JOURNAL: &str = r#"
service "Journal" at "/journal/*" {
    if ${request.path.rest} == "all" {
        SqlQuery?(connection: "OAuth", query: sql "select id from journal", prefix: "j", max_rows: 100000)
        Respond(body: join(${j.id}, "\n"))
    } else {
        GenerateUuid(target: "id")
        SqlQuery(connection: "OAuth", query: sql "insert into journal (id) values (${id})")
        Respond(body: ${id})
    }
}

service "Make journal" at "/make-journal" {
    SqlQuery(connection: "OAuth", query: sql "create table if not exists journal (id varchar(40) primary key)")
    Respond(body: "made")
}
"#;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

fn get(process: &Process, path: &str) -> (u16, String) {
    let target = Target { address: process.http, tls: false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn a_first_start_makes_a_home_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("new/home");
    let mut first = Process::gateway(&home, &Start::default()).expect("a start");
    for name in ["gateway.yaml", "customizations", "services", "keys", "data"] {
        assert!(home.join(name).exists(), "{name}\n{}", first.log());
    }
    assert_eq!((mode(&home.join("keys")), mode(&home.join("data"))), (0o700, 0o700));
    for name in ["gateway.yaml", "data/otk.db", "data/otk.db-wal", "data/otk.db-shm"] {
        assert_eq!(mode(&home.join(name)), 0o600, "{name}");
    }
    assert!(!first.log().contains("open to others"), "{}", first.log());
    let mut secret = 0;
    for entry in fs::read_dir(home.join("keys")).expect("keys").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains(".key") {
            assert_eq!(mode(&entry.path()), 0o600, "{name}");
            secret += 1;
        }
    }
    assert!(secret >= 2, "an authority's key and a server's");
    let lines: Vec<String> = first.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "nothing but where it listens: {lines:?}");
    assert_eq!(lines[0], format!("listening https://{}", first.https));
    assert_eq!(lines[1], format!("listening http://{}", first.http));
    assert!(first.logs(|log| log.contains("first start")), "{}", first.log());
    assert!(get(&first, "/health").1.contains("up"));
    let authority = fs::read(home.join("keys/ca.pem")).expect("an authority");
    assert!(first.terminate().expect("an end"), "{}", first.log());

    fs::set_permissions(home.join("data"), fs::Permissions::from_mode(0o755)).expect("rights");
    put(&home, "gateway.yaml", "logging: { audit: data/audit.log }");
    let mut second = Process::gateway(&home, &Start::default()).expect("a second start");
    let warning = format!("{} is open to others (mode 755): chmod 700", home.join("data").display());
    assert!(second.logs(|log| log.contains(&warning)), "{}", second.log());
    assert_eq!(mode(&home.join("data/audit.log")), 0o600);
    assert!(!second.log().contains("first start"), "{}", second.log());
    assert_eq!(fs::read(home.join("keys/ca.pem")).expect("an authority"), authority, "keys are made once");
    assert!(second.terminate().expect("an end"));
}

#[test]
fn a_gateway_that_others_reach_is_told_to_take_a_name() {
    let home = tempfile::tempdir().expect("a folder");
    let check = |settings: &str| {
        put(home.path(), "gateway.yaml", settings);
        command(home.path(), &["check"]).expect("a check")
    };
    let nameless = check("listeners: { https: 0.0.0.0:8443, http: off }");
    assert!(nameless.success && nameless.stderr.contains("set `host_name` in gateway.yaml"), "{}", nameless.stderr);
    for settings in ["host_name: login.example.com", "listeners: { https: 127.0.0.1:8443, http: off }"] {
        let named = check(settings);
        assert!(!named.stderr.contains("host_name"), "{settings}: {}", named.stderr);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/journal.policy", JOURNAL);
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let rounds = 6;
    for round in 0..rounds {
        let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
        assert_eq!(get(&process, "/make-journal").0, 200, "{}", process.log());
        let scripts: Vec<Box<dyn Script>> = (0..8)
            .map(|_| {
                let acknowledged = Arc::clone(&acknowledged);
                Box::new(move |answer: Option<&Reply<'_>>, request: &mut Vec<u8>| {
                    if let Some(answer) = answer {
                        assert_eq!(answer.status, 200, "{}", answer.head);
                        acknowledged.lock().expect("a lock").insert(String::from_utf8_lossy(answer.body).into_owned());
                    }
                    request.extend_from_slice(b"POST /journal/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
                    true
                }) as Box<dyn Script>
            })
            .collect();
        let target = Target { address: process.http, tls: false };
        // At a different moment each time, always during writes.
        let moment = Duration::from_millis(60 + 37 * round);
        let outcome = block_on(async {
            let running = tokio::spawn(load::run(target, scripts, Duration::from_secs(20)));
            tokio::time::sleep(moment).await;
            process.kill().expect("a kill");
            running.await.expect("no panic").expect("connections")
        });
        assert_eq!(outcome.broken, 8, "every connection was in use when the process died: {outcome:?}");
    }
    let process = Process::gateway(home.path(), &Start::default()).expect("a start after kill -9");
    let (status, body) = get(&process, "/journal/all");
    assert_eq!(status, 200, "{}", process.log());
    let found: BTreeSet<String> = body.lines().map(str::to_owned).collect();
    let acknowledged = acknowledged.lock().expect("a lock");
    let lost: Vec<&String> = acknowledged.difference(&found).collect();
    assert!(acknowledged.len() > 20, "only {} writes were acknowledged", acknowledged.len());
    assert!(lost.is_empty(), "{} of {} acknowledged writes are lost", lost.len(), acknowledged.len());
    // Written but not acknowledged: at most the requests running at each kill.
    assert!(found.len() - acknowledged.len() <= 8 * rounds as usize, "{} against {}", found.len(), acknowledged.len());
}

#[test]
fn a_command_reaches_the_gateway_at_any_path_and_refuses_to_go_past_it() {
    let dir = tempfile::tempdir().expect("a folder");
    // Longer than a socket address.
    let home = dir.path().join("a-home-of-a-long-name".repeat(8));
    let process = Process::gateway(&home, &Start::default()).expect("a start");
    let add = |name: &str| command(&home, &["client", "add", "--name", name, "--org", "Tests"]).expect("a command");
    let added = add("First");
    assert!(added.success && !process.log().contains("control socket"), "{}{}", added.stderr, process.log());
    // That command ran inside the gateway; without the socket, the next one is refused.
    fs::remove_file(home.join("data/control.sock")).expect("a control socket");
    let refused = add("Second");
    assert!(!refused.success, "{}", refused.stdout);
    let process_id = format!("a gateway runs on this home (process {})", process.id());
    assert!(refused.stderr.contains(&process_id) && refused.stderr.contains("Nothing was done"), "{}", refused.stderr);
    drop(process);
    let added = add("Second");
    assert!(added.success, "nobody runs here now: {}", added.stderr);
}

#[test]
fn commands_and_a_running_gateway_share_a_home() {
    let home = tempfile::tempdir().expect("a folder");
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let status = command(home.path(), &["status", "--json"]).expect("status");
    assert!(status.success, "{}{}", status.stdout, status.stderr);
    assert!(status.stdout.contains(&process.https.to_string()), "{}", status.stdout);
    let added = command(home.path(), &["client", "add", "--name", "Shared", "--org", "Tests", "--json"]).expect("a client");
    assert!(added.success, "{}{}", added.stdout, added.stderr);
    let added: serde_json::Value = serde_json::from_str(&added.stdout).expect("JSON");
    assert!(added["client_key"].as_str().is_some_and(|key| !key.is_empty()), "{added}");
    let again = command(home.path(), &["client", "add", "--name", "Shared", "--org", "Tests", "--json"]).expect("a client");
    assert!(!again.success, "a second client of that name: {}", again.stdout);
    drop(process);
    let status = command(home.path(), &["status", "--json"]).expect("status");
    assert!(!status.success, "nobody runs here now: {}", status.stdout);
}

/// Waits for a server that accepts and never answers, with limits under which a request would wait for an hour.
fn never(home: &Path, shutdown_timeout: &str) -> std::net::TcpListener {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    put(home, "services/never.policy", &format!("service \"Never\" at \"/never\" {{\n    RouteHttp(url: \"{url}\")\n}}\n"));
    let settings = format!(
        "outbound: {{ read_timeout: 1h }}\nlimits: {{ request_timeout: 1h, idle_timeout: 1h, header_timeout: 1h, \
         shutdown_timeout: {shutdown_timeout} }}\n"
    );
    put(home, "gateway.yaml", &settings);
    silent
}

fn ask(process: &Process, bytes: &[u8]) -> std::net::TcpStream {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(process.http).expect("a connection");
    stream.write_all(bytes).expect("sent");
    stream
}

#[test]
fn sigterm_ends_the_process_whatever_peers_and_policies_do() {
    let home = tempfile::tempdir().expect("a folder");
    let silent = never(home.path(), "500ms");
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let peers: Vec<_> = [
        &b""[..],
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    .iter()
    .map(|bytes| ask(&process, bytes))
    .collect();
    let (upstream, _) = silent.accept().expect("the policy calls");
    process.signal("TERM").expect("a signal");
    assert!(process.ends_within(Duration::from_secs(20)).expect("a process"), "{}", process.log());
    drop((peers, upstream));
}

#[test]
fn a_second_sigterm_ends_the_process_at_once() {
    let home = tempfile::tempdir().expect("a folder");
    let silent = never(home.path(), "1h");
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let peer = ask(&process, b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    let upstream = silent.accept().expect("the policy calls");
    process.signal("TERM").expect("a signal");
    assert!(!process.ends_within(Duration::from_millis(500)).expect("a process"), "it waits for the request");
    process.signal("TERM").expect("a signal");
    assert!(process.ends_within(Duration::from_secs(10)).expect("a process"), "{}", process.log());
    drop((peer, upstream));
}

/// The behaviour of the log's reader.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reader {
    /// It holds the pipe and never reads.
    Sleeps,
    /// It has closed the pipe, as `… 2>&1 | head -1` does.
    Left,
}

#[test]
fn requests_are_answered_and_the_process_ends_whatever_the_reader_of_the_log_does() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};
    for reader in [Reader::Sleeps, Reader::Left] {
        for format in ["text", "json"] {
            let home = tempfile::tempdir().expect("a folder");
            let settings =
                format!("logging: {{ access: true, level: info, format: {format} }}\nlimits: {{ shutdown_timeout: 200ms }}\n");
            put(home.path(), "gateway.yaml", &settings);
            let mut child = Command::new(portcullis_tests::process::portcullis().expect("a program"))
                .args(["serve", "--https", "off", "--http", "127.0.0.1:0", "--home"])
                .arg(home.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a start");
            let stdout = child.stdout.take().expect("standard output");
            let line = BufReader::new(stdout).lines().next().expect("a line").expect("text");
            let address: std::net::SocketAddr = line.trim_start_matches("listening http://").parse().expect("an address");
            if reader == Reader::Left {
                drop(child.stderr.take());
            }
            // A pipe holds 64 KiB, which is some 500 lines.
            for request in 0..800 {
                let mut stream = std::net::TcpStream::connect(address).expect("a connection");
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
                stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{reader:?} {format} {request}: {error}"));
                assert!(answer.starts_with("HTTP/1.1 404"), "{reader:?} {format} {request}: {answer}");
            }
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("a signal");
            let begun = std::time::Instant::now();
            while child.try_wait().expect("a process").is_none() {
                if begun.elapsed() > Duration::from_secs(20) {
                    let _ = child.kill();
                    panic!("{reader:?} {format}: it still runs");
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

#[test]
fn a_home_can_begin_with_the_documented_defaults() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("home");
    let path = home.display().to_string();
    let refused = command(&home, &["init", &path, "--compatibility", "otk-4.2"]).expect("a run");
    assert!(
        !refused.success && refused.stderr.contains("`compatibility` cannot be \"otk-4.2\": it can be \"otk-4.1\""),
        "{}",
        refused.stderr
    );
    assert!(!home.join("customizations").exists(), "nothing is made where the value is refused");

    let made = command(&home, &["init", &path, "--compatibility", "otk-4.1"]).expect("a run");
    assert!(made.success, "{}", made.stderr);
    let file = home.join("customizations/configuration/#otk-compatibility-configuration.policy");
    let text = fs::read_to_string(file).expect("the customization");
    assert!(text.lines().any(|line| line == "    set compatibility = \"otk-4.1\""), "{text}");
    let checked = command(&home, &["check"]).expect("a run");
    assert!(checked.success, "{}{}", checked.stdout, checked.stderr);
    let explained = command(&home, &["explain", "compatibility"]).expect("a run");
    assert!(explained.stdout.contains("otk-4.1"), "{}", explained.stdout);

    // A public client needs no PKCE, as it was documented.
    put(&home, "gateway.yaml", "sample_data: false\nmonitoring: { listen: \"off\" }\n");
    let added = [
        "client",
        "add",
        "--name",
        "App",
        "--org",
        "Acme",
        "--public",
        "--client_id",
        "app",
        "--callback",
        "https://app.example/cb",
    ];
    let added = command(&home, &added).expect("a run");
    assert!(added.success, "{}", added.stderr);
    let mut process = Process::gateway(&home, &Start::default()).expect("a start");
    let ask = "/auth/oauth/v2/authorize?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=x";
    let request = format!("GET {ask} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (status, _, body) =
        block_on(load::once(Target { address: process.https, tls: true }, request.as_bytes())).expect("an answer");
    assert!(status == 200 && String::from_utf8_lossy(&body).contains("Sign in"), "{status}");
    assert!(process.terminate().expect("an end"), "{}", process.log());

    // A home that has the file already keeps it.
    let again = command(&home, &["init", &path, "--compatibility", "otk-4.1"]).expect("a run");
    assert!(!again.success, "{}", again.stdout);
}
