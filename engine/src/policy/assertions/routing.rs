//! Assertions that call other servers, or other policies of this gateway.

super::catalogue! { route, route_http, route_https }

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, header};
use portcullis_dsl::Diagnostic;
use smol_str::SmolStr;
use url::Host;

use crate::data::fault::{Fault, HELD, Verdict, falsified};
use crate::data::message::Message;
use crate::data::path;
use crate::policy::answer::fields::Fields;
use crate::policy::assertion::{AsyncAssertion, Build};
use crate::policy::ctx::{Ctx, MessageRef, Slot};
use crate::policy::expr::Expr;
use crate::policy::request::Request;
use crate::services::outbound::fields::{self, OwnCookies};
use crate::services::outbound::{Call, CallError, Failed, Target, is_localhost, is_loopback};
use crate::services::telemetry::{Attribute, Side, Span, TRACEPARENT, TRACESTATE, unix_nanos};

/// Most redirects to follow, if requested.
const MAX_REDIRECTS: usize = 5;
/// Most nested calls of policies within the gateway; more must be a cycle.
const MAX_DEPTH: u8 = 8;

/// Declares the properties that all of them have.
macro_rules! props {
    ($($more:expr),* $(,)?) => {
        &[
            Prop::required("url", Kind::Text, "Where to."),
            Prop::absent("method", Kind::Text, "HTTP method. Left out: the request's own when `request: \"request\"` is forwarded, `POST` for \
                another message, otherwise `GET`."),
            Prop::absent("request", Kind::MessageName, "The message whose header fields and body are sent. Left out: only what \
                                                        is named here is sent. To forward what the client sent, write `request: \
                                                        \"request\"`; fields that are not for the called server are left out, \
                                                        see `forward`."),
            Prop::absent("headers", Kind::Object, "Header fields to send; they replace those of the same name in the message. \
                                                   They arrive whatever the client sent."),
            Prop::absent("forward", Kind::Value, "Names of the client's fields to forward although they are meant for this \
                                                  gateway: `[\"authorization\"]`. Not forwarded by default are credentials \
                                                  (`Authorization`, `Proxy-Authorization`), the gateway's own cookies (`cookie` \
                                                  here forwards all of them), what proxies say about the client or its request \
                                                  (`X-Forwarded-…`, `Client-Cert`, `X-HTTP-Method-Override`, `X-Original-URL` \
                                                  and the like), and names with characters other than letters, digits and \
                                                  hyphens."),
            Prop::absent("response", Kind::MessageName, "The message variable that takes the answer. Left out: the answer \
                                                         becomes this gateway's own response."),
            Prop::absent("user", Kind::Text, "User name for HTTP Basic."),
            Prop::absent("password", Kind::Text, "Password for HTTP Basic."),
            Prop::optional("follow_redirects", Kind::Bool, portcullis_dsl::spec::Literal::Bool(false), "Whether redirects are followed, \
                at most five. Fields that the policy set and the body are not sent to another origin."),
            Prop::optional("fail_on_error_status", Kind::Bool, portcullis_dsl::spec::Literal::Bool(true), "Whether it fails if the \
                answer's status is 400 or more."),
            Prop::absent("timeout", Kind::Duration, "Longest wait for the answer. Left out: `outbound.read_timeout` of \
                                                     `gateway.yaml`."),
            Prop::absent("max_bytes", Kind::Int, "Largest body of an answer. Left out: `outbound.response_bytes`."),
            Prop::optional("in_process", Kind::Bool, portcullis_dsl::spec::Literal::Bool(true), "Whether a call to this gateway itself runs the policy at once, without a \
                connection. From inside a `Transaction` on an embedded database such a policy may read that database, but not change it."),
            Prop::optional("repeatable", Kind::Bool, portcullis_dsl::spec::Literal::Bool(false), "Whether the server may get the call twice: \
                it is made once more if the connection breaks before the whole answer has come. Nothing is repeated after `timeout`, or where no \
                connection could be made."),
            Prop::optional("public_only", Kind::Bool, portcullis_dsl::spec::Literal::Bool(false), "`true` where a client chose the URL: then \
                this machine, private networks and addresses that belong to no single machine are called only where \
                `outbound.client_targets` of `gateway.yaml` names them. A literal."),
            Prop::optional("prefix", Kind::Prefix, portcullis_dsl::spec::Literal::Text("httpRouting"), "Prefix of the variables it sets."),
            $($more),*
        ]
    };
}

