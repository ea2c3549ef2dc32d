//! Functions on network addresses.

use std::net::IpAddr;

use super::{Function, function};
use crate::data::network;
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[function(
    "network",
    &["address", "v4_bits", "v6_bits"],
    1,
    "the network of an IP address, such as `192.0.2.0/24`; by default 32 bits for IPv4 and 64 for IPv6, because one customer \
     has all addresses of such a network; anything else stays as it is",
    |args| {
        let Ok(address) = args[0].as_text().trim().parse::<IpAddr>() else { return args[0].clone() };
        let bits = |index: usize, most: u8, otherwise: u8| {
            let given = args.given(index).and_then(|bits| bits.to_int());
            given.map_or(otherwise, |bits| u8::try_from(bits.clamp(0, i64::from(most))).unwrap_or(most))
        };
        Value::from(network::network(address, bits(1, 32, 32), bits(2, 128, network::V6_CUSTOMER)).to_string())
    },
)];
