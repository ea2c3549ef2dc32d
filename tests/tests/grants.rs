//! Grants under concurrency and under `kill -9`, on the real binary: a code and a refresh token work once, limits are exact, and
//! what was acknowledged survives a crash. On the embedded database, and on the servers named by `PORTCULLIS_TEST_MYSQL` and
//! `PORTCULLIS_TEST_POSTGRES`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::process::{Process, Start};
use portcullis_tests::{block_on, put};

/// Attempts at the same time.
const ATTEMPTS: usize = 24;

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// The databases to test on: name, and connection or none for the embedded one.
fn databases() -> Vec<(&'static str, Option<String>)> {
    let servers = [("mysql", "PORTCULLIS_TEST_MYSQL"), ("postgres", "PORTCULLIS_TEST_POSTGRES")];
    let named = servers.into_iter().filter_map(|(name, variable)| Some((name, Some(std::env::var(variable).ok()?))));
    [("sqlite", None)].into_iter().chain(named).collect()
}

fn home(url: Option<&str>, limit: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    if let Some(url) = url {
        put(home.path(), "gateway.yaml", &format!("connections:\n  OAuth: {{ url: '{url}', pool_size: 16 }}\n"));
    }
    let text = format!("customize \"OTK Storage Configuration\" {{\n{limit}\n}}\n");
    put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", &text);
    prepare(home.path());
    home
}

/// A unique client and owner, even if several runs share a database.
fn place(home: &Path) -> (Process, GrantClient, String) {
    let unique = format!("{:x}", random());
    let process = Process::gateway(home, &Start::default()).expect("a start");
    let client = GrantClient::register(home, &format!("Client {unique}")).expect("a client").at(&process);
    (process, client, format!("owner-{unique}"))
}

/// All attempts at once.
async fn at_once(count: usize, attempt: impl Fn(usize) -> tokio::task::JoinHandle<Answer>) -> (Vec<Answer>, Vec<String>) {
    let tasks: Vec<_> = (0..count).map(attempt).collect();
    let (mut tokens, mut errors) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.expect("no panic") {
            Answer::Error(code) => errors.push(code),
            answer => tokens.push(answer),
        }
    }
    (tokens, errors)
}

fn redeem(client: &GrantClient, code: &str) -> tokio::task::JoinHandle<Answer> {
    let (client, code) = (client.clone(), code.to_owned());
    tokio::spawn(async move { client.redeem(&code).await.expect("an answer") })
}

fn refresh(client: &GrantClient, token: &str) -> tokio::task::JoinHandle<Answer> {
    let (client, token) = (client.clone(), token.to_owned());
    tokio::spawn(async move { client.refresh(&token).await.expect("an answer") })
}

#[test]
fn codes_and_refresh_tokens_count_once() {
    for (name, url) in databases() {
        let home = home(url.as_deref(), "    //");
        let (process, client, owner) = place(home.path());
        block_on(async {
            for round in 0..3 {
                let code = client.code(&owner).await.expect("a code");
                let (tokens, errors) = at_once(ATTEMPTS, |_| redeem(&client, &code)).await;
                assert_eq!(tokens.len(), 1, "{name}, round {round}: {errors:?}\n{}", process.log());
                assert!(errors.iter().all(|code| code == "3003113"), "{name}: {errors:?}\n{}", process.log());
                // The code was used twice, so what it gave is revoked.
                assert_eq!(client.count(&owner).await.expect("a count"), 0, "{name}");
            }
            let code = client.code(&owner).await.expect("a code");
            let mut answer = client.redeem(&code).await.expect("an answer");
            for round in 0..3 {
                let Answer::Tokens { refresh: token, .. } = &answer else { panic!("{name}: {answer:?}\n{}", process.log()) };
                let (mut tokens, errors) = at_once(ATTEMPTS, |_| refresh(&client, token)).await;
                assert_eq!(tokens.len(), 1, "{name}, round {round}: {errors:?}\n{}", process.log());
                assert!(errors.iter().all(|code| code == "3003113"), "{name}: {errors:?}\n{}", process.log());
                assert_eq!(client.count(&owner).await.expect("a count"), 1, "{name}");
                answer = tokens.remove(0);
            }
            let Answer::Tokens { access, .. } = &answer else { panic!("{name}: {answer:?}") };
            assert!(client.is_alive(access).await.expect("an answer"), "{name}: the one that won is good");
        });
    }
}

