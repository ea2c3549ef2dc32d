//! Functions on moments.

use super::{Args, Function, function, function_of_run};
use crate::data::time::{self, DatePattern};
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function_of_run("now", &[], 0, "seconds since 1970", |_, ctx| Value::Int(ctx.now_millis().div_euclid(1000))),
    function_of_run("now_ms", &[], 0, "milliseconds since 1970", |_, ctx| Value::Int(ctx.now_millis())),
    function(
        "format_time",
        &["moment", "format", "zone"],
        2,
        "a moment, given as seconds since 1970 or as a date-time, as `rfc1123`, as `iso8601`, or by a pattern: `yyyy-MM-dd HH:mm:ss`. The \
         letters are those of Java's `SimpleDateFormat`: `G` era, `y` year, `M` `L` month, `d` day, `D` day of the year, `E` name of the \
         day, `u` its number (Monday is 1), `a` AM or PM, `H` `k` `K` `h` hour, `m` minute, `s` second, `S` millisecond, `z` `Z` `X` time \
         zone; text stands in `'…'`. `zone` is a name (`Europe/Berlin`) or a distance (`+02:00`), for a pattern; without it the moment is \
         written in UTC. A pattern with another letter does not load, or is undefined if it is not a constant; so is a moment that the \
         format cannot name (`rfc1123`: years 1970 to 9999)",
        format_time,
    )
    .checked(|args| {
        let format = args[1].as_text();
        if !args[1].is_undefined() && !is_named(&format) {
            DatePattern::parse(&format).map_err(|why| format!("`{format}` is no pattern of a date: {why}"))?;
        }
        let zone = args[2].as_text();
        match args[2].is_undefined() || time::zone(&zone).is_some() {
            true => Ok(()),
            false => Err(format!("there is no time zone `{zone}`")),
        }
    }),
];

fn is_named(format: &str) -> bool {
    format.eq_ignore_ascii_case("rfc1123") || format.eq_ignore_ascii_case("iso8601")
}

fn format_time(args: &Args<'_>) -> Value {
    let millis = match &args[0] {
        Value::Time(millis) => Some(*millis),
        other => other.to_int().and_then(|seconds| seconds.checked_mul(1000)),
    };
    let Some(millis) = millis else { return Value::Undefined };
    let format = args[1].as_text();
    match &*format {
        word if word.eq_ignore_ascii_case("rfc1123") => Value::from(time::rfc1123(millis)),
        word if word.eq_ignore_ascii_case("iso8601") => Value::from(time::iso8601_date(millis)),
        pattern => {
            let zone = if args[2].is_undefined() { Some(jiff::tz::TimeZone::UTC) } else { time::zone(&args[2].as_text()) };
            let pattern = DatePattern::parse(pattern).ok();
            Value::from(pattern.zip(zone).and_then(|(pattern, zone)| pattern.write(millis, &zone)))
        }
    }
}
