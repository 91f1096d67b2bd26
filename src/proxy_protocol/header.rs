//! The PROXY header, decoded or to be sent.

use super::address::{Origin, ProxyAddress};
use super::binary::{self, TLVS_MAX};
use super::error::{ProxyError, ProxyErrorKind};
use super::line;
use super::tls_info::TlsInfo;
use super::tlv::{self, Tlv, Tlvs};

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Version 1: a line of text, without TLVs.
    V1,
    /// Version 2: binary.
    V2,
}

/// Command of a header: for whom the proxy opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// For itself, such as for a health check. Only version 2 can say so.
    Local,
    /// For a client.
    Proxy,
}

/// PROXY header: the addresses of the client of a proxy, and what else the proxy tells.
///
/// A [`ProxyDecoder`](super::ProxyDecoder) returns it. To send one, build it and write what
/// [`encode`](Self::encode) appends before anything else:
///
/// ```
/// use twistor::proxy_protocol::{ProxyHeader, Tlv};
///
/// let client: std::net::SocketAddr = "192.0.2.7:40001".parse()?;
/// let server: std::net::SocketAddr = "192.0.2.80:443".parse()?;
/// let header = ProxyHeader::new(client, server)
///     .with_tlv(Tlv::AUTHORITY, b"example.org")?
///     .with_checksum()?;
/// let mut bytes = Vec::new();
/// header.encode(&mut bytes);
/// assert_eq!(bytes.len(), 16 + 12 + (3 + 11) + (3 + 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyHeader {
    version: Version,
    origin: Origin,
    /// Well-formed TLVs.
    tlvs: Box<[u8]>,
}

impl ProxyHeader {
    /// Creates a header for a connection from a client, of version 2. `source` is the client's
    /// address, `destination` the one to which it connected.
    pub fn new(source: impl Into<ProxyAddress>, destination: impl Into<ProxyAddress>) -> Self {
        let (source, destination) = (source.into(), destination.into());
        Self::from_parts(Version::V2, Origin::Client { source, destination }, &[])
    }

    /// Creates a header for a connection of the proxy itself, of version 2.
    pub fn local() -> Self {
        Self::from_parts(Version::V2, Origin::Local, &[])
    }

    /// Creates a header for a connection from a client whose addresses are not known, of version 2.
    pub fn unspecified() -> Self {
        Self::from_parts(Version::V2, Origin::Unspecified, &[])
    }

    /// `tlvs` have passed [`tlv::check`].
    pub(super) fn from_parts(version: Version, origin: Origin, tlvs: &[u8]) -> Self {
        Self { version, origin, tlvs: tlvs.into() }
    }

    /// Sets the version to send.
    #[must_use]
    pub fn with_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Adds a TLV. `kind` is its type, such as [`Tlv::ALPN`].
    ///
    /// # Errors
    ///
    /// If the TLVs together are longer than 3864 bytes, with which any addresses fit into
    /// [`HEADER_MAX`](super::HEADER_MAX), or `kind` does not allow this value. The error's offset
    /// counts from the first TLV.
    pub fn with_tlv(self, kind: u8, value: &[u8]) -> Result<Self, ProxyError> {
        let length = self.tlvs.len() + tlv::length(value);
        if length > TLVS_MAX {
            let kind = ProxyErrorKind::TlvTooLong;
            return Err(ProxyError::new(self.tlvs.len(), kind));
        }
        let mut tlvs = Vec::with_capacity(length);
        tlvs.extend_from_slice(&self.tlvs);
        tlv::append(kind, value, &mut tlvs);
        tlv::check(&tlvs, 0)?;
        Ok(Self { tlvs: tlvs.into(), ..self })
    }

    /// Adds a checksum (CRC-32C), which [`encode`](Self::encode) computes.
    ///
    /// # Errors
    ///
    /// Those of [`with_tlv`](Self::with_tlv); and if there is a checksum already.
    pub fn with_checksum(self) -> Result<Self, ProxyError> {
        self.with_tlv(Tlv::CRC32C, &[0; 4])
    }

    /// Returns the version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the command. A header of version 1 always has [`Command::Proxy`].
    pub fn command(&self) -> Command {
        match self.origin {
            Origin::Local => Command::Local,
            Origin::Unspecified | Origin::Client { .. } => Command::Proxy,
        }
    }

    /// Returns the address of the client; `None` if the connection's own peer address counts.
    pub fn source(&self) -> Option<&ProxyAddress> {
        match &self.origin {
            Origin::Client { source, .. } => Some(source),
            Origin::Local | Origin::Unspecified => None,
        }
    }

    /// Returns the address to which the client connected; `None` if the connection's own local
    /// address counts.
    pub fn destination(&self) -> Option<&ProxyAddress> {
        match &self.origin {
            Origin::Client { destination, .. } => Some(destination),
            Origin::Local | Origin::Unspecified => None,
        }
    }

    /// Returns all TLVs in their order. Of a type that occurs twice, the accessors below return the
    /// first.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(&self.tlvs)
    }

    /// Returns the application protocol that the client negotiated, such as `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlvs().value(Tlv::ALPN)
    }

    /// Returns the host name that the client asked for (SNI). `None` also if it is not UTF-8.
    pub fn authority(&self) -> Option<&str> {
        self.tlvs().text(Tlv::AUTHORITY)
    }

    /// Returns the id that the first proxy gave to the connection, for logs: at most 128 bytes.
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlvs().value(Tlv::UNIQUE_ID)
    }

    /// Returns the name of the network namespace. `None` also if it is not UTF-8.
    pub fn netns(&self) -> Option<&str> {
        self.tlvs().text(Tlv::NETNS)
    }

    /// Returns what the proxy tells about the client's TLS.
    pub fn tls(&self) -> Option<TlsInfo<'_>> {
        self.tlvs().value(Tlv::SSL).and_then(TlsInfo::new)
    }

    /// Appends the header to `buffer`, in its version.
    ///
    /// The two addresses are sent as they are if they are of one family. Otherwise:
    ///
    /// - Two IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are sent as IPv4.
    /// - Of IPv4 and IPv6, version 2 sends the IPv4 address as IPv6, and version 1 `UNKNOWN`.
    /// - Unix addresses are sent as `UNKNOWN` by version 1; so are those of which one is not Unix,
    ///   or is longer than 108 bytes, by either version (`UNSPEC`).
    ///
    /// Version 1 has no TLVs and leaves them out, and has no `LOCAL`: it sends `UNKNOWN`, which
    /// some servers reject. For a health check of such servers, the specification recommends the
    /// connection's own addresses.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        match self.version {
            Version::V1 => line::encode(&self.origin, buffer),
            Version::V2 => binary::encode(&self.origin, &self.tlvs, buffer),
        }
    }
}
