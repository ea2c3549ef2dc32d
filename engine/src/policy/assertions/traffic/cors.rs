//! `Cors`: requests from pages of other origins (Fetch standard, "CORS protocol").

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "Cors",
    category: "traffic",
    summary: "Decides whether a page of another origin may call, and puts the header fields for its browser on `response`. A \
              request without `Origin` succeeds unchanged. A preflight succeeds, too: answer it with an empty `Respond` if \
              `cors.isPreflight`.",
    props: &[
        Prop::required(
            "origins",
            Kind::Value,
            "Origins that may call: a list such as `[\"https://app.example\", \"https://*.example.com\"]`, or `\"*\"` for any.",
        ),
        Prop::absent("methods", Kind::Value, "List of the methods they may use. Left out: GET, HEAD and POST."),
        Prop::absent("headers", Kind::Value, "List of the request headers they may send, or `\"*\"`. Left out: only the usual \
                                              ones."),
        Prop::absent("expose", Kind::Value, "List of the response headers their scripts may read."),
        Prop::optional("credentials", Kind::Bool, Literal::Bool(false), "Whether requests may carry cookies. Not possible if \
                                                                         any origin may call."),
        Prop::absent("max_age", Kind::Duration, "How long browsers may remember the answer to a preflight."),
    ],
    sets: &[
        sets("cors.isCors", "`true` if the request names an origin"),
        sets("cors.isPreflight", "`true` if it only asks whether another request may follow"),
        sets("cors.allowed", "`true` if the origin may do what it asks for"),
    ],
    fails: &["the origin may not call, or not with this method or these headers", "any origin is allowed with credentials"],
    examples: &[
        example(
            "an origin on the list",
            "AddHeader(name: \"Origin\", value: \"https://app.example\")\nCors(origins: [\"https://app.example\"], credentials: \
                true)\n\
             set seen = \"${cors.isCors} ${cors.isPreflight} ${cors.allowed} \
             ${response.http.header.access-control-allow-origin}\"",
            Expect::Sets("seen", "true false true https://app.example"),
        ),
        example(
            "another one",
            "AddHeader(name: \"Origin\", value: \"https://evil.example\")\nCors(origins: [\"https://app.example\"])",
            Expect::Fails,
        ),
    ],
    also: &["Process CORS Request"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let any = matches!(p.optional_literal("origins"), Ok(Some(origin)) if origin == "*");
        let credentials = matches!(p.optional_literal("credentials"), Ok(Some(word)) if word == "true");
        if any && credentials {
            return Err(p.refuse("credentials", "any origin with credentials would let every page act as its visitor: name the \
                origins"));
        }
        for name in [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
            p.reads().field(&name);
        }
        Runnable::sync(Cors {
            origins: p.value("origins"),
            methods: p.optional("methods"),
            headers: p.optional("headers"),
            expose: p.optional("expose"),
            credentials: p.value("credentials"),
            max_age: p.optional("max_age"),
            is_cors: p.slot("cors.isCors"),
            is_preflight: p.slot("cors.isPreflight"),
            allowed: p.slot("cors.allowed"),
        })
    },
};

struct Cors {
    origins: Expr,
    methods: Option<Expr>,
    headers: Option<Expr>,
    expose: Option<Expr>,
    credentials: Expr,
    max_age: Option<Expr>,
    is_cors: Option<Slot>,
    is_preflight: Option<Slot>,
    allowed: Option<Slot>,
}

impl Assertion for Cors {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let origins = texts(&self.origins, ctx);
        let any = origins.iter().any(|origin| origin == "*");
        let fields: Vec<&HeaderValue> = ctx.request.message.headers.get_all(header::ORIGIN).iter().collect();
        let origin = match fields[..] {
            [] => None,
            [one] => one.to_str().ok().map(str::to_owned).or(Some(String::new())),
            // Two of them match no list.
            _ => Some(String::new()),
        };
        let preflight = origin.is_some()
            && ctx.request.method == http::Method::OPTIONS
            && ctx.request.message.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        ctx.set_if(self.is_cors, origin.is_some());
        ctx.set_if(self.is_preflight, preflight);
        ctx.set_if(self.allowed, false);
        if !any {
            // The answer depends on who asks, so no shared cache may give one origin's answer to another (Fetch, "CORS protocol
            // and HTTP caches").
            vary(&mut ctx.response_mut().headers, "Origin");
        }
        let Some(origin) = origin else { return HELD };
        let credentials = self.credentials.eval(ctx).to_bool() == Some(true);
        if any && credentials {
            return falsified("any origin is allowed with credentials");
        }
        if !any && !origins.iter().any(|allowed| fits(allowed, &origin)) {
            return falsified("the origin may not call");
        }
        let answer = if preflight { self.preflight(ctx) } else { Ok(self.actual(ctx)) };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(reason) => return falsified(reason),
        };
        let Ok(named) = HeaderValue::from_str(if any { "*" } else { &origin }) else { return falsified("the origin may not \
            call") };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, named);
        if credentials {
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if preflight {
            for field in ["Access-Control-Request-Method", "Access-Control-Request-Headers"] {
                vary(&mut ctx.response_mut().headers, field);
            }
        }
        let response = ctx.response_mut();
        for (name, value) in &answer {
            response.headers.insert(name, value.clone());
            // Another server's answer, which knows nothing of this list, must not override it.
            response.place(name);
        }
        ctx.set_if(self.allowed, true);
        HELD
    }
}

