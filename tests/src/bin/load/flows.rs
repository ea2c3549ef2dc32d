//! Rows of the OAuth endpoints: an API behind a token, tokens issued, refreshed, redeemed for codes, revoked.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Reply, Script, Target};
use portcullis_tests::{block_on, grants};

use super::table::Table;
use super::{Bench, Floor, Repeat, run_for};

pub const TOKEN: &str = "/auth/oauth/v2/token";
const REVOKE: &str = "/auth/oauth/v2/token/revoke";
/// What a script may use up in a second; more than this machine can do.
pub const MOST_PER_SECOND: f64 = 12_000.0;

/// Each connection has its own client, so that they do not wait for each other's tokens, as in real life.
pub struct Client {
    id: String,
    basic: String,
}

impl Client {
    /// Its client_id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let clients = clients(bench)?;
    if bench.wanted("protected API, cached token") {
        let token = token(bench.https(), &clients[0], "grant_type=client_credentials")?;
        let api = format!("GET /oauth/v2/protectedapi/foo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        bench.row(table, "protected API, cached token", Floor::TlsGet, Some(0.80), bench.https(), || {
            bench.repeat(api.clone().into_bytes())
        })?;
    }
    issued(bench, table, &clients, "client_credentials, synchronous=FULL (the default)", Some(0.20))?;
    bench.row(table, "refresh_token, rotated", Floor::TlsPost, Some(0.15), bench.https(), || {
        let codes = codes(bench, &clients, 1)?;
        clients.iter().zip(codes).map(|(client, codes)| refresh(bench.https(), client, &codes)).collect()
    })?;
    bench.row(table, "authorization_code, code for tokens", Floor::TlsPost, Some(0.15), bench.https(), || {
        let codes = codes(bench, &clients, bench.most(MOST_PER_SECOND))?;
        Ok(clients.iter().zip(codes).map(|(client, codes)| redeem(client, codes)).collect())
    })?;
    bench.row(table, "revoke", Floor::TlsPost, Some(0.15), bench.https(), || {
        let tokens = gather(bench, &clients, bench.most(MOST_PER_SECOND), |client, _| {
            post(client, TOKEN, "grant_type=client_credentials")
        })?;
        Ok(clients.iter().zip(tokens).map(|(client, tokens)| revoke(client, tokens)).collect())
    })
}

/// Tokens issued by client_credentials, on the database of this gateway.
pub fn issued_only(bench: &Bench<'_>, table: &mut Table, name: &str) -> Result<()> {
    if !bench.wanted(name) {
        return Ok(());
    }
    issued(bench, table, &clients(bench)?, name, None)
}

pub fn issued(bench: &Bench<'_>, table: &mut Table, clients: &[Client], name: &str, aim: Option<f64>) -> Result<()> {
    bench.row(table, name, Floor::TlsPost, aim, bench.https(), || {
        let repeat = |client| Box::new(Repeat(issue(client))) as Box<dyn Script>;
        Ok(clients.iter().map(repeat).collect())
    })
}

/// The scripts of clients that get tokens for themselves, anew for each round.
pub fn issuing(bench: &Bench<'_>, name: &str) -> Result<impl Fn() -> Vec<Box<dyn Script>> + use<>> {
    let clients = clients_named(bench, name)?;
    Ok(move || clients.iter().map(|client| Box::new(Repeat(issue(client))) as Box<dyn Script>).collect())
}

/// Asks for a token of a client's own.
pub fn issue(client: &Client) -> Vec<u8> {
    post(client, TOKEN, "grant_type=client_credentials")
}

fn clients(bench: &Bench<'_>) -> Result<Vec<Client>> {
    clients_named(bench, "Load")
}

/// A client for each connection.
pub fn clients_named(bench: &Bench<'_>, name: &str) -> Result<Vec<Client>> {
    clients_with(bench, name, &["--scope", "READ"])
}

/// The same, registered with further words.
pub fn clients_with(bench: &Bench<'_>, name: &str, more: &[&str]) -> Result<Vec<Client>> {
    (0..bench.options.connections)
        .map(|index| {
            let name = format!("{name} {index}");
            let (id, secret) = bench.client_with(&name, "https://app.example/cb", more)?;
            let basic = base64(&format!("{id}:{secret}"));
            Ok(Client { id, basic })
        })
        .collect()
}

