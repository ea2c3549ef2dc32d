//! Networks of addresses: whoever has one address of a network usually has all of them.

use std::net::IpAddr;

use ipnet::IpNet;

/// A provider assigns at least this many bits of an IPv6 address to one customer (RFC 6177); the customer chooses the others.
pub const V6_CUSTOMER: u8 = 64;

/// The network of an address, of this many bits. IPv4 within IPv6 (`::ffff:192.0.2.1`) is IPv4.
pub fn network(address: IpAddr, v4_bits: u8, v6_bits: u8) -> IpNet {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { v4_bits } else { v6_bits };
    IpNet::new(address, bits).unwrap_or(IpNet::from(address)).trunc()
}

/// The key by which callers are told apart: the address itself, or the network of an IPv6 address.
pub fn caller(address: IpAddr) -> IpNet {
    network(address, 32, V6_CUSTOMER)
}

/// Whether an address is in one of the networks.
pub fn within(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
