//! The built-in variables: what a policy can read without anybody having set it.

use std::borrow::Cow;
use std::collections::HashMap;

use http::HeaderName;
use portcullis_dsl::spec::Builtin;
use smol_str::SmolStr;

use super::Selector;
use super::selector::{MessageSelector, Named, TimeSelector, after, cookies, header_name};
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::reads::Reads;
use crate::policy::request::Request;

/// Up to this many parameters are counted without a map.
const FEW: usize = 32;

const fn read(name: &'static str, doc: &'static str) -> Builtin {
    Builtin { name, writable: false, doc }
}

/// The built-ins, for the compiler and the reference page. `.*` stands for any name.
pub static BUILTINS: &[Builtin] = &[
    read("request", "the request as a message"),
    read("request.mainpart", "body as text"),
    read("request.json", "body as JSON; undefined when it is not JSON, or an object in it has a name twice"),
    read("request.json.*", "member of that JSON: `request.json.user.name`"),
    read("request.contentType", "`Content-Type`"),
    read("request.size", "bytes of the body"),
    read("request.id", "random identifier of the request"),
    read("request.time", "when it arrived"),
    read("request.elapsedTime", "milliseconds since it arrived"),
    read("request.clientid", "address of the peer: the usual key of a rate limit"),
    read("request.tcp.remoteAddress", "address of the peer"),
    read("request.url", "the whole URL"),
    read("request.url.host", "host the request was sent to"),
    read("request.url.port", "port the request was sent to"),
    read("request.url.path", "path, percent-escapes untouched"),
    read("request.url.protocol", "`https` or `http`"),
    read("request.url.query", "query without the question mark"),
    read("request.url.file", "path and query"),
    read("request.path.rest", "what `*` in the service's path matched"),
    read("request.http.method", "method"),
    read("request.http.version", "`1.1`, `2.0`"),
    read("request.http.secure", "`true` over TLS"),
    read("request.http.header.*", "first header of this name"),
    read("request.http.headerValues.*", "all headers of this name"),
    read("request.http.headerNames", "names of all headers"),
    read("request.http.parameter.*", "first parameter of this name, in the URL or else in the form"),
    read("request.http.parameters.*", "all parameters of this name, those of the URL first"),
    read("request.http.parameterNames", "names of all parameters"),
    read("request.http.duplicateParameters", "names that occur more than once, in URL and form together"),
    read("request.http.malformedParameters", "`true` when URL or form hold a broken percent-escape or UTF-8 sequence, or a NUL"),
    read("request.http.query.*", "first URL parameter of this name"),
    read("request.http.queryValues.*", "all URL parameters of this name"),
    read("request.http.form.*", "first form field of this name"),
    read("request.http.formValues.*", "all form fields of this name"),
    read("request.http.cookies.*", "value of the cookie of this name"),
    read("request.http.cookieNames", "names of all cookies"),
    read("request.authenticatedUser", "name of the user authenticated last"),
    read("request.authenticatedUser.id", "identifier of that user at its provider"),
    read("request.authenticatedUser.providerId", "the provider's name"),
    read("request.authenticatedUsers", "names of all users authenticated in this request"),
    read("request.ssl.clientCertificate", "certificate the client presented"),
    read("request.ssl.clientCertificate.*", "part of that certificate, e.g. `.subject`"),
    read("response", "the answer as a message"),
    read("response.mainpart", "its body as text"),
    read("response.json", "its body as JSON"),
    read("response.json.*", "member of that JSON"),
    read("response.contentType", "its `Content-Type`"),
    read("response.http.status", "its status"),
    read("response.http.header.*", "its first header of this name"),
    read("response.http.headerValues.*", "all its headers of this name"),
    read("response.http.headerNames", "names of all its headers"),
    read("response.http.cookies.*", "value of a cookie it sets"),
    read("response.http.cookieNames", "names of the cookies it sets"),
    read("response.size", "bytes of its body"),
    read("gateway.time", "now"),
    read("gateway.time.*", "now, as `seconds`, `millis`, `utc` or `rfc1123`"),
    read("gateway.security", "`standard` or `strict`, as `security` in `gateway.yaml` says"),
    read("gateway.services", "names of the services that are served"),
    read("gateway.*", "a property of `gateway.yaml`; undefined when there is none of that name"),
    read("service.name", "name of the running service"),
    read("service.path", "its path with the instance modifier"),
    read("service.resolutionUri", "the same"),
    read("service.instanceModifier", "the instance modifier: empty, or `/` and a name"),
    read("policy.name", "name of the policy in which it is read"),
    read("secpass.*", "`secpass.<name>.plaintext`: a stored secret"),
];

