use super::*;
use crate::data::principal::Secret;
use crate::data::value::Value;
use crate::services::keys::{KeyKind, KeyStore};

const NOW: i64 = 1_790_000_000_000;
const CHEAP: Cost = Cost { memory: 64, passes: 1 };

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.into(), password: Secret::new(password) }
}

/// The caller in these tests.
const ASKED: Inquiry = Inquiry { now_millis: NOW, caller: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) };

async fn login(provider: &dyn IdentityProvider, credential: &Credential, now_millis: i64) -> Option<User> {
    match provider.authenticate(credential, &Inquiry { now_millis, ..ASKED }).await.unwrap() {
        Answer::User(user) => Some(user),
        Answer::Nobody => None,
        Answer::Busy => panic!("nobody else asks"),
    }
}

fn users() -> (tempfile::TempDir, InternalUsers) {
    let home = tempfile::tempdir().unwrap();
    let users = InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(CHEAP)));
    (home, users)
}

#[tokio::test]
async fn users_log_in_with_their_password_only() {
    let (_home, users) = users();
    let attributes =
        BTreeMap::from([("role".to_owned(), serde_json::json!("admin")), ("groups".to_owned(), serde_json::json!(["a", "b"]))]);
    users.add("ann", &Secret::new("correct horse"), attributes, NOW).unwrap();
    let user = login(&users, &password("ann", "correct horse"), NOW).await.unwrap();
    assert_eq!((user.name.as_str(), user.provider.as_str()), ("ann", "Users"));
    assert_eq!(user.attributes["role"].as_text(), "admin");
    assert!(matches!(&user.attributes["groups"], Value::List(groups) if groups.len() == 2));
    for (name, given) in [("ann", "wrong"), ("ann", ""), ("Ann", "correct horse"), ("bob", "correct horse"), ("", "")] {
        assert!(login(&users, &password(name, given), NOW).await.is_none(), "{name} {given}");
    }
    assert!(login(&users, &password("ann", &"x".repeat(100_000)), NOW).await.is_none());
    assert!(users.user("ann").await.unwrap().is_some());
    assert!(users.user("bob").await.unwrap().is_none());
}

#[tokio::test]
async fn another_process_changes_users() {
    let (home, users) = users();
    assert!(users.list().unwrap().is_empty());
    let other = InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(CHEAP)));
    other.add("ann", &Secret::new("one"), BTreeMap::new(), NOW).unwrap();
    assert!(login(&users, &password("ann", "one"), NOW).await.is_some());
    assert!(matches!(users.add("ann", &Secret::new("x"), BTreeMap::new(), NOW), Err(UserError::Exists(_))));
    users.set_password("ann", &Secret::new("two and more"), NOW).unwrap();
    assert!(login(&other, &password("ann", "two and more"), NOW).await.is_some());
    other.delete("ann").unwrap();
    assert!(matches!(users.delete("ann"), Err(UserError::Unknown(_))));
    assert!(login(&users, &password("ann", "two and more"), NOW).await.is_none());
    for name in ["", " ann", "a\nb"] {
        assert!(users.add(name, &Secret::new("x"), BTreeMap::new(), NOW).is_err());
    }
    let text = std::fs::read_to_string(home.path().join(USERS_FILE)).unwrap();
    assert!(!text.contains("two and more"));
}

#[tokio::test]
async fn whoever_is_disabled_is_nobody_until_enabled_again() {
    let (_home, users) = users();
    users.add("ann", &Secret::new("one"), BTreeMap::new(), NOW).unwrap();
    users.set_disabled("ann", true).unwrap();
    assert!(login(&users, &password("ann", "one"), NOW).await.is_none());
    assert!(!users.user("ann").await.unwrap().unwrap().enabled);
    users.set_disabled("ann", false).unwrap();
    assert!(login(&users, &password("ann", "one"), NOW).await.is_some());
    assert!(users.user("ann").await.unwrap().unwrap().enabled);
    assert!(matches!(users.set_disabled("bob", true), Err(UserError::Unknown(_))));
}

