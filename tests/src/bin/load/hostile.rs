//! The dearest requests that somebody without any credentials can send: what each costs the gateway, and what bounds it.

use anyhow::{Result, bail};
use portcullis_tests::load::{self, Outcome, Reply, Script, Target};

use super::flows::TOKEN;
use super::table::{Hostile, Table};
use super::{Bench, browser, get, runtime};

/// Connections that send: few, because only the cost of a request counts.
const CONNECTIONS: usize = 8;

/// The bodies are as long as the shipped limit of `limits.body_bytes` allows, the headers as long as `limits.header_bytes`.
const BODY: usize = 1 << 20;
const HEADER: usize = 32 << 10;

/// A request, made anew for each time that it is sent.
type Make = fn(u64) -> Vec<u8>;

/// A kind of request: its name, what bounds it, whether it goes over TLS, and how it is made.
struct Kind {
    name: &'static str,
    limit: &'static str,
    make: Make,
}

const KINDS: [Kind; 12] = [
    Kind { name: "a path that leads nowhere", limit: "answered before any policy", make: |_| get("/nowhere/at/all") },
    Kind { name: "a header as long as allowed", limit: "`limits.header_bytes` 32 KiB", make: long_header },
    Kind { name: "a query as long as allowed", limit: "`limits.header_bytes` 32 KiB, 1,000 parameters", make: long_query },
    Kind {
        name: "a form as long as allowed",
        limit: "`limits.body_bytes` 1 MiB, 1,000 parameters",
        make: |_| form(&many_fields()),
    },
    Kind {
        name: "a form in escapes",
        limit: "the same; the column of each value",
        make: |_| form(&format!("client_id={}", "%41".repeat((BODY - 10) / 3))),
    },
    Kind {
        name: "a client nobody knows",
        limit: "`limits.max_connections`; a look-up in the database",
        make: |n| basic_form(n, "grant_type=client_credentials"),
    },
    Kind { name: "a token nobody knows", limit: "the same; what was found is cached", make: unknown_token },
    Kind {
        name: "a refresh token nobody knows",
        limit: "a client must be known first",
        make: |n| basic_form(n, &format!("grant_type=refresh_token&refresh_token=x{n}")),
    },
    Kind {
        name: "an assertion nobody signed",
        limit: "`limits.body_bytes`; the client of its `iss` must be known first",
        make: |n| form(&assertion(n)),
    },
    Kind {
        name: "a registration of 1 MiB",
        limit: "`limits.body_bytes`; JSON is read to a depth of 128; registration asks for a token",
        make: registration,
    },
    Kind {
        name: "a sign-in page",
        limit: "`session_limit` 3,000 a minute for an address, `session_store_limit` 384 MiB",
        make: |_| {
            get("/auth/oauth/v2/authorize?response_type=code&client_id=nobody&redirect_uri=https%3A%2F%2Fa.example%2Fcb&state=s")
        },
    },
    Kind {
        name: "a sign-out with a made-up hint",
        limit: "`limits.header_bytes`",
        make: |n| get(&format!("/connect/session/end?id_token_hint={}", jwt(n))),
    },
];

/// The rows.
pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    for kind in KINDS {
        let name = format!("hostile: {}", kind.name);
        if bench.wanted(&name) {
            let row = measured(bench, &kind)?;
            table.hostile(Hostile { name, ..row });
        }
    }
    if bench.wanted("hostile: a TLS handshake") {
        table.hostile(handshakes(bench)?);
    }
    if bench.wanted("hostile: a wrong password") {
        let micros = browser::hash_millis()? * 1000.0;
        let limit = "as many at once as processors; the account, the address and its network wait after each further attempt";
        let bytes = 19 << 20;
        table.hostile(Hostile {
            name: "hostile: a wrong password".to_owned(),
            micros,
            sent: 100,
            answered: 0,
            kept: bytes,
            limit,
        });
    }
    Ok(())
}