/// A built-in as the executor reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accessor {
    /// Method.
    Method,
    /// Protocol version.
    Version,
    /// Whether over TLS.
    Secure,
    /// URL or a part of it.
    Url(UrlPart),
    /// What `*` matched.
    PathRest,
    /// First header.
    Header(HeaderName),
    /// First parameter.
    Parameter(SmolStr),
    /// All parameters.
    Parameters(SmolStr),
    /// Names of parameters.
    ParameterNames,
    /// Names that occur more than once.
    DuplicateParameters,
    /// Whether something could not be decoded.
    MalformedParameters,
    /// First URL parameter.
    Query(SmolStr),
    /// All URL parameters.
    QueryValues(SmolStr),
    /// A cookie.
    Cookie(SmolStr),
    /// Random identifier.
    Id,
    /// Arrival.
    Time,
    /// Milliseconds since arrival.
    Elapsed,
    /// Peer's address.
    RemoteAddress,
    /// Name, identifier or provider of the last authenticated user.
    User(UserPart),
    /// Presented certificate.
    ClientCertificate(Option<Selector>),
    /// The request as a message.
    RequestMessage,
    /// The response as a message.
    ResponseMessage,
    /// Something of the request's message.
    Request(MessageSelector),
    /// Something of the response's message.
    Response(MessageSelector),
    /// Now.
    Now(Option<TimeSelector>),
    /// A gateway property.
    Property(String),
    /// A stored secret.
    Secret(String),
    /// Name of the service.
    ServiceName,
    /// Path of the service.
    ServicePath,
    /// Instance modifier.
    InstanceModifier,
    /// Names of the services that are served.
    Services,
    /// Name of the policy; the compiler puts in the constant.
    PolicyName,
}

/// Parts of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlPart {
    /// All of it.
    Whole,
    /// Host.
    Host,
    /// Port.
    Port,
    /// Path.
    Path,
    /// Scheme.
    Protocol,
    /// Query.
    Query,
    /// Path and query.
    File,
}

/// Parts of an authenticated user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserPart {
    /// Name.
    Name,
    /// Identifier.
    Id,
    /// Provider.
    Provider,
    /// Names of all users of this request.
    All,
}

