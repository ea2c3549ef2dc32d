//! The one place where the outcome of a policy becomes HTTP.

pub mod draft;
pub mod error;
pub mod fields;

use std::future::{Ready, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use smol_str::SmolStr;

use self::draft::Draft;
use crate::policy::ctx::{Ctx, Refused};
use crate::policy::exec::Ending;

/// An answer, or what has to be waited for until there is one. Most requests wait for nothing, and futures cost more than they seem to:
/// they are copied when they are made, and contain whatever may be waited for.
pub enum Answering {
    /// It is there.
    Now(Response<Bytes>),
    /// It has to be waited for.
    Later(BoxFuture<'static, Response<Bytes>>),
}

impl Answering {
    /// An answer that has to be waited for.
    pub fn later(answer: impl Future<Output = Response<Bytes>> + Send + 'static) -> Answering {
        Answering::Later(answer.boxed())
    }
}

impl IntoFuture for Answering {
    type Output = Response<Bytes>;
    type IntoFuture = Either<Ready<Response<Bytes>>, BoxFuture<'static, Response<Bytes>>>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            Answering::Now(response) => Either::Left(ready(response)),
            Answering::Later(answer) => Either::Right(answer),
        }
    }
}

/// An extension of an answer that says who gave it, if requested.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The service.
    pub service: SmolStr,
    /// The policy's log fields: names and values.
    pub fields: Vec<(SmolStr, SmolStr)>,
}

/// Turns the end of a run into the answer.
pub fn answer(ctx: &mut Ctx, ending: Ending) -> Response<Bytes> {
    match ending {
        Ending::Held => match ctx.draft.take() {
            Some(draft) => drafted(draft, ctx.response.take().map(|response| response.headers)),
            None => {
                let response = ctx.response.take().map(|response| *response).unwrap_or_default();
                let status = response.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
                build(status, response.headers, response.body)
            }
        },
        Ending::Failed => failed(ctx, None),
        Ending::Broken(fault) => failed(ctx, Some(fault.passing)),
    }
}

/// The answer of a failed policy: the error assertion's draft, the customized error, a challenge for missing credentials, or 500; 503 after
/// a fault that passes. `broken` says of a fault whether it passes.
fn failed(ctx: &mut Ctx, broken: Option<bool>) -> Response<Bytes> {
    if let Some(draft) = ctx.draft.take() {
        return drafted(draft, Some(survivors(ctx)));
    }
    if let Some(template) = ctx.error_draft.take()
        && let Some(draft) = template.render(ctx)
    {
        return drafted(draft, Some(survivors(ctx)));
    }
    let headers = survivors(ctx);
    if broken.is_none() && headers.contains_key(header::WWW_AUTHENTICATE) {
        return build(StatusCode::UNAUTHORIZED, headers, Bytes::new());
    }
    let status = if broken == Some(true) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
    build(status, headers, Bytes::new())
}

/// Headers that go out although the policy failed: all that do not describe a body.
fn survivors(ctx: &Ctx) -> HeaderMap {
    let mut headers = ctx.response_fields();
    for name in draft::OF_ONE_ANSWER {
        headers.remove(name);
    }
    headers
}

fn drafted(draft: Draft, beside: Option<HeaderMap>) -> Response<Bytes> {
    let status = StatusCode::from_u16(draft.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match beside {
        Some(headers) if !headers.is_empty() => build(status, draft.beside(headers), draft.body),
        _ => build(status, draft.headers, draft.body),
    }
}

/// Hop-by-hop fields and lengths are the server's (RFC 9110, section 7.6.1).
const NOT_OURS: [HeaderName; 6] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::UPGRADE, header::TE, header::TRAILER];

fn build(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response<Bytes> {
    if headers.keys().any(|name| NOT_OURS.contains(name)) {
        for name in NOT_OURS {
            headers.remove(name);
        }
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The answer where no service gives one: the status, its name and the reason as a line of text.
pub fn plain(status: StatusCode, reason: &str) -> Response<Bytes> {
    let mut headers = uncached();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let colon = if reason.is_empty() { "" } else { ": " };
    build(status, headers, Bytes::from(format!("{status}{colon}{reason}\n")))
}

/// The answer of a service's error assertion to a request that the gateway refuses. Status, `Allow` and the fields against caches are the
/// gateway's, whatever the assertion says.
pub fn refused(ctx: &mut Ctx, ending: Ending, refused: Refused) -> Response<Bytes> {
    let worded = ctx.draft.is_some() || ctx.error_draft.is_some();
    let mut response = if worded { answer(ctx, ending) } else { plain(refused.status, &refused.reason) };
    *response.status_mut() = refused.status;
    for (name, value) in uncached().into_iter().chain(refused.headers) {
        if let Some(name) = name {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Fields that keep an answer out of caches, those of HTTP/1.0 too.
pub fn uncached() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ])
}

/// Leaves out the body, but says how long it would be (RFC 9110, section 9.3.2).
pub fn without_body(response: &mut Response<Bytes>) {
    let body = std::mem::take(response.body_mut());
    let status = response.status();
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED && !status.is_informational() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
}

/// The service does not answer this method (RFC 9110, section 15.5.6).
pub fn method_not_allowed(allow: &str) -> Refused {
    let allow = HeaderValue::from_str(allow).ok().map(|allow| (header::ALLOW, allow));
    let reason = "the service does not answer this method".to_owned();
    Refused { status: StatusCode::METHOD_NOT_ALLOWED, reason, headers: allow.into_iter().collect() }
}

/// The service cannot have this request.
pub fn bad_request(reason: impl ToString) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, reason: reason.to_string(), headers: HeaderMap::new() }
}
