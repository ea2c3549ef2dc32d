//! The same few rows on each kind of database: issuance, validation with and without cache, both beside many stored tokens, and issuance
//! while expired tokens are cleaned away.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Script};
use portcullis_tests::process::{self, Process};
use portcullis_tests::{block_on, put};

use super::table::{Aim, Table};
use super::{Bench, Floor, Options, Repeat, flows, gateway, get, runtime};

/// An API that asks the database each time, and rows to fill the table of tokens.
pub const SERVICES: &str = r##"
service "Bench validation" at "/bench/validation" methods GET {
    "OTK Require OAuth 2.0 Token" (cache_lifetime: 0)
    Respond(body: "valid\n")
}

/// Stores ten thousand tokens that expire at a time, in statements that end in time on a slow disk too. A thousand rows are what MySQL makes
/// of one recursion.
service "Bench fill" at "/bench/fill" methods GET {
    ForEach part in words("1 2 3 4 5 6 7 8 9 10") {
        GenerateUuid(target: "name")
        SqlQuery(connection: "OAuth", query: sql """
            insert into oauth_token (otk_token_id, token, expiration, scope, resource_owner, created, rtoken, rexpiration, status,
                client_key, client_name, client_ident, custom)
            with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 1000)
            select concat(n, '-', cast(${name} as char(36))), concat('a', n, '-', cast(${name} as char(36))), ${int(request.http.query.expiration)}, 'read',
                concat('owner ', n), ${now()}, concat('r', n, '-', cast(${name} as char(36))), ${int(request.http.query.expiration)}, 'ENABLED',
                concat('key ', n), 'Stored', concat('client ', n), '{}'
            from numbers
            """)
    }
    Respond(status: 204)
}

/// Whether expired tokens are left.
service "Bench left" at "/bench/left" methods GET {
    SqlQuery(connection: "OAuth", query: sql "select 1 as found from oauth_token where expiration = 1000", max_rows: 1) else {
        Respond(status: 204)
        Done
    }
    Respond(body: "left")
}
"##;

/// What one request of the service above stores.
const FILLED: usize = 10_000;

/// The databases: the embedded one, and the servers that the environment names.
pub fn databases() -> Vec<(&'static str, String)> {
    let server = |name, variable: &str| Some((name, std::env::var(variable).ok().filter(|url| !url.is_empty())?));
    let servers = [server("MySQL", "PORTCULLIS_TEST_MYSQL"), server("PostgreSQL", "PORTCULLIS_TEST_POSTGRES")];
    std::iter::once(("SQLite", String::new())).chain(servers.into_iter().flatten()).collect()
}

/// The rows of all databases.
pub fn rows(options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    for (name, url) in databases() {
        let words = [name, "issuance", "validation", "cleaning"];
        let wanted = |only: &String| words.into_iter().any(|word| only.contains(word));
        if options.only.as_ref().is_none_or(wanted) {
            on(name, &url, options, bare, table).with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

fn on(name: &str, url: &str, options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    put(home.path(), "services/stores.policy", SERVICES);
    let connection = if url.is_empty() { String::new() } else { format!("connections: {{ OAuth: \"{url}\" }}\n") };
    let settings = "logging: { level: warn, audit: off }\ntasks: { \"OTK Token Clean-up\": { enabled: false } }\n";
    put(home.path(), "gateway.yaml", &format!("{settings}{connection}"));
    let gateway = gateway(home.path(), options)?;
    let bench = Bench { options, bare, gateway: &gateway, home: home.path() };
    let clients = flows::clients_named(&bench, &format!("{name} {}", std::process::id()))?;
    let token = flows::token(bench.https(), &clients[0], "grant_type=client_credentials")?;
    let call =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes();
    let measure = |table: &mut Table, beside: &str| -> Result<()> {
        flows::issued(&bench, table, &clients, &format!("{name}: issuance{beside}"), None)?;
        let row = format!("{name}: validation, cached{beside}");
        bench.row(table, &row, Floor::TlsGet, None, bench.https(), || bench.repeat(call("/oauth/v2/protectedapi/foo")))?;
        let row = format!("{name}: validation, not cached{beside}");
        bench.row(table, &row, Floor::TlsGet, None, bench.https(), || bench.repeat(call("/bench/validation")))
    };
    measure(table, "")?;
    let beside = format!(", beside {} tokens", options.stored);
    if ["issuance", "validation, cached", "validation, not cached"]
        .iter()
        .any(|row| bench.wanted(&format!("{name}: {row}{beside}")))
    {
        fill(&bench, options.stored, 4_000_000_000)?;
        measure(table, &beside)?;
    }
    cleaning(name, &bench, home.path(), table)
}

/// Fills the table of tokens.
pub fn fill(bench: &Bench<'_>, rows: usize, expiration: i64) -> Result<()> {
    for _ in 0..rows.div_ceil(FILLED) {
        let request = get(&format!("/bench/fill?expiration={expiration}"));
        let (status, ..) = block_on(load::once(bench.http(), &request))?;
        if status != 204 {
            bail!("the table of tokens cannot be filled: {status}");
        }
    }
    Ok(())
}

/// How much slower tokens are issued while expired ones are cleaned away.
fn cleaning(name: &str, bench: &Bench<'_>, home: &Path, table: &mut Table) -> Result<()> {
    let row = format!("{name}: issuance while cleaning {} expired tokens", bench.options.expired);
    if !bench.wanted(&row) {
        return Ok(());
    }
    fill(bench, bench.options.expired, 1000)?;
    let clients = flows::clients_named(bench, &format!("{name} cleaning {}", std::process::id()))?;
    let scripts = || -> Vec<Box<dyn Script>> {
        clients.iter().map(|client| Box::new(Repeat(flows::issue(client))) as Box<dyn Script>).collect()
    };
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    let begun = Instant::now();
    let home = home.to_owned();
    let cleaner = std::thread::spawn({
        let (pause, home, target) = (bench.time() * 2, home.clone(), bench.http());
        move || -> Result<Duration> {
            // Not yet: first the rate without it.
            std::thread::sleep(pause);
            let begun = Instant::now();
            loop {
                let said = process::command(&home, &["task", "run", "OTK Token Clean-up"])?;
                if !said.success {
                    bail!("task run: {}{}", said.stdout, said.stderr);
                }
                // A run ends when its time is over; the next one goes on.
                if block_on(load::once(target, &get("/bench/left")))?.0 == 204 {
                    return Ok(begun.elapsed());
                }
                if begun.elapsed() > Duration::from_secs(3600) {
                    bail!("expired tokens are left after an hour");
                }
            }
        }
    });
    while begun.elapsed() < bench.time() {
        alone.push(runtime()?.block_on(load::run(bench.https(), scripts(), bench.time() / 2))?.rate());
    }
    std::thread::sleep((bench.time() * 2).saturating_sub(begun.elapsed()));
    while !cleaner.is_finished() {
        beside.push(runtime()?.block_on(load::run(bench.https(), scripts(), bench.time() / 2))?.rate());
    }
    let took = cleaner.join().map_err(|_| anyhow::anyhow!("the clean-up ended badly"))??;
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let (alone, beside) = (mean(&alone), mean(&beside));
    let loss = 100.0 * (1.0 - beside / alone);
    let text = format!("{alone:.0}/s alone, {beside:.0}/s meanwhile: {loss:.0} % less, for {:.0} s", took.as_secs_f64());
    table.fact(&row, text, Aim::AtMost(10.0), loss);
    Ok(())
}
