//! Assertions that call other servers, or other policies of this gateway.

super::catalogue! { route_http, route_https }

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, Uri, header};
use portcullis_dsl::Diagnostic;
use smol_str::SmolStr;

use super::message::Fields;
use crate::assertion::{AsyncAssertion, Build};
use crate::ctx::{Ctx, MessageRef, Slot};
use crate::expr::Expr;
use crate::fault::{Fault, HELD, Verdict, falsified};
use crate::message::Message;
use crate::request::Request;
use crate::routing::{Call, CallError, Failed};

/// Redirects that are followed, where that was asked for.
const MAX_REDIRECTS: usize = 5;
/// Policies that call one another within the gateway; more is a circle.
const MAX_DEPTH: u8 = 8;

/// Declares the properties that both assertions have.
macro_rules! props {
    ($($more:expr),* $(,)?) => {
        &[
            Prop::required("url", Kind::Text, "Where to."),
            Prop::absent("method", Kind::Text, "HTTP method. Left out: the request's own when `request: \"request\"` is forwarded, `POST` for \
                another message, otherwise `GET`."),
            Prop::absent("request", Kind::MessageName, "The message whose header fields and body are sent. Left out, nothing is sent that is \
                not named here: what the client sent is forwarded by `request: \"request\"` only."),
            Prop::absent("headers", Kind::Object, "Header fields to send, in place of those of the same name in the message."),
            Prop::absent("response", Kind::MessageName, "The message variable that takes the answer. Left out, the answer becomes this \
                gateway's own response."),
            Prop::absent("user", Kind::Text, "User name for HTTP Basic."),
            Prop::absent("password", Kind::Text, "Password for HTTP Basic."),
            Prop::optional("follow_redirects", Kind::Bool, "false", "Whether redirects are followed, at most five."),
            Prop::optional("fail_on_error_status", Kind::Bool, "true", "Whether it fails when the answer's status is 400 or more."),
            Prop::absent("timeout", Kind::Duration, "Longest wait for the answer. Left out, `outbound.read_timeout` of `gateway.yaml` holds."),
            Prop::absent("max_bytes", Kind::Int, "Largest body of an answer. Left out, `outbound.response_bytes` holds."),
            Prop::optional("in_process", Kind::Bool, "true", "Whether a call to this gateway itself runs the policy at once, without a \
                connection. From inside a `Transaction` on an embedded database such a policy may read that database, but not change it."),
            Prop::optional("prefix", Kind::Prefix, "\"httpRouting\"", "What the names of the variables it sets begin with."),
            $($more),*
        ]
    };
}

/// Declares the variables that both assertions set.
macro_rules! routing_sets {
    () => {
        &[
            sets("{response}", "the answer: status, header fields, body"),
            sets(
                "{prefix}.reasonCode",
                "status of the answer; -1 unknown host, -2 a URL that is none or may not be called, -3 no connection in time, -4 no answer in \
                 time, -5 anything else",
            ),
            sets("{prefix}.latency", "how long it took, milliseconds"),
            sets("{prefix}.url", "the URL that was called last"),
        ]
    };
}
use {props, routing_sets};

/// A call as a policy describes it.
struct Route {
    scheme: &'static str,
    url: Expr,
    method: Option<Expr>,
    request: Option<MessageRef>,
    headers: Fields,
    response: MessageRef,
    credentials: Option<(Expr, Expr)>,
    follow_redirects: bool,
    fail_on_error_status: bool,
    timeout: Option<Expr>,
    max_bytes: Option<Expr>,
    in_process: bool,
    /// Alias of the client certificate.
    key: Option<Expr>,
    reason_code: Option<Slot>,
    latency: Option<Slot>,
    called: Option<Slot>,
}