#[tokio::test]
async fn a_user_tells_when_the_password_changed() {
    let (home, users) = users();
    let changed = async || users.user("ann").await.unwrap().unwrap().attributes[PASSWORD_CHANGED].as_text().into_owned();
    users.add("ann", &Secret::new("one"), BTreeMap::from([(PASSWORD_CHANGED.to_owned(), 1.into())]), NOW).unwrap();
    assert_eq!(changed().await, "1790000000");
    users.set_password("ann", &Secret::new("two"), NOW + 5_999).unwrap();
    assert_eq!(changed().await, "1790000005");
    // A file of an earlier version lacks it; then the account's age counts.
    let file = home.path().join(USERS_FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"password_changed\": 1790000005,", "")).unwrap();
    assert_eq!(changed().await, "1790000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_passwords_of_one_caller_are_told_so() {
    let home = tempfile::tempdir().unwrap();
    // Slow enough to wait for.
    let passwords = Arc::new(Passwords::new(Cost { memory: 2048, passes: 2 }));
    let users = Arc::new(InternalUsers::new("Users", home.path().join(USERS_FILE), passwords));
    users.add("ann", &Secret::new("one"), BTreeMap::new(), NOW).unwrap();
    let ask = |caller: [u8; 4]| {
        let users = Arc::clone(&users);
        let inquiry = Inquiry { caller: caller.into(), ..ASKED };
        tokio::spawn(async move { users.authenticate(&password("ann", "one"), &inquiry).await.unwrap() })
    };
    let flood: Vec<_> = (0..500).map(|_| ask([192, 0, 2, 1])).collect();
    let other = ask([192, 0, 2, 2]).await.unwrap();
    assert!(matches!(other, Answer::User(_)), "{other:?}");
    let mut busy = 0;
    for answer in flood {
        match answer.await.unwrap() {
            Answer::Busy => busy += 1,
            Answer::User(_) => {}
            Answer::Nobody => panic!("the password is right"),
        }
    }
    assert!(busy > 0);
}

