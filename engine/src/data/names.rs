//! Names and passwords that look the same are the same (RFC 8265; NIST SP 800-63B): Unicode's normalization form C, and no characters that
//! nobody sees.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Controls, format characters (of zero width, or that turn the direction of what follows), separators of lines and paragraphs.
static UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]").ok());

/// The text in normalization form C.
pub fn normal(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// Whether the text holds characters that nobody sees, which make one name look like another.
pub fn has_unseen(text: &str) -> bool {
    UNSEEN.as_ref().is_none_or(|unseen| unseen.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        assert_eq!(normal("Ame\u{301}lie"), "Am\u{e9}lie");
        assert!(matches!(normal("Am\u{e9}lie"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_nobody_sees_is_found() {
        for unseen in ["a\u{202e}b", "a\u{200b}b", "a\u{feff}", "a\nb", "a\u{2066}b", "a\u{ad}b", "a\u{2028}b", "a\u{7f}"] {
            assert!(has_unseen(unseen), "{unseen:?}");
        }
        for seen in ["Am\u{e9}lie O'Hara", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "\u{674e}\u{56db}", "a b-c.d@e"] {
            assert!(!has_unseen(seen), "{seen:?}");
        }
    }
}
