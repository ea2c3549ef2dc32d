//! The standard Prometheus metrics of this process, on Linux only.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families;
use super::metrics::write;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since the epoch.
    started: f64,
}

impl Default for Process {
    #[expect(clippy::disallowed_methods, reason = "when the process started is no time of policies")]
    fn default() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Process { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let values = stat().into_iter().flatten().chain(files()).chain([("process_start_time_seconds", self.started)]);
        for (name, value) in values {
            write(&mut encoder, families::family(name), &[(Vec::new(), value)])?;
        }
        Ok(())
    }
}

/// From `/proc/self/stat`: its fields are numbered from 1 in proc_pid_stat(5), and come after a name that may contain anything.
fn stat() -> Option<[(&'static str, f64); 4]> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    Some([
        ("process_cpu_seconds", (field(14)? + field(15)?) / ticks),
        ("process_threads", field(20)?),
        ("process_virtual_memory_bytes", field(23)?),
        ("process_resident_memory_bytes", field(24)? * page),
    ])
}

fn files() -> impl Iterator<Item = (&'static str, f64)> {
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| ("process_open_fds", entries.count() as f64));
    let most = rlimit::Resource::NOFILE.get_soft().ok().map(|most| ("process_max_fds", most as f64));
    open.into_iter().chain(most)
}
