//! Name and password of HTTP Basic (RFC 7617).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::AUTHORIZATION;
use smol_str::SmolStr;

/// Why there are no Basic credentials although there is an `Authorization` field.
pub(crate) enum Bad {
    /// They are malformed, which is treated like wrong credentials.
    Wrong(&'static str),
    /// They contain something that is not text. Nobody types that, so no policy may continue as if nothing had been sent.
    Unreadable(&'static str),
}

impl Bad {
    /// The reason in words.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Bad::Wrong(why) | Bad::Unreadable(why) => why,
        }
    }
}

/// Name and password of Basic credentials; `None` when there are none (RFC 7617).
pub(crate) fn credentials(headers: &http::HeaderMap) -> Result<Option<(SmolStr, SmolStr)>, Bad> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Bad::Unreadable("there is more than one"));
    }
    let field = field.to_str().map_err(|_| Bad::Unreadable("it is not text"))?;
    let (scheme, token) = field.split_once([' ', '\t']).unwrap_or((field, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    // Some clients omit the padding; nothing is ambiguous without it.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let bytes = LENIENT.decode(token.trim()).map_err(|_| Bad::Wrong("the credentials are not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| Bad::Unreadable("the credentials are not UTF-8"))?;
    // RFC 7617, section 2: no control characters, and no colon in the name.
    if text.chars().any(char::is_control) {
        return Err(Bad::Unreadable("the credentials hold control characters"));
    }
    let (user, password) = text.split_once(':').ok_or(Bad::Wrong("the credentials hold no colon"))?;
    Ok(Some((user.into(), password.into())))
}
