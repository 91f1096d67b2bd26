//! Addresses in a PROXY header.

use crate::address::{Address, UnixAddress};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::Path;
#[cfg(not(unix))]
use std::path::PathBuf;

/// Address in a PROXY header, of the client or of what it connected to.
///
/// Displayed as `192.0.2.1:8007`, `[2001:db8::1]:8007` or `unix:/run/app.sock`, with bytes escaped
/// that are not printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProxyAddress {
    /// TCP, over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// Unix stream socket: its path, or, after a NUL, its abstract name. Empty for an unnamed
    /// socket. At most 108 bytes, the length of the field in the header and of Linux's `sun_path`.
    Unix(Box<[u8]>),
}

/// Origin of a connection, as a header tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The proxy itself.
    Local,
    /// A client whose addresses are not known, or are not those of a stream.
    Unspecified,
    Client {
        source: ProxyAddress,
        destination: ProxyAddress,
    },
}

impl Origin {
    /// Returns source and destination for sending, if both are TCP. IPv4 addresses that are written
    /// as IPv6, as a socket for both versions has them, are written as IPv4 if both are.
    pub(super) fn socket_addrs(&self) -> Option<(SocketAddr, SocketAddr)> {
        let Self::Client {
            source: ProxyAddress::Tcp(source),
            destination: ProxyAddress::Tcp(destination),
        } = self
        else {
            return None;
        };
        let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
        if from.is_ipv4() && to.is_ipv4() {
            let (from, to) = ((from, source.port()), (to, destination.port()));
            return Some((from.into(), to.into()));
        }
        Some((*source, *destination))
    }
}

impl From<&ProxyAddress> for Address {
    fn from(address: &ProxyAddress) -> Self {
        match address {
            ProxyAddress::Tcp(address) => Self::Tcp(*address),
            ProxyAddress::Unix(bytes) => Self::Unix(match &**bytes {
                [] => UnixAddress::unnamed(),
                [0, name @ ..] => UnixAddress::abstract_name(name),
                path => UnixAddress::path(path_from(path)),
            }),
        }
    }
}

#[cfg(unix)]
fn path_from(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Elsewhere paths are text.
#[cfg(not(unix))]
fn path_from(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

impl ProxyAddress {
    /// Returns the IP address, if the address has one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// Returns the IP address and port, if the address has them.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for ProxyAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(name) => write!(f, "unix:{}", name.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_displayed_without_control_characters() {
        for (address, text) in [
            (ProxyAddress::Tcp("192.0.2.1:80".parse().unwrap()), "192.0.2.1:80"),
            (ProxyAddress::Tcp("[2001:db8::1]:80".parse().unwrap()), "[2001:db8::1]:80"),
            (ProxyAddress::Unix(b"/run/\x1b[2J\xff".as_slice().into()), "unix:/run/\\x1b[2J\\xff"),
            (ProxyAddress::Unix(b"\0app".as_slice().into()), "unix:\\x00app"),
        ] {
            assert_eq!(address.to_string(), text);
        }
    }
}