/// Declares the properties of those that call over TLS.
macro_rules! secure_props {
    ($($more:expr),* $(,)?) => {
        super::props![
            Prop::absent("key", Kind::Key, "Alias of the private key whose certificate is shown to the server; may be an expression."),
            Prop::absent("trust", Kind::Trust, "The trusted certificates that count for this call, by the names of their files in \
                `keys/trusted/`: the server must show one of them, or one that was issued below one of them. Left out: all that the \
                gateway trusts. A call to this gateway itself then goes over a connection, too."),
            $($more),*
        ]
    };
}

/// Declares the variables that all of them set.
macro_rules! routing_sets {
    () => {
        &[
            sets("{response}", "the answer: status, header fields, body"),
            sets(
                "{prefix}.reasonCode",
                "status of the answer; -1 unknown host, -2 not a URL, or one that may not be called, -3 no connection in time, -4 no answer in \
                 time, -5 anything else",
            ),
            sets("{prefix}.latency", "how long it took, milliseconds"),
            sets("{prefix}.url", "the URL called last"),
        ]
    };
}
use {props, routing_sets, secure_props};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schemes {
    /// `http://`
    Plain,
    /// `https://`
    Secure,
    /// Either, as the URL says.
    Either,
}

impl Schemes {
    fn has(self, scheme: &str) -> bool {
        match scheme {
            "http" => self != Schemes::Secure,
            "https" => self != Schemes::Plain,
            _ => false,
        }
    }

    /// The form of the URLs.
    fn form(self) -> &'static str {
        match self {
            Schemes::Plain => "http://host/…",
            Schemes::Secure => "https://host/…",
            Schemes::Either => "https://host/… or http://host/…",
        }
    }
}

/// A call as a policy describes it.
struct Route {
    schemes: Schemes,
    url: Expr,
    method: Option<Expr>,
    request: Option<MessageRef>,
    headers: Fields,
    forward: Option<Expr>,
    response: MessageRef,
    credentials: Option<(Expr, Expr)>,
    follow_redirects: bool,
    fail_on_error_status: bool,
    timeout: Option<Expr>,
    max_bytes: Option<Expr>,
    in_process: bool,
    repeatable: Expr,
    public_only: bool,
    /// Alias of the client certificate.
    key: Option<Expr>,
    /// Names of the trusted certificates that count.
    trust: Option<Arc<[SmolStr]>>,
    reason_code: Option<Slot>,
    latency: Option<Slot>,
    called: Option<Slot>,
}

