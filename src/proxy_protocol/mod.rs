//! The PROXY protocol, versions 1 and 2: a header at the beginning of a connection, in which a
//! proxy tells a server the addresses of its client. (`HAProxyWrappingFactory`)
//!
//! Everything here is a plain value: no socket, no clock. [`ProxyDecoder`] takes the bytes as they
//! arrive and says how many belong to the header; [`ProxyHeader`] is the header, also to send;
//! [`TrustedNetworks`] says from which peers a header may be believed. The source is haproxy's
//! [specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//!
//! ```
//! use twistor::proxy_protocol::{Decoded, ProxyDecoder};
//!
//! let mut decoder = ProxyDecoder::new();
//! let arrived = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
//! let Decoded::Complete { header, length } = decoder.receive(arrived)? else {
//!     panic!("the header is complete");
//! };
//! assert_eq!(header.source().unwrap().to_string(), "192.168.0.1:56324");
//! assert_eq!(&arrived[length..], b"GET / HTTP/1.1\r\n");
//! # Ok::<(), twistor::proxy_protocol::ProxyError>(())
//! ```
//!
//! # Which addresses count
//!
//! [`ProxyHeader::source`] and [`destination`](ProxyHeader::destination) are `None` where the
//! header has no addresses for a stream. The addresses of the connection itself then count, as the
//! specification demands:
//!
//! - `LOCAL` (version 2): the proxy's own connection, such as a health check. The addresses and the
//!   family in it are ignored.
//! - `UNKNOWN` (version 1) and `UNSPEC` (version 2): the proxy does not know the client's address.
//! - `DGRAM` (version 2): the addresses of a datagram's sender, which no stream can have. The
//!   specification lets a receiver treat them as `UNSPEC`.
//!
//! # Strictness
//!
//! Anything that the specification does not allow is an error, at the first byte that shows it:
//! other signatures, versions, commands and families, lengths that do not match, a wrong checksum.
//! There are three exceptions. An IPv6 address of version 1 may end in dotted decimals
//! (`::ffff:192.0.2.1`), because haproxy writes it so. A receiver ignores the rest of
//! an `UNKNOWN` line, which may contain anything but CR and LF. It also ignores the addresses of a
//! `LOCAL` or `UNSPEC` header, so ill-formed bytes there are no error, and count as no TLVs.

mod address;
mod binary;
mod crc32c;
mod decoder;
mod error;
mod header;
mod line;
mod tls_info;
mod tlv;
mod trusted_networks;

#[cfg(test)]
mod tests;

pub use address::ProxyAddress;
pub use decoder::{Decoded, ProxyDecoder};
pub use error::{ProxyError, ProxyErrorKind};
pub use header::{Command, ProxyHeader, Version};
pub use tls_info::TlsInfo;
pub use tlv::{Tlv, Tlvs};
pub use trusted_networks::{ParseNetworksError, TrustedNetworks};

/// Longest line of version 1, CR LF included: the longest that the specification knows (2.1).
pub const LINE_MAX: usize = 107;

/// Longest header of version 2 that is decoded: nginx's limit (`NGX_PROXY_PROTOCOL_MAX_HEADER`).
/// The specification means headers to fit into the smallest segment, 536 bytes; a client's
/// certificate among the TLVs needs more, and the length field would allow 64 KiB, which is too
/// much to hold for a peer that has not said who it is.
pub const HEADER_MAX: usize = 4096;
