//! The peers whose PROXY headers may be believed.

use crate::address::Address;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Networks of the proxies whose headers may be believed. A header from any other peer could claim
/// any address, so such a connection should be closed.
///
/// Default: this machine, `127.0.0.0/8,::1,unix`. Parsed from a list with commas, whose parts are
/// networks (`10.0.0.0/8`, `2001:db8::/32`), single addresses, and `unix` for peers that connect by
/// a Unix socket; spaces around a part do not count. A network whose address has bits set behind
/// the prefix, such as `10.1.2.3/8`, is an error, because it is not clear what was meant.
///
/// An IPv4 address counts as IPv4 also when it is written as IPv6 (`::ffff:10.0.0.1`), as a socket
/// for both versions shows it. So `::/0` contains no IPv4 address, and `0.0.0.0/0,::/0,unix` trusts
/// everyone.
///
/// ```
/// use twistor::proxy_protocol::TrustedNetworks;
///
/// let networks: TrustedNetworks = "10.0.0.0/8, 2001:db8::/32, 192.0.2.1".parse()?;
/// assert!(networks.contains("10.255.0.1".parse()?));
/// assert!(networks.contains("::ffff:192.0.2.1".parse()?));
/// assert!(!networks.contains("127.0.0.1".parse()?));
///
/// let error = "10.0.0.0/8,10.1.2.3/24".parse::<TrustedNetworks>().unwrap_err();
/// assert_eq!(error.position(), 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedNetworks {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    V4 { network: Ipv4Addr, prefix: u8 },
    V6 { network: Ipv6Addr, prefix: u8 },
    Unix,
}

const V4_BITS: u8 = Ipv4Addr::BITS as u8;
const V6_BITS: u8 = Ipv6Addr::BITS as u8;

/// Bits before the IPv4 address in an IPv6 address that contains one.
const MAPPED_BITS: u8 = V6_BITS - V4_BITS;

impl TrustedNetworks {
    /// Creates an empty list, which trusts no peer.
    pub fn none() -> Self {
        Self { parts: Vec::new() }
    }

    /// Adds the networks of another list.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        for part in more.parts {
            if !self.parts.contains(&part) {
                self.parts.push(part);
            }
        }
        self
    }

    /// Returns whether one of the networks contains this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.parts.iter().any(|part| match (*part, ip) {
            (Part::V4 { network, prefix }, IpAddr::V4(ip)) => mask_v4(ip, prefix) == network,
            (Part::V6 { network, prefix }, IpAddr::V6(ip)) => mask_v6(ip, prefix) == network,
            _ => false,
        })
    }

    /// Returns whether a peer with this address is trusted. One without an IP address is a peer on
    /// a Unix socket.
    pub fn trusts(&self, peer: &Address) -> bool {
        match peer.ip() {
            Some(ip) => self.contains(ip),
            None => self.parts.contains(&Part::Unix),
        }
    }
}

impl Default for TrustedNetworks {
    fn default() -> Self {
        let v4 = Part::V4 { network: Ipv4Addr::new(127, 0, 0, 0), prefix: 8 };
        let v6 = Part::V6 { network: Ipv6Addr::LOCALHOST, prefix: V6_BITS };
        Self { parts: vec![v4, v6, Part::Unix] }
    }
}

impl FromStr for TrustedNetworks {
    type Err = ParseNetworksError;

    fn from_str(text: &str) -> Result<Self, ParseNetworksError> {
        let mut parts = Vec::new();
        let mut at = 0;
        for part in text.split(',') {
            let start = at + (part.len() - part.trim_ascii_start().len());
            at += part.len() + 1;
            parts.push(Part::parse(part.trim_ascii()).map_err(|(offset, message)| {
                let position = start + offset;
                ParseNetworksError { networks: text.to_owned(), position, message }
            })?);
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for TrustedNetworks {
    /// Writes a list that can be parsed, unless it is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl Part {
    /// Parses a part. The error is an offset in it, and what is wrong there.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else {
            let expected = "an IP address, a network such as 10.0.0.0/8, or unix";
            return Err((0, format!("\"{address}\" is not {expected}")));
        };
        let bits = if ip.is_ipv4() { V4_BITS } else { V6_BITS };
        let prefix = match prefix {
            None => bits,
            Some(digits) => parse_prefix(digits, bits).ok_or_else(|| {
                let message = format!("prefix \"{digits}\" is not a number from 0 to {bits}");
                (address.len() + 1, message)
            })?,
        };
        let part = Self::new(ip, prefix);
        if !part.begins_with(ip) {
            let message = format!(
                "{ip} has bits set behind the first {prefix}; write {part} for the network, or \
                 {ip} for the one address"
            );
            return Err((0, message));
        }
        Ok(part)
    }

    /// Creates the network of this address.
    fn new(ip: IpAddr, prefix: u8) -> Self {
        let v4 = |ip, prefix| Self::V4 { network: mask_v4(ip, prefix), prefix };
        match (ip, ip.to_canonical()) {
            (IpAddr::V4(ip), _) => v4(ip, prefix),
            (IpAddr::V6(_), IpAddr::V4(ip)) if prefix >= MAPPED_BITS => {
                v4(ip, prefix - MAPPED_BITS)
            }
            (IpAddr::V6(ip), _) => Self::V6 { network: mask_v6(ip, prefix), prefix },
        }
    }

    /// Returns whether this is the first address of the network.
    fn begins_with(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 { network, .. } => ip.to_canonical() == network,
            Self::V6 { network, .. } => ip == network,
            Self::Unix => false,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { network, prefix: V4_BITS } => network.fmt(f),
            Self::V4 { network, prefix } => write!(f, "{network}/{prefix}"),
            Self::V6 { network, prefix: V6_BITS } => network.fmt(f),
            Self::V6 { network, prefix } => write!(f, "{network}/{prefix}"),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Parses the length of a prefix: digits without leading zeros.
fn parse_prefix(digits: &str, bits: u8) -> Option<u8> {
    let prefix: u8 = digits.parse().ok()?;
    (prefix <= bits && prefix.to_string() == digits).then_some(prefix)
}

fn mask_v4(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(u32::from(V4_BITS - prefix)).unwrap_or(0);
    Ipv4Addr::from_bits(ip.to_bits() & mask)
}

fn mask_v6(ip: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(u32::from(V6_BITS - prefix)).unwrap_or(0);
    Ipv6Addr::from_bits(ip.to_bits() & mask)
}

/// Error of parsing [`TrustedNetworks`]: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNetworksError {
    networks: String,
    position: usize,
    message: String,
}

impl ParseNetworksError {
    /// Returns what is wrong, without the place.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the byte offset of the error in the list.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the list that was parsed.
    pub fn networks(&self) -> &str {
        &self.networks
    }
}

impl fmt::Display for ParseNetworksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.networks.split_at(self.position);
        write!(f, "{} (at the mark: \"{before}»{after}\")", self.message)
    }
}

