//! Schedules in the notation of cron, in UTC.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// When something runs. Five fields are those of Unix: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday). Six or
/// seven are those of Quartz: second first, perhaps a year last, and 1 is Sunday.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: Arc<str>,
    cron: Arc<Cron>,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl Schedule {
    /// Reads a schedule. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let fields = text.split_whitespace().count();
        let parser = match fields {
            5 => CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed),
            6 | 7 => CronParser::builder().seconds(Seconds::Required).year(Year::Optional).alternative_weekdays(true),
            _ => {
                return Err(format!(
                    "it has {fields} fields: five are minute, hour, day, month and day of the week; six begin with the second"
                ));
            }
        };
        let cron = parser.sloppy_ranges(true).build().parse(text).map_err(|error| error.to_string())?;
        Ok(Schedule { text: text.into(), cron: cron.into() })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after a moment, both in milliseconds since 1970. `None` if there is none any more.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after).ok()?.to_zoned(TimeZone::UTC);
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp().as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::time::{iso8601, parse};

    #[test]
    fn times_are_those_of_unix_and_of_quartz() {
        // A Tuesday.
        let after = parse("2026-02-03T04:05:06Z").unwrap();
        for (text, expected) in [
            ("0 3 * * *", "2026-02-04T03:00:00.000Z"),
            ("*/13 * * * *", "2026-02-03T04:13:00.000Z"),
            ("0 0 * * 0", "2026-02-08T00:00:00.000Z"),
            ("0 0 * * MON-FRI", "2026-02-04T00:00:00.000Z"),
            ("0 */13 * * * ?", "2026-02-03T04:13:00.000Z"),
            ("0 0/5 * * * ?", "2026-02-03T04:10:00.000Z"),
            ("*/30 * * * * ?", "2026-02-03T04:05:30.000Z"),
            // There Sunday is 1.
            ("0 0 3 ? * 1", "2026-02-08T03:00:00.000Z"),
            ("0 0 3 ? * MON", "2026-02-09T03:00:00.000Z"),
            ("0 0 3 L * ?", "2026-02-28T03:00:00.000Z"),
            ("0 0 3 ? * 6#2", "2026-02-13T03:00:00.000Z"),
            ("0 15 10 15W * ?", "2026-02-16T10:15:00.000Z"),
            ("0 0 12 1 1 ? 2030", "2030-01-01T12:00:00.000Z"),
            ("0 0 12 1 1 ? 2020", ""),
        ] {
            let next = Schedule::parse(text).map(|schedule| schedule.next(after));
            assert_eq!(next.unwrap().map(iso8601).unwrap_or_default(), expected, "{text}");
        }
        let hourly = Schedule::parse("0 * * * *").unwrap();
        let at = parse("2026-02-03T05:00:00Z").unwrap();
        assert_eq!(hourly.next(at), Some(at + 3_600_000), "the moment itself is over");
        for text in ["", "* * *", "61 * * * *", "* * * * * * * *", "a b c d e", "0 0 25 * * ?", "@daily"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
