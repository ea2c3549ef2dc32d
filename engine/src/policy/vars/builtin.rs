//! The built-in variables, which a policy can read without setting them. One table with a row for each; the compiler, the
//! reference page and the executor all use it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::Builtin;
use smol_str::SmolStr;

use super::Selector;
use super::selector::{MessageSelector as Part, TimeSelector, cookies, header_name};
use crate::data::principal::User;
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::expr::View;
use crate::policy::reads::Reads;
use crate::policy::request::Request;

/// Up to this number, parameters are counted without a map.
const FEW: usize = 32;

/// A built-in variable, or a family of them.
struct Variable {
    /// Its description for authors.
    spec: Builtin,
    read: Read,
    /// What it reads of the request, if its accessor does not show that.
    notes: fn(&mut Reads),
}

/// How it is read.
enum Read {
    /// Text that is there as it is read.
    Text(TextRead),
    /// A value.
    Value(fn(&Ctx) -> Value),
    /// Like this.
    As(fn() -> Accessor),
    /// By the rest of the name, in the author's spelling; `None` when there is no such variable.
    Family(fn(&str) -> Option<Accessor>),
}

/// A built-in as the executor reads it.
#[derive(Clone)]
pub enum Accessor {
    /// Text that is there as it is read.
    Text(TextRead),
    /// Text under a name.
    TextOf(for<'a> fn(&'a Ctx, &str) -> Option<&'a str>, SmolStr),
    /// A value.
    Value(fn(&Ctx) -> Value),
    /// A value under a name.
    ValueOf(fn(&Ctx, &str) -> Value, SmolStr),
    /// A part of the request's message.
    Request(Part),
    /// A part of the response's message.
    Response(Part),
    /// A part of the client's certificate.
    ClientCertificate(Selector),
    /// Now.
    Now(TimeSelector),
    /// Name of the policy; the compiler inserts the constant.
    PolicyName,
}

use Accessor as A;
use Type::{Boolean, Certificate, DateTime, Int, Json, List, String as Text};

type TextRead = for<'a> fn(&'a Ctx) -> &'a str;

const fn row(name: &'static str, ty: Type, doc: &'static str, read: Read, notes: fn(&mut Reads)) -> Variable {
    Variable { spec: Builtin { name, ty, writable: false, doc }, read, notes }
}

const fn plain(name: &'static str, ty: Type, doc: &'static str, accessor: fn() -> Accessor) -> Variable {
    row(name, ty, doc, Read::As(accessor), |_| {})
}

const fn text(name: &'static str, doc: &'static str, read: TextRead) -> Variable {
    row(name, Text, doc, Read::Text(read), |_| {})
}

const fn value(name: &'static str, ty: Type, doc: &'static str, read: fn(&Ctx) -> Value) -> Variable {
    row(name, ty, doc, Read::Value(read), |_| {})
}

const fn family(name: &'static str, ty: Type, doc: &'static str, read: fn(&str) -> Option<Accessor>) -> Variable {
    row(name, ty, doc, Read::Family(read), |_| {})
}

