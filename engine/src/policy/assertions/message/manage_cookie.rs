//! `ManageCookie`: cookies of a message, as RFC 6265 writes them.

use std::fmt::Write;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, MessageRef};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::message::field_text;

static SPEC: Spec = Spec {
    name: "ManageCookie",
    category: "message",
    summary: "Sets a cookie with `Set-Cookie` on an answer, sends one with `Cookie` on a request, or removes one from the \
              message. To make a browser forget a cookie, set it with `max_age: 0`. Cookies that a policy sets are this \
              gateway's own: clients' requests are forwarded without them, and other servers' answers cannot set them.",
    props: &[
        Prop::optional("target", Kind::MessageName, Literal::Text("response"), "The message: `response`, `request` or a variable."),
        Prop::optional(
            "operation",
            Kind::OneOf(&["add", "replace", "remove"]),
            Literal::Text("replace"),
            "`add` another cookie, `replace` those of the same name, domain and path, or `remove` all of the name; a literal.",
        ),
        Prop::required("name", Kind::Text, "Name of the cookie."),
        Prop::optional("value", Kind::Text, Literal::Text(""), "Its value."),
        Prop::absent("path", Kind::Text, "Path below which it is sent."),
        Prop::absent("domain", Kind::Text, "Domain it is sent to. Left out: only the host that set it."),
        Prop::absent("max_age", Kind::Duration, "How long it lives. Left out: until the browser closes."),
        Prop::optional("secure", Kind::Bool, Literal::Bool(true), "Whether it is only sent over TLS."),
        Prop::optional("http_only", Kind::Bool, Literal::Bool(true), "Whether scripts cannot see it."),
        Prop::absent("same_site", Kind::OneOf(&["Strict", "Lax", "None"]), "Whether it is sent from other sites."),
        Prop::optional("as", Kind::OneOf(&["auto", "set-cookie", "cookie"]), Literal::Text("auto"), "Which field: `auto` is `Cookie` on \
            the request."),
    ],
    sets: &[],
    fails: &["name, value, path or domain contains characters that would end it", "`max_age` is not a number"],
    examples: &[
        example(
            "a session cookie",
            "ManageCookie(name: \"sid\", value: \"abc\", path: \"/\", max_age: 5m, same_site: \"Lax\")\n\
             set field = ${response.http.header.set-cookie}",
            Expect::Sets("field", "sid=abc; Path=/; Max-Age=300; Secure; HttpOnly; SameSite=Lax"),
        ),
        example(
            "replaced",
            "ManageCookie(name: \"sid\", value: \"a\")\nManageCookie(name: \"sid\", value: \"b\", secure: false, http_only: \
                false)\n\
             set fields = ${response.http.headerValues.set-cookie}",
            Expect::Sets("fields", "sid=b"),
        ),
        example(
            "off a request",
            "AddHeader(name: \"Cookie\", value: \"a=1; sid=2; b=3\")\nManageCookie(target: \"request\", operation: \"remove\", \
                name: \"sid\")\n\
             set field = ${request.http.header.cookie}",
            Expect::Sets("field", "a=1; b=3"),
        ),
        example("an attribute in the value", r#"ManageCookie(name: "sid", value: "a; Domain=evil.example")"#, Expect::Fails),
    ],
    also: &["Manage Cookie"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let target = p.message("target")?;
        let on_request = target == MessageRef::Request;
        let sent = p.choice("as", &[("auto", on_request), ("cookie", true), ("set-cookie", false)])?;
        let name = p.value("name");
        if !sent {
            p.own_cookie(&name);
        }
        Runnable::sync(ManageCookie {
            target,
            operation: p.choice(
                "operation",
                &[("add", Operation::Add), ("replace", Operation::Replace), ("remove", Operation::Remove)],
            )?,
            sent,
            name,
            value: p.value("value"),
            path: p.optional("path"),
            domain: p.optional("domain"),
            max_age: p.optional("max_age"),
            secure: p.value("secure"),
            http_only: p.value("http_only"),
            same_site: p.optional("same_site"),
        })
    },
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Replace,
    Remove,
}

struct ManageCookie {
    target: MessageRef,
    operation: Operation,
    /// In a `Cookie` field, which contains only name and value.
    sent: bool,
    name: Expr,
    value: Expr,
    path: Option<Expr>,
    domain: Option<Expr>,
    max_age: Option<Expr>,
    secure: Expr,
    http_only: Expr,
    same_site: Option<Expr>,
}

impl Assertion for ManageCookie {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.name.to_text(ctx);
        // RFC 6265, section 4.1.1: a name is a token.
        if name.is_empty() || !name.bytes().all(is_token) {
            return falsified("the cookie's name is not a token");
        }
        let value = self.value.to_text(ctx);
        if !value.bytes().all(is_cookie_octet) {
            return falsified("the cookie's value contains characters that would end it");
        }
        let (path, domain) = (attribute(&self.path, ctx), attribute(&self.domain, ctx));
        let clean = |text: &Option<String>| {
            text.iter().all(|text| text.bytes().all(|byte| byte != b';' && (0x20..0x7f).contains(&byte)))
        };
        if !clean(&path) || !clean(&domain) {
            return falsified("the cookie's path or domain contains characters that would end it");
        }
        if self.sent {
            return self.in_request(ctx, &name, &value);
        }
        let field = match self.set_cookie(ctx, &name, &value, &path, &domain) {
            Ok(field) => field,
            Err(reason) => return falsified(reason),
        };
        let headers = &mut ctx.message_mut(self.target).headers;
        match self.operation {
            Operation::Add => {}
            Operation::Remove => retain(headers, |other| other.name != name),
            Operation::Replace => retain(headers, |other| {
                other.name != name || other.path != path.as_deref() || !same_domain(other.domain, domain.as_deref())
            }),
        }
        if self.operation != Operation::Remove {
            headers.append(SET_COOKIE, field);
        }
        HELD
    }
}

