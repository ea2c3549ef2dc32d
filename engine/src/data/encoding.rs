//! Encodings of bytes as text, with strict decoding: what no encoder would have written is refused.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use smol_str::SmolStr;

mod escape;

pub use self::escape::escape;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
pub const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether all bytes are of a kind. It looks at all of them, without a branch for each, so that the compiler makes vector instructions of it:
/// for short texts that are nearly always of that kind.
pub fn all_bytes(text: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    text.iter().fold(true, |all, byte| all & kind(*byte))
}

/// Where a character begins, counted from zero; the length of the text if it has fewer.
pub fn byte_of(text: &str, character: usize) -> usize {
    match text.as_bytes().get(..character) {
        None => text.len(),
        Some(begin) if begin.is_ascii() => character,
        Some(_) => text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte),
    }
}

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 4648, section 4.
    Base64,
    /// RFC 4648, section 5, without padding.
    Base64Url,
    /// Lower case hexadecimal digits.
    Hex,
    /// Percent-escapes of RFC 3986.
    Url,
    /// `application/x-www-form-urlencoded`: as [`Encoding::Url`], and a blank is `+`.
    Form,
}

impl Encoding {
    /// By a word, as tests name it.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn named(word: &str) -> Option<Encoding> {
        Some(match word {
            "base64" => Encoding::Base64,
            "base64url" => Encoding::Base64Url,
            "hex" => Encoding::Hex,
            "url" => Encoding::Url,
            "form" => Encoding::Form,
            _ => return None,
        })
    }

    /// Encodes.
    pub fn encode(self, bytes: &[u8]) -> SmolStr {
        match self {
            Encoding::Base64 => in_base64(&STANDARD, bytes),
            Encoding::Base64Url => in_base64(&URL_SAFE_NO_PAD, bytes),
            Encoding::Hex => hex::encode(bytes).into(),
            Encoding::Url => percent_encode(bytes, COMPONENT).to_string().into(),
            Encoding::Form => percent_encode(bytes, COMPONENT).to_string().replace("%20", "+").into(),
        }
    }

    /// Decodes; `None` for anything that is not in this encoding. Line breaks and missing padding are allowed in Base64.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Base64 => {
                let compact: Cow<'_, str> = if all_bytes(text.as_bytes(), |byte| !byte.is_ascii_whitespace()) {
                    text.into()
                } else {
                    text.chars().filter(|c| !c.is_ascii_whitespace()).collect()
                };
                let engine = if compact.ends_with('=') { &STANDARD } else { &STANDARD_NO_PAD };
                engine.decode(&*compact).ok()
            }
            Encoding::Base64Url => URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok(),
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Url => percent_decode(text),
            Encoding::Form => form_decode(text.as_bytes()),
        }
    }
}

/// Hashes, the most common case, are written where they need no memory of their own.
fn in_base64(engine: &GeneralPurpose, bytes: &[u8]) -> SmolStr {
    let mut short = [0; 88];
    let written = engine.encode_slice(bytes, &mut short).ok().and_then(|length| short.get(..length));
    match written.map(str::from_utf8) {
        Some(Ok(text)) => SmolStr::new(text),
        _ => engine.encode(bytes).into(),
    }
}

/// Decodes percent-escapes; `None` if one is broken.
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    unescape(text.as_bytes(), b'%')
}

/// Decodes form encoding: percent-escapes, and `+` is a blank. `None` if an escape is broken.
pub fn form_decode(bytes: &[u8]) -> Option<Vec<u8>> {
    unescape(bytes, b'+')
}

/// `blank` is the byte that stands for a blank; `%` if none does.
fn unescape(bytes: &[u8], blank: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        let undone;
        (undone, rest) = match *byte {
            b'%' => percent_escape(rest)?,
            byte if byte == blank => (b' ', tail),
            byte => (byte, tail),
        };
        out.push(undone);
    }
    Some(out)
}

/// The byte of the percent-escape at the beginning, and the text after it.
pub fn percent_escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = bytes else { return None };
    let digit = |digit: &u8| (*digit as char).to_digit(16);
    Some(((digit(high)? * 16 + digit(low)?) as u8, rest))
}

#[cfg(test)]
mod tests {
    use super::{Encoding, byte_of};

    #[test]
    fn a_character_begins_at_a_byte() {
        for (text, character, byte) in [
            ("", 0, 0),
            ("", 3, 0),
            ("abc", 0, 0),
            ("abc", 2, 2),
            ("abc", 3, 3),
            ("abc", 9, 3),
            ("aéb", 1, 1),
            ("aéb", 2, 3),
            ("éé", 1, 2),
            ("éé", 2, 4),
            ("éé", 3, 4),
        ] {
            assert_eq!(byte_of(text, character), byte, "{text:?} {character}");
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let samples: [&[u8]; 5] = [b"", b"f", b"fo", "a b+c/\u{e9}%".as_bytes(), &[0, 255, 254, 32]];
        for word in ["base64", "base64url", "hex", "url", "form"] {
            let encoding = Encoding::named(word).unwrap();
            for sample in samples {
                assert_eq!(encoding.decode(&encoding.encode(sample)).as_deref(), Some(sample), "{word}");
            }
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for (word, text) in [
            ("base64", "a"),
            ("base64", "!!!!"),
            ("base64", "Zh=="), // trailing bits that are not zero
            ("base64", "Zg=a"),
            ("base64url", "Zg+/"),
            ("hex", "abc"),
            ("hex", "zz"),
            ("url", "%"),
            ("url", "%4"),
            ("url", "%zz"),
            ("form", "%G1"),
        ] {
            assert_eq!(Encoding::named(word).unwrap().decode(text), None, "{word} {text}");
        }
    }
}
