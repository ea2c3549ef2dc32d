//! Rows of the OAuth endpoints: an API behind a token, and tokens issued.

use anyhow::{Context, Result};
use portcullis_tests::load::{self, Reply, Script, Target};

use super::table::Table;
use super::{Bench, Floor, Repeat, block_on};

const TOKEN: &str = "/auth/oauth/v2/token";

/// A client of its own for each connection: they do not wait for each other's tokens, as in life.
struct Client {
    basic: String,
}

pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let clients = clients(bench)?;
    let token = token(bench.https(), &clients[0], "grant_type=client_credentials")?;
    let api = format!("GET /oauth/v2/protectedapi/foo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    bench.row(table, "protected API, cached token", Floor::TlsGet, Some(0.70), bench.https(), || {
        bench.repeat(api.clone().into_bytes())
    })?;
    bench.row(table, "client_credentials, synchronous=FULL", Floor::TlsPost, Some(0.10), bench.https(), || {
        Ok(clients.iter().map(|client| repeat(client, "grant_type=client_credentials")).collect())
    })
}

fn clients(bench: &Bench<'_>) -> Result<Vec<Client>> {
    (0..bench.options.connections)
        .map(|index| {
            let name = format!("Load {index}");
            let args = ["client", "add", "--name", &name, "--org", "Load", "--scope", "read", "--json"];
            let made = bench.command(&args)?;
            let (key, secret) = made["client_key"].as_str().zip(made["secret"].as_str()).context("no credentials")?;
            Ok(Client { basic: base64(&format!("{key}:{secret}")) })
        })
        .collect()
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn post(client: &Client, body: &str) -> Vec<u8> {
    format!(
        "POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        client.basic,
        body.len()
    )
    .into_bytes()
}

fn repeat(client: &Client, body: &str) -> Box<dyn Script> {
    Box::new(Repeat(post(client, body)))
}

fn token(target: Target, client: &Client, body: &str) -> Result<String> {
    let (status, head, body) = block_on(load::once(target, &post(client, body)))?;
    let reply = Reply { status, head: &head, body: &body };
    reply.member("access_token").with_context(|| format!("no token: {head}{}", String::from_utf8_lossy(&body)))
}