impl Accessor {
    /// Reads a built-in's full name; `None` when there is no such built-in.
    pub fn parse(name: &str) -> Option<Accessor> {
        use Accessor as A;
        if let Some(rest) = after(name, "request.http.header") {
            return header_name(rest).map(A::Header);
        }
        let named: [Named<A>; 6] = [
            ("request.http.parameter", A::Parameter),
            ("request.http.parameters", A::Parameters),
            ("request.http.query", A::Query),
            ("request.http.queryValues", A::QueryValues),
            ("request.http.cookies", A::Cookie),
            ("request.http.cookie", A::Cookie),
        ];
        for (word, make) in named {
            if let Some(rest) = after(name, word) {
                return Some(make(rest.into()));
            }
        }
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "request" => A::RequestMessage,
            "response" => A::ResponseMessage,
            "request.http.method" => A::Method,
            "request.http.version" => A::Version,
            "request.http.secure" => A::Secure,
            "request.url" => A::Url(UrlPart::Whole),
            "request.url.host" => A::Url(UrlPart::Host),
            "request.url.port" => A::Url(UrlPart::Port),
            "request.url.path" => A::Url(UrlPart::Path),
            "request.url.protocol" => A::Url(UrlPart::Protocol),
            "request.url.query" => A::Url(UrlPart::Query),
            "request.url.file" => A::Url(UrlPart::File),
            "request.path.rest" => A::PathRest,
            "request.http.parameternames" => A::ParameterNames,
            "request.http.duplicateparameters" => A::DuplicateParameters,
            "request.http.malformedparameters" => A::MalformedParameters,
            "request.id" => A::Id,
            "request.time" => A::Time,
            "request.elapsedtime" => A::Elapsed,
            "request.clientid" | "request.tcp.remoteaddress" => A::RemoteAddress,
            "request.authenticateduser" => A::User(UserPart::Name),
            "request.authenticateduser.id" => A::User(UserPart::Id),
            "request.authenticateduser.providerid" => A::User(UserPart::Provider),
            "request.authenticatedusers" => A::User(UserPart::All),
            "request.ssl.clientcertificate" => A::ClientCertificate(None),
            "gateway.time" => A::Now(None),
            "gateway.services" => A::Services,
            "service.name" => A::ServiceName,
            "service.path" | "service.resolutionuri" => A::ServicePath,
            "service.instancemodifier" => A::InstanceModifier,
            "policy.name" => A::PolicyName,
            _ => return Accessor::parse_family(name, &lower),
        })
    }

    fn parse_family(name: &str, lower: &str) -> Option<Accessor> {
        if let Some(rest) = after(name, "request.ssl.clientCertificate") {
            return Some(Accessor::ClientCertificate(Some(Selector::parse(rest)?)));
        }
        if let Some(format) = lower.strip_prefix("gateway.time.") {
            return Some(Accessor::Now(Some(TimeSelector::parse(format)?)));
        }
        if let Some(property) = lower.strip_prefix("gateway.") {
            return Some(Accessor::Property(property.to_owned()));
        }
        if let Some(secret) = lower.strip_prefix("secpass.") {
            return Some(Accessor::Secret(secret.strip_suffix(".plaintext")?.to_owned()));
        }
        if let Some(rest) = after(name, "request") {
            return Some(Accessor::Request(MessageSelector::parse(rest)?));
        }
        Some(Accessor::Response(MessageSelector::parse(after(name, "response")?)?))
    }

    /// Notes what it reads of the request.
    pub fn note(&self, reads: &mut Reads) {
        match self {
            Accessor::Header(name) => reads.field(name),
            Accessor::Cookie(name) => reads.cookie(name),
            Accessor::Request(selector) => reads.selected(selector),
            Accessor::MalformedParameters => reads.malformed(),
            Accessor::Parameter(_)
            | Accessor::Parameters(_)
            | Accessor::ParameterNames
            | Accessor::DuplicateParameters
            | Accessor::Query(_)
            | Accessor::QueryValues(_) => reads.parameters(),
            _ => {}
        }
    }

    /// The value, borrowed text where that is possible. `None` = undefined.
    pub fn text<'a>(&'a self, ctx: &'a Ctx) -> Option<Cow<'a, str>> {
        let request = &ctx.request;
        Some(match self {
            Accessor::Method => Cow::Borrowed(request.method.as_str()),
            Accessor::Header(name) => request.message.header(name)?,
            Accessor::Parameter(name) => Cow::Borrowed(request.parameter(name)?.as_str()),
            Accessor::Query(name) => Cow::Borrowed(request.query_parameters().first(name)?.as_str()),
            Accessor::Cookie(name) => cookies(&request.message).find(|(own, _)| own == name)?.1,
            Accessor::Url(UrlPart::Path) => Cow::Borrowed(&request.path),
            Accessor::Url(UrlPart::Host) => Cow::Borrowed(&request.host),
            Accessor::Url(UrlPart::Query) => Cow::Borrowed(&request.query),
            Accessor::PathRest => Cow::Borrowed(&request.path_rest),
            other => match other.value(ctx) {
                Value::Undefined => return None,
                value => Cow::Owned(value.as_text().into_owned()),
            },
        })
    }

    /// The value.
    pub fn value(&self, ctx: &Ctx) -> Value {
        let request = &ctx.request;
        match self {
            Accessor::Method => Value::Text(request.method.as_str().into()),
            Accessor::Version => Value::from(match request.version {
                http::Version::HTTP_10 => "1.0",
                http::Version::HTTP_2 => "2.0",
                http::Version::HTTP_3 => "3.0",
                _ => "1.1",
            }),
            Accessor::Secure => Value::Bool(request.secure),
            Accessor::Url(part) => url_part(request, *part),
            Accessor::PathRest => Value::Text(request.path_rest.clone()),
            Accessor::Header(name) => Value::from(request.message.header(name)),
            Accessor::Parameter(name) => Value::from(request.parameter(name).cloned()),
            Accessor::Parameters(name) => Value::list(request.parameters(name).cloned().map(Value::Text)),
            Accessor::ParameterNames => {
                Value::list(parameter_names(request).into_iter().map(|(name, _)| Value::Text(name.clone())))
            }
            Accessor::DuplicateParameters => Value::list(
                parameter_names(request).into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| Value::Text(name.clone())),
            ),
            Accessor::MalformedParameters => {
                Value::Bool(request.query_parameters().is_malformed() || request.message.form().is_malformed())
            }
            Accessor::Query(name) => Value::from(request.query_parameters().first(name).cloned()),
            Accessor::QueryValues(name) => Value::list(request.query_parameters().all(name).cloned().map(Value::Text)),
            Accessor::Cookie(name) => Value::from(cookies(&request.message).find(|(own, _)| own == name).map(|(_, value)| value)),
            Accessor::Id => Value::Text(request.id().clone()),
            Accessor::Time => Value::Time(ctx.now_millis() - request.started.elapsed().as_millis() as i64),
            Accessor::Elapsed => Value::Int(request.started.elapsed().as_millis() as i64),
            Accessor::RemoteAddress => Value::from(request.remote.ip().to_string()),
            Accessor::User(part) => user_part(ctx, *part),
            Accessor::ClientCertificate(selector) => match (&request.client_certificate, selector) {
                (None, _) => Value::Undefined,
                (Some(certificate), None) => Value::Certificate(certificate.clone()),
                (Some(certificate), Some(selector)) => selector.apply(&Value::Certificate(certificate.clone())),
            },
            Accessor::RequestMessage => Value::Message(request.message.clone().into()),
            Accessor::ResponseMessage => Value::Message(ctx.response.clone().into()),
            Accessor::Request(selector) => selector.apply(&request.message),
            Accessor::Response(selector) => selector.apply(&ctx.response),
            Accessor::Now(None) => Value::Time(ctx.now_millis()),
            Accessor::Now(Some(selector)) => selector.apply(ctx.now_millis()),
            Accessor::Property(name) => Value::from(ctx.services().properties.get(name).cloned()),
            Accessor::Secret(name) => Value::from(ctx.services().keys.secret(name).map(|secret| SmolStr::new(secret.expose()))),
            Accessor::ServiceName => Value::Text(ctx.service.clone()),
            Accessor::ServicePath => Value::from(ctx.site.service_path(&ctx.service)),
            Accessor::InstanceModifier => Value::Text(ctx.site.instance_modifier.clone()),
            Accessor::Services => Value::list(ctx.site.services().map(|(name, _)| Value::Text(name.clone()))),
            Accessor::PolicyName => Value::Undefined,
        }
    }
}