#[tokio::test]
async fn a_broken_file_is_a_fault_and_not_a_no() {
    let (home, users) = users();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    std::fs::write(home.path().join(USERS_FILE), "[{").unwrap();
    let fault = users.authenticate(&password("ann", "x"), &ASKED).await.unwrap_err();
    assert!(fault.to_string().contains("users.json"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_costs_as_much_as_a_known_one() {
    let home = tempfile::tempdir().unwrap();
    let users =
        InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(Cost { memory: 8192, passes: 2 })));
    users.add("ann", &Secret::new("right"), BTreeMap::new(), NOW).unwrap();
    // The first one creates the dummy hash.
    login(&users, &password("nobody", "x"), NOW).await;
    let mut best = [std::time::Duration::MAX; 2];
    for _ in 0..5 {
        for (i, name) in ["ann", "nobody"].into_iter().enumerate() {
            let begun = std::time::Instant::now();
            assert!(login(&users, &password(name, "wrong"), NOW).await.is_none());
            best[i] = best[i].min(begun.elapsed());
        }
    }
    assert!(best[1] * 3 > best[0] && best[0] * 3 > best[1], "{best:?}");
}

#[tokio::test]
async fn certificates_vouch_for_their_subject() {
    let home = tempfile::tempdir().unwrap();
    let keys = Arc::new(KeyStore::open(&home.path().join("keys"), "gateway.example", NOW).unwrap());
    let certificate = keys.ensure_key("partner", KeyKind::P256, NOW).unwrap().certificate.clone().unwrap();
    let config = |subject: Option<&str>, trusted: &[&str]| {
        let mut config: Config = serde_yaml::from_str("federated").unwrap();
        config.subject = subject.map(str::to_owned);
        config.trusted = trusted.iter().map(Into::into).collect();
        Federated::open("Partners", &config, home.path(), Arc::clone(&keys))
    };
    let credential = Credential::Certificate(certificate);
    let known = config(Some("CN=partner"), &["keys/ca.pem"]).unwrap();
    let user = login(&known, &credential, NOW).await.unwrap();
    assert_eq!(user.name, "partner");
    assert_eq!(user.attributes["o"].as_text(), "Portcullis");
    assert!(login(&known, &credential, NOW + 500 * 86_400_000).await.is_none(), "expired");
    assert!(login(&known, &password("partner", "x"), NOW).await.is_none());
    assert!(login(&config(Some("CN=other"), &["keys/ca.pem"]).unwrap(), &credential, NOW).await.is_none());
    let everybody = config(None, &[]).unwrap();
    assert!(login(&everybody, &credential, NOW).await.is_none(), "keys/trusted is empty");
    let trusted = home.path().join("keys/trusted/own.pem");
    std::fs::create_dir_all(trusted.parent().unwrap()).unwrap();
    std::fs::copy(home.path().join("keys/ca.pem"), &trusted).unwrap();
    keys.reload().unwrap();
    assert!(login(&everybody, &credential, NOW).await.is_some());
    std::fs::remove_file(trusted).unwrap();
    keys.reload().unwrap();
    assert!(login(&everybody, &credential, NOW).await.is_none(), "a trust that is withdrawn counts for the next request");
    assert!(config(Some("("), &[]).is_err());
    assert!(config(None, &["keys/nothing.pem"]).is_err());
}

#[tokio::test]
async fn federated_users_are_those_listed() {
    let home = tempfile::tempdir().unwrap();
    let keys = Arc::new(KeyStore::open(&home.path().join("keys"), "gateway.example", NOW).unwrap());
    let [own, other] =
        ["partner", "other"].map(|alias| keys.ensure_key(alias, KeyKind::P256, NOW).unwrap().certificate.clone().unwrap());
    let provider = |yaml: &str| {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        Federated::open("Partners", &config, home.path(), Arc::clone(&keys))
    };
    let subject = own.subject.clone();
    let by_subject =
        provider(&format!("{{ type: federated, trusted: [keys/ca.pem], users: [{{ name: dmz, subject: \"{subject}\" }}] }}"));
    let by_subject = by_subject.unwrap();
    assert_eq!(login(&by_subject, &Credential::Certificate(own.clone()), NOW).await.unwrap().name, "dmz");
    assert!(login(&by_subject, &Credential::Certificate(other.clone()), NOW).await.is_none());
    // A certificate of the user's own needs no authority, and no other one of the same subject is taken.
    let pinned = provider("{ type: federated, users: [{ name: dmz, certificate: keys/partner.crt.pem }] }").unwrap();
    assert!(login(&pinned, &Credential::Certificate(own.clone()), NOW).await.is_some());
    assert!(login(&pinned, &Credential::Certificate(other.clone()), NOW).await.is_none());
    assert!(login(&pinned, &Credential::Certificate(own), NOW + 500 * 86_400_000).await.is_none(), "expired");
    for wrong in ["{ name: dmz }", "{ name: dmz, certificate: keys/nothing.pem }"] {
        assert!(provider(&format!("{{ type: federated, users: [{wrong}] }}")).is_err(), "{wrong}");
    }
}

const ALLOWED: Attempts = Attempts { limit: 3, window_millis: 60_000, max_delay_millis: 4_000, forgive_millis: 0 };

/// One key at a time, and no promises.
impl AttemptLimiter {
    fn one(&self, key: &str, now: i64) -> Result<(), i64> {
        self.attempt(&[Rule::new(key, ALLOWED)], None, now)
    }

    fn wait(&self, key: &str, now: i64) -> i64 {
        self.look(&[Rule::new(key, ALLOWED)], now).0
    }
}

#[test]
fn further_attempts_wait_longer_and_longer_but_never_long() {
    let limiter = AttemptLimiter::default();
    let mut now = NOW;
    for _ in 0..3 {
        limiter.one("ann", now).unwrap();
    }
    for wait in [1_000, 2_000, 4_000, 4_000] {
        for _ in 0..10 {
            assert_eq!(limiter.one("ann", now), Err(wait), "refused ones prolong nothing");
        }
        assert_eq!(limiter.wait("ann", now), wait);
        now += wait;
        limiter.one("ann", now).unwrap();
    }
    limiter.one("bob", now).unwrap();
    assert!(limiter.one("ann", now + 60_000).is_ok(), "forgotten after the window");
    limiter.succeeded(["ann"]);
    assert_eq!(limiter.wait("ann", now), 0);
}

#[test]
fn an_attempt_that_is_given_back_costs_nothing() {
    let limiter = AttemptLimiter::default();
    for i in 0..100 {
        limiter.one("office", NOW + i).unwrap();
        limiter.release(["office"], None, NOW);
    }
    limiter.release(["office"], None, NOW);
    limiter.release(["nobody"], None, NOW);
    for _ in 0..4 {
        let now = NOW + 1000;
        let _ = limiter.one("office", now);
    }
    assert_eq!(limiter.wait("office", NOW + 1000), 1000, "three are free, as if nothing had been");
    // If everybody has to wait, a successful user has waited, too, and does not make the next one wait longer.
    limiter.one("office", NOW + 2000).unwrap();
    assert_eq!(limiter.wait("office", NOW + 2000), 2000);
    limiter.one("office", NOW + 4000).unwrap();
    assert_eq!(limiter.wait("office", NOW + 4000), 4000);
    limiter.release(["office"], None, NOW);
    assert_eq!(limiter.wait("office", NOW + 4000), 0);
    // Nor does it prevent others' failures from being forgotten.
    let quiet = NOW + 2000 + ALLOWED.window_millis;
    limiter.one("office", quiet - 1).unwrap();
    limiter.release(["office"], None, NOW);
    assert_eq!(limiter.wait("office", quiet), 0);
    for _ in 0..3 {
        limiter.one("office", quiet).unwrap();
    }
}

#[test]
fn attempts_at_the_same_time_get_no_further() {
    let limiter = AttemptLimiter::default();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| (0..10).filter(|_| limiter.one("ann", NOW).is_ok()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 3);
}

#[test]
fn a_flood_of_names_does_not_free_the_one_attacked() {
    let limiter = AttemptLimiter::default();
    for _ in 0..3 {
        limiter.one("victim", NOW).unwrap();
    }
    for i in 0..250_000 {
        limiter.one(&format!("name {i}"), NOW).unwrap();
    }
    assert!(limiter.one("victim", NOW).is_err());
    let long = "x".repeat(10_000);
    limiter.one(&long, NOW).unwrap();
}

/// Attempts that need not wait, and a minute between the others.
const SLOW: Attempts = Attempts { limit: 1, window_millis: 3_600_000, max_delay_millis: 60_000, forgive_millis: 0 };

#[test]
fn an_attempt_counts_under_all_keys_or_none() {
    let limiter = AttemptLimiter::default();
    let rules = [Rule::new("ann here", ALLOWED), Rule::new("here", SLOW)];
    limiter.attempt(&rules, None, NOW).unwrap();
    assert_eq!(limiter.attempt(&rules, None, NOW), Err(1_000), "the longest wait");
    assert_eq!(limiter.look(&rules[..1], NOW), (0, 1), "it counted under none");
    limiter.release(["ann here", "here"], None, NOW);
    assert_eq!(limiter.look(&rules, NOW), (0, 0));
}

#[test]
fn what_was_told_is_kept_whatever_others_do() {
    let limiter = AttemptLimiter::default();
    let attempt = |name: &str, now: i64| {
        let own = format!("{name} here");
        limiter.attempt(&[Rule::new(&own, ALLOWED), Rule::new("here", SLOW)], Some(&own), now)
    };
    attempt("mallory", NOW).unwrap();
    let mut now = NOW;
    let told = attempt("ann", now).unwrap_err();
    assert_eq!(attempt("ann", now + told / 2), Err(told - told / 2), "who asks again is told no more");
    // Others try all the time, under their own names, whenever they can.
    let mut taken = 0;
    while now < NOW + told {
        taken += (0..50).filter(|n| attempt(&format!("mallory{n}"), now).is_ok()).count();
        now += 100;
    }
    attempt("ann", NOW + told).unwrap();
    // That is true at any time, and the number of accepted attempts stays bounded.
    let told = attempt("bob", now).unwrap_err();
    let end = now + told;
    while now < end {
        taken += (0..50).filter(|n| attempt(&format!("mallory{n}"), now).is_ok()).count();
        now += 100;
    }
    attempt("bob", end).unwrap();
    let minutes = usize::try_from((end - NOW) / 60_000).unwrap();
    assert!(taken <= 2 * minutes + 10, "{taken} in {minutes} minutes");
}

#[test]
fn a_promise_holds_when_the_limits_become_narrower() {
    let limiter = AttemptLimiter::default();
    let (wide, narrow) = ([Rule::new("ann", ALLOWED)], [Rule::new("ann", SLOW)]);
    (0..3).for_each(|_| limiter.attempt(&wide, Some("ann"), NOW).unwrap());
    assert_eq!(limiter.attempt(&wide, Some("ann"), NOW), Err(1_000));
    limiter.attempt(&narrow, Some("ann"), NOW + 1_000).unwrap();
    assert_eq!(limiter.attempt(&narrow, Some("ann"), NOW + 1_000), Err(8_000));
}

#[test]
fn nobody_fills_the_memory_with_promises() {
    let limiter = AttemptLimiter::default();
    let told = |n: u32| {
        let own = format!("mallory{n}");
        limiter.attempt(&[Rule::new(&own, ALLOWED), Rule::new("here", SLOW)], Some(&own), NOW).err().unwrap_or(0)
    };
    let longest = (0..20_000).map(told).max().unwrap();
    assert!(longest <= 5 * 3_600_000, "{longest}");
}

#[test]
fn attempts_are_forgiven_one_by_one() {
    let limiter = AttemptLimiter::default();
    let rules = [Rule::new("here", Attempts { forgive_millis: 10_000, ..SLOW })];
    limiter.attempt(&rules, None, NOW).unwrap();
    assert!(limiter.attempt(&rules, None, NOW + 999).is_err());
    limiter.attempt(&rules, None, NOW + 9_999).unwrap();
    assert!(limiter.attempt(&rules, None, NOW + 10_100).is_err(), "one is forgiven, one is left");
    for n in 1..10 {
        limiter.attempt(&rules, None, NOW + 10_000 + n * 10_000).unwrap();
    }
}

#[test]
fn one_who_gets_an_attempt_back_may_use_it_at_once() {
    let limiter = AttemptLimiter::default();
    let rules = [Rule::new("here", SLOW)];
    limiter.attempt(&rules, Some("ann"), NOW).unwrap();
    limiter.release(["here"], Some("ann"), NOW);
    limiter.attempt(&rules, Some("bob"), NOW).unwrap();
    limiter.attempt(&rules, Some("ann"), NOW).unwrap();
}