impl std::error::Error for ParseNetworksError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> TrustedNetworks {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(text: &str) -> (usize, String) {
        let error = text.parse::<TrustedNetworks>().expect_err(text);
        assert_eq!(error.networks(), text);
        assert!(error.to_string().contains('»'), "{error}");
        (error.position(), error.message)
    }

    #[test]
    fn by_default_only_this_machine_is_trusted() {
        let default = TrustedNetworks::default();
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("128.0.0.0", false),
            ("126.255.255.255", false),
            ("::1", true),
            ("::", false),
            ("::2", false),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            // An outdated form, which is an IPv6 address.
            ("::127.0.0.1", false),
        ] {
            assert_eq!(default.contains(ip.parse().unwrap()), expected, "{ip}");
        }
        assert_eq!(default.to_string(), "127.0.0.0/8,::1,unix");
        assert!(default.trusts(&Address::Tcp("[::1]:80".parse().unwrap())));
        assert!(!TrustedNetworks::none().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_network_ends_at_its_prefix() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.0/25", "192.0.2.127", "192.0.2.128"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("::/0", "2001:db8::1", "::ffff:192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff:ffff::1", "2001:db9::"),
            ("2001:db8::8/127", "2001:db8::9", "2001:db8::a"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ] {
            let networks = networks(text);
            assert!(networks.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!networks.contains(outside.parse().unwrap()), "{text} {outside}");
        }
    }

    #[test]
    fn each_prefix_divides_its_addresses() {
        for prefix in 1..=128_u8 {
            let first = 1 << 127;
            let last = first | u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            let networks = networks(&format!("8000::/{prefix}"));
            let contains = |bits: u128| networks.contains(Ipv6Addr::from_bits(bits).into());
            assert!(contains(first) && contains(last), "8000::/{prefix}");
            assert!(!contains(first - 1) && !contains(last.wrapping_add(1)), "8000::/{prefix}");
        }
        for prefix in 1..=32_u8 {
            let last = (u64::from(u32::MAX) >> prefix) as u32;
            let networks = networks(&format!("0.0.0.0/{prefix}"));
            let contains = |bits: u32| networks.contains(Ipv4Addr::from_bits(bits).into());
            assert!(contains(0) && contains(last) && !contains(last + 1), "0.0.0.0/{prefix}");
        }
    }

    #[test]
    fn lists_are_written_as_they_can_be_parsed() {
        for (text, written) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            (" 10.0.0.0/8 ,\t192.0.2.1/32", "10.0.0.0/8,192.0.2.1"),
            ("unix,2001:DB8:0::/32", "unix,2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("0.0.0.0/0,::/0,unix", "0.0.0.0/0,::/0,unix"),
        ] {
            assert_eq!(networks(text).to_string(), written);
            assert_eq!(networks(written), networks(text));
        }
    }

    #[test]
    fn an_error_points_at_what_is_wrong() {
        for (text, position, part) in [
            ("", 0, "\"\" is not an IP address"),
            ("10.0.0.0/8,", 11, "\"\" is not an IP address"),
            ("10.0.0.0/8, proxy.example", 12, "\"proxy.example\" is not an IP address"),
            ("10.0.0/8", 0, "\"10.0.0\" is not an IP address"),
            ("010.0.0.0/8", 0, "\"010.0.0.0\" is not an IP address"),
            ("10.0.0.0/33", 9, "prefix \"33\" is not a number from 0 to 32"),
            ("10.0.0.0/", 9, "prefix \"\" is not a number from 0 to 32"),
            ("10.0.0.0/+8", 9, "prefix \"+8\""),
            ("10.0.0.0/08", 9, "prefix \"08\""),
            ("10.0.0.0/8/8", 9, "prefix \"8/8\""),
            ("10.0.0.0/255.0.0.0", 9, "prefix \"255.0.0.0\""),
            ("::/129", 3, "prefix \"129\" is not a number from 0 to 128"),
            ("unix,10.1.2.3/8", 5, "write 10.0.0.0/8 for the network, or 10.1.2.3 for the one"),
            ("2001:db8::1/32", 0, "write 2001:db8::/32 for the network"),
            ("::ffff:10.1.2.3/104", 0, "write 10.0.0.0/8 for the network"),
            ("::ffff:10.0.0.0/95", 0, "write ::fffe:0:0/95 for the network"),
            ("Unix", 0, "\"Unix\" is not"),
        ] {
            let (at, message) = error(text);
            assert!(at == position && message.contains(part), "{text}: {at} {message}");
        }
    }
}
