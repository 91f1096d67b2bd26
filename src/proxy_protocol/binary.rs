//! Version 2 of the header: binary, with TLVs.

use super::HEADER_MAX;
use super::address::{Origin, ProxyAddress};
use super::crc32c;
use super::error::{ProxyError, ProxyErrorKind};
use super::tlv;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What every header begins with; it cannot be the beginning of HTTP, TLS, SMTP or FTP.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Length of the fixed part: signature, version and command, family and transport, length.
pub(super) const FIXED: usize = 16;

/// Where version and command stand, where family and transport, and where the length.
const COMMAND: usize = 12;
const FAMILY: usize = 13;
const LENGTH: usize = 14;

const VERSION: u8 = 2;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const UNSPEC: u8 = 0;
const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;
const STREAM: u8 = 1;
const DGRAM: u8 = 2;

/// Length of the field for a Unix address.
const UNIX_PATH: usize = 108;

/// Length of the longest addresses.
const ADDRESSES_MAX: usize = 2 * UNIX_PATH;

/// Length of all TLVs of a header that is built here, at most: then [`HEADER_MAX`] holds with any
/// addresses.
pub(super) const TLVS_MAX: usize = HEADER_MAX - FIXED - ADDRESSES_MAX;

/// Checks the byte behind `received`, in the fixed part.
pub(super) fn check(received: &[u8], byte: u8) -> Result<(), ProxyError> {
    let (high, low) = (byte >> 4, byte & 0x0F);
    let is_local = || received[COMMAND] & 0x0F == LOCAL;
    let kind = match received.len() {
        at if at < SIGNATURE.len() && byte != SIGNATURE[at] => ProxyErrorKind::NoHeader { byte },
        COMMAND if high != VERSION => ProxyErrorKind::Version { version: high },
        COMMAND if low > PROXY => ProxyErrorKind::Command { command: low },
        FAMILY if high > UNIX && !is_local() => ProxyErrorKind::Family { family: high },
        FAMILY if low > DGRAM && !is_local() => ProxyErrorKind::Transport { transport: low },
        _ => return Ok(()),
    };
    Err(ProxyError::new(received.len(), kind))
}

/// Returns the length of the whole header, as its fixed part announces it.
pub(super) fn length(fixed: &[u8; FIXED]) -> Result<usize, ProxyError> {
    let length = usize::from(u16::from_be_bytes([fixed[LENGTH], fixed[LENGTH + 1]]));
    let needed = addresses_length(fixed);
    if FIXED + length > HEADER_MAX {
        let kind = ProxyErrorKind::HeaderTooLong { length: FIXED + length };
        return Err(ProxyError::new(LENGTH, kind));
    }
    if length < needed && !ignores_addresses(fixed) {
        let kind = ProxyErrorKind::HeaderTooShort { length, needed };
        return Err(ProxyError::new(LENGTH, kind));
    }
    Ok(FIXED + length)
}

/// Returns whether what stands behind the fixed part need not be well-formed.
fn ignores_addresses(fixed: &[u8; FIXED]) -> bool {
    let (family, transport) = (fixed[FAMILY] >> 4, fixed[FAMILY] & 0x0F);
    fixed[COMMAND] & 0x0F == LOCAL || family == UNSPEC || transport == UNSPEC
}

/// Returns the length of the addresses of the header's family.
fn addresses_length(fixed: &[u8; FIXED]) -> usize {
    match fixed[FAMILY] >> 4 {
        INET => 2 * (4 + 2),
        INET6 => 2 * (16 + 2),
        UNIX => 2 * UNIX_PATH,
        _ => 0,
    }
}