impl Route {
    /// `schemes` is told the scheme that is written in the policy, if it is.
    fn build(p: &mut Build<'_>, schemes: impl FnOnce(Option<&str>) -> Schemes) -> Result<Route, Diagnostic> {
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
        let headers = Fields::new(p.optional("headers"));
        if let Some(name) = headers.names().iter().find(|name| fields::is_of_connection(name)) {
            return Err(p.refuse("headers", &format!("`{name}` belongs to the connection; the gateway writes it itself")));
        }
        let url = p.value("url");
        let written = url.beginning().and_then(|text| text.split_once("://")).map(|(scheme, _)| scheme);
        let schemes = schemes(written);
        if let Some(other) = written.filter(|scheme| !schemes.has(scheme)) {
            let takes = match other {
                "http" => "; `RouteHttp` calls http://",
                "https" => "; `RouteHttps` calls https://",
                _ => "",
            };
            return Err(p.refuse("url", &format!("it calls addresses of the form {}{takes}", schemes.form())));
        }
        let secure = schemes != Schemes::Plain;
        let key = if secure { p.optional("key") } else { None };
        let trust =
            if secure && p.has("trust") { Some(p.texts("trust")?.into_iter().map(SmolStr::from).collect()) } else { None };
        if written == Some("http")
            && let Some(name) = ["key", "trust"].into_iter().find(|name| secure && p.has(name))
        {
            return Err(p.refuse(name, "it is for https://, and the URL is http://"));
        }
        Ok(Route {
            schemes,
            url,
            method: p.optional("method"),
            request: if p.has("request") { Some(p.message("request")?) } else { None },
            headers,
            forward: p.optional("forward"),
            response,
            credentials,
            follow_redirects: p.flag("follow_redirects")?,
            fail_on_error_status: p.flag("fail_on_error_status")?,
            timeout: p.optional("timeout"),
            max_bytes: p.optional("max_bytes"),
            in_process: p.flag("in_process")?,
            repeatable: p.value("repeatable"),
            public_only: p.flag("public_only")?,
            key,
            trust,
            reason_code: slot(p, "reasonCode"),
            latency: slot(p, "latency"),
            called: slot(p, "url"),
        })
    }

