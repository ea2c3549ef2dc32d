//! Edits while the gateway is under load, and files that are not policies: half-written, binary, huge or gone.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_tests::load::{self, Reply, Script, Target};
use portcullis_tests::process::{Process, Start};
use portcullis_tests::{block_on, put};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Returns a value twice: both must be of the same version.
const PAIR: &str = r##"
fragment "Pair" {
    set a = "0"
    set b = "0"
    include "#Pair"
}

service "Pair" at "/pair" {
    include "Pair"
    Respond(body: "${a} ${b}")
}
"##;

const HOOK: &str = "customizations/#pair.policy";

fn pair(value: u64) -> String {
    format!("customize \"Pair\" {{\n    set a = \"{value}\"\n    set b = \"{value}\"\n}}\n")
}

fn start() -> (tempfile::TempDir, Process) {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/pair.policy", PAIR);
    put(home.path(), "gateway.yaml", "reload: { settle: 40ms }\n");
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    (home, process)
}

fn get(process: &Process) -> String {
    let target = Target { address: process.http, tls: false };
    let (status, _, body) = block_on(load::once(target, b"GET /pair HTTP/1.1\r\nHost: localhost\r\n\r\n")).expect("an answer");
    assert_eq!(status, 200, "{}", process.log());
    String::from_utf8_lossy(&body).into_owned()
}

fn becomes(process: &Process, expected: &str) {
    wait(|| get(process) == expected, || format!("the answer stays {}, not {expected}\n{}", get(process), process.log()));
}

fn wait(mut done: impl FnMut() -> bool, failed: impl FnOnce() -> String) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", failed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_request_fails_while_files_are_saved_and_each_meets_one_version() {
    let (home, process) = start();
    let newest = Arc::new(AtomicU64::new(0));
    let scripts = || -> Vec<Box<dyn Script>> {
        (0..64)
            .map(|_| {
                let newest = Arc::clone(&newest);
                let mut last = 0u64;
                Box::new(move |answer: Option<&Reply<'_>>, request: &mut Vec<u8>| {
                    if let Some(answer) = answer {
                        let text = std::str::from_utf8(answer.body).unwrap_or("");
                        let (a, b) = text.split_once(' ').unwrap_or((text, ""));
                        assert_eq!(a, b, "two versions in one answer: {text}");
                        let version = a.parse().unwrap_or_else(|_| panic!("not a version: {text}"));
                        assert!(version >= last, "{version} after {last}");
                        last = version;
                        newest.fetch_max(version, Ordering::Relaxed);
                    }
                    request.extend_from_slice(b"GET /pair HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    true
                }) as Box<dyn Script>
            })
            .collect()
    };
    let target = Target { address: process.http, tls: false };
    let time = Duration::from_secs(4);
    let mut version = 0;
    // On a slow machine an unoptimised gateway under load needs seconds to compile all policies.
    for _ in 0..10 {
        let outcome = block_on(async {
            let running = tokio::spawn(load::run(target, scripts(), time));
            let begun = Instant::now();
            while begun.elapsed() < time {
                version += 1;
                put(home.path(), HOOK, &pair(version));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            running.await.expect("no answer was wrong").expect("connections")
        });
        assert_eq!((outcome.bad, outcome.broken), (0, 0), "{outcome:?}\n{}", process.log());
        if newest.load(Ordering::Relaxed) >= 2 {
            break;
        }
    }
    assert!(newest.load(Ordering::Relaxed) >= 2, "saves took effect under load: {}", newest.load(Ordering::Relaxed));
}

#[test]
fn what_is_no_customization_leaves_the_old_set_serving() {
    let (home, process) = start();
    let hook = home.path().join(HOOK);
    put(home.path(), HOOK, &pair(1));
    becomes(&process, "1 1");
    let refused = |process: &Process| process.log().matches("reload refused").count();
    let draft = home.path().join("draft");
    let half = "customize \"Pair\" { set a = \"2\"; se";
    let huge = pair(2) + &"// filler\n".repeat(1 << 20);
    let bad: [(&str, Option<&[u8]>); 6] = [
        ("half-written", Some(half.as_bytes())),
        ("binary", Some(&[0u8, 159, 146, 150, 0, 1])),
        ("not UTF-8", Some(b"customize \"Pair\" { set a = \"\xff\xfe\" }")),
        ("10 MiB", Some(huge.as_bytes())),
        ("a directory", None),
        ("declares what nothing has", Some(b"customize \"Piar\" { set a = \"2\" }")),
    ];
    for (what, content) in bad {
        let before = refused(&process);
        match content {
            Some(content) => fs::write(&draft, content).expect("written"),
            None => fs::create_dir(&draft).expect("made"),
        }
        // The hook exists at every moment, first the old one and then the new one.
        renameat_with(CWD, &draft, CWD, &hook, RenameFlags::EXCHANGE).expect("exchanged");
        wait(|| refused(&process) > before, || format!("{what}: nothing was said\n{}", process.log()));
        assert_eq!(get(&process), "1 1", "{what}");
        let _ = fs::remove_file(&draft).or_else(|_| fs::remove_dir(&draft));
    }
    put(home.path(), HOOK, &pair(3));
    becomes(&process, "3 3");
    // An editor that writes a new file and renames it over the old one.
    put(home.path(), "customizations/.#pair.policy.swp", &pair(4));
    fs::rename(home.path().join("customizations/.#pair.policy.swp"), &hook).expect("renamed");
    becomes(&process, "4 4");
    fs::remove_file(&hook).expect("removed");
    becomes(&process, "0 0");
    // The folder itself disappears and comes back.
    fs::rename(home.path().join("customizations"), home.path().join("aside")).expect("renamed");
    assert_eq!(get(&process), "0 0");
    fs::rename(home.path().join("aside"), home.path().join("customizations")).expect("renamed");
    put(home.path(), HOOK, &pair(5));
    becomes(&process, "5 5");
}