impl Route {
    fn build(p: &mut Build<'_>, scheme: &'static str, key: Option<Expr>) -> Result<Route, Diagnostic> {
        let prefix = p.literal("prefix")?;
        let slot = |p: &mut Build<'_>, name: &str| p.slot(&format!("{prefix}.{name}"));
        let credentials = match (p.optional("user"), p.optional("password")) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            (Some(_), None) => return Err(p.refuse("user", "it needs a `password`")),
            (None, Some(_)) => return Err(p.refuse("password", "it needs a `user`")),
        };
        let response = match p.optional_literal("response")?.as_deref() {
            None => MessageRef::Response,
            Some("request" | "response") => {
                return Err(p.refuse("response", "it must be a variable of the policy; leave it out for `response`"));
            }
            Some(_) => p.message("response")?,
        };
        Ok(Route {
            scheme,
            url: p.value("url"),
            method: p.optional("method"),
            request: if p.has("request") { Some(p.message("request")?) } else { None },
            headers: Fields::new(p.optional("headers")),
            response,
            credentials,
            follow_redirects: p.flag("follow_redirects")?,
            fail_on_error_status: p.flag("fail_on_error_status")?,
            timeout: p.optional("timeout"),
            max_bytes: p.optional("max_bytes"),
            in_process: p.flag("in_process")?,
            key,
            reason_code: slot(p, "reasonCode"),
            latency: slot(p, "latency"),
            called: slot(p, "url"),
        })
    }

    /// What to call with. The outer error is the gateway's own: a key that does not exist.
    fn call(&self, ctx: &Ctx) -> Result<Result<Call, CallError>, Fault> {
        let url = self.url.to_text(ctx);
        let Some(uri) = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some(self.scheme)) else {
            return Ok(Err(CallError::new(Failed::BadUrl, format!("the URL is not of the form {}://host/…", self.scheme))));
        };
        let message = self.request.and_then(|message| ctx.message(message));
        let method = match &self.method {
            Some(method) => method.to_text(ctx).to_ascii_uppercase(),
            None if self.request == Some(MessageRef::Request) => ctx.request.method.to_string(),
            None => if self.request.is_some() { "POST" } else { "GET" }.to_owned(),
        };
        let Ok(method) = method.parse::<Method>() else {
            return Ok(Err(CallError::new(Failed::BadUrl, "the method is none")));
        };
        let (mut headers, body) =
            message.map_or_else(Default::default, |message| (message.headers.clone(), message.body.clone()));
        let given = match self.headers.make(ctx) {
            Ok(given) => given,
            Err(name) => return Ok(Err(CallError::new(Failed::BadUrl, format!("`{name}` is no valid header field")))),
        };
        given.keys().for_each(|name| drop(headers.remove(name)));
        headers.extend(given);
        if let Some((user, password)) = &self.credentials {
            let pair = format!("{}:{}", user.to_text(ctx), password.to_text(ctx));
            let field = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
            if let Ok(mut field) = HeaderValue::from_str(&field) {
                field.set_sensitive(true);
                headers.insert(header::AUTHORIZATION, field);
            }
        }
        let identity = match &self.key {
            Some(alias) => {
                let alias = alias.to_text(ctx).to_string();
                let key = ctx.gateway().keys.certified(&alias)?;
                Some((alias, key))
            }
            None => None,
        };
        let millis = self.timeout.as_ref().and_then(|timeout| super::data::millis(timeout, ctx));
        let timeout = millis.map(|millis| Duration::from_millis(millis.max(1) as u64));
        let max_bytes = self.max_bytes.as_ref().and_then(|max| max.eval(ctx).to_int()).and_then(|max| usize::try_from(max).ok());
        Ok(Ok(Call { uri, method, headers, body, identity, timeout, max_bytes }))
    }

    async fn exchange(&self, mut call: Call, ctx: &Ctx, last: &mut Uri) -> Result<Response<Bytes>, CallError> {
        for _ in 0..=MAX_REDIRECTS {
            *last = call.uri.clone();
            let (method, headers, body) = (call.method.clone(), call.headers.clone(), call.body.clone());
            let (identity, timeout, max_bytes) = (call.identity.clone(), call.timeout, call.max_bytes);
            let answer = if self.in_process && is_own(&call.uri, ctx) {
                in_process(call, ctx).await?
            } else {
                ctx.gateway().outbound.call(call).await?
            };
            let Some(next) = self.follow_redirects.then(|| redirect(&answer, last)).flatten() else { return Ok(answer) };
            call = Call { uri: next, method, headers, body, identity, timeout, max_bytes };
            if call.uri.authority() != last.authority() || call.uri.scheme() != last.scheme() {
                // Credentials are for whom they were given to (RFC 9110, section 15.4).
                call.headers.remove(header::AUTHORIZATION);
                call.headers.remove(header::COOKIE);
                call.identity = None;
            }
            if answer.status().as_u16() <= 303 && call.method != Method::HEAD {
                call.method = Method::GET;
                call.body = Bytes::new();
                call.headers.remove(header::CONTENT_TYPE);
            }
        }
        Err(CallError::new(Failed::Other, "too many redirects"))
    }

    fn keep(&self, answer: Response<Bytes>, ctx: &mut Ctx) {
        let (head, body) = answer.into_parts();
        let message = ctx.message_mut(self.response);
        if self.response == MessageRef::Response {
            // What policies have put there already (CORS, cookies) goes out too.
            head.headers.keys().filter(|name| **name != header::SET_COOKIE).for_each(|name| drop(message.headers.remove(name)));
            for (name, value) in &head.headers {
                message.headers.append(name.clone(), value.clone());
            }
            message.set_body(body);
        } else {
            *message = Message::default();
            message.headers = head.headers;
            message.set_body(body);
        }
        message.status = Some(head.status.as_u16());
    }
}