    /// Everything needed for the call. The outer error is the gateway's own: a key that does not exist.
    fn call(&self, ctx: &Ctx) -> Result<Result<Call, CallError>, Fault> {
        let refuse = |why: String| Ok(Err(CallError::new(Failed::BadUrl, why)));
        let url = self.url.to_text(ctx);
        let Some(uri) = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str().is_some_and(|scheme| self.schemes.has(scheme)))
        else {
            return refuse(format!("the URL is not of the form {}", self.schemes.form()));
        };
        let secure = uri.scheme_str() == Some("https");
        let message = self.request.and_then(|message| ctx.message(message));
        let method = match &self.method {
            Some(method) => method.to_text(ctx).to_ascii_uppercase(),
            None if self.request == Some(MessageRef::Request) => ctx.request.method.to_string(),
            None => if self.request.is_some() { "POST" } else { "GET" }.to_owned(),
        };
        let Ok(method) = method.parse::<Method>() else { return refuse("the method is not valid".to_owned()) };
        let received = message.as_ref().is_some_and(|message| message.received);
        let (mut headers, body) = match message {
            Some(message) => (fields::sent_on(&message, &self.forwarded(ctx), &own_cookies(ctx)), message.body.clone()),
            None => Default::default(),
        };
        let mut set = match self.headers.make(ctx) {
            Ok(set) => set,
            Err(error) => return refuse(error.to_string()),
        };
        if let Some(name) = set.keys().find(|name| fields::is_of_connection(name)) {
            return refuse(format!("`{name}` belongs to the connection; no policy can set it"));
        }
        // Fields that the policy put on the message itself count as set by it, too.
        if let Some(message) = self.request.and_then(|message| ctx.message(message)) {
            for name in &message.placed {
                if !set.contains_key(name) && !fields::is_of_connection(name) {
                    for value in message.headers.get_all(name) {
                        set.append(name, value.clone());
                    }
                }
            }
        }
        correlate(ctx, &mut headers, &mut set, received);
        if let Some((user, password)) = &self.credentials {
            let pair = format!("{}:{}", user.to_text(ctx), password.to_text(ctx));
            let field = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
            if let Ok(mut field) = HeaderValue::from_str(&field) {
                field.set_sensitive(true);
                set.insert(header::AUTHORIZATION, field);
            }
        }
        let identity = match &self.key {
            Some(alias) if secure => {
                let alias = alias.to_text(ctx).to_string();
                let key = ctx.services().keys.certified(&alias)?;
                Some((alias, key))
            }
            Some(_) | None => None,
        };
        let millis = self.timeout.as_ref().and_then(|timeout| super::data::millis(timeout, ctx));
        let timeout = millis.map(|millis| Duration::from_millis(millis.max(1) as u64));
        let max_bytes = self.max_bytes.as_ref().and_then(|max| max.eval(ctx).to_int()).and_then(|max| usize::try_from(max).ok());
        let trust = self.trust.clone();
        Ok(Ok(Call { uri, method, headers, set, body, identity, trust, timeout, max_bytes, public_only: self.public_only }))
    }

    /// Names of the client's fields to forward although they are meant for the gateway.
    fn forwarded(&self, ctx: &Ctx) -> Vec<HeaderName> {
        let Some(names) = &self.forward else { return Vec::new() };
        names.eval(ctx).values().iter().filter_map(|name| HeaderName::from_bytes(name.as_text().trim().as_bytes()).ok()).collect()
    }

    async fn exchange(&self, mut call: Call, ctx: &Ctx, last: &mut Uri) -> Result<(Response<Bytes>, From), CallError> {
        for _ in 0..=MAX_REDIRECTS {
            *last = call.uri.clone();
            if path::leads_up(call.uri.path()) {
                return Err(CallError::new(Failed::BadUrl, "the URL's path contains `..`, perhaps escaped"));
            }
            let target = ctx.services().outbound.check(&call.uri, self.public_only)?;
            call.uri = target.uri.clone();
            // In process nobody shows a certificate, so a list of trusted ones would mean nothing.
            let shows = call.trust.is_some() && target.uri.scheme_str() == Some("https");
            let (answer, from) = if self.in_process && !shows && is_own(&target, ctx) {
                ctx.services().outbound.admit(&target, self.public_only).await?;
                let answer = in_process(call.clone(), ctx).await?;
                if call.max_bytes.is_some_and(|most| answer.body().len() > most) {
                    return Err(CallError::new(Failed::Other, "the answer is larger than `max_bytes`"));
                }
                (answer, From::Ourselves)
            } else {
                let answer = match traced(ctx, &target, call.clone()).await {
                    Err(error) if error.broken && self.repeatable.eval(ctx).to_bool() == Some(true) => {
                        traced(ctx, &target, call.clone()).await
                    }
                    answer => answer,
                };
                (answer?, From::Another)
            };
            let Some(next) = self.follow_redirects.then(|| redirect(&answer, last)).flatten() else { return Ok((answer, from)) };
            call.uri = next;
            if answer.status().as_u16() <= 303 && call.method != Method::HEAD {
                call.method = Method::GET;
                call.body = Bytes::new();
                call.headers.remove(header::CONTENT_TYPE);
                call.set.remove(header::CONTENT_TYPE);
            }
            if !ctx.services().outbound.check(&call.uri, self.public_only)?.same_origin(&target) {
                // What was given to one server is for that server only (RFC 9110, section 15.4), above all credentials. Only the
                // policy knows which fields are credentials.
                if !call.body.is_empty() {
                    return Err(CallError::new(Failed::Other, "a redirect would send the body to another origin"));
                }
                call.headers = harmless(&call.headers);
                call.set = HeaderMap::new();
                call.identity = None;
            }
        }
        Err(CallError::new(Failed::Other, "too many redirects"))
    }

    fn keep(&self, (answer, from): (Response<Bytes>, From), ctx: &mut Ctx) {
        let (mut head, body) = answer.into_parts();
        if from == From::Another && self.response == MessageRef::Response {
            without_own_cookies(&mut head.headers, ctx);
        }
        let message = ctx.message_mut(self.response);
        if self.response == MessageRef::Response {
            // Fields that policies already put there (CORS, cookies) also go out, and replace those of the answer.
            let adds_up = |name: &HeaderName| *name == header::SET_COOKIE || *name == header::VARY;
            let placed = message.placed.clone();
            head.headers.keys().filter(|name| !adds_up(name) && !placed.contains(name)).for_each(|name| {
                message.headers.remove(name);
            });
            for (name, value) in head.headers.iter().filter(|(name, _)| adds_up(name) || !placed.contains(name)) {
                message.headers.append(name.clone(), value.clone());
            }
            message.set_body(body);
        } else {
            *message = Message::default();
            message.headers = head.headers;
            message.set_body(body);
        }
        message.status = Some(head.status.as_u16());
        if self.response == MessageRef::Response {
            // The last answer counts.
            ctx.draft = None;
        }
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
            Ok((answer, _)) => i64::from(answer.status().as_u16()),
            Err(error) => error.failed.code(),
        };
        ctx.set_if(self.reason_code, reason);
        ctx.set_if(self.latency, started.elapsed().as_millis() as i64);
        let called = if last.host().is_some() { SmolStr::from(last.to_string()) } else { self.url.to_text(ctx) };
        ctx.set_if(self.called, called);
        match result {
            Ok(answer) => {
                let status = answer.0.status();
                self.keep(answer, ctx);
                if self.fail_on_error_status && status.as_u16() >= 400 {
                    return falsified(format!("the answer's status is {}", status.as_u16()));
                }
                HELD
            }
            Err(error) => {
                // Without the query, which may contain secrets.
                let target = format!("{}{}", last.authority().map_or("", |authority| authority.as_str()), last.path());
                tracing::warn!(service = %ctx.service, target, reason, "a call failed: {error}");
                falsified(error.detail)
            }
        }
    }
}

