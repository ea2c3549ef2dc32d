//! Which metrics there are: what is registered, and what `docs/metrics.md` lists.

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows. Its name on the page ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size. On the page it has `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A family of metrics.
#[derive(Debug)]
pub(super) struct Described {
    /// Name without prefix and ending.
    pub(super) name: &'static str,
    /// Kind.
    pub(super) kind: Kind,
    /// Names of its labels.
    pub(super) labels: &'static [&'static str],
    /// What it says.
    pub(super) help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, kind: Kind::Histogram, labels, help }
}

/// Those of the gateway. Their names begin with `portcullis_`.
#[rustfmt::skip]
pub(super) static OWN: &[Described] = &[
    counter("requests", &["service", "status"], "Requests answered, by service and status"),
    histogram("request_seconds", &["service"], "Time from header to answer, by service"),
    counter("refused", &["status"], "Requests refused before any service saw them"),
    counter("faults", &["blame"], "Requests and tasks ended by a fault, by who caused it: client, upstream, store, configuration, internal"),
    counter("logins", &["provider", "result"], "Credentials checked by identity providers: succeeded, failed, busy, error"),
    gauge("provider_up", &["provider"], "Whether an identity provider answered the last time"),
    counter("backend_requests", &["backend", "result"], "Calls to other servers, by the class of the answer's status, or what went wrong"),
    histogram("backend_request_seconds", &["backend"], "Time that calls to other servers took"),
    counter("cache_lookups", &["cache", "result"], "Cache look-ups by policies: hit, miss"),
    gauge("cache_entries", &["cache"], "Entries of caches, including expired ones until they are found or evicted"),
    gauge("bus_up", &[], "Whether the gateway is connected to the others"),
    gauge("limits_shared", &[], "Whether attempts and rates count over all gateways"),
    gauge("bus_gateways", &[], "Other gateways that were heard of in the last seconds"),
    counter("bus_messages", &["direction"], "Messages between gateways: sent, received, ignored"),
    counter("bus_reconnects", &[], "Times that the gateway was connected to the others again"),
    counter("bus_flushes", &[], "Times that all caches were emptied because messages may have been missed"),
    gauge("pool_connections", &["connection", "state"], "Connections to database servers: idle, used"),
    gauge("pool_max_connections", &["connection"], "Largest possible number of connections to database servers"),
    gauge("connections", &[], "Open connections of clients"),
    gauge("unwritten_bytes", &[], "Bytes of answers that clients have not read yet"),
    gauge("certificate_not_after_seconds", &["alias"], "When a certificate expires, in seconds since the epoch: of keys by alias, and of the gateway's authority"),
    gauge("certificate_days_left", &["alias"], "Whole days until then; negative after that"),
    counter("task_runs", &["task", "result"], "Runs of tasks, by how they ended: done, failed, broken, too_long, panicked, lost"),
    counter("reloads", &["result"], "Attempts to load a changed policy set: ok, failed"),
    gauge("last_reload_ok", &[], "Whether the last of them took effect"),
    gauge("generation", &[], "Number of the policy set being served, counted from 1"),
    gauge("ready", &[], "Whether the gateway accepts requests: 0 after it was told to stop"),
    counter("audit_dropped", &[], "Audit records that could not be kept"),
    counter("audit_left_out", &[], "Audit records that were left out, because strangers caused too many in a minute"),
    counter("spans_dropped", &[], "Spans of traces that could not be kept"),
    counter("log_dropped", &[], "Log lines that nobody read in time"),
    gauge("build_info", &["version"], "1, and the version"),
];

/// Those that every process has under Prometheus.
#[rustfmt::skip]
pub(super) static PROCESS: &[Described] = &[
    counter("process_cpu_seconds", &[], "Total user and system CPU time spent in seconds"),
    gauge("process_open_fds", &[], "Number of open file descriptors"),
    gauge("process_max_fds", &[], "Maximum number of open file descriptors"),
    gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes"),
    gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes"),
    gauge("process_threads", &[], "Number of operating system threads"),
    gauge("process_start_time_seconds", &[], "Start time of the process since the epoch in seconds"),
];

/// A family that nobody has described, which a test refuses.
static UNKNOWN: Described = gauge("unknown", &[], "Not described");

/// The family of a name.
pub(super) fn family(name: &str) -> &'static Described {
    OWN.iter().chain(PROCESS).find(|family| family.name == name).unwrap_or(&UNKNOWN)
}

/// What it says.
pub(super) fn help(name: &str) -> &'static str {
    family(name).help
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    fn rows(families: &[Described], prefix: &str) -> String {
        let mut text = String::new();
        for Described { name, kind, labels, help } in families {
            let (ending, kind) = match kind {
                Kind::Counter => ("_total", "counter"),
                Kind::Gauge => ("", "gauge"),
                Kind::Histogram => ("", "histogram"),
            };
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(text, "| `{prefix}{name}{ending}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
        }
        text
    }

    #[test]
    fn the_page_for_operators_lists_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let head = "| metric | kind | labels | what it says |\n|---|---|---|---|\n";
        let table = format!("{head}{}{}", rows(OWN, "portcullis_"), rows(PROCESS, ""));
        let (before, rest) = page.split_once("<!-- metrics:begin -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- metrics:end -->").unwrap();
        let wanted = format!("{before}<!-- metrics:begin -->\n{table}<!-- metrics:end -->{after}");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        } else {
            assert!(page == wanted, "docs/metrics.md is not what the code has; UPDATE_EXPECT=1 writes it");
        }
    }
}