/// The built-ins. `.*` stands for any name. Adding one is adding a row.
#[rustfmt::skip]
static BUILTINS: &[Variable] = &[
    value("request", Type::Message, "the request as a message", |ctx| Value::Message(ctx.request.message.clone().into())),
    plain("request.mainpart", Text, "body as text", || A::Request(Part::Mainpart)),
    plain("request.json", Json, "body as JSON; undefined if it is not, or an object in it has a name twice", || A::Request(Part::Json(None))),
    family("request.json.*", Json, "member of that JSON: `request.json.user.name`", |name| Some(A::Request(Part::Json(Some(name.into()))))),
    plain("request.contentType", Text, "`Content-Type` in one spelling: `text/xml;charset=UTF-8`", || A::Request(Part::ContentType)),
    plain("request.size", Int, "bytes of the body", || A::Request(Part::Size)),
    value("request.id", Text, "identifier of the request: in the log, in audit records, in `X-Request-Id` of the answer", |ctx| Value::Text(ctx.request.id().clone())),
    value("request.refused.status", Int, "status with which the gateway itself refuses the request, before the service's policy: 400, 405, 408, 413, 431, 503. Only the service's error assertion runs then. 503 also where the policy broke off because a database, or what it declared `Unavailable`, does not answer. Otherwise it is undefined", |ctx| ctx.refused.as_ref().map_or(Value::Undefined, |refused| Value::Int(i64::from(refused.status.as_u16())))),
    value("request.refused.reason", Text, "why, for the client", |ctx| ctx.refused.as_ref().map_or(Value::Undefined, |refused| Value::from(refused.reason.as_str()))),
    value("request.time", DateTime, "when it arrived", |ctx| Value::Time(ctx.now_millis() - elapsed(ctx))),
    value("request.elapsedTime", Int, "milliseconds since it arrived", |ctx| Value::Int(elapsed(ctx))),
    value("request.clientid", Text, "address of the peer: the usual key of a rate limit", peer),
    value("request.tcp.remoteAddress", Text, "address of the peer", peer),
    value("request.url", Text, "the whole URL", |ctx| Value::from(ctx.request.url())),
    text("request.url.host", "host the request was sent to", |ctx| &ctx.request.host),
    value("request.url.port", Int, "port the request was sent to", |ctx| Value::Int(i64::from(ctx.request.port))),
    text("request.url.path", "path, percent-escapes untouched", |ctx| &ctx.request.path),
    text("request.url.protocol", "`https` or `http`", |ctx| if ctx.request.secure { "https" } else { "http" }),
    text("request.url.query", "query without the question mark", |ctx| &ctx.request.query),
    value("request.url.file", Text, "path and query", |ctx| Value::from(file(&ctx.request))),
    text("request.path.rest", "what `*` in the service's path matched", |ctx| &ctx.request.path_rest),
    text("request.http.method", "method", |ctx| ctx.request.method.as_str()),
    text("request.http.version", "`1.1`, `2.0`", |ctx| version(&ctx.request)),
    value("request.http.secure", Boolean, "`true` over TLS", |ctx| Value::Bool(ctx.request.secure)),
    family("request.http.header.*", Text, "first header of this name", |name| Some(A::Request(Part::Header(header_name(name)?)))),
    family("request.http.headerValues.*", List, "all headers of this name", |name| Some(A::Request(Part::HeaderValues(header_name(name)?)))),
    plain("request.http.headerNames", List, "names of all headers", || A::Request(Part::HeaderNames)),
    row("request.http.parameter.*", Text, "first parameter of this name, in the URL or else in the form", Read::Family(|name| {
        Some(A::TextOf(|ctx, name| Some(ctx.request.parameter(name)?), name.into()))
    }), Reads::parameters),
    row("request.http.parameters.*", List, "all parameters of this name, those of the URL first", Read::Family(|name| {
        Some(A::ValueOf(|ctx, name| texts(ctx.request.parameters(name)), name.into()))
    }), Reads::parameters),
    row("request.http.parameterNames", List, "names of all parameters", Read::Value(|ctx| {
        texts(parameter_names(&ctx.request).into_iter().map(|(name, _)| name))
    }), Reads::parameters),
    row("request.http.duplicateParameters", List, "names that occur more than once in URL and form together", Read::Value(|ctx| {
        texts(parameter_names(&ctx.request).into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name))
    }), Reads::parameters),
    row("request.http.malformedParameters", Boolean, "`true` if URL or form contain a broken percent-escape or UTF-8 sequence, \
                                                      or a NUL", Read::Value(|ctx| {
        Value::Bool(ctx.request.query_parameters().is_malformed() || ctx.request.message.form().is_malformed())
    }), Reads::malformed),
    row("request.http.query.*", Text, "first URL parameter of this name", Read::Family(|name| {
        Some(A::TextOf(|ctx, name| Some(ctx.request.query_parameters().first(name)?), name.into()))
    }), Reads::parameters),
    row("request.http.queryValues.*", List, "all URL parameters of this name", Read::Family(|name| {
        Some(A::ValueOf(|ctx, name| texts(ctx.request.query_parameters().all(name)), name.into()))
    }), Reads::parameters),
    family("request.http.form.*", Text, "first form field of this name", |name| Some(A::Request(Part::Form(name.into())))),
    family("request.http.formValues.*", List, "all form fields of this name", |name| Some(A::Request(Part::FormValues(name.into())))),
    family("request.http.cookies.*", Text, "value of the cookie of this name", |name| Some(A::Request(Part::Cookie(name.into())))),
    family("request.http.cookie.*", Text, "the same", |name| Some(A::Request(Part::Cookie(name.into())))),
    family("request.http.cookieValues.*", List, "values of all cookies of this name", |name| Some(A::Request(Part::CookieValues(name.into())))),
    plain("request.http.cookieNames", List, "names of all cookies", || A::Request(Part::CookieNames)),
    value("request.authenticatedUser", Text, "name of the user authenticated last", |ctx| user(ctx, |user| &user.name)),
    value("request.authenticatedUser.id", Text, "identifier of that user at its provider", |ctx| user(ctx, |user| &user.id)),
    value("request.authenticatedUser.providerId", Text, "the provider's name", |ctx| user(ctx, |user| &user.provider)),
    value("request.authenticatedUsers", List, "names of all users authenticated in this request", |ctx| texts(ctx.users.iter().map(|user| &user.name))),
    value("request.ssl.clientCertificate", Certificate, "certificate the client presented", |ctx| client_certificate(ctx).unwrap_or_default()),
    family("request.ssl.clientCertificate.*", Text, "part of that certificate, e.g. `.subject`", |part| Some(A::ClientCertificate(Selector::parse(part)?))),
    value("response", Type::Message, "the answer as a message: what was drafted, or what another server answered", |ctx| Value::Message(ctx.answer().into_owned().into())),
    plain("response.mainpart", Text, "its body as text", || A::Response(Part::Mainpart)),
    plain("response.json", Json, "its body as JSON", || A::Response(Part::Json(None))),
    family("response.json.*", Json, "member of that JSON", |name| Some(A::Response(Part::Json(Some(name.into()))))),
    plain("response.contentType", Text, "its `Content-Type` in one spelling", || A::Response(Part::ContentType)),
    plain("response.http.status", Int, "its status", || A::Response(Part::Status)),
    family("response.http.header.*", Text, "its first header of this name", |name| Some(A::Response(Part::Header(header_name(name)?)))),
    family("response.http.headerValues.*", List, "all its headers of this name", |name| Some(A::Response(Part::HeaderValues(header_name(name)?)))),
    plain("response.http.headerNames", List, "names of all its headers", || A::Response(Part::HeaderNames)),
    family("response.http.cookies.*", Text, "value of a cookie it sets", |name| Some(A::Response(Part::Cookie(name.into())))),
    family("response.http.cookie.*", Text, "the same", |name| Some(A::Response(Part::Cookie(name.into())))),
    family("response.http.cookieValues.*", List, "values of all cookies of this name that it sets", |name| Some(A::Response(Part::CookieValues(name.into())))),
    plain("response.http.cookieNames", List, "names of the cookies it sets", || A::Response(Part::CookieNames)),
    plain("response.size", Int, "bytes of its body", || A::Response(Part::Size)),
    value("gateway.time", DateTime, "now", |ctx| Value::Time(ctx.now_millis())),
    family("gateway.time.*", Text, "now, as `seconds`, `millis`, `utc`, `rfc1123`, or by a pattern as in `format_time`, in UTC: `gateway.time.yyyy-MM-dd`", |form| Some(A::Now(TimeSelector::of_moment(form)?))),
    value("gateway.security", Text, "`standard` or `strict`: `security` in `gateway.yaml`", |ctx| Value::from(ctx.services().security.word())),
    value("gateway.services", List, "names of the services that are served", |ctx| texts(ctx.environment.served().into_iter())),
    value("gateway.identityProviders", List, "names of the identity providers of `gateway.yaml`", |ctx| Value::list(ctx.services().identity.names().map(Value::from))),
    value("gateway.report", Json, "what the gateway says of itself, as `/status` does, with the file of each service and those that customize it; databases are named, not asked", |ctx| crate::data::json::value(&ctx.services().report.now())),
    family("gateway.*", Text, "a property of `gateway.yaml`; undefined if there is none of that name", |name| {
        Some(A::ValueOf(|ctx, name| Value::from(ctx.services().properties.get(name).cloned()), name.to_ascii_lowercase().into()))
    }),
    value("service.name", Text, "name of the running service", |ctx| Value::Text(ctx.service.clone())),
    value("service.path", Text, "its path with the instance modifier", |ctx| Value::from(ctx.environment.service_path(&ctx.service))),
    value("service.resolutionUri", Text, "the same", |ctx| Value::from(ctx.environment.service_path(&ctx.service))),
    value("service.instanceModifier", Text, "the instance modifier: empty, or `/` and a name", |ctx| Value::Text(ctx.environment.instance_modifier().clone())),
    plain("policy.name", Text, "name of the policy that reads it", || A::PolicyName),
    family("secpass.*", Text, "`secpass.<name>.plaintext`: a stored secret", |name| {
        let name = name.to_ascii_lowercase();
        let secret: fn(&Ctx, &str) -> Value =
            |ctx, name| Value::from(ctx.services().keys.secret(name).map(|secret| SmolStr::new(secret.expose())));
        Some(A::ValueOf(secret, name.strip_suffix(".plaintext")?.into()))
    }),
];

