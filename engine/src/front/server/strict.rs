//! Refuses framing that hyper accepts but about which two readers (the gateway and a proxy in front of it) might disagree where a
//! request ends.

use http::{HeaderMap, StatusCode, header};

use crate::data::message::has_field;

/// The only HTTP/1.1 transfer coding accepted here is `chunked`, given once (RFC 9112, section 6.1: an unknown coding is answered
/// with 501).
pub(super) fn framing(headers: &HeaderMap) -> Result<(), StatusCode> {
    if !has_field(headers, &header::TRANSFER_ENCODING) {
        return Ok(());
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(StatusCode::NOT_IMPLEMENTED),
    }
}