fn url_part(request: &Request, part: UrlPart) -> Value {
    match part {
        UrlPart::Whole => Value::from(request.url()),
        UrlPart::Host => Value::Text(request.host.clone()),
        UrlPart::Port => Value::Int(i64::from(request.port)),
        UrlPart::Path => Value::Text(request.path.clone()),
        UrlPart::Protocol => Value::from(if request.secure { "https" } else { "http" }),
        UrlPart::Query => Value::Text(request.query.clone()),
        UrlPart::File if request.query.is_empty() => Value::Text(request.path.clone()),
        UrlPart::File => Value::from(format!("{}?{}", request.path, request.query)),
    }
}

fn user_part(ctx: &Ctx, part: UserPart) -> Value {
    let last = ctx.users.last();
    match part {
        UserPart::Name => Value::from(last.map(|user| user.name.clone())),
        UserPart::Id => Value::from(last.map(|user| user.id.clone())),
        UserPart::Provider => Value::from(last.map(|user| user.provider.clone())),
        UserPart::All => Value::list(ctx.users.iter().map(|user| Value::Text(user.name.clone()))),
    }
}

/// Names with their counts, in order of first appearance.
fn parameter_names(request: &Request) -> Vec<(&SmolStr, usize)> {
    let (query, form) = (request.query_parameters().pairs(), request.message.form().pairs());
    let mut names: Vec<(&SmolStr, usize)> = Vec::new();
    // Looking through the few names of an ordinary request is cheaper than hashing them; many would take time by their square.
    let mut places = (query.len() + form.len() > FEW).then(HashMap::new);
    for (name, _) in query.iter().chain(form) {
        let known = match &mut places {
            Some(places) => {
                let place = *places.entry(name).or_insert(names.len());
                (place < names.len()).then_some(place)
            }
            None => names.iter().position(|(own, _)| *own == name),
        };
        match known {
            Some(place) => names[place].1 += 1,
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
