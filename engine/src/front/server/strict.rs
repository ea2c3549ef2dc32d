//! Framing that hyper lets pass and we do not: two readers of it (a proxy before us and we) might not agree where a request ends.

use http::{HeaderMap, StatusCode, header};

/// Of HTTP/1.1, the one transfer coding there is here is `chunked`, given once (RFC 9112, section 6.1: a coding that is not understood
/// is answered 501).
pub(super) fn framing(headers: &HeaderMap) -> Result<(), StatusCode> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(StatusCode::NOT_IMPLEMENTED),
    }
}