/// What authors know of them.
pub fn builtins() -> impl Iterator<Item = &'static Builtin> {
    BUILTINS.iter().map(|variable| &variable.spec)
}

/// The table by names in lower case: those of single variables, and what those of a family begin with.
struct ByName {
    whole: HashMap<String, &'static Variable>,
    families: HashMap<String, &'static Variable>,
}

static BY_NAME: LazyLock<ByName> = LazyLock::new(|| {
    let mut names = ByName { whole: HashMap::new(), families: HashMap::new() };
    for variable in BUILTINS {
        let name = variable.spec.name.to_ascii_lowercase();
        match name.strip_suffix(".*") {
            Some(start) => names.families.insert(start.to_owned(), variable),
            None => names.whole.insert(name, variable),
        };
    }
    names
});

impl Accessor {
    /// Reads a built-in's full name, in any case, and records what it reads of the request. `None` if there is no such built-in.
    pub fn parse(name: &str, reads: &mut Reads) -> Option<Accessor> {
        let lower = name.to_ascii_lowercase();
        let (variable, rest) = match BY_NAME.whole.get(&lower) {
            Some(variable) => (variable, ""),
            // The longest match: `gateway.time.utc` is not a property.
            None => lower.rmatch_indices('.').find_map(|(dot, _)| {
                let rest = name.get(dot + 1..).filter(|rest| !rest.is_empty())?;
                Some((BY_NAME.families.get(lower.get(..dot)?)?, rest))
            })?,
        };
        let accessor = match &variable.read {
            Read::Text(read) => A::Text(*read),
            Read::Value(read) => A::Value(*read),
            Read::As(accessor) => accessor(),
            Read::Family(read) => read(rest)?,
        };
        (variable.notes)(reads);
        if let Accessor::Request(part) = &accessor {
            reads.selected(part);
        }
        Some(accessor)
    }