/// Tells the called server which request this is about and, if the client's own request is forwarded, from whom, how and for
/// which host it came. The policy's own fields win.
fn correlate(ctx: &Ctx, headers: &mut HeaderMap, set: &mut HeaderMap, received: bool) {
    let correlation = ctx.request.correlation();
    correlation.send(set);
    if correlation.trace().is_none() && !set.contains_key(&TRACEPARENT) {
        // An unreadable field, or several: the rest must not be used either.
        headers.remove(&TRACEPARENT);
        headers.remove(&TRACESTATE);
    }
    let request = &ctx.request;
    if received && !request.host.is_empty() {
        let (client, port) =
            (request.remote.ip().to_canonical(), (request.port != request.default_port()).then_some(request.port));
        let host = if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.to_string() };
        let host = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let scheme = if request.secure { "https" } else { "http" };
        for (name, value) in fields::forwarded(ctx.services().outbound.forwarded(), client, &host, scheme) {
            if !set.contains_key(&name) && !headers.contains_key(&name) {
                set.insert(name, value);
            }
        }
    }
}

/// Calls another server, in a span of its own where the request is traced.
async fn traced(ctx: &Ctx, target: &Target, mut call: Call) -> Result<Response<Bytes>, CallError> {
    let services = ctx.services();
    let here = ctx.request.correlation().trace().filter(|trace| trace.sampled);
    let (Some(tracer), Some(here)) = (&services.tracer, here) else { return services.outbound.call(call).await };
    let at = tracer.child(here);
    // What a policy says stands.
    if call.set.get(&TRACEPARENT).is_some_and(|own| own.as_bytes() == here.text().as_bytes())
        && let Ok(text) = HeaderValue::from_str(&at.text())
    {
        call.set.insert(TRACEPARENT, text);
    }
    let method = call.method.clone();
    let began = unix_nanos();
    let answer = services.outbound.call(call).await;
    let text = |name: &'static str, text: &str| (SmolStr::new_static(name), Attribute::Text(text.into()));
    let outcome = match &answer {
        Ok(answer) => ("http.response.status_code".into(), i64::from(answer.status().as_u16()).into()),
        Err(error) => text("error.type", error.failed.word()),
    };
    let attributes = vec![
        text("http.request.method", method.as_str()),
        text("server.address", &target.host.to_string()),
        ("server.port".into(), i64::from(target.port).into()),
        outcome,
    ];
    tracer.end(Span {
        at,
        parent: Some(here.span),
        side: Side::Client,
        name: method.as_str().into(),
        began,
        ended: unix_nanos(),
        failed: answer.as_ref().map_or(true, |answer| answer.status().as_u16() >= 400),
        attributes,
    });
    answer
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// That of a policy of this gateway, run in process.
    Ourselves,
    /// That of another server.
    Another,
}