/// What one kind costs, in a whole measurement.
fn measured(bench: &Bench<'_>, kind: &Kind) -> Result<Hostile> {
    let make = kind.make;
    let sent = make(0).len();
    let scripts = (0..CONNECTIONS).map(|connection| {
        let mut number = connection as u64 * 1_000_000_000;
        Box::new(move |_: Option<&Reply<'_>>, request: &mut Vec<u8>| {
            number += 1;
            request.extend(make(number));
            true
        }) as Box<dyn Script>
    });
    let (before, memory) = (bench.gateway.cpu()?, bench.gateway.resident_kib()?);
    let outcome = runtime()?.block_on(load::run(bench.https(), scripts.collect(), bench.time()))?;
    let spent = bench.gateway.cpu()?.saturating_sub(before);
    let kept = bench.gateway.resident_kib()?.saturating_sub(memory) << 10;
    let answers = answers(&outcome)?;
    let answered = answer_bytes(bench, &make(1))?;
    let micros = spent.as_secs_f64() * 1e6 / answers as f64;
    Ok(Hostile { name: String::new(), micros, sent, answered, kept, limit: kind.limit })
}

/// Answers of any status: a refusal is what such a request should get.
fn answers(outcome: &Outcome) -> Result<u64> {
    match outcome.good + outcome.bad {
        0 => bail!("no answer: {}", outcome.example.as_deref().unwrap_or_default()),
        answers => Ok(answers),
    }
}

fn answer_bytes(bench: &Bench<'_>, request: &[u8]) -> Result<usize> {
    let (_, head, body) = portcullis_tests::block_on(load::once(bench.https(), request))?;
    Ok(head.len() + body.len())
}

/// A connection each, with one request that leads nowhere.
fn handshakes(bench: &Bench<'_>) -> Result<Hostile> {
    let (before, memory) = (bench.gateway.cpu()?, bench.gateway.resident_kib()?);
    let begun = std::time::Instant::now();
    let target: Target = bench.https();
    let runtime = runtime()?;
    let mut count = 0u32;
    while begun.elapsed() < bench.time() {
        runtime.block_on(load::once(target, &get("/nowhere/at/all")))?;
        count += 1;
    }
    let micros = bench.gateway.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(count.max(1));
    let kept = bench.gateway.resident_kib()?.saturating_sub(memory) << 10;
    let limit = "`limits.max_connections` 10,000, `connections_per_address` 5,000, `header_timeout`";
    Ok(Hostile { name: "hostile: a TLS handshake".to_owned(), micros, sent: 0, answered: 0, kept, limit })
}

fn form(body: &str) -> Vec<u8> {
    posted(TOKEN, "", "application/x-www-form-urlencoded", body)
}

fn posted(path: &str, fields: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

fn basic_form(number: u64, body: &str) -> Vec<u8> {
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("nobody{number}:secret"));
    posted(TOKEN, &format!("Authorization: Basic {basic}\r\n"), "application/x-www-form-urlencoded", body)
}

fn many_fields() -> String {
    let fields: Vec<String> = (0..990).map(|n| format!("f{n}=x")).collect();
    let all = fields.join("&");
    format!("{all}&last={}", "y".repeat(BODY - all.len() - 6))
}

fn long_header(_: u64) -> Vec<u8> {
    let mut text = format!("GET {TOKEN} HTTP/1.1\r\nHost: localhost\r\n");
    // As many fields as the server takes.
    for field in 0..80 {
        text.push_str(&format!("x-field-{field}: {}\r\n", "v".repeat((HEADER - 2_000) / 80 - 20)));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn long_query(_: u64) -> Vec<u8> {
    let pairs: Vec<String> = (0..990).map(|n| format!("p{n}=%41%42")).collect();
    get(&format!("/auth/oauth/v2/authorize?{}", pairs.join("&")))
}

fn unknown_token(number: u64) -> Vec<u8> {
    let head = "GET /oauth/v2/protectedapi/foo HTTP/1.1\r\nHost: localhost\r\n";
    format!("{head}Authorization: Bearer nobody-{number}\r\n\r\n").into_bytes()
}

fn jwt(number: u64) -> String {
    use base64::Engine;
    let part = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims =
        format!(r#"{{"iss":"nobody{number}","sub":"s","aud":"https://localhost","exp":4102444800,"x":"{}"}}"#, "x".repeat(8_000));
    format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"k"}"#.to_owned()), part(claims), part("s".repeat(256)))
}

fn assertion(number: u64) -> String {
    format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}", jwt(number))
}

fn registration(_: u64) -> Vec<u8> {
    let uris: Vec<String> = (0..30_000).map(|n| format!("\"https://a.example/{n}\"")).collect();
    posted("/openid/connect/register", "", "application/json", &format!("{{\"redirect_uris\":[{}]}}", uris.join(",")))
}
