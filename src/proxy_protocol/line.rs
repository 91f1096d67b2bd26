//! Version 1 of the header: a line of text.

use super::LINE_MAX;
use super::address::{Origin, ProxyAddress};
use super::error::{ProxyError, ProxyErrorKind};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The beginnings of a line, each with the length of the shortest line that begins so.
const BEGINNINGS: [(&[u8], usize); 3] = [
    (b"PROXY TCP4 ", b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".len()),
    (b"PROXY TCP6 ", b"PROXY TCP6 :: :: 0 0\r\n".len()),
    (UNKNOWN, b"PROXY UNKNOWN\r\n".len()),
];

const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// The length of the part of a beginning that names the protocol PROXY, and not what is proxied.
const SIGNATURE: usize = b"PROXY ".len();

/// Source address, destination address, source port, destination port.
const FIELDS: usize = 4;

/// The shortest text of each field, of IPv4 and of IPv6.
const SHORTEST_V4: [usize; FIELDS] = [7, 7, 1, 1];
const SHORTEST_V6: [usize; FIELDS] = [2, 2, 1, 1];

/// Where in a line the next byte stands.
#[derive(Debug)]
pub(super) enum Line {
    Beginning,
    /// In a field, behind `length` bytes of it.
    Field {
        family: Family,
        index: usize,
        length: usize,
    },
    /// Behind `UNKNOWN`.
    Unknown,
    /// Behind `UNKNOWN` and a space.
    Ignored,
    /// Behind CR.
    Return,
    Complete,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Line {
    /// Takes the byte behind `received`, which is the line so far.
    pub(super) fn accept(&mut self, received: &[u8], byte: u8) -> Result<(), ProxyError> {
        let next = self.next(received, byte);
        *self = next.map_err(|kind| ProxyError::new(received.len(), kind))?;
        if received.len() + 1 == LINE_MAX && !self.is_complete() {
            return Err(ProxyError::new(LINE_MAX, ProxyErrorKind::LineTooLong));
        }
        Ok(())
    }

    fn next(&self, received: &[u8], byte: u8) -> Result<Self, ProxyErrorKind> {
        match *self {
            Self::Beginning => Self::begin(received, byte),
            Self::Field { family, index, length } => match byte {
                b' ' if length > 0 && index + 1 < FIELDS => {
                    Ok(Self::Field { family, index: index + 1, length: 0 })
                }
                b'\r' if length > 0 && index + 1 == FIELDS => Ok(Self::Return),
                _ if family.may_contain(index, byte) => {
                    Ok(Self::Field { family, index, length: length + 1 })
                }
                _ => Err(ProxyErrorKind::Line { byte }),
            },
            Self::Unknown => match byte {
                b' ' => Ok(Self::Ignored),
                b'\r' => Ok(Self::Return),
                _ => Err(ProxyErrorKind::Protocol),
            },
            Self::Ignored => match byte {
                b'\r' => Ok(Self::Return),
                b'\n' => Err(ProxyErrorKind::Line { byte }),
                _ => Ok(Self::Ignored),
            },
            Self::Return if byte == b'\n' => Ok(Self::Complete),
            Self::Return | Self::Complete => Err(ProxyErrorKind::Line { byte }),
        }
    }

    fn begin(received: &[u8], byte: u8) -> Result<Self, ProxyErrorKind> {
        let at = received.len();
        let fits = |beginning: &[u8]| {
            beginning.starts_with(received) && beginning.get(at).copied() == Some(byte)
        };
        let Some((beginning, _)) = BEGINNINGS.iter().find(|(beginning, _)| fits(beginning)) else {
            return Err(if at < SIGNATURE {
                ProxyErrorKind::NoHeader { byte }
            } else {
                ProxyErrorKind::Protocol
            });
        };
        if at + 1 < beginning.len() {
            return Ok(Self::Beginning);
        }
        let family = match *beginning {
            UNKNOWN => return Ok(Self::Unknown),
            b"PROXY TCP4 " => Family::V4,
            _ => Family::V6,
        };
        Ok(Self::Field { family, index: 0, length: 0 })
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// Returns how many bytes are missing at least, behind `received`.
    pub(super) fn missing(&self, received: &[u8]) -> usize {
        match self {
            Self::Beginning => {
                let possible = BEGINNINGS.iter().filter(|(it, _)| it.starts_with(received));
                let shortest = possible.map(|(_, shortest)| shortest - received.len()).min();
                shortest.unwrap_or(1)
            }
            Self::Field { family, index, length } => {
                let shortest = family.shortest();
                let this = shortest[*index].saturating_sub(*length);
                let others = shortest[index + 1..].iter().map(|length| 1 + length);
                this + others.sum::<usize>() + 2
            }
            Self::Unknown | Self::Ignored => 2,
            Self::Return => 1,
            Self::Complete => 0,
        }
    }
}

impl Family {
    fn shortest(self) -> &'static [usize; FIELDS] {
        match self {
            Self::V4 => &SHORTEST_V4,
            Self::V6 => &SHORTEST_V6,
        }
    }

    fn may_contain(self, field: usize, byte: u8) -> bool {
        match self {
            _ if field >= 2 => byte.is_ascii_digit(),
            Self::V4 => byte.is_ascii_digit() || byte == b'.',
            // A dot for an IPv4 address at its end.
            Self::V6 => byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'),
        }
    }

    fn parse(self, text: &str) -> Option<IpAddr> {
        // Both parsers take exactly what the specification wants, and an IPv6 address also with an
        // IPv4 address at its end.
        match self {
            Self::V4 => Ipv4Addr::from_str(text).ok().map(IpAddr::V4),
            Self::V6 => Ipv6Addr::from_str(text).ok().map(IpAddr::V6),
        }
    }
}

/// Decodes a complete line, which [`Line`] has accepted byte by byte.
pub(super) fn decode(line: &[u8]) -> Result<Origin, ProxyError> {
    if line.starts_with(UNKNOWN) {
        return Ok(Origin::Unspecified);
    }
    let family = if line.starts_with(BEGINNINGS[0].0) { Family::V4 } else { Family::V6 };
    let mut at = BEGINNINGS[0].0.len();
    let mut fields = line[at..].trim_ascii_end().split(|&byte| byte == b' ').map(|field| {
        let start = at;
        at += field.len() + 1;
        (start, std::str::from_utf8(field).unwrap_or_default())
    });
    let mut field = || fields.next().unwrap_or((line.len(), ""));
    let (source, destination) = (field(), field());
    let (source_port, destination_port) = (field(), field());
    let address =
        |(at, text)| family.parse(text).ok_or_else(|| ProxyError::new(at, ProxyErrorKind::Address));
    let port = |(at, text): (usize, &str)| {
        let port = text.parse().ok().filter(|_| text == "0" || !text.starts_with('0'));
        port.ok_or_else(|| ProxyError::new(at, ProxyErrorKind::Port))
    };
    let (source, destination) = (address(source)?, address(destination)?);
    Ok(Origin::Client {
        source: ProxyAddress::Tcp(SocketAddr::new(source, port(source_port)?)),
        destination: ProxyAddress::Tcp(SocketAddr::new(destination, port(destination_port)?)),
    })
}

/// Appends the line for an origin.
pub(super) fn encode(origin: &Origin, to: &mut Vec<u8>) {
    let mut line = String::from("PROXY ");
    // Writing to a string does not fail.
    let _ = match origin.socket_addrs() {
        Some((SocketAddr::V4(from), SocketAddr::V4(to))) => {
            write!(line, "TCP4 {} {} {} {}", from.ip(), to.ip(), from.port(), to.port())
        }
        Some((SocketAddr::V6(from), SocketAddr::V6(to))) => {
            let (source, destination) = (hexadecimal(*from.ip()), hexadecimal(*to.ip()));
            write!(line, "TCP6 {source} {destination} {} {}", from.port(), to.port())
        }
        _ => write!(line, "UNKNOWN"),
    };
    line.push_str("\r\n");
    to.extend_from_slice(line.as_bytes());
}

/// Writes an IPv6 address without dotted decimals, which the specification does not have.
fn hexadecimal(ip: Ipv6Addr) -> String {
    match (ip.to_ipv4_mapped(), ip.segments()) {
        (Some(_), [.., high, low]) => format!("::ffff:{high:x}:{low:x}"),
        (None, _) => ip.to_string(),
    }
}
