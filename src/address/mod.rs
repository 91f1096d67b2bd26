//! Addresses of connections and ports.

mod hostname;
mod peer_credentials;
mod unix;

pub use hostname::HostnameAddress;
pub use peer_credentials::PeerCredentials;
pub use unix::UnixAddress;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// The address of one end of a connection or of a listening port.
///
/// Twisted's `IPv4Address`, `IPv6Address`, `UNIXAddress` and `HostnameAddress`. Displayed as
/// `127.0.0.1:8007`, `[::1]:8007`, `unix:/run/web.sock` and `example.org:8007`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// TCP, over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(UnixAddress),
    /// TCP, to a host whose address is not known yet.
    Host(HostnameAddress),
}

/// The network that a peer counts as, for limits per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    /// An IPv4 address, also if written as IPv6.
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address, which is what one customer gets.
    V6([u16; 4]),
}

impl Address {
    /// Returns the network that this address counts as; `None` for programs of the same machine,
    /// which no address tells apart.
    pub(crate) fn network(&self) -> Option<Network> {
        Some(match self.ip()?.to_canonical() {
            IpAddr::V4(ip) => Network::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Network::V6([a, b, c, d])
            }
        })
    }

    /// Returns the IP address, if the address has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) | Self::Host(_) => None,
        }
    }

    /// Returns the port number, if the address has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Host(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Returns the socket address of TCP, if it is one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Host(_) => None,
        }
    }

    /// Returns the address of a Unix socket, if it is one.
    pub fn unix(&self) -> Option<&UnixAddress> {
        match self {
            Self::Unix(address) => Some(address),
            Self::Tcp(_) | Self::Host(_) => None,
        }
    }

    /// Returns the host name and port number, if it is a host by its name.
    pub fn host(&self) -> Option<&HostnameAddress> {
        match self {
            Self::Host(address) => Some(address),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }
}

/// An address at half its size, for tables that hold one per connection.
#[derive(Clone, Debug)]
pub(crate) enum PackedAddress {
    TcpV4(SocketAddrV4),
    /// Nearly all clients of Unix sockets.
    Unnamed,
    Other(Box<Address>),
}

impl PackedAddress {
    /// Returns what [`Address::network`] does, without unpacking most addresses.
    pub(crate) fn network(&self) -> Option<Network> {
        match self {
            Self::TcpV4(address) => Some(Network::V4(*address.ip())),
            Self::Unnamed => None,
            Self::Other(address) => address.network(),
        }
    }

    pub(crate) fn unpack(&self) -> Address {
        match self {
            Self::TcpV4(address) => Address::Tcp(SocketAddr::V4(*address)),
            Self::Unnamed => Address::Unix(UnixAddress::unnamed()),
            Self::Other(address) => (**address).clone(),
        }
    }
}

impl From<Address> for PackedAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Tcp(SocketAddr::V4(address)) => Self::TcpV4(address),
            Address::Unix(address) if address.is_unnamed() => Self::Unnamed,
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Self {
        Self::Unix(address)
    }
}

impl From<HostnameAddress> for Address {
    fn from(address: HostnameAddress) -> Self {
        Self::Host(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(address) => address.fmt(f),
            Self::Host(address) => address.fmt(f),
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
            let packed = PackedAddress::from(address.clone());
            assert_eq!((packed.unpack(), packed.network()), (address.clone(), address.network()));
            assert_eq!(address.to_string(), text);
        }
        for unix in [UnixAddress::unnamed(), UnixAddress::path("/run/web.sock")] {
            let address = Address::Unix(unix);
            assert_eq!(PackedAddress::from(address.clone()).unpack(), address);
        }
        assert!(matches!(UnixAddress::unnamed().into(), Address::Unix(_)));
        assert!(2 * size_of::<PackedAddress>() <= size_of::<Address>());
    }
}
