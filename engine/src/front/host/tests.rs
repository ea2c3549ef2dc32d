//! A gateway in this process, on its own home, from start to shutdown.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::front::reload;
use crate::policy::answer::Answering;

/// A minimal shipped tree: one service with a value that customizations can change.
fn shipped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(
        dir.path(),
        "policies/hello.policy",
        "service \"Hello\" at \"/hello\" {\n    include \"Greeting\"\n    Respond(body: \"${word}\")\n}\n",
    );
    put(dir.path(), "policies/slow.policy", "service \"Off\" at \"/off\" disabled {\n    Respond(body: \"on\")\n}\n");
    put(
        dir.path(),
        "fragments/greeting.policy",
        "fragment \"Greeting\" {\n    set word = \"hello\"\n    include \"#Greeting\"\n}\n",
    );
    put(dir.path(), "customizations/#greeting.policy", "// customize \"Greeting\" { set word = \"hi\" }\n");
    dir
}

pub(super) fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // In one step, so that a watching gateway never sees half of it.
    let draft = path.with_file_name(".draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

pub(super) struct Place {
    _shipped: tempfile::TempDir,
    pub(super) dir: tempfile::TempDir,
    pub(super) home: Home,
}

pub(super) fn place() -> Place {
    let (shipped, dir) = (shipped(), tempfile::tempdir().unwrap());
    let home = Home::at(dir.path(), Some(shipped.path()));
    home.init().unwrap();
    Place { _shipped: shipped, dir, home }
}

pub(super) fn options() -> Options {
    let any = ListenAddress::At(([127, 0, 0, 1], 0).into());
    Options { https: Some(any), http: Some(any), ..Options::default() }
}

pub(super) async fn get(serving: &Serving, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(serving.http.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Waits until the answer is this one, because the watcher needs some time.
async fn becomes(serving: &Serving, path: &str, expected: (u16, &str)) {
    let began = Instant::now();
    loop {
        let (status, body) = get(serving, path).await;
        if (status, body.as_str()) == expected {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{path} stays {status} {body:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_takes_effect_and_a_mistake_does_not() {
    let place = place();
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    let _watch = reload::watch(Arc::clone(serving.host())).unwrap();
    let root = place.dir.path();
    assert_eq!(get(&serving, "/hello").await, (200, "hello".to_owned()));
    assert_eq!(get(&serving, "/nowhere").await.0, 404);
    assert_eq!(get(&serving, "/off").await.0, 404);

    let file = "customizations/#greeting.policy";
    put(root, file, "customize \"Greeting\" {\n    set word = \"one\"\n}\n");
    becomes(&serving, "/hello", (200, "one")).await;
    assert_eq!(serving.host().status().generation, 2);

    // A new file renamed over the old one.
    put(root, "customizations/.new", "customize \"Greeting\" {\n    set word = \"two\"\n}\n");
    fs::rename(root.join("customizations/.new"), root.join(file)).unwrap();
    becomes(&serving, "/hello", (200, "two")).await;

    // A mistake, then a directory in the file's place: the old set keeps serving, and the error says why.
    put(root, file, "customize \"Greeting\" {\n    set word = \n}\n");
    wait_refused(&serving, "#greeting.policy").await;
    assert_eq!(get(&serving, "/hello").await, (200, "two".to_owned()));
    let folder = place.home.path("data/folder");
    fs::create_dir_all(&folder).unwrap();
    rustix::fs::renameat_with(CWD, &folder, CWD, root.join(file), RenameFlags::EXCHANGE).unwrap();
    wait_refused(&serving, "is a directory").await;
    assert_eq!(get(&serving, "/hello").await, (200, "two".to_owned()));
    fs::remove_dir(root.join(file)).unwrap();
    becomes(&serving, "/hello", (200, "hello")).await;

    // The whole folder replaced.
    put(root, "other/#greeting.policy", "customize \"Greeting\" {\n    set word = \"three\"\n}\n");
    fs::rename(root.join("customizations"), root.join("away")).unwrap();
    fs::rename(root.join("other"), root.join("customizations")).unwrap();
    becomes(&serving, "/hello", (200, "three")).await;
    put(root, file, "customize \"Greeting\" {\n    set word = \"four\"\n}\n");
    becomes(&serving, "/hello", (200, "four")).await;

    // Own services and live settings.
    put(root, "services/own.policy", "service \"Own\" at \"/own\" {\n    Respond(body: \"${gateway.colour}\")\n}\n");
    put(root, "gateway.yaml", "properties: { colour: red }\nenable: [\"Off\"]\ninstance_modifier: \"\"\n");
    becomes(&serving, "/own", (200, "red")).await;
    becomes(&serving, "/off", (200, "on")).await;
    put(root, "gateway.yaml", "propertes: {}\n");
    wait_refused(&serving, "did you mean `properties`").await;
    assert_eq!(get(&serving, "/own").await, (200, "red".to_owned()));
    put(root, "gateway.yaml", "instance_modifier: -dev\n");
    becomes(&serving, "/-dev/hello", (200, "four")).await;
    assert_eq!(get(&serving, "/hello").await.0, 404);
}

async fn wait_refused(serving: &Serving, part: &str) {
    let began = Instant::now();
    while !serving.host().status().last_reload.is_some_and(|last| !last.ok && last.report.contains(part)) {
        assert!(began.elapsed() < Duration::from_secs(10), "{part}: {:?}", serving.host().status().last_reload);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_tells_of_itself() {
    let place = place();
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    assert_eq!(get(&serving, "/hello").await.0, 200);
    let (status, health) = get(&serving, "/health").await;
    assert_eq!(status, 200, "{health}");
    assert!(health.contains("\"status\":\"up\""), "{health}");
    let (_, metrics) = get(&serving, "/metrics").await;
    assert!(metrics.contains("portcullis_requests_total{service=\"Hello\",status=\"200\"} 1"), "{metrics}");
    assert!(metrics.contains("portcullis_connections 1"), "{metrics}");

    let status = read_status(&place.home).expect("a running gateway");
    assert_eq!((status.generation, status.services), (1, 1));
    assert_eq!(status.http, serving.http());
    assert_eq!(serving.shutdown().await, 0);
    assert_eq!(read_status(&place.home), None);
}

#[tokio::test]
async fn a_set_that_does_not_compile_does_not_start() {
    let place = place();
    put(place.dir.path(), "services/own.policy", "service \"Own\" at \"/own\" {\n    Respnd()\n}\n");
    let error = Host::open(place.home.clone(), options()).await.err().unwrap().to_string();
    assert!(error.contains("services/own.policy:2:5"), "{error}");
    assert!(error.contains("Respond"), "{error}");
}

#[tokio::test]
async fn changes_name_files_and_values() {
    let place = place();
    let host = Host::open(place.home.clone(), options()).await.unwrap();
    assert!(host.reload().unwrap().is_empty());
    put(place.dir.path(), "customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"one\"\n}\n");
    let changes = host.reload().unwrap();
    assert_eq!(changes.to_string(), "~customizations/#greeting.policy; Greeting: word (default) → \"one\"");
    put(place.dir.path(), "customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"two\"\n}\n");
    put(place.dir.path(), "gateway.yaml", "logging: { format: json, access: true }\n");
    let changes = host.reload().unwrap().to_string();
    assert!(changes.ends_with("Greeting: word \"one\" → \"two\"; settings; needs a restart: logging.format"), "{changes}");
}

/// `/back` shows what reached it; the others call it, in process and over the network.
const CALLERS: &str = r#"
service "Back" at "/back/*" {
    set who = "${request.ssl.clientCertificate.subject}"
    Respond(
        status: 203,
        body: "${request.http.method} ${request.url.path}?${request.url.query} ${request.http.secure} ${request.http.header.x-a} ${request.mainpart} ${who}",
        headers: json { "X-Back": "1" }
    )
}
service "Https" at "/https/*" {
    RouteHttps(
        url: "https://localhost:${gateway.https.port}/back/${request.path.rest}?a=b",
        request: "request",
        headers: json { "X-A": "set" },
        key: "default_ssl_key",
        in_process: true
    )
}
service "Status" at "/status" {
    RouteHttp(url: "http://localhost:${gateway.http.port}/nowhere", fail_on_error_status: false, response: "answer")
    Respond(body: "${httpRouting.reasonCode} ${answer.http.status}")
}
service "Circle" at "/circle" {
    RouteHttp(url: "http://localhost:${gateway.http.port}/circle", fail_on_error_status: false)
}
service "Error" at "/error" {
    RouteHttp(url: "http://localhost:${gateway.http.port}/nowhere") else { Respond(body: "failed ${httpRouting.reasonCode}") }
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_call_one_another_near_and_far() {
    let place = place();
    let near = CALLERS;
    let far = near.replace("in_process: true", "in_process: false").replace("/https/", "/far/").replace("\"Https\"", "\"Far\"");
    let far = &far[far.find("service \"Far\"").unwrap()..far.find("service \"Status\"").unwrap()];
    put(place.dir.path(), "services/callers.policy", &format!("{near}{far}"));
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    for path in ["/https/x", "/far/x"] {
        let (status, body) = get(&serving, path).await;
        assert_eq!(status, 203, "{path}: {body}");
        assert!(body.starts_with("GET /back/x?a=b true set  ") && body.contains("CN="), "{path}: {body}");
    }
    assert_eq!(get(&serving, "/status").await, (200, "404 404".to_owned()));
    assert_eq!(get(&serving, "/error").await, (200, "failed 404".to_owned()));
    assert_eq!(get(&serving, "/circle").await.0, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_hangs_is_broken_off_and_the_others_run_on() {
    let place = place();
    // A server that accepts calls and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let tasks =
        format!("task \"Hangs\" every 1s {{\n    RouteHttp(url: \"{url}\")\n}}\ntask \"Works\" every 1s {{\n    Continue\n}}\n");
    put(place.dir.path(), "services/tasks.policy", &tasks);
    put(place.dir.path(), "gateway.yaml", "limits: { task_timeout: 100ms }\n");
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    let began = Instant::now();
    loop {
        let (_, metrics) = get(&serving, "/metrics").await;
        let ran = |task: &str, result: &str| {
            let start = format!("portcullis_task_runs_total{{task=\"{task}\",result=\"{result}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u32>().ok()).unwrap_or(0)
        };
        if ran("Hangs", "too_long") >= 2 && ran("Works", "done") >= 2 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_request_is_a_small_future() {
    // Whatever is awaited is boxed once there is something to wait for; until then a request is its answer.
    let place = place();
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    let front = Front::new(Arc::clone(serving.host()), &serving.host().config());
    let address = "127.0.0.1:1".parse().unwrap();
    let conn =
        crate::front::server::ConnInfo { remote: address, local: address, secure: false, direct: true, client_certificate: None };
    let (mut head, ()) = http::Request::get("/hello").body(()).unwrap().into_parts();
    let answer = crate::front::server::Handler::handle(&front, &mut head, bytes::Bytes::new(), &conn, &Default::default());
    assert!(matches!(answer, Answering::Now(_)), "`/hello` waits for nothing");
    assert!(size_of_val(&answer) <= 192, "{} bytes", size_of_val(&answer));
    serving.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_upstream_sends_unreadably_passes_through_and_is_never_absent() {
    let place = place();
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", upstream.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = upstream.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 200 OK\r\nX-Odd: caf\xe9\r\nSet-Cookie: odd=\xff; Path=/\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    });
    let services = format!(
        r#"service "Through" at "/through" {{ RouteHttp(url: "{url}") }}
service "Looked at" at "/looked" {{
    RouteHttp(url: "{url}", response: "answer")
    if ${{answer.http.header.x-odd}} is empty {{ Respond(body: "absent") }}
    else if ${{answer.http.cookies.odd}} is empty {{ Respond(body: "no cookie") }}
    else if ${{answer.http.headerValues.x-odd}} count 1 {{ Respond(body: "there") }}
    else {{ Respond(body: "none") }}
}}
"#
    );
    put(place.dir.path(), "services/odd.policy", &services);
    let serving = Host::serve(place.home.clone(), options()).await.unwrap();
    assert_eq!(get(&serving, "/looked").await, (200, "there".to_owned()));
    let mut stream = tokio::net::TcpStream::connect(serving.http.unwrap()).await.unwrap();
    stream.write_all(b"GET /through HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.windows(12).any(|bytes| bytes == b"x-odd: caf\xe9\r"), "{}", String::from_utf8_lossy(&answer));
}
