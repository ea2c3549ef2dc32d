//! Pages and lines have the form that their readers expect.

use std::time::Duration;

use super::*;
use crate::services::config::AuditTarget;

#[test]
fn metrics_name_service_and_status() {
    let metrics = Metrics::default();
    let service = metrics.service("Hello");
    service.answered(200, Duration::from_micros(300));
    service.answered(200, Duration::from_millis(2));
    service.answered(401, Duration::from_millis(2));
    metrics.reload(false, 3);
    metrics.gauge("connections", || 7);
    metrics.login("Staff", Login::Broken);
    metrics.login("Staff", Login::Busy);
    metrics.backend("api.example:443", "2xx".to_owned(), Duration::from_millis(3));
    for n in 0..1000 {
        metrics.backend(&format!("{n}.example:443"), "2xx".to_owned(), Duration::from_millis(3));
    }
    let page = metrics.page();
    for line in [
        "portcullis_requests_total{service=\"Hello\",status=\"200\"} 2",
        "portcullis_requests_total{service=\"Hello\",status=\"401\"} 1",
        "portcullis_request_seconds_count{service=\"Hello\"} 3",
        "portcullis_request_seconds_bucket{le=\"0.0005\",service=\"Hello\"} 1",
        "portcullis_reloads_total{result=\"failed\"} 1",
        "portcullis_generation 3",
        "portcullis_connections 7.0",
        "portcullis_logins_total{provider=\"Staff\",result=\"error\"} 1",
        "portcullis_backend_requests_total{backend=\"api.example:443\",result=\"2xx\"} 1",
        "portcullis_backend_requests_total{backend=\"others\",result=\"2xx\"} 801",
        "process_open_fds ",
        "# TYPE process_cpu_seconds counter",
        "process_cpu_seconds_total ",
        "process_start_time_seconds ",
        "# EOF",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[test]
fn audit_lines_are_json_and_cannot_be_forged() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(&AuditTarget::File("audit.log".into()), dir.path()).unwrap();
    let detail = "first\n{\"level\":\"severe\"}\u{2028}\u{202e}\u{85}\u{1b}[2K\u{7f}";
    let fields = serde_json::json!({ "client_id": "c\n1", "level": "forged" }).as_object().unwrap().clone();
    let record = AuditRecord::own(0, Level::Warning, "tried", detail, fields);
    log.record(AuditRecord { service: "S", request: "r1", ..record });
    let path = dir.path().join("audit.log");
    let mut text = String::new();
    for _ in 0..200 {
        text = std::fs::read_to_string(&path).unwrap();
        if text.ends_with('\n') {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.trim_end().contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{text:?}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "warning");
    assert_eq!(line["time"], "1970-01-01T00:00:00.000Z");
    assert_eq!(line["detail"], detail);
    assert_eq!((&line["event"], &line["client_id"]), (&"tried".into(), &"c\n1".into()));
}

fn last_line(path: &std::path::Path) -> String {
    for _ in 0..500 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("nothing was written to {}", path.display());
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
    let log = AuditLog::open(&AuditTarget::File("audit.log".into()), dir.path()).unwrap();
    let record = |detail| AuditRecord::own(0, Level::Info, "tried", detail, Default::default());
    log.record(record("one"));
    last_line(&path);
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.record(record("two"));
    assert!(last_line(&path).contains("two"));
    assert!(last_line(&moved).contains("one") && !last_line(&moved).contains("two"));
}

#[test]
fn the_system_log_and_the_journal_get_whole_records() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = dir.path().join(name);
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (path, socket)
    };
    let read = |socket: &std::os::unix::net::UnixDatagram| {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let (path, socket) = open("log");
    let log = AuditLog::open(&AuditTarget::Syslog(path.clone()), dir.path()).unwrap();
    log.record(AuditRecord::own(0, Level::Warning, "tried", "a\nb", Default::default()));
    let line = read(&socket);
    assert!(line.starts_with("<84>portcullis[") && line.contains("\"event\":\"tried\"") && !line.contains('\n'), "{line}");
    // The system's log is started anew.
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    let (_, socket) = open("log");
    log.record(AuditRecord::own(0, Level::Severe, "tried", "c", Default::default()));
    assert!(read(&socket).starts_with("<83>"));
    let (path, socket) = open("journal");
    let log = AuditLog::open(&AuditTarget::Journal(path), dir.path()).unwrap();
    log.record(AuditRecord::own(0, Level::Info, "tried", "a\nb", Default::default()));
    let fields = read(&socket);
    let lines: Vec<&str> = fields.lines().collect();
    assert_eq!(lines[..3], ["PRIORITY=6", "SYSLOG_IDENTIFIER=portcullis", "PORTCULLIS_EVENT=tried"], "{fields}");
    assert!(lines.len() == 4 && lines[3].starts_with("MESSAGE={"), "{fields}");
    let missing = AuditLog::open(&AuditTarget::Journal(dir.path().join("none")), dir.path());
    assert!(missing.err().unwrap().to_string().contains("none"));
}
