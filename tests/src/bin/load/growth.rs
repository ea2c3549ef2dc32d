//! What becomes dearer as the gateway grows: connections, policies, sessions. Clients and tokens have rows of their own, on each database.

use anyhow::{Result, bail};
use portcullis_tests::process::Process;
use portcullis_tests::{block_on, load, put};

use super::table::Table;
use super::{Bench, Floor, Options, flows, gateway, get, start_and_memory};

/// How many connections are open at a time.
const CONNECTIONS: [usize; 3] = [1, 10, 100];
/// How many sessions are stored.
const SESSIONS: usize = 10_000;

/// A thousand more sessions, and one that the database is asked for each time.
const SERVICES: &str = r##"
service "Bench sessions" at "/bench/sessions" methods GET {
    set from = int(${request.http.query.from})
    SqlQuery(connection: "OAuth", query: sql """
        insert into oauth_session (session_key, session_group, expiration, value)
        with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 1000)
        select concat('session ', n + ${from}), 'bench', 4000000000, '{"username":"somebody"}' from numbers
        """)
    Respond(status: 204)
}

service "Bench session" at "/bench/session" methods GET {
    "OTK Session DB Get" (session_key: "session 42", session_group: "bench", cacheID: "bench", cacheAge: 0)
    Respond(body: "${session_value}")
}
"##;

/// The rows, on the embedded database.
pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    connections(bench, table)?;
    policies(bench.options, bench.bare, table)?;
    sessions(bench.options, bench.bare, table)
}

fn connections(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let name = |count: usize| format!("protected API, {count} connections");
    if !CONNECTIONS.iter().any(|count| bench.wanted(&name(*count))) {
        return Ok(());
    }
    let one = Options { connections: 1, ..bench.options.clone() };
    let clients = flows::clients_named(&Bench { options: &one, ..*bench }, "Growth")?;
    let token = flows::token(bench.https(), &clients[0], "grant_type=client_credentials")?;
    let api = format!("GET /oauth/v2/protectedapi/foo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    for count in CONNECTIONS {
        let options = Options { connections: count, ..bench.options.clone() };
        let bench = Bench { options: &options, ..*bench };
        bench.row(table, &name(count), Floor::TlsGet, None, bench.https(), || bench.repeat(api.clone().into_bytes()))?;
    }
    Ok(())
}

/// A service with as many steps as one that an operator writes.
fn policy(number: usize) -> String {
    format!(
        r##"service "Grown {number}" at "/grown/{number}" methods GET POST {{
    set kind = "standard"
    if ${{request.http.method}} == "POST" {{
        set kind = "writing"
    }} else if ${{request.http.query.kind}} in ["large", "small", "{number}"] {{
        set kind = ${{request.http.query.kind}}
    }}
    AtLeastOne {{
        ${{request.http.header.accept}} contains "json"
        ${{request.http.header.accept}} is empty
        set kind = "text"
    }}
    set length = length(${{kind}}) + {number}
    if ${{request.url.path}} starts with "/grown" and ${{length}} > 3 {{
        AddHeader(target: "request", name: "x-kind", value: "${{kind}}-{number}")
    }}
    Respond(body: json {{ "kind": ${{kind}}, "length": ${{length}}, "number": {number} }})
}}
"##
    )
}

/// How long a start takes with many policies, what they keep, and whether finding one of them takes longer.
fn policies(options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    let count = options.policies;
    let (start, rate) = (format!("with {count} more policies"), format!("one of {count} more policies"));
    if !options.wanted(&start) && !options.wanted(&rate) {
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    put(home.path(), "gateway.yaml", "logging: { level: warn, audit: off }\n");
    put(home.path(), "services/bench.policy", super::SERVICES);
    for number in 0..count {
        put(home.path(), &format!("services/grown/{number}.policy"), &policy(number));
    }
    drop(gateway(home.path(), options)?);
    start_and_memory(home.path(), options, table, &format!(" {start}"))?;
    let gateway = gateway(home.path(), options)?;
    let bench = Bench { options, bare, gateway: &gateway, home: home.path() };
    bench.row(table, &rate, Floor::TlsGet, None, bench.https(), || bench.repeat(get("/grown/5?kind=large")))
}

/// A session, read from the database each time.
fn sessions(options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    let (few, many) = ("a session of 1000".to_owned(), format!("a session of {SESSIONS}"));
    if !options.wanted(&few) && !options.wanted(&many) {
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    put(home.path(), "gateway.yaml", "logging: { level: warn, audit: off }\n");
    put(home.path(), "services/bench.policy", SERVICES);
    let gateway = gateway(home.path(), options)?;
    let bench = Bench { options, bare, gateway: &gateway, home: home.path() };
    let fill = |from: usize| -> Result<()> {
        match block_on(load::once(bench.http(), &get(&format!("/bench/sessions?from={from}"))))? {
            (204, ..) => Ok(()),
            (status, ..) => bail!("sessions cannot be stored: {status}"),
        }
    };
    fill(0)?;
    bench.row(table, &few, Floor::TlsGet, None, bench.https(), || bench.repeat(get("/bench/session")))?;
    (1..SESSIONS / 1000).try_for_each(|part| fill(part * 1000))?;
    bench.row(table, &many, Floor::TlsGet, None, bench.https(), || bench.repeat(get("/bench/session")))
}
