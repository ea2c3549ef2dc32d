//! Values with units: durations, sizes, addresses, in an operator's notation.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::data::time::Zone;

/// A duration: `250ms`, `10s`, `5m`, `2h`, `7d`; a bare number counts seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Span> {
        let (number, unit) = split_unit(text)?;
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        Some(Span(Duration::from_millis(number.checked_mul(millis)?)))
    }
}

/// A moment, in milliseconds since 1970: `2027-01-31T03:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a time such as `2027-01-31T03:00:00Z`", |text| {
            let dated = text.get(4..5) == Some("-");
            crate::data::time::parse(text).filter(|_| dated).map(Moment)
        })
    }
}

/// A size: `1 MiB`, `32 KiB`, `1000`, `5 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub usize);

impl Bytes {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Bytes> {
        let (number, unit) = split_unit(text)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return None,
        };
        usize::try_from(number.checked_mul(factor)?).ok().map(Bytes)
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// At this address; port 0 is any free one.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl ListenAddress {
    /// Reads `0.0.0.0:8443`, `[::]:8443`, `:8443` (every address), `localhost:8443` or `off`.
    pub fn parse(text: &str) -> Option<ListenAddress> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Some(ListenAddress::Off);
        }
        let full = match text.split_once(':') {
            Some(("", port)) => format!("0.0.0.0:{port}"),
            Some(("localhost", port)) => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        };
        full.parse().ok().map(ListenAddress::At)
    }
}

/// A network: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Network {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Network> {
        let text = text.trim();
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(Network)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a network such as `10.0.0.0/8` or `2001:db8::/32`, or an address", Network::parse)
    }
}

/// Any scalar as text; numbers and booleans are printed canonically.
pub(super) fn scalar_text<'de, D: Deserializer<'de>>(deserializer: D, expecting: &'static str) -> Result<String, D::Error> {
    struct Scalar(&'static str);
    impl Visitor<'_> for Scalar {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }
    }
    deserializer.deserialize_any(Scalar(expecting))
}

/// Reads a scalar with `parse`; the error names what was expected.
fn by_parse<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = scalar_text(deserializer, expecting)?;
    parse(&text).ok_or_else(|| de::Error::custom(format_args!("`{text}` is not {expecting}")))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a duration such as `250ms`, `10s` or `5m`", Span::parse)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a time zone such as `Europe/Berlin`, `UTC` or `+02:00`", Zone::named)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a size such as `32 KiB` or `1 MiB`", Bytes::parse)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Some YAML 1.1 tools read an unquoted `off` as a boolean; both mean the same here.
        by_parse(deserializer, "an address and port such as `0.0.0.0:8443`, or `off`", |text| {
            if text == "false" { Some(ListenAddress::Off) } else { ListenAddress::parse(text) }
        })
    }
}

impl<'de> Deserialize<'de> for super::KeyKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_parse(deserializer, "a kind of key: rsa, rsa3072, rsa4096, ec, p384, p521 or ed25519", super::KeyKind::parse)
    }
}
