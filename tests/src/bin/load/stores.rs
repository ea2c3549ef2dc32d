//! The same few rows on each kind of database: issuance, validation with and without cache, both beside many stored tokens, and issuance
//! while expired tokens are cleaned away.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Script};
use portcullis_tests::process::{self, Process};
use portcullis_tests::{block_on, put};

use super::table::{Aim, Measured, Table};
use super::{Bench, Floor, Options, Repeat, flows, gateway, get, measured};

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

/// How many expired tokens are left.
service "Bench left" at "/bench/left" methods GET {
    SqlQuery(connection: "OAuth", query: sql "select count(*) as found from oauth_token where rexpiration = 1000", prefix: "row")
    Respond(body: "${row.found}")
}
"##;

/// How long a clean-up is watched at most.
const WATCHED: Duration = Duration::from_secs(300);

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

/// How much slower tokens are issued while the serving gateway cleans expired ones away, as its schedule would have it do: compared with the
/// rates just before and just after.
fn cleaning(name: &str, bench: &Bench<'_>, home: &Path, table: &mut Table) -> Result<()> {
    let row = format!("{name}: issuance while cleaning {} expired tokens", bench.options.expired);
    if !bench.wanted(&row) {
        return Ok(());
    }
    fill(bench, bench.options.expired, 1000)?;
    let clients = flows::clients_named(bench, &format!("{name} cleaning {}", std::process::id()))?;
    let issue = || -> Result<Measured> {
        let scripts = clients.iter().map(|client| Box::new(Repeat(flows::issue(client))) as Box<dyn Script>).collect();
        measured(bench.gateway, || bench.run(bench.https(), scripts))
    };
    // What the fill left in caches and in the database's log is not the clean-up's.
    issue()?;
    let mut alone = (0..2).map(|_| issue()).collect::<Result<Vec<_>>>()?;
    let begun = Instant::now();
    let cleaner = std::thread::spawn({
        let (home, target) = (home.to_owned(), bench.http());
        move || clean(&home, target)
    });
    let mut beside = Vec::new();
    while !cleaner.is_finished() {
        beside.push(issue()?);
    }
    let took = begun.elapsed();
    let left = cleaner.join().map_err(|_| anyhow::anyhow!("the clean-up ended badly"))??;
    // The last of them went on after its end.
    if beside.len() > 1 {
        beside.pop();
    }
    for _ in 0..2 {
        alone.push(issue()?);
    }
    let mean = |all: &[Measured], of: fn(&Measured) -> f64| all.iter().map(of).sum::<f64>() / all.len().max(1) as f64;
    let rate = |all: &[Measured]| mean(all, |one| one.rate);
    let micros = |all: &[Measured]| mean(all, |one| one.micros);
    let loss = 100.0 * (1.0 - rate(&beside) / rate(&alone));
    let text = format!(
        "{:.0}/s alone, {:.0}/s meanwhile: {loss:.0} % less, for {:.0} s, in which {} went; {:.0} and {:.0} us of processor time each",
        rate(&alone),
        rate(&beside),
        took.as_secs_f64(),
        bench.options.expired.saturating_sub(left),
        micros(&alone),
        micros(&beside)
    );
    table.fact(&row, text, Aim::AtMost(10.0), loss);
    Ok(())
}

/// Runs the task until nothing expired is left, or until that was watched for long enough. A run ends when its time is over; the next one goes
/// on. How many are left.
fn clean(home: &Path, target: load::Target) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let said = process::command(home, &["task", "run", "OTK Token Clean-up"])?;
        if !said.success {
            bail!("task run: {}{}", said.stdout, said.stderr);
        }
        let (.., body) = block_on(load::once(target, &get("/bench/left")))?;
        let left = String::from_utf8_lossy(&body).trim().parse().context("the number of expired tokens")?;
        if left == 0 || begun.elapsed() > WATCHED {
            return Ok(left);
        }
    }
}
