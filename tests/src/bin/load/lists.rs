//! How long the OAuth Manager takes for a page of a long list: clients and tokens, searched and not, on each kind of database. One
//! request at a time, because administrators are few.

use std::path::Path;

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Script};
use portcullis_tests::process::{self, Process};
use portcullis_tests::{block_on, put};

use super::table::{self, Aim, Table};
use super::{Bench, Options, Repeat, flows, gateway, get, stores};

/// Stores a thousand clients with a key each.
const SERVICES: &str = r##"
service "Bench clients" at "/bench/clients" methods GET {
    set from = int(${request.http.query.from})
    SqlQuery(connection: "OAuth", query: sql """
        insert into oauth_client (client_ident, name, type, description, organization, registered_by, created, custom)
        with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 1000)
        select concat('client ', n + ${from}), concat('Application ', n + ${from}), 'confidential', '',
            concat('Organization ', n), concat('owner ', n), ${now()}, '{}'
        from numbers
        """)
    SqlQuery(connection: "OAuth", query: sql """
        insert into oauth_client_key (client_key, secret, status, created_by, client_ident, client_name, custom)
        with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 1000)
        select concat('key ', n + ${from}), 'secret', 'ENABLED', 'bench', concat('client ', n + ${from}),
            concat('Application ', n + ${from}), '{}'
        from numbers
        """)
    Respond(status: 204)
}
"##;

/// What one request of the service above stores.
const FILLED: usize = 1_000;
/// Milliseconds in which a page should be there.
const AIM: f64 = 50.0;

/// The pages. Nothing fits the last text: it is the longest search that there is.
const PAGES: [(&str, &str); 12] = [
    ("clients", "/oauth/manager/clients"),
    ("clients, a page in the middle", "/oauth/manager/clients?after_name=Application%205&after_org="),
    ("clients with a common text", "/oauth/manager/clients?q=application"),
    ("clients with a rare text", "/oauth/manager/clients?q=n%20999"),
    ("clients with a text that none has", "/oauth/manager/clients?q=nothing%20of%20this"),
    ("client by key", "/oauth/manager/clients?q=key%2042"),
    ("what goes with a client", "/oauth/manager/clients?client_ident=client%2042&view=delete"),
    ("tokens", "/oauth/manager/tokens"),
    ("tokens, a page in the middle", "/oauth/manager/tokens?after=5"),
    ("tokens of an owner", "/oauth/manager/tokens?by=resource_owner&q=owner%2042"),
    ("tokens of a client key", "/oauth/manager/tokens?by=client_key&q=key%2042"),
    ("token by value", "/oauth/manager/tokens?by=token&q=none"),
];

/// The rows of all databases.
pub fn rows(options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    for (name, url) in stores::databases() {
        if options.only.as_ref().is_none_or(|only| format!("{name}: list:").contains(only.as_str()) || only.contains("list")) {
            on(name, &url, options, bare, table).with_context(|| format!("lists on {name}"))?;
        }
    }
    Ok(())
}

fn on(name: &str, url: &str, options: &Options, bare: &Process, table: &mut Table) -> Result<()> {
    let home = tempfile::tempdir()?;
    put(home.path(), "services/bench.policy", &format!("{}{SERVICES}", stores::SERVICES));
    let connection = if url.is_empty() { String::new() } else { format!("connections: {{ OAuth: \"{url}\" }}\n") };
    let settings = "logging: { level: warn, audit: off }\ntasks: { \"OTK Token Clean-up\": { enabled: false } }\n";
    put(home.path(), "gateway.yaml", &format!("{settings}{connection}"));
    let gateway = gateway(home.path(), options)?;
    let bench = Bench { options, bare, gateway: &gateway, home: home.path() };
    let cookie = sign_in(&bench, home.path())?;
    for part in 0..options.listed.div_ceil(FILLED) {
        let (status, ..) = block_on(load::once(bench.http(), &get(&format!("/bench/clients?from={}", part * FILLED))))?;
        if status != 204 {
            bail!("the table of clients cannot be filled: {status}; it must be empty before");
        }
    }
    stores::fill(&bench, options.listed * 10, 4_000_000_000)?;
    for (page, path) in PAGES {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n").into_bytes();
        let (status, _, body) = block_on(load::once(bench.https(), &request))?;
        if status != 200 || !String::from_utf8_lossy(&body).contains("Sign out") {
            bail!("{path} answers {status}");
        }
        let mut millis = Vec::new();
        for _ in 0..options.rounds {
            let outcome = bench.run(bench.https(), vec![Box::new(Repeat(request.clone())) as Box<dyn Script>])?;
            millis.push(1000.0 / outcome.rate());
        }
        let middle = table::median(&mut millis);
        let row = format!("{name}: list: {page}, of {} clients and {} tokens", options.listed, options.listed * 10);
        table.fact(&row, format!("{middle:.1} ms"), Aim::AtMost(AIM), middle);
    }
    let clients = flows::clients_named(&bench, "Beside")?;
    let row = format!("{name}: list: issuance, beside {} clients and {} tokens", options.listed, options.listed * 10);
    flows::issued(&bench, table, &clients, &row, None)
}

/// The cookies of an administrator.
fn sign_in(bench: &Bench<'_>, home: &Path) -> Result<String> {
    let said = process::command_with(home, &["user", "add", "admin"], "admin-password")?;
    if !said.success {
        bail!("portcullis user add: {}{}", said.stdout, said.stderr);
    }
    let form = "username=admin&password=admin-password&action=login";
    let head = "POST /oauth/manager HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n";
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let request = format!("{head}{kind}Content-Length: {}\r\n\r\n{form}", form.len());
    let (status, head, _) = block_on(load::once(bench.https(), request.as_bytes()))?;
    if status != 303 {
        bail!("the administrator cannot sign in: {status}");
    }
    let pairs = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("set-cookie") { value.split(';').next() } else { None }
    });
    Ok(pairs.collect::<Vec<_>>().join("; "))
}