#[async_trait]
impl AsyncAssertion for Route {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let started = Instant::now();
        let mut last = Uri::default();
        let result = match self.call(ctx)? {
            Ok(call) => self.exchange(call, ctx, &mut last).await,
            Err(error) => Err(error),
        };
        let reason = match &result {
            Ok(answer) => i64::from(answer.status().as_u16()),
            Err(error) => error.failed.code(),
        };
        ctx.set_if(self.reason_code, reason);
        ctx.set_if(self.latency, started.elapsed().as_millis() as i64);
        let called = if last.host().is_some() { SmolStr::from(last.to_string()) } else { self.url.to_text(ctx) };
        ctx.set_if(self.called, called);
        match result {
            Ok(answer) => {
                let status = answer.status();
                self.keep(answer, ctx);
                if self.fail_on_error_status && status.as_u16() >= 400 {
                    return falsified(format!("the answer's status is {}", status.as_u16()));
                }
                HELD
            }
            Err(error) => {
                // Without the query, which may hold secrets.
                let target = format!("{}{}", last.authority().map_or("", |authority| authority.as_str()), last.path());
                tracing::warn!(service = %ctx.service, target, reason, "a call failed: {error}");
                falsified(error.detail)
            }
        }
    }
}

/// Whether a URL leads back to this gateway.
fn is_own(uri: &Uri, ctx: &Ctx) -> bool {
    let properties = &ctx.gateway().properties;
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    let own = ["localhost", "127.0.0.1", "::1"].iter().any(|own| host.eq_ignore_ascii_case(own))
        || properties.get("cluster.hostname").is_some_and(|own| host.eq_ignore_ascii_case(own));
    let (property, default) = if uri.scheme_str() == Some("https") { ("https.port", 443) } else { ("http.port", 80) };
    let port = uri.port_u16().unwrap_or(default);
    own && properties.get(property).and_then(|own| own.parse().ok()) == Some(port)
}

/// Runs a policy of the same generation, as if the call had come over the network.
async fn in_process(call: Call, ctx: &Ctx) -> Result<Response<Bytes>, CallError> {
    if ctx.request.depth >= MAX_DEPTH {
        return Err(CallError::new(Failed::Other, "policies call one another in a circle"));
    }
    let mut request = Request::new(call.method, SmolStr::new(call.uri.path()));
    request.secure = call.uri.scheme_str() == Some("https");
    request.host = SmolStr::new(call.uri.host().unwrap_or("").trim_matches(['[', ']']));
    request.port = call.uri.port_u16().unwrap_or(if request.secure { 443 } else { 80 });
    request.query = call.uri.query().map(SmolStr::new).unwrap_or_default();
    request.depth = ctx.request.depth + 1;
    request.held.clone_from(&ctx.request.held);
    request.held.extend(ctx.transactions.iter().map(|open| open.connection.clone()));
    request.client_certificate = call.identity.and_then(|(alias, _)| ctx.gateway().keys.key(&alias)?.certificate.clone());
    request.message.headers = call.headers;
    request.message.set_body(call.body);
    let site = Arc::clone(&ctx.site);
    let answer = Box::pin(site.handle(request));
    match call.timeout {
        None => Ok(answer.await),
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| CallError::new(Failed::ReadTimeout, format!("no answer within {limit:?}"))),
    }
}

/// Where an answer redirects to.
fn redirect(answer: &Response<Bytes>, from: &Uri) -> Option<Uri> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let next = url::Url::parse(&from.to_string()).ok()?.join(location).ok()?;
    // Never from a protected connection to an open one.
    if from.scheme_str() == Some("https") && next.scheme() != "https" {
        return None;
    }
    next.as_str().parse().ok()
}
