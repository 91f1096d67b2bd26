//! Errors of PROXY headers: what is wrong, and at which byte.

use super::{HEADER_MAX, LINE_MAX};
use std::fmt;

/// Error of a PROXY header: what is wrong, and at which byte. Its text is safe to log: of what the
/// peer sent, it shows at most one byte, as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyError {
    offset: usize,
    kind: ProxyErrorKind,
}

/// What is wrong with a PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyErrorKind {
    /// The bytes begin neither version of the header.
    #[non_exhaustive]
    NoHeader {
        /// The first byte that fits neither.
        byte: u8,
    },
    /// Version 1: the protocol is not `TCP4`, `TCP6` or `UNKNOWN`.
    Protocol,
    /// Version 1: a byte cannot stand at this place of the line.
    #[non_exhaustive]
    Line {
        /// The byte.
        byte: u8,
    },
    /// Version 1: no CR LF within [`LINE_MAX`] bytes.
    LineTooLong,
    /// Version 1: the field that begins here is no address of the announced family.
    Address,
    /// Version 1: the field that begins here is no port number.
    Port,
    /// Version 2: the version is not 2.
    #[non_exhaustive]
    Version {
        /// The version.
        version: u8,
    },
    /// Version 2: the command is neither `LOCAL` nor `PROXY`.
    #[non_exhaustive]
    Command {
        /// The command's number.
        command: u8,
    },
    /// Version 2: the address family is not one of the specification's.
    #[non_exhaustive]
    Family {
        /// The family's number.
        family: u8,
    },
    /// Version 2: the transport protocol is not one of the specification's.
    #[non_exhaustive]
    Transport {
        /// The transport protocol's number.
        transport: u8,
    },
    /// Version 2: the header is longer than [`HEADER_MAX`].
    #[non_exhaustive]
    HeaderTooLong {
        /// The length of the whole header.
        length: usize,
    },
    /// Version 2: the announced length does not hold the addresses of the family.
    #[non_exhaustive]
    HeaderTooShort {
        /// The announced length.
        length: usize,
        /// The length of the addresses.
        needed: usize,
    },
    /// Version 2: a TLV does not fit into what is left of the header, or of the TLV around it.
    TlvTooLong,
    /// Version 2: the value of a TLV has a length that its type does not allow.
    #[non_exhaustive]
    TlvLength {
        /// The TLV's type.
        kind: u8,
        /// The length of the value.
        length: usize,
    },
    /// Version 2: a second checksum.
    SecondChecksum,
    /// Version 2: the checksum is not that of the header.
    Checksum,
    /// The connection ended within the header.
    Truncated,
    /// The decoder has already returned a header.
    AlreadyComplete,
}

impl ProxyError {
    pub(super) fn new(offset: usize, kind: ProxyErrorKind) -> Self {
        Self { offset, kind }
    }

    /// Returns the offset in the header of the byte at which the error shows, counted from zero.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns what is wrong.
    pub fn kind(&self) -> &ProxyErrorKind {
        &self.kind
    }
}

impl fmt::Display for ProxyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader { byte } => write!(
                f,
                "0x{byte:02x} does not belong to a PROXY header; let the proxy send one (haproxy: \
                 send-proxy-v2, nginx: proxy_protocol on), or listen without it"
            ),
            Self::Protocol => f.write_str("the protocol is not TCP4, TCP6 or UNKNOWN"),
            Self::Line { byte } => write!(
                f,
                "0x{byte:02x} cannot stand here; the line needs two addresses, two ports and \
                 CR LF, with single spaces between them"
            ),
            Self::LineTooLong => write!(f, "no CR LF within {LINE_MAX} bytes"),
            Self::Address => f.write_str("not an address of the announced family"),
            Self::Port => f.write_str("not a port number from 0 to 65535, without leading zeros"),
            Self::Version { version } => write!(f, "version {version} is not supported, only 2"),
            Self::Command { command } => {
                write!(f, "command {command} is neither 0 (LOCAL) nor 1 (PROXY)")
            }
            Self::Family { family } => write!(
                f,
                "address family {family} is not 0 (UNSPEC), 1 (IPv4), 2 (IPv6) or 3 (Unix)"
            ),
            Self::Transport { transport } => write!(
                f,
                "transport protocol {transport} is not 0 (UNSPEC), 1 (STREAM) or 2 (DGRAM)"
            ),
            Self::HeaderTooLong { length } => write!(
                f,
                "the header has {length} bytes, more than {HEADER_MAX}; let the proxy send fewer \
                 or shorter TLVs"
            ),
            Self::HeaderTooShort { length, needed } => write!(
                f,
                "the announced length of {length} bytes does not hold the addresses, which have \
                 {needed}"
            ),
            Self::TlvTooLong => f.write_str("a TLV is longer than what is left"),
            Self::TlvLength { kind, length } => {
                write!(f, "a TLV of type 0x{kind:02x} cannot have a value of {length} bytes")
            }
            Self::SecondChecksum => f.write_str("a second checksum"),
            Self::Checksum => f.write_str("the checksum is wrong: the header was damaged"),
            Self::Truncated => f.write_str("the connection ended within the header"),
            Self::AlreadyComplete => f.write_str(
                "the header was complete before; the bytes behind it belong to the next layer",
            ),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY header, byte {}: {}", self.offset, self.kind)
    }
}

impl std::error::Error for ProxyError {}