    /// The value, borrowed where that is possible.
    #[inline]
    pub fn view<'a>(&'a self, ctx: &'a Ctx) -> View<'a> {
        match self {
            A::Text(read) => View::Text(read(ctx)),
            A::TextOf(read, name) => read(ctx, name).map_or(View::Value(&Value::Undefined), View::Text),
            A::Request(Part::Header(name)) => View::of(ctx.request.message.header(name)),
            A::Request(Part::Cookie(name)) => {
                View::of(cookies(&ctx.request.message).find(|(own, _)| own == name).map(|(_, text)| text))
            }
            other => View::Owned(other.value(ctx)),
        }
    }

    /// Whether both read the same. `false` also where that is not obvious.
    pub fn reads_the_same(&self, other: &Accessor) -> bool {
        match (self, other) {
            (A::Text(one), A::Text(other)) => std::ptr::fn_addr_eq(*one, *other),
            (A::Request(one), A::Request(other)) => one == other,
            _ => false,
        }
    }

    /// The value.
    pub fn value(&self, ctx: &Ctx) -> Value {
        match self {
            A::Text(read) => Value::text(read(ctx)),
            A::TextOf(read, name) => Value::from(read(ctx, name)),
            A::Value(read) => read(ctx),
            A::ValueOf(read, name) => read(ctx, name),
            A::Request(part) => part.apply(&ctx.request.message),
            A::Response(part) => part.apply(&ctx.answer()),
            A::ClientCertificate(part) => client_certificate(ctx).map(|certificate| part.apply(&certificate)).unwrap_or_default(),
            A::Now(form) => form.apply(ctx.now_millis()),
            A::PolicyName => Value::Undefined,
        }
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a SmolStr>) -> Value {
    Value::list(texts.cloned().map(Value::Text))
}

fn elapsed(ctx: &Ctx) -> i64 {
    ctx.request.started.elapsed().as_millis() as i64
}

fn peer(ctx: &Ctx) -> Value {
    Value::from(ctx.request.remote.ip().to_string())
}

fn version(request: &Request) -> &'static str {
    match request.version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2.0",
        http::Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}