/// The header of a JWT.
pub fn header(token: &str) -> Option<serde_json::Value> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub fn post(client: &Client, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        client.basic,
        body.len()
    )
    .into_bytes()
}

/// A token of a client.
pub fn token(target: Target, client: &Client, body: &str) -> Result<String> {
    member(target, client, body, "access_token")
}

fn member(target: Target, client: &Client, body: &str, name: &str) -> Result<String> {
    let (status, head, body) = block_on(load::once(target, &post(client, TOKEN, body)))?;
    let reply = Reply { status, head: &head, body: &body };
    reply.member(name).with_context(|| format!("no {name}: {head}{}", String::from_utf8_lossy(&body)))
}

/// Each refresh uses the token from the last one.
fn refresh(target: Target, client: &Client, codes: &[String]) -> Result<Box<dyn Script>> {
    let code = codes.first().context("no code")?;
    let mut token = member(target, client, &format!("grant_type=authorization_code&code={code}"), "refresh_token")?;
    let client = Client { id: client.id.clone(), basic: client.basic.clone() };
    Ok(Box::new(move |answer: Option<&Reply<'_>>, request: &mut Vec<u8>| {
        if let Some(next) = answer.and_then(|answer| answer.member("refresh_token")) {
            token = next;
        }
        request.extend(post(&client, TOKEN, &format!("grant_type=refresh_token&refresh_token={token}")));
        true
    }))
}

pub fn redeem(client: &Client, codes: Vec<String>) -> Box<dyn Script> {
    each(client, codes, |client, code| post(client, TOKEN, &format!("grant_type=authorization_code&code={code}")))
}

fn revoke(client: &Client, tokens: Vec<String>) -> Box<dyn Script> {
    each(client, tokens, |client, token| post(client, REVOKE, &format!("token={token}")))
}

/// Uses up its tokens or codes, then ends.
fn each(client: &Client, mut given: Vec<String>, make: fn(&Client, &str) -> Vec<u8>) -> Box<dyn Script> {
    let client = Client { id: client.id.clone(), basic: client.basic.clone() };
    Box::new(move |_: Option<&Reply<'_>>, request: &mut Vec<u8>| match given.pop() {
        Some(next) => {
            request.extend(make(&client, &next));
            true
        }
        None => false,
    })
}

/// Codes for each client, made by a service of the test.
fn codes(bench: &Bench<'_>, clients: &[Client], each: usize) -> Result<Vec<Vec<String>>> {
    gather(bench, clients, each, |client, index| {
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", grants::make_code(&client.id, &format!("owner{index}")))
            .into_bytes()
    })
}

/// Sends a request `each` times for every client, all clients in parallel, before anything is measured; returns the tokens or
/// codes.
pub fn gather(
    bench: &Bench<'_>,
    clients: &[Client],
    each: usize,
    request: impl Fn(&Client, usize) -> Vec<u8>,
) -> Result<Vec<Vec<String>>> {
    let gathered: Vec<Arc<Mutex<Vec<String>>>> = clients.iter().map(|_| Arc::default()).collect();
    let scripts = clients.iter().zip(&gathered).enumerate().map(|(index, (client, gathered))| {
        let (gathered, message) = (Arc::clone(gathered), request(client, index));
        Box::new(move |answer: Option<&Reply<'_>>, request: &mut Vec<u8>| {
            let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(answer) = answer {
                gathered.push(answer.member("access_token").unwrap_or_else(|| String::from_utf8_lossy(answer.body).into_owned()));
            }
            request.extend_from_slice(&message);
            gathered.len() < each
        }) as Box<dyn Script>
    });
    run_for(bench.https(), scripts.collect(), std::time::Duration::from_secs(60))?;
    let gathered: Vec<Vec<String>> =
        gathered.iter().map(|gathered| std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner))).collect();
    if gathered.iter().any(Vec::is_empty) {
        bail!("nothing was made beforehand");
    }
    Ok(gathered)
}
