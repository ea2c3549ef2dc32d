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
    metrics.gauge("connections", "Open connections", || 7);
    let page = metrics.page();
    for line in [
        "portcullis_requests_total{service=\"Hello\",status=\"200\"} 2",
        "portcullis_requests_total{service=\"Hello\",status=\"401\"} 1",
        "portcullis_request_seconds_count{service=\"Hello\"} 3",
        "portcullis_request_seconds_bucket{le=\"0.0005\",service=\"Hello\"} 1",
        "portcullis_reloads_total{result=\"failed\"} 1",
        "portcullis_generation 3",
        "portcullis_connections 7",
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
    log.record(&AuditRecord { time: 0, level: Level::Warning, service: "S", request: "r1", detail });
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
}
