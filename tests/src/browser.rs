//! A browser without windows: it keeps cookies, reads forms, and posts them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::load::{self, Reply, Target};

/// A browser, and the gateway that it visits.
#[derive(Clone, Debug)]
pub struct Browser {
    gateway: Target,
    cookies: BTreeMap<String, String>,
}

/// A page, or a redirect.
#[derive(Clone, Debug)]
pub struct Page {
    /// Status.
    pub status: u16,
    /// Where it leads; empty if it is no redirect.
    pub location: String,
    /// Its text.
    pub text: String,
}

impl Page {
    /// A hidden field of its form.
    pub fn field(&self, name: &str) -> Result<&str> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\"")).with_context(|| format!("no {name} in it"))?;
        rest.split('"').next().context("no value")
    }

    /// A parameter of the address to which it leads, in its query or fragment.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, parameters) = self.location.split_once(['?', '#'])?;
        parameters.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Browser {
    /// A new one.
    pub fn at(gateway: Target) -> Browser {
        Browser { gateway, cookies: BTreeMap::new() }
    }

    /// Opens a path.
    pub async fn get(&mut self, path: &str) -> Result<Page> {
        self.send("GET", path, "").await
    }

    /// Sends a form.
    pub async fn post(&mut self, path: &str, form: &str) -> Result<Page> {
        self.send("POST", path, form).await
    }

    /// Asks for an authorization, signs in, allows, and comes back with the redirect to the client.
    pub async fn sign_in(&mut self, request: &str, user: &str, password: &str) -> Result<Page> {
        let page = self.get(request).await?;
        let form = format!(
            "sessionID={}&sessionData={}&username={user}&password={password}&action=login",
            page.field("sessionID")?,
            page.field("sessionData")?
        );
        let page = self.post("/auth/oauth/v2/authorize/login", &form).await?;
        // From the password to the next page, which can be reloaded.
        let path = page.location.find("/auth/").with_context(|| format!("not signed in: {page:?}"))?;
        let page = self.get(&page.location[path..]).await?;
        if page.status == 302 {
            return Ok(page);
        }
        let form = format!("sessionID={}&sessionData={}&action=Grant", page.field("sessionID")?, page.field("sessionData")?);
        let page = self.post("/auth/oauth/v2/authorize/consent", &form).await?;
        if page.status != 302 {
            bail!("not allowed: {page:?}");
        }
        Ok(page)
    }

    async fn send(&mut self, method: &str, path: &str, form: &str) -> Result<Page> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            cookies.join("; "),
            form.len()
        );
        let (status, head, body) = load::once(self.gateway, request.as_bytes()).await?;
        for line in head.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("set-cookie")
                && let Some((name, value)) = value.trim().split(';').next().and_then(|pair| pair.split_once('='))
            {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let reply = Reply { status, head: &head, body: &body };
        let location = reply.header("location").unwrap_or_default().to_owned();
        Ok(Page { status, location, text: String::from_utf8_lossy(&body).into_owned() })
    }
}
