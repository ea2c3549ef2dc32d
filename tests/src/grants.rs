//! A client of the token endpoint, for suites that redeem very many grants. A service in the test's home makes codes, with the
//! same assertion that the authorization endpoint uses.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::load::{self, Target};
use crate::process::{Process, command};
use crate::put;

/// Makes a code for a client and an owner, shows whether a token is valid, and counts an owner's tokens.
const SERVICES: &str = r#"
service "Make code" at "/make-code" {
    "OTK Client Values" (client_id: ${request.http.query.client_id})
    "OTK Token Storage (temporary_token)" (
        client_key: ${request.http.query.client_id},
        client_name: ${client_name},
        at_expiration: now() + 300,
        resource_owner: ${request.http.query.owner},
        scope.granted: coalesce(${request.http.query.scope}, "READ"),
        session_output: json { "auth_time": now(), "acr": "0", "otk": {} },
        redirect_uri: ""
    )
    Respond(body: ${code})
}

service "Count tokens" at "/count-tokens" {
    SqlQuery?(
        connection: "OAuth",
        query: sql "select otk_token_id from oauth_token where resource_owner = ${request.http.query.owner}",
        prefix: "row",
        max_rows: 1000
    )
    Respond(body: text(count(${row.otk_token_id})))
}
"#;

/// A client that is registered at a gateway.
#[derive(Clone, Debug)]
pub struct GrantClient {
    /// client_id.
    pub id: String,
    secret: String,
    gateway: Target,
}

/// The answer of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Tokens.
    Tokens {
        /// Access token.
        access: String,
        /// Refresh token.
        refresh: String,
    },
    /// An error: `x-ca-err`.
    Error(String),
}

impl Answer {
    /// Whether there are tokens.
    pub fn is_tokens(&self) -> bool {
        matches!(self, Answer::Tokens { .. })
    }
}

/// Writes the necessary services into a home.
pub fn prepare(home: &Path) {
    put(home, "services/grants.policy", SERVICES);
}

/// Path and query of the service that makes a code.
pub fn make_code(client_id: &str, owner: &str) -> String {
    format!("/make-code?client_id={client_id}&owner={owner}")
}

impl GrantClient {
    /// Registers a client of this name in a home. [`GrantClient::at`] connects it to a gateway.
    pub fn register(home: &Path, name: &str) -> Result<GrantClient> {
        let said = command(home, &["client", "add", "--name", name, "--org", "Tests", "--scope", "READ", "--json"])?;
        if !said.success {
            bail!("client add: {}{}", said.stdout, said.stderr);
        }
        let added: serde_json::Value = serde_json::from_str(&said.stdout)?;
        let word = |name: &str| added[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {added}"));
        let nowhere = Target { address: ([127, 0, 0, 1], 0).into(), tls: true };
        Ok(GrantClient { id: word("client_key")?, secret: word("secret")?, gateway: nowhere })
    }

    /// A client that is registered already. [`GrantClient::at`] connects it to a gateway.
    pub fn known(id: &str, secret: &str) -> GrantClient {
        let nowhere = Target { address: ([127, 0, 0, 1], 0).into(), tls: true };
        GrantClient { id: id.to_owned(), secret: secret.to_owned(), gateway: nowhere }
    }

    /// The same client, with another secret.
    pub fn with_secret(&self, secret: &str) -> GrantClient {
        GrantClient { secret: secret.to_owned(), ..self.clone() }
    }

    /// The same client, at this address.
    pub fn through(&self, address: std::net::SocketAddr) -> GrantClient {
        GrantClient { gateway: Target { address, tls: true }, ..self.clone() }
    }

    /// The same client, of this gateway.
    pub fn at(&self, process: &Process) -> GrantClient {
        GrantClient { gateway: Target { address: process.https, tls: true }, ..self.clone() }
    }

    /// A code for an owner.
    pub async fn code(&self, owner: &str) -> Result<String> {
        self.get(&make_code(&self.id, owner), "").await.map(|(_, body)| body)
    }

    /// How many tokens an owner has.
    pub async fn count(&self, owner: &str) -> Result<usize> {
        let (_, body) = self.get(&format!("/count-tokens?owner={owner}"), "").await?;
        body.trim().parse().with_context(|| format!("`{body}` is not a count"))
    }

    /// Redeems a code.
    pub async fn redeem(&self, code: &str) -> Result<Answer> {
        self.token(&format!("grant_type=authorization_code&code={code}")).await
    }

    /// Uses a refresh token.
    pub async fn refresh(&self, token: &str) -> Result<Answer> {
        self.token(&format!("grant_type=refresh_token&refresh_token={token}")).await
    }

    /// Whether the sample API lets an access token in.
    pub async fn is_alive(&self, access: &str) -> Result<bool> {
        let (status, _) = self.get("/oauth/v2/protectedapi/foo", &format!("Authorization: Bearer {access}\r\n")).await?;
        Ok(status == 200)
    }

    /// A GET without credentials.
    pub async fn ask(&self, path: &str) -> Result<u16> {
        self.get(path, "").await.map(|(status, _)| status)
    }

    async fn get(&self, path: &str, headers: &str) -> Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let (status, _, body) = load::once(self.gateway, request.as_bytes()).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// A request to the token endpoint.
    pub fn token_request(&self, grant: &str) -> String {
        let form = format!("{grant}&client_id={}&client_secret={}", self.id, self.secret);
        format!(
            "POST /auth/oauth/v2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        )
    }

    /// What the token endpoint answers: status, head, body.
    pub async fn exchange(&self, grant: &str) -> Result<(u16, String, Vec<u8>)> {
        load::once(self.gateway, self.token_request(grant).as_bytes()).await
    }

    async fn token(&self, grant: &str) -> Result<Answer> {
        let (status, head, body) = self.exchange(grant).await?;
        let reply = load::Reply { status, head: &head, body: &body };
        match (status, reply.member("access_token"), reply.member("refresh_token"), reply.header("x-ca-err")) {
            (200, Some(access), Some(refresh), _) => Ok(Answer::Tokens { access, refresh }),
            (400.., None, None, Some(code)) => Ok(Answer::Error(code.to_owned())),
            _ => bail!("neither tokens nor an error: {head}{}", String::from_utf8_lossy(&body)),
        }
    }
}