impl ManageCookie {
    fn set_cookie(
        &self,
        ctx: &Ctx,
        name: &str,
        value: &str,
        path: &Option<String>,
        domain: &Option<String>,
    ) -> Result<HeaderValue, &'static str> {
        let mut field = format!("{name}={value}");
        if let Some(domain) = domain {
            let _ = write!(field, "; Domain={domain}");
        }
        if let Some(path) = path {
            let _ = write!(field, "; Path={path}");
        }
        if let Some(max_age) = &self.max_age {
            let max_age = max_age.eval(ctx);
            if !max_age.is_empty() {
                let seconds = max_age.to_decimal().ok_or("`max_age` is not a number")?;
                let _ = write!(field, "; Max-Age={}", seconds.max(0.0) as i64);
            }
        }
        if self.secure.eval(ctx).to_bool() == Some(true) {
            field.push_str("; Secure");
        }
        if self.http_only.eval(ctx).to_bool() == Some(true) {
            field.push_str("; HttpOnly");
        }
        if let Some(same_site) = attribute(&self.same_site, ctx) {
            let word = ["Strict", "Lax", "None"].into_iter().find(|word| word.eq_ignore_ascii_case(&same_site));
            let _ = write!(field, "; SameSite={}", word.ok_or("`same_site` is not `Strict`, `Lax` or `None`")?);
        }
        HeaderValue::from_str(&field).map_err(|_| "the cookie is not a header value")
    }

    fn in_request(&self, ctx: &mut Ctx, name: &str, value: &str) -> Verdict {
        let message = ctx.message_mut(self.target);
        if self.operation != Operation::Remove && !message.placed_cookies.contains(&name.into()) {
            message.placed_cookies.push(name.into());
        }
        let headers = &mut message.headers;
        let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
        // As bytes, so that unaffected cookies stay exactly as they were.
        let pairs = fields.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        let pairs = pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
        let same = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().is_some_and(|own| own.trim_ascii() == name.as_bytes());
        let mut kept: Vec<&[u8]> = pairs.filter(|pair| self.operation == Operation::Add || !same(pair)).collect();
        let own = format!("{name}={value}");
        if self.operation != Operation::Remove {
            kept.push(own.as_bytes());
        }
        headers.remove(COOKIE);
        if let (false, Ok(field)) = (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b"; "[..]))) {
            headers.insert(COOKIE, field);
        }
        HELD
    }
}

fn attribute(expr: &Option<Expr>, ctx: &Ctx) -> Option<String> {
    expr.as_ref().map(|expr| expr.text(ctx).into_owned()).filter(|text| !text.is_empty())
}

/// What makes a cookie the same one (RFC 6265, section 5.3, step 11).
struct Identity<'f> {
    name: &'f str,
    path: Option<&'f str>,
    domain: Option<&'f str>,
}

impl<'f> Identity<'f> {
    fn read(field: &'f str) -> Identity<'f> {
        let mut parts = field.split(';').map(str::trim);
        let name = parts.next().and_then(|pair| pair.split('=').next()).unwrap_or("").trim();
        let mut identity = Identity { name, path: None, domain: None };
        for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.to_ascii_lowercase().as_str() {
                "path" => identity.path = Some(value.trim()),
                "domain" => identity.domain = Some(value.trim()),
                _ => {}
            }
        }
        identity
    }
}

fn same_domain(one: Option<&str>, other: Option<&str>) -> bool {
    let plain = |domain: Option<&str>| domain.map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
    plain(one) == plain(other)
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&Identity<'_>) -> bool) {
    let kept = |field: &HeaderValue| keep(&Identity::read(&field_text(field)));
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|field| kept(field)).cloned().collect();
    headers.remove(SET_COOKIE);
    for field in kept {
        headers.append(SET_COOKIE, field);
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 6265, section 4.1.1: no control characters, blanks, quotes, commas, semicolons, backslashes.
fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}
