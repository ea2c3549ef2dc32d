//! Time: the one clock of a gateway, which tests can move, and date formats.

mod pattern;
mod schedule;
mod zone;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

pub use pattern::DatePattern;
pub use schedule::Schedule;
pub use zone::{Zone, zone};

/// The clock for everything that policies can see. Tests move it forward, so nothing waits.
#[derive(Debug, Default)]
pub struct Clock {
    offset_millis: AtomicI64,
    /// Where it stands still; 0 if it runs.
    stands_at: i64,
}

impl Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now_millis(&self) -> i64 {
        let now = match self.stands_at {
            0 => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64),
            still => still,
        };
        now + self.offset_millis.load(Ordering::Relaxed)
    }

    /// A clock that stands still until it is moved; for tests, in which no second may end between two steps.
    pub fn standing() -> Clock {
        Clock { stands_at: Clock::default().now_millis(), ..Clock::default() }
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn now_seconds(&self) -> i64 {
        self.now_millis().div_euclid(1000)
    }

    /// Moves the clock; for tests.
    pub fn advance(&self, millis: i64) {
        self.offset_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

/// The moment, if its year has four digits; date formats cannot write others.
fn at(millis: i64) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    (0..=9999).contains(&moment.year()).then_some(moment)
}

/// Appends `2026-11-22T08:30:00.000Z`, the form in which a date-time variable prints; a moment outside of the years 0 to 9999 as its
/// number.
pub fn write_iso8601(millis: i64, out: &mut String) {
    use std::fmt::Write;
    let Some(t) = at(millis) else {
        let _ = write!(out, "{millis}");
        return;
    };
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        t.year(),
        u8::from(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.millisecond()
    );
}

/// [`write_iso8601`] as a text.
pub fn iso8601(millis: i64) -> String {
    let mut out = String::with_capacity(24);
    write_iso8601(millis, &mut out);
    out
}

/// `Sun, 22 Nov 2026 08:30:00 GMT` (RFC 9110, section 5.6.7). `None` outside the years 1970 to 9999, for which there is no such
/// date.
pub fn rfc1123(millis: i64) -> Option<String> {
    at(millis)?;
    let since = std::time::Duration::from_millis(u64::try_from(millis).ok()?);
    Some(httpdate::fmt_http_date(UNIX_EPOCH + since))
}

/// Like [`write_iso8601`], but `None` if it cannot be written as a date.
pub fn iso8601_date(millis: i64) -> Option<String> {
    at(millis).map(|_| iso8601(millis))
}

/// Reads ISO 8601, RFC 1123 / 2822, or a number: ten digits or fewer are seconds, more are milliseconds.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let millis = if text.trim_start_matches('-').len() <= 10 { number.checked_mul(1000)? } else { number };
        return at(millis).map(|_| millis);
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, &Rfc2822))
        .ok()
        .map(|t| (t.unix_timestamp_nanos() / 1_000_000) as i64);
    moment.or_else(|| {
        let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last millisecond of the year 9999.
    const LAST: i64 = 253_402_300_799_999;

    #[test]
    fn moments_that_no_date_can_name_are_none() {
        assert_eq!(rfc1123(LAST).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(iso8601_date(LAST).as_deref(), Some("9999-12-31T23:59:59.999Z"));
        assert_eq!(parse(&LAST.to_string()), Some(LAST));
        for millis in [LAST + 1, i64::MAX, i64::MIN] {
            assert_eq!((rfc1123(millis), iso8601_date(millis)), (None, None), "{millis}");
            assert_eq!(parse(&millis.to_string()), None, "{millis}");
            assert_eq!(iso8601(millis), millis.to_string());
        }
        assert_eq!(rfc1123(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(rfc1123(-1), None);
    }
}
