//! An API as an import makes it, beside the same API written by hand.

use anyhow::{Result, bail};
use portcullis_tests::process::command;
use portcullis_tests::put;

use super::table::{Row, Table};
use super::{Bench, flows, gateway, measured};

/// The exported API, and its twin.
const EXPORT: &str = include_str!("../../../load/orders.xml");
const BY_HAND: &str = include_str!("../../../load/orders.policy");

/// Answers of the imported API for each answer of the one by hand; in a home of its own.
pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let name = "an imported API (to the same by hand)";
    if !bench.wanted(name) {
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    put(home.path(), "gateway.yaml", "logging: { level: warn, audit: off }\n");
    put(home.path(), "services/by-hand.policy", BY_HAND);
    put(home.path(), "orders.xml", EXPORT);
    let export = home.path().join("orders.xml").display().to_string();
    let said = command(home.path(), &["import", &export, "--apply"])?;
    if !said.success {
        bail!("portcullis import: {}{}", said.stdout, said.stderr);
    }
    let gateway = gateway(home.path(), bench.options)?;
    let own = Bench { gateway: &gateway, home: home.path(), ..*bench };
    let clients = flows::clients_named(&own, "Orders")?;
    let Some(client) = clients.first() else { bail!("there is no client") };
    let token = flows::token(own.https(), client, "grant_type=client_credentials")?;
    let request = |path: &str| {
        format!("GET /load/{path}/orders/us-77 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
    };
    let mut row = Row::new(name, Some(1.0 / 1.2));
    for _ in 0..bench.options.rounds {
        let by_hand = measured(&gateway, || own.run(own.http(), own.repeat(request("hand"))?))?;
        let imported = measured(&gateway, || own.run(own.http(), own.repeat(request("imported"))?))?;
        row.add(by_hand, imported);
    }
    table.row(row);
    Ok(())
}