impl Cors {
    fn preflight(&self, ctx: &Ctx) -> Result<HeaderMap, &'static str> {
        let asked = |name: HeaderName| ctx.request.message.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let methods = match &self.methods {
            Some(methods) => texts(methods, ctx),
            None => ["GET", "HEAD", "POST"].map(str::to_owned).to_vec(),
        };
        // Methods are case-sensitive, header names are not.
        let method = asked(header::ACCESS_CONTROL_REQUEST_METHOD).trim();
        if !methods.iter().any(|own| own == method) {
            return Err("the origin may not use this method");
        }
        let headers = self.headers.as_ref().map(|headers| texts(headers, ctx)).unwrap_or_default();
        let names: Vec<&str> =
            asked(header::ACCESS_CONTROL_REQUEST_HEADERS).split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let allowed = |name: &str| headers.iter().any(|own| own == "*" || own.eq_ignore_ascii_case(name)) || is_safelisted(name);
        if !names.iter().all(|name| HeaderName::from_bytes(name.as_bytes()).is_ok() && allowed(name)) {
            return Err("the origin may not send these headers");
        }
        let mut answer = HeaderMap::new();
        put(&mut answer, header::ACCESS_CONTROL_ALLOW_METHODS, &methods.join(", "));
        if !names.is_empty() {
            put(&mut answer, header::ACCESS_CONTROL_ALLOW_HEADERS, &names.join(", "));
        }
        if let Some(seconds) = self.max_age.as_ref().and_then(|age| age.eval(ctx).to_decimal()) {
            put(&mut answer, header::ACCESS_CONTROL_MAX_AGE, &(seconds.max(0.0) as i64).to_string());
        }
        Ok(answer)
    }

    fn actual(&self, ctx: &Ctx) -> HeaderMap {
        let mut answer = HeaderMap::new();
        if let Some(expose) = &self.expose {
            put(&mut answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, &texts(expose, ctx).join(", "));
        }
        answer
    }
}

fn texts(list: &Expr, ctx: &Ctx) -> Vec<String> {
    list.eval(ctx).values().iter().map(|value| value.as_text().into_owned()).filter(|text| !text.is_empty()).collect()
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

fn vary(headers: &mut HeaderMap, field: &'static str) {
    let listed = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.split(',').any(|own| own.trim().eq_ignore_ascii_case(field) || own.trim() == "*"))
    };
    if !headers.get_all(header::VARY).iter().any(listed) {
        headers.append(header::VARY, HeaderValue::from_static(field));
    }
}

/// Whether an origin is the allowed one, or below it if the allowed host begins with `*.`. An opaque origin (`null`) must be
/// listed.
pub(crate) fn fits(allowed: &str, origin: &str) -> bool {
    if allowed.eq_ignore_ascii_case(origin) {
        return true;
    }
    let Some((scheme, below)) = allowed.split_once("://*.") else { return false };
    let Some((own, host)) = origin.split_once("://") else { return false };
    let Some(at) = host.len().checked_sub(below.len() + 1) else { return false };
    let (Some(labels), Some(end)) = (host.get(..at), host.get(at..)) else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    own.eq_ignore_ascii_case(scheme)
        && end.strip_prefix('.').is_some_and(|end| end.eq_ignore_ascii_case(below))
        && !labels.is_empty()
        && labels.chars().all(plain)
}

/// Headers every page may send (Fetch, "CORS-safelisted request-header"), as far as names go.
fn is_safelisted(name: &str) -> bool {
    ["accept", "accept-language", "content-language"].iter().any(|own| own.eq_ignore_ascii_case(name))
}