/// Decodes a complete header, whose fixed part has passed [`check`] and [`length`]. Returns its
/// TLVs as well.
pub(super) fn decode(header: &[u8]) -> Result<(Origin, &[u8]), ProxyError> {
    let truncated = || ProxyError::new(header.len(), ProxyErrorKind::Truncated);
    let (fixed, rest) = header.split_first_chunk::<FIXED>().ok_or_else(truncated)?;
    let begin = addresses_length(fixed);
    let (addresses, tlvs) = match rest.split_at_checked(begin) {
        Some(split) => split,
        // The length of addresses that are ignored is not checked.
        None => rest.split_at(rest.len()),
    };
    let origin = match (fixed[COMMAND] & 0x0F, fixed[FAMILY] >> 4, fixed[FAMILY] & 0x0F) {
        (LOCAL, _, _) => Origin::Local,
        (_, INET, STREAM) => inet::<4>(addresses).ok_or_else(truncated)?,
        (_, INET6, STREAM) => inet::<16>(addresses).ok_or_else(truncated)?,
        (_, UNIX, STREAM) => {
            let (source, destination) =
                addresses.split_first_chunk::<UNIX_PATH>().ok_or_else(truncated)?;
            Origin::Client { source: unix(source), destination: unix(destination) }
        }
        _ => Origin::Unspecified,
    };
    let checksum = match tlv::check(tlvs, FIXED + begin) {
        Ok(checksum) => checksum,
        Err(_) if ignores_addresses(fixed) => return Ok((origin, &[])),
        Err(error) => return Err(error),
    };
    if let Some(at) = checksum.map(|at| FIXED + begin + at) {
        if header[at..].first_chunk() != Some(&checksum_at(at, header)) {
            return Err(ProxyError::new(at, ProxyErrorKind::Checksum));
        }
    }
    Ok((origin, tlvs))
}

/// Decodes two IP addresses of `N` bytes each, and two ports.
fn inet<const N: usize>(addresses: &[u8]) -> Option<Origin>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = addresses.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let &[a, b, c, d] = ports.first_chunk()?;
    let address = |ip: &[u8; N], port| SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(port));
    Some(Origin::Client {
        source: ProxyAddress::Tcp(address(source, [a, b])),
        destination: ProxyAddress::Tcp(address(destination, [c, d])),
    })
}

/// Decodes a Unix address. A path ends before the first NUL. An abstract name begins with one and
/// may contain others; its own length is lost, so it ends before the last NULs.
fn unix(field: &[u8]) -> ProxyAddress {
    let length = match field.first() {
        Some(0) => field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
        _ => field.iter().position(|byte| *byte == 0).unwrap_or(field.len()),
    };
    ProxyAddress::Unix(field[..length].into())
}

/// Returns the checksum of a header whose checksum stands at `at`.
fn checksum_at(at: usize, header: &[u8]) -> [u8; 4] {
    crc32c::checksum(&[&header[..at], &[0; 4], &header[at + 4..]]).to_be_bytes()
}

/// Appends the header for an origin. `tlvs` have passed [`tlv::check`]; a checksum in them is
/// computed.
pub(super) fn encode(origin: &Origin, tlvs: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    to.extend_from_slice(SIGNATURE);
    let command = if *origin == Origin::Local { LOCAL } else { PROXY };
    to.push(VERSION << 4 | command);
    // Family and transport, and the length.
    to.extend_from_slice(&[0; 3]);
    let family = append_addresses(origin, to);
    let tlvs_at = to.len() - start;
    to.extend_from_slice(tlvs);
    let header = &mut to[start..];
    header[FAMILY] = family;
    let length = (header.len() - FIXED) as u16;
    header[LENGTH..FIXED].copy_from_slice(&length.to_be_bytes());
    if let Ok(Some(at)) = tlv::check(tlvs, tlvs_at) {
        let at = tlvs_at + at;
        let checksum = checksum_at(at, header);
        header[at..at + checksum.len()].copy_from_slice(&checksum);
    }
}

/// Appends the addresses of an origin, and returns their family and transport.
fn append_addresses(origin: &Origin, to: &mut Vec<u8>) -> u8 {
    if let Some((source, destination)) = origin.socket_addrs() {
        let (family, ips) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (INET, [from.octets(), to.octets()].concat()),
            (from, to) => (INET6, [mapped(from).octets(), mapped(to).octets()].concat()),
        };
        to.extend_from_slice(&ips);
        to.extend_from_slice(&source.port().to_be_bytes());
        to.extend_from_slice(&destination.port().to_be_bytes());
        return family << 4 | STREAM;
    }
    if let Origin::Client {
        source: ProxyAddress::Unix(from),
        destination: ProxyAddress::Unix(to_name),
    } = origin
    {
        if from.len() <= UNIX_PATH && to_name.len() <= UNIX_PATH {
            for name in [from, to_name] {
                to.extend_from_slice(name);
                to.resize(to.len() + UNIX_PATH - name.len(), 0);
            }
            return UNIX << 4 | STREAM;
        }
    }
    UNSPEC << 4 | UNSPEC
}

/// Returns an address as IPv6, as `::ffff:192.0.2.1` if it is IPv4.
fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