#[test]
fn the_token_limit_is_exact() {
    for (name, url) in databases() {
        for (behaviour, granted) in [("error", 3), ("cycle", ATTEMPTS)] {
            let limit = format!("    set max_oauth_token_count = 3\n    set max_oauth_token_behaviour = \"{behaviour}\"");
            let home = home(url.as_deref(), &limit);
            let (process, client, owner) = place(home.path());
            block_on(async {
                let mut codes = Vec::new();
                for _ in 0..ATTEMPTS {
                    codes.push(client.code(&owner).await.expect("a code"));
                }
                let (tokens, errors) = at_once(ATTEMPTS, |index| redeem(&client, &codes[index])).await;
                assert_eq!(tokens.len(), granted, "{name}, {behaviour}: {errors:?}\n{}", process.log());
                assert!(errors.iter().all(|code| code == "3003135"), "{name}: {errors:?}\n{}", process.log());
                assert_eq!(client.count(&owner).await.expect("a count"), 3, "{name}, {behaviour}");
            });
        }
    }
}

/// The fate of a code, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Unused,
    /// Sent, no answer.
    Unknown,
    Redeemed(Answer),
}

#[test]
fn kill_9_at_any_moment_loses_no_token_and_redeems_no_code_twice() {
    const CODES: usize = 200;
    const ROUNDS: usize = 10;
    let home = home(None, "    //");
    let (mut process, client, owner) = place(home.path());
    let codes: Vec<String> = block_on(async {
        let mut codes = Vec::new();
        for index in 0..CODES {
            codes.push(client.code(&format!("{owner}-{index}")).await.expect("a code"));
        }
        codes
    });
    let fates = Arc::new(Mutex::new(vec![Fate::Unused; CODES]));
    let mut interrupted = 0;
    for round in 0..ROUNDS {
        let client = client.at(&process);
        let share = CODES / ROUNDS;
        block_on(async {
            let tasks: Vec<_> = (round * share..(round + 1) * share)
                .map(|index| {
                    let (client, code, fates) = (client.clone(), codes[index].clone(), Arc::clone(&fates));
                    tokio::spawn(async move {
                        // Spread over the time in which the process dies.
                        tokio::time::sleep(Duration::from_millis(random() % 400)).await;
                        fates.lock().expect("a lock")[index] = Fate::Unknown;
                        if let Ok(answer) = client.redeem(&code).await {
                            fates.lock().expect("a lock")[index] = Fate::Redeemed(answer);
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(20 + random() % 400)).await;
            process.kill().expect("a kill");
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        interrupted += fates.lock().expect("a lock").iter().filter(|fate| **fate == Fate::Unknown).count();
        process = Process::gateway(home.path(), &Start::default()).expect("a start after kill -9");
    }
    let client = client.at(&process);
    let fates = fates.lock().expect("a lock").clone();
    let mut seen = BTreeMap::new();
    block_on(async {
        for (index, fate) in fates.iter().enumerate() {
            let held = client.count(&format!("{owner}-{index}")).await.expect("a count");
            assert!(held <= 1, "code {index} was redeemed {held} times: {fate:?}");
            let what = match fate {
                Fate::Redeemed(Answer::Tokens { access, .. }) => {
                    assert!(client.is_alive(access).await.expect("an answer"), "the token of code {index} was lost");
                    let again = client.redeem(&codes[index]).await.expect("an answer");
                    assert_eq!(again, Answer::Error("3003113".to_owned()), "code {index} was redeemed twice");
                    "acknowledged, and kept"
                }
                Fate::Redeemed(Answer::Error(code)) => panic!("code {index}: {code}\n{}", process.log()),
                // Nobody knows whether it reached the database: it is redeemed now, or it was then.
                Fate::Unused | Fate::Unknown => {
                    let answer = client.redeem(&codes[index]).await.expect("an answer");
                    assert_eq!(answer.is_tokens(), held == 0, "code {index} with {held} tokens: {answer:?}");
                    if held == 0 { "not redeemed when the process died" } else { "redeemed, but not acknowledged" }
                }
            };
            *seen.entry(what).or_insert(0) += 1;
        }
    });
    println!("{CODES} codes, {ROUNDS} kills, {interrupted} requests broken off: {seen:?}");
    assert!(seen.get("acknowledged, and kept").is_some_and(|count| *count > CODES / 10), "{seen:?}");
}