fn own_cookies(ctx: &Ctx) -> OwnCookies<'_> {
    OwnCookies { policies: ctx.environment.own_cookies(), settings: ctx.services().outbound.own_cookies() }
}

/// Removes cookies with which another server could sign users of this gateway in or out.
fn without_own_cookies(headers: &mut HeaderMap, ctx: &Ctx) {
    let own = own_cookies(ctx);
    let fields = headers.get_all(header::SET_COOKIE);
    if fields.iter().any(|field| own.set_by(field)) {
        let kept: Vec<HeaderValue> = fields.iter().filter(|field| !own.set_by(field)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for field in kept {
            headers.append(header::SET_COOKIE, field);
        }
        tracing::warn!(service = %ctx.service, "an answer would set one of this gateway's own cookies; the cookie is removed");
    }
}

/// The fields that may go to a server for which the message was not meant: those that say which answer is wanted.
fn harmless(headers: &HeaderMap) -> HeaderMap {
    let kept = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];
    headers.iter().filter(|(name, _)| kept.contains(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a URL leads back to this gateway.
fn is_own(target: &Target, ctx: &Ctx) -> bool {
    let properties = &ctx.services().properties;
    let own = match &target.host {
        Host::Domain(name) => {
            is_localhost(name) || properties.get("cluster.hostname").is_some_and(|own| name.eq_ignore_ascii_case(own))
        }
        Host::Ipv4(address) => is_loopback((*address).into()),
        Host::Ipv6(address) => is_loopback((*address).into()),
    };
    let own = own || properties.get("cluster.hostname").is_some_and(|own| target.host.to_string() == own.as_str());
    let property = if target.uri.scheme_str() == Some("https") { "https.port" } else { "http.port" };
    own && properties.get(property).and_then(|own| own.parse().ok()) == Some(target.port)
}

/// Runs a policy of the same generation as if the call had come over the network from the client's address, because limits and
/// trust by address mean the client's.
async fn in_process(call: Call, ctx: &Ctx) -> Result<Response<Bytes>, CallError> {
    if ctx.request.depth >= MAX_DEPTH {
        return Err(CallError::new(Failed::Other, "policies call one another in a cycle"));
    }
    let headers = call.fields();
    let request = Request::new(call.method, SmolStr::new(call.uri.path()));
    let mut request = request.with(ctx.request.correlation().clone());
    request.remote = ctx.request.remote;
    request.secure = call.uri.scheme_str() == Some("https");
    request.host = SmolStr::new(call.uri.host().unwrap_or("").trim_matches(['[', ']']));
    request.port = call.uri.port_u16().unwrap_or(request.default_port());
    request.query = call.uri.query().map(SmolStr::new).unwrap_or_default();
    request.depth = ctx.request.depth + 1;
    request.held.clone_from(&ctx.request.held);
    request.held.extend(ctx.transactions.iter().map(|open| open.connection.clone()));
    request.client_certificate = call.identity.and_then(|(alias, _)| ctx.services().keys.key(&alias)?.certificate.clone());
    request.message.headers = headers;
    request.message.received = true;
    request.message.set_body(call.body);
    let answer = Arc::clone(&ctx.environment).answer(request);
    match call.timeout {
        None => Ok(answer.await),
        Some(limit) => tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| CallError::new(Failed::ReadTimeout, format!("no answer within {limit:?}"))),
    }
}

/// The target of a redirect.
fn redirect(answer: &Response<Bytes>, from: &Uri) -> Option<Uri> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let next = url::Url::parse(&from.to_string()).ok()?.join(location).ok()?;
    // Never from HTTPS to plain HTTP.
    if from.scheme_str() == Some("https") && next.scheme() != "https" {
        return None;
    }
    next.as_str().parse().ok()
}
