//! Addresses of connections and ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// The address of one end of a connection or of a listening port.
///
/// Twisted's `IPv4Address` and `IPv6Address`. Displayed as `127.0.0.1:8007` and `[::1]:8007`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// TCP, over IPv4 or IPv6.
    Tcp(SocketAddr),
}

/// The network that a peer counts as, for limits per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    /// An IPv4 address, also if written as IPv6.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address, which is what one customer gets.
    V6([u16; 4]),
    Other,
}

impl Address {
    /// Returns the network that this address counts as.
    pub(crate) fn network(&self) -> Network {
        match self.ip().map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => Network::V4(ip),
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.segments();
                Network::V6([a, b, c, d])
            }
            None => Network::Other,
        }
    }

    /// Returns the IP address, if the address has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
        }
    }

    /// Returns the port number, if the address has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
        }
    }

    /// Returns the socket address, if the address has one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
        }
    }
}

/// An address at half its size, for tables that hold one per connection.
#[derive(Clone, Debug)]
pub(crate) enum PackedAddress {
    TcpV4(SocketAddrV4),
    Other(Box<Address>),
}

impl PackedAddress {
    pub(crate) fn unpack(&self) -> Address {
        match self {
            Self::TcpV4(address) => Address::Tcp(SocketAddr::V4(*address)),
            Self::Other(address) => (**address).clone(),
        }
    }
}

impl From<Address> for PackedAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Tcp(SocketAddr::V4(address)) => Self::TcpV4(address),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_address() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:8080"] {
            let address = Address::Tcp(text.parse().unwrap());
            assert_eq!(PackedAddress::from(address.clone()).unpack(), address);
            assert_eq!(address.to_string(), text);
        }
        assert!(2 * size_of::<PackedAddress>() <= size_of::<Address>());
    }
}
