//! Time zones, by their names in the database of IANA. Its rules are part of the program.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A time zone by its name (`Europe/Berlin`, `UTC`), or by its distance from UTC (`+02:00`, `GMT-5`).
pub fn zone(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    let upper = name.to_ascii_uppercase();
    if matches!(upper.as_str(), "UTC" | "GMT" | "Z") {
        return Some(TimeZone::UTC);
    }
    let distance = upper.strip_prefix("UTC").or_else(|| upper.strip_prefix("GMT")).unwrap_or(&upper);
    let (sign, digits) = match distance.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return TimeZone::get(name).ok(),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let plain = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(hours) || !plain(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    Some(TimeZone::fixed(Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?))
}

/// A zone as somebody named it.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Zone {
    /// The zone of this name; see [`zone`].
    pub fn named(name: &str) -> Option<Zone> {
        let rules = zone(name)?;
        // The database's own spelling, if the name is in it.
        let name = rules.iana_name().unwrap_or(name.trim()).to_owned();
        Some(Zone { name, rules })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rules.
    pub(super) fn rules(&self) -> &TimeZone {
        &self.rules
    }

    /// Whether it is UTC.
    pub fn is_utc(&self) -> bool {
        self.rules == TimeZone::UTC
    }

    /// Day of the week at a moment: 0 is Monday.
    pub fn weekday(&self, millis: i64) -> Option<i8> {
        let moment = Timestamp::from_millisecond(millis).ok()?;
        Some(self.rules.to_datetime(moment).weekday().to_monday_zero_offset())
    }

    /// What its clocks show at a moment, and how far that is from UTC: `03:00 +02:00`.
    pub fn clock(&self, millis: i64) -> Option<String> {
        let zoned = Timestamp::from_millisecond(millis).ok()?.to_zoned(self.rules.clone());
        let seconds = zoned.offset().seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
        Some(format!("{:02}:{:02} {sign}{:02}:{:02}", zoned.hour(), zoned.minute(), minutes / 60, minutes % 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::time::parse;

    #[test]
    fn zones_have_days_and_clocks_of_their_own() {
        let berlin = Zone::named("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        assert_eq!(berlin, Zone::named("Europe/Berlin").unwrap());
        // A Sunday in UTC is Monday there already.
        let moment = parse("2026-02-01T23:30:00Z").unwrap();
        assert_eq!((berlin.weekday(moment), Zone::default().weekday(moment)), (Some(0), Some(6)));
        assert_eq!(berlin.clock(moment).unwrap(), "00:30 +01:00");
        assert_eq!(Zone::named("America/St_Johns").unwrap().clock(moment).unwrap(), "20:00 -03:30");
        assert!(Zone::named("GMT").unwrap().is_utc() && !berlin.is_utc());
        for name in ["", "Europe/Atlantis", "../etc/passwd", "+99:00", "local time"] {
            assert_eq!(Zone::named(name), None, "{name}");
        }
    }
}
