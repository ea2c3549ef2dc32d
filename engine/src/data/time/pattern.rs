//! Dates by a pattern of letters, as Java's `SimpleDateFormat` reads them: `yyyy-MM-dd'T'HH:mm:ssXXX`. Names of months and days are
//! English.

use std::fmt::Write;
use std::sync::Arc;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatePattern(Arc<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

/// Letters with a meaning.
const LETTERS: &str = "GyMLdDEuaHkKhmsSzZX";
/// Most characters of a pattern.
const LONGEST: usize = 128;
/// Most repetitions of a letter.
const WIDEST: usize = 18;

impl DatePattern {
    /// Reads a pattern. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<DatePattern, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let literal = |pieces: &mut Vec<Piece>, c: char| match pieces.last_mut() {
            Some(Piece::Literal(last)) => last.push(c),
            _ => pieces.push(Piece::Literal(c.into())),
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => literal(&mut pieces, '\''),
                '\'' => loop {
                    match chars.next() {
                        None => return Err("a quote is not closed".to_owned()),
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => literal(&mut pieces, '\''),
                        Some('\'') => break,
                        Some(inside) => literal(&mut pieces, inside),
                    }
                },
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    field(c, count)?;
                    pieces.push(Piece::Field(c, count));
                }
                c => literal(&mut pieces, c),
            }
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
            return Err("it has no letter that stands for a part of a date".to_owned());
        }
        Ok(DatePattern(pieces.into()))
    }

    /// The moment, in milliseconds since 1970, in a time zone. `None` outside of the years 1 to 9999.
    pub fn write(&self, millis: i64, zone: &TimeZone) -> Option<String> {
        let moment = Timestamp::from_millisecond(millis).ok()?.to_zoned(zone.clone());
        if moment.year() < 1 {
            return None;
        }
        let mut out = String::with_capacity(32);
        for piece in self.0.iter() {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Field(letter, count) => write_field(&moment, *letter, *count, &mut out),
            }
        }
        Some(out)
    }
}

/// Whether a letter can stand there so often.
fn field(letter: char, count: usize) -> Result<(), String> {
    if !LETTERS.contains(letter) {
        let shown: Vec<String> = LETTERS.chars().map(|known| format!("`{known}`")).collect();
        return Err(format!("the letter `{letter}` is no part of a date here; there are {}", shown.join(", ")));
    }
    let most = match letter {
        // Long names of zones depend on the reader's language.
        'X' | 'z' => 3,
        _ => WIDEST,
    };
    if count > most {
        return Err(format!("the letter `{letter}` stands there {count} times; at most {most} are read"));
    }
    Ok(())
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn write_field(moment: &Zoned, letter: char, count: usize, out: &mut String) {
    let name = |name: Option<&&str>, full: bool, out: &mut String| {
        let name = name.copied().unwrap_or_default();
        out.push_str(if full { name } else { name.get(..3).unwrap_or(name) });
    };
    let hour = i64::from(moment.hour());
    let number = match letter {
        'G' => return out.push_str("AD"),
        'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'E' => {
            let day = usize::from(moment.weekday().to_monday_zero_offset().unsigned_abs());
            return name(DAYS.get(day), count >= 4, out);
        }
        'M' | 'L' if count >= 3 => {
            let month = usize::from(moment.month().unsigned_abs()).wrapping_sub(1);
            return name(MONTHS.get(month), count >= 4, out);
        }
        'z' => {
            let offset = moment.offset();
            let zone = moment.time_zone().to_offset_info(moment.timestamp());
            return out.push_str(if offset == Offset::UTC && zone.abbreviation().is_empty() {
                "UTC"
            } else {
                zone.abbreviation()
            });
        }
        'Z' => return write_offset(moment, "", true, out),
        'X' if moment.offset() == Offset::UTC => return out.push('Z'),
        'X' => return write_offset(moment, if count == 3 { ":" } else { "" }, count > 1, out),
        'y' if count == 2 => i64::from(moment.year()) % 100,
        'y' => i64::from(moment.year()),
        'M' | 'L' => i64::from(moment.month()),
        'd' => i64::from(moment.day()),
        'D' => i64::from(moment.day_of_year()),
        'u' => i64::from(moment.weekday().to_monday_one_offset()),
        'H' => hour,
        'k' => {
            if hour == 0 {
                24
            } else {
                hour
            }
        }
        'K' => hour % 12,
        'h' => {
            if hour % 12 == 0 {
                12
            } else {
                hour % 12
            }
        }
        'm' => i64::from(moment.minute()),
        's' => i64::from(moment.second()),
        _ => i64::from(moment.millisecond()),
    };
    let _ = write!(out, "{number:0count$}");
}

fn write_offset(moment: &Zoned, colon: &str, minutes: bool, out: &mut String) {
    let seconds = moment.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs() / 60;
    let _ = write!(out, "{sign}{:02}", all / 60);
    if minutes {
        let _ = write!(out, "{colon}{:02}", all % 60);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::time::zone;

    #[test]
    fn letters_mean_what_they_mean_in_java() {
        let millis = crate::data::time::parse("2026-02-03T04:05:06.007Z").unwrap();
        for (pattern, zone_name, expected) in [
            ("yyyy-MM-dd", "UTC", "2026-02-03"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "Europe/Berlin", "2026-02-03T05:05:06.007+01:00"),
            ("yyyy-MM-dd'T'HH:mm:ssX", "UTC", "2026-02-03T04:05:06Z"),
            ("EEE, d MMM yyyy HH:mm:ss z", "UTC", "Tue, 3 Feb 2026 04:05:06 UTC"),
            ("EEEE, MMMM d, yy G", "UTC", "Tuesday, February 3, 26 AD"),
            ("hh:mm a K k H u D", "UTC", "04:05 AM 4 4 4 2 34"),
            ("h k", "+20:00", ""),
            ("h K k HH a", "-04:00", "12 0 24 00 AM"),
            ("Z z", "America/New_York", "-0500 EST"),
            ("X XX XXX", "GMT+5:30", "+05 +0530 +05:30"),
            ("S SSSS s ssss", "UTC", "7 0007 6 0006"),
            ("'o''clock' h ''", "UTC", "o'clock 4 '"),
        ] {
            let written = zone(zone_name).and_then(|zone| DatePattern::parse(pattern).unwrap().write(millis, &zone));
            assert_eq!(written.unwrap_or_default(), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, why) in [
            ("yyyy-ww", "`w`"),
            ("'open", "quote"),
            ("--", "no letter"),
            ("", "no letter"),
            ("zzzz", "4 times"),
            ("XXXX", "4 times"),
        ] {
            let refusal = DatePattern::parse(pattern).unwrap_err();
            assert!(refusal.contains(why), "{pattern}: {refusal}");
        }
        assert!(DatePattern::parse(&"y".repeat(200)).is_err());
        for name in ["Mars/Olympus", "+", "+1:2:3", "+25", "GMT+x", ""] {
            assert!(zone(name).is_none(), "{name}");
        }
        let wide = DatePattern::parse("yyyy").unwrap();
        assert_eq!(wide.write(i64::MAX, &TimeZone::UTC), None);
        assert_eq!(wide.write(-80_000_000_000_000, &TimeZone::UTC), None);
    }
}
