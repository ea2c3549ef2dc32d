//! Rows of OpenID Connect: a code exchanged for tokens with an id_token, by algorithm; userinfo; the discovery document.

use anyhow::{Context, Result, bail};
use portcullis_tests::load::{self, Reply};
use portcullis_tests::{block_on, grants};
use serde_json::json;

use super::flows::{self, Client, MOST_PER_SECOND, TOKEN};
use super::table::Table;
use super::{Bench, Floor, get};

const USER: &str = "load-openid";

pub fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let names =
        ["RS256", "ES256", "EdDSA"].map(|algorithm| (algorithm, format!("authorization_code with an id_token, {algorithm}")));
    let userinfo = "userinfo";
    if names.iter().any(|(_, name)| bench.wanted(name)) || bench.wanted(userinfo) {
        bench.user(USER, "load-password")?;
    }
    for (algorithm, name) in &names {
        if bench.wanted(name) {
            exchange(bench, table, algorithm, name)?;
        }
    }
    if bench.wanted(userinfo) {
        let client = &clients(bench, "RS256", "Load userinfo")?[..1];
        let codes = codes(bench, client, 1)?;
        let code = codes.first().and_then(|codes| codes.first()).context("no code")?;
        let token = flows::token(bench.https(), client.first().context("no client")?, &exchanged(code))?;
        let request =
            format!("GET /openid/connect/v1/userinfo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        bench.row(table, userinfo, Floor::TlsGet, None, bench.https(), || bench.repeat(request.clone().into_bytes()))?;
    }
    bench.row(table, "discovery document", Floor::TlsGet, None, bench.https(), || {
        bench.repeat(get("/.well-known/openid-configuration"))
    })
}

fn exchange(bench: &Bench<'_>, table: &mut Table, algorithm: &str, name: &str) -> Result<()> {
    let clients = clients(bench, algorithm, &format!("Load {algorithm}"))?;
    // One beforehand, to see that the row measures what it says.
    let code = codes(bench, &clients[..1], 1)?;
    let code = code.first().and_then(|codes| codes.first()).context("no code")?;
    let request = flows::post(clients.first().context("no client")?, TOKEN, &exchanged(code));
    let (status, head, body) = block_on(load::once(bench.https(), &request))?;
    let answer = Reply { status, head: &head, body: &body };
    let token = answer.member("id_token").with_context(|| format!("{head}{}", String::from_utf8_lossy(&body)))?;
    let used = flows::header(&token).with_context(|| token.clone())?;
    if used["alg"] != *algorithm {
        bail!("{name}: {used}");
    }
    bench.row(table, name, Floor::TlsPost, None, bench.https(), || {
        let codes = codes(bench, &clients, bench.most(MOST_PER_SECOND))?;
        Ok(clients.iter().zip(codes).map(|(client, codes)| flows::redeem(client, codes)).collect())
    })
}

fn exchanged(code: &str) -> String {
    format!("grant_type=authorization_code&code={code}")
}

/// A client for each connection, all with this algorithm.
fn clients(bench: &Bench<'_>, algorithm: &str, name: &str) -> Result<Vec<Client>> {
    let custom = json!({"id_token_signing_algorithm": algorithm}).to_string();
    flows::clients_with(bench, name, &["--scope", "openid email", "--client_key_custom", &custom])
}

fn codes(bench: &Bench<'_>, clients: &[Client], each: usize) -> Result<Vec<Vec<String>>> {
    flows::gather(bench, clients, each, |client, _| {
        get(&format!("{}&scope=openid%20email", grants::make_code(client.id(), USER)))
    })
}
