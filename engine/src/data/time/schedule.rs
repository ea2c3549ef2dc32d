//! Schedules in the notation of cron, by the times of a zone.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;

use super::Zone;

/// When something runs. Five fields are those of Unix: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday). Six or
/// seven are those of Quartz: second first, perhaps a year last, and 1 is Sunday.
///
/// When clocks change, a time that does not exist is the first moment after it, and a time that exists twice is the first of the two: what
/// runs at a certain hour and minute runs once. What runs again and again (`*`, `*/15`) goes on by what clocks show.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: Arc<str>,
    cron: Arc<Cron>,
    zone: Zone,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
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
        Ok(Schedule { text: text.into(), cron: cron.into(), zone: Zone::default() })
    }

    /// The same times by the clocks of this zone. Without it, they are those of UTC.
    pub fn by(self, zone: Zone) -> Schedule {
        Schedule { zone, ..self }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after a moment, both in milliseconds since 1970. `None` if there is none any more.
    pub fn next(&self, after: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after).ok()?.to_zoned(self.zone.rules().clone());
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
        // Seconds that are no part of the notation stay away.
        assert_eq!(hourly.next(at + 1), Some(at + 3_600_000));
        for text in ["", "* * *", "61 * * * *", "* * * * * * * *", "a b c d e", "0 0 25 * * ?", "@daily"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    /// The next times after one, as they are in UTC.
    fn times(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text).unwrap().by(Zone::named(zone).unwrap());
        let mut at = parse(after).unwrap();
        let mut next = || {
            at = schedule.next(at).unwrap();
            iso8601(at).replace(":00.000Z", "Z")
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_time_that_does_not_exist_is_the_first_moment_after_it() {
        // On 2026-03-29 clocks in Berlin go from 02:00 to 03:00, which is 01:00 in UTC.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
        // Every quarter of an hour goes on: 01:45 is followed by 03:00.
        let found = times("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:40:00Z", 3);
        assert_eq!(found, ["2026-03-29T00:45Z", "2026-03-29T01:00Z", "2026-03-29T01:15Z"]);
        // A day that begins at 01:00.
        assert_eq!(times("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", 2), ["2026-04-23T22:00Z", "2026-04-24T21:00Z"]);
        // Half an hour is left out.
        assert_eq!(
            times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
            ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]
        );
    }

    #[test]
    fn a_time_that_exists_twice_is_the_first_of_the_two() {
        // On 2026-10-25 clocks in Berlin go from 03:00 back to 02:00, which is 01:00 in UTC.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]);
        // Who starts between the two is too late.
        assert_eq!(times("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", 1), ["2026-10-26T01:30Z"]);
        assert_eq!(times("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00.005Z", 1), ["2026-10-26T01:30Z"]);
        // Every half hour goes on through both hours.
        let found = times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:50:00Z", 5);
        let wanted = ["2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"];
        assert_eq!(found, wanted);
        // In Quartz's notation, too.
        assert_eq!(
            times("0 30 1 ? * SUN", "America/New_York", "2026-10-30T12:00:00Z", 2),
            ["2026-11-01T05:30Z", "2026-11-08T06:30Z"]
        );
    }

    #[test]
    fn days_are_those_of_the_zone() {
        assert_eq!(times("0 22 * * MON", "America/Los_Angeles", "2026-02-01T12:00:00Z", 1), ["2026-02-03T06:00Z"]);
        assert_eq!(times("0 0 1 * *", "+05:30", "2026-02-01T12:00:00Z", 1), ["2026-02-28T18:30Z"]);
    }
}