fn file(request: &Request) -> Cow<'_, str> {
    match request.query.as_str() {
        "" => Cow::Borrowed(&request.path),
        query => Cow::Owned(format!("{}?{query}", request.path)),
    }
}

fn user(ctx: &Ctx, part: fn(&User) -> &SmolStr) -> Value {
    Value::from(ctx.users.last().map(|user| part(user).clone()))
}

fn client_certificate(ctx: &Ctx) -> Option<Value> {
    ctx.request.client_certificate.clone().map(Value::Certificate)
}

/// Names with their counts, in order of first appearance.
fn parameter_names(request: &Request) -> Vec<(&SmolStr, usize)> {
    let (query, form) = (request.query_parameters().pairs(), request.message.form().pairs());
    let mut names: Vec<(&SmolStr, usize)> = Vec::new();
    // Scanning the few names of an ordinary request is cheaper than hashing them; for many names that would take quadratic time.
    let mut places = (query.len() + form.len() > FEW).then(HashMap::new);
    for (name, _) in query.iter().chain(form) {
        let known = match &mut places {
            Some(places) => {
                let place = *places.entry(name).or_insert(names.len());
                (place < names.len()).then_some(place)
            }
            None => names.iter().position(|(own, _)| *own == name),
        };
        match known.and_then(|place| names.get_mut(place)) {
            Some((_, times)) => *times += 1,
            None => names.push((name, 1)),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::data::message::Message;

    #[test]
    fn names_keep_their_order_and_counts_however_many_there_are() {
        for count in [3, FEW, 1000] {
            let text = |from: usize| (from..from + count).map(|n| format!("n{n}=v")).collect::<Vec<_>>().join("&");
            let mut request = Request::new(Method::POST, "/x");
            request.query = SmolStr::from(text(0));
            request.message = Message::new("application/x-www-form-urlencoded", text(count / 2));
            let names = parameter_names(&request);
            let expected: Vec<(String, usize)> =
                (0..count + count / 2).map(|n| (format!("n{n}"), if n >= count / 2 && n < count { 2 } else { 1 })).collect();
            let found: Vec<(String, usize)> = names.iter().map(|(name, count)| (name.to_string(), *count)).collect();
            assert_eq!(found, expected);
        }
    }
}
