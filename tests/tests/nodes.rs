//! Two gateways on one database: what ends at one of them ends at the other, whatever that one has cached, even in the middle of
//! a request. On the embedded database, and on the servers named by `PORTCULLIS_TEST_MYSQL` and `PORTCULLIS_TEST_POSTGRES`.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};

/// The databases to test on: name, and address or none for an embedded one.
fn databases() -> Vec<(&'static str, Option<String>)> {
    let servers = [("mysql", "PORTCULLIS_TEST_MYSQL"), ("postgres", "PORTCULLIS_TEST_POSTGRES")];
    let named = servers.into_iter().filter_map(|(name, variable)| Some((name, Some(std::env::var(variable).ok()?))));
    [("sqlite", None)].into_iter().chain(named).collect()
}

/// Two gateways with their own homes and one database.
struct Nodes {
    first_home: tempfile::TempDir,
    _second_home: tempfile::TempDir,
    first: Process,
    second: Process,
    client: GrantClient,
    /// A name that no other run uses.
    owner: String,
}

impl Nodes {
    fn start(url: Option<&str>) -> Nodes {
        let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let embedded = format!("sqlite://{}/shared.db", homes[0].path().display());
        for home in &homes {
            let url = url.unwrap_or(&embedded);
            put(home.path(), "gateway.yaml", &format!("connections:\n  OAuth: {{ url: '{url}' }}\n"));
            let limit = "customize \"OTK Storage Configuration\" {\n    set max_oauth_token_count = 1000\n}\n";
            put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", limit);
            prepare(home.path());
        }
        let [first_home, second_home] = homes;
        let first = Process::gateway(first_home.path(), &Start::default()).expect("a start");
        let second = Process::gateway(second_home.path(), &Start::default()).expect("a second start");
        let unique = format!("{:x}", RandomState::new().hash_one(0));
        let client = GrantClient::register(first_home.path(), &format!("Client {unique}")).expect("a client");
        Nodes { first_home, _second_home: second_home, first, second, client, owner: format!("owner-{unique}") }
    }

    fn both(&self) -> (GrantClient, GrantClient) {
        (self.client.at(&self.first), self.client.at(&self.second))
    }

    /// Runs a command at the first gateway's home.
    fn command(&self, words: &[&str]) {
        run(self.first_home.path(), words);
    }
}

fn run(home: &Path, words: &[&str]) {
    let said = command(home, words).expect("a command");
    assert!(said.success, "{words:?}: {}{}", said.stdout, said.stderr);
}

fn tokens(answer: Answer, what: &str) -> (String, String) {
    let Answer::Tokens { access, refresh } = answer else { panic!("{what}: {answer:?}") };
    (access, refresh)
}

fn refused(code: &str) -> Answer {
    Answer::Error(code.to_owned())
}

#[test]
fn what_ends_at_one_gateway_ends_at_the_other() {
    for (name, url) in databases() {
        let nodes = Nodes::start(url.as_deref());
        let ((first, second), owner) = (nodes.both(), nodes.owner.as_str());
        block_on(async {
            // The second gateway has cached the client and its tokens.
            let code = second.code(owner).await.expect("a code");
            let (_, refresh) = tokens(second.redeem(&code).await.expect("an answer"), name);
            let code = second.code(owner).await.expect("a code");

            nodes.command(&["client", "disable", "--client_id", &nodes.client.id]);
            assert_eq!(second.refresh(&refresh).await.expect("an answer"), refused("3003201"), "{name}: disabled");
            assert_eq!(second.redeem(&code).await.expect("an answer"), refused("3003201"), "{name}: disabled");
            nodes.command(&["client", "enable", "--client_id", &nodes.client.id]);
            tokens(second.redeem(&code).await.expect("an answer"), "enabled again");

            // One family, used at both.
            let (_, second_token) = tokens(first.refresh(&refresh).await.expect("an answer"), name);
            let (_, third_token) = tokens(second.refresh(&second_token).await.expect("an answer"), name);
            assert_eq!(first.refresh(&refresh).await.expect("an answer"), refused("3003113"), "{name}: a replay");
            assert_eq!(second.refresh(&third_token).await.expect("an answer"), refused("3003113"), "{name}: the family ended");

            let code = second.code(owner).await.expect("a code");
            let (_, refresh) = tokens(second.redeem(&code).await.expect("an answer"), name);
            let code = second.code(owner).await.expect("a code");
            nodes.command(&["forget", "user", "--name", owner]);
            assert_eq!(second.refresh(&refresh).await.expect("an answer"), refused("3003113"), "{name}: forgotten");
            assert_eq!(second.redeem(&code).await.expect("an answer"), refused("3003113"), "{name}: forgotten");

            let code = second.code(owner).await.expect("a code");
            let (_, refresh) = tokens(second.redeem(&code).await.expect("an answer"), name);
            nodes.command(&["client", "delete", "--client_id", &nodes.client.id]);
            assert_eq!(second.refresh(&refresh).await.expect("an answer"), refused("3003201"), "{name}: deleted");
            assert_eq!(second.redeem(&code).await.expect("an answer"), refused("3003201"), "{name}: deleted");
            assert_eq!(first.count(owner).await.expect("a count"), 0, "{name}");
        });
    }
}

#[test]
fn no_token_outlives_a_client_that_is_deleted_under_load() {
    /// Codes that are redeemed while the client is deleted.
    const CODES: usize = 60;
    for (name, url) in databases() {
        let nodes = Nodes::start(url.as_deref());
        let ((first, second), owner) = (nodes.both(), nodes.owner.as_str());
        let deleted = block_on(async {
            let mut codes = Vec::new();
            for _ in 0..CODES {
                codes.push(first.code(owner).await.expect("a code"));
            }
            let tasks: Vec<_> = codes
                .into_iter()
                .enumerate()
                .map(|(index, code)| {
                    let client = if index % 2 == 0 { first.clone() } else { second.clone() };
                    tokio::spawn(async move { client.redeem(&code).await.expect("an answer") })
                })
                .collect();
            let (home, id) = (nodes.first_home.path().to_owned(), nodes.client.id.clone());
            let delete = tokio::task::spawn_blocking(move || {
                command(&home, &["client", "delete", "--client_id", &id]).expect("a command")
            });
            for task in tasks {
                let answer = task.await.expect("no panic");
                let known = answer.is_tokens() || answer == refused("3003201") || answer == refused("3003113");
                assert!(known, "{name}: {answer:?}\n{}{}", nodes.first.log(), nodes.second.log());
            }
            delete.await.expect("no panic")
        });
        assert!(deleted.success, "{name}: {}{}", deleted.stdout, deleted.stderr);
        assert_eq!(block_on(first.count(owner)).expect("a count"), 0, "{name}: tokens of nobody");
    }
}
