//! TLVs: typed values behind the addresses of a version 2 header.

use super::error::{ProxyError, ProxyErrorKind};

/// Length of a TLV without its value: one byte of type, two of length.
const FRAME: usize = 3;

/// Length of a unique id, at most (specification, 2.2.5).
const UNIQUE_ID_MAX: usize = 128;

/// Length of the value of an SSL TLV before the TLVs in it: one byte of flags, four of the result
/// of the verification.
pub(super) const TLS_FIELDS: usize = 5;

/// One TLV of a version 2 header: a type and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tlv<'a> {
    /// The type, such as [`Tlv::ALPN`]. `0xE0` to `0xEF` are for applications: clouds send the ids
    /// of their endpoints so.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

impl Tlv<'_> {
    /// Type of the application protocol that the client negotiated.
    pub const ALPN: u8 = 0x01;
    /// Type of the host name that the client asked for (SNI).
    pub const AUTHORITY: u8 = 0x02;
    /// Type of the header's checksum.
    pub const CRC32C: u8 = 0x03;
    /// Type of padding.
    pub const NOOP: u8 = 0x04;
    /// Type of the id that the first proxy gave to the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// Type of facts about the client's TLS, a value that holds TLVs itself.
    pub const SSL: u8 = 0x20;
    /// Type of the version of TLS, within [`Tlv::SSL`].
    pub const SSL_VERSION: u8 = 0x21;
    /// Type of the common name of the client's certificate, within [`Tlv::SSL`].
    pub const SSL_CN: u8 = 0x22;
    /// Type of the cipher's name, within [`Tlv::SSL`].
    pub const SSL_CIPHER: u8 = 0x23;
    /// Type of the name of the network namespace.
    pub const NETNS: u8 = 0x30;
}

/// TLVs in their order: an iterator of [`Tlv`].
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// `bytes` have passed [`check`].
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the value of the first TLV of this type.
    pub(super) fn value(mut self, kind: u8) -> Option<&'a [u8]> {
        self.find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }

    /// Returns the value of the first TLV of this type, if it is UTF-8.
    pub(super) fn text(self, kind: u8) -> Option<&'a str> {
        self.value(kind).and_then(|value| std::str::from_utf8(value).ok())
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split(self.rest)?;
        self.rest = rest;
        Some(tlv)
    }
}

/// Splits the first TLV off; `None` if it does not fit, or nothing is left.
fn split(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<FRAME>()?;
    let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
    Some((Tlv { kind, value }, rest))
}

/// Checks that `bytes`, at this offset of the header, are TLVs and nothing else. Returns where in
/// `bytes` the value of the checksum begins, if there is one.
pub(super) fn check(bytes: &[u8], offset: usize) -> Result<Option<usize>, ProxyError> {
    let mut checksum = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let error = |kind| Err(ProxyError::new(offset + at, kind));
        let Some((tlv, behind)) = split(rest) else {
            return error(ProxyErrorKind::TlvTooLong);
        };
        let (kind, length) = (tlv.kind, tlv.value.len());
        let fits = match kind {
            Tlv::CRC32C => length == size_of::<u32>(),
            Tlv::UNIQUE_ID => length <= UNIQUE_ID_MAX,
            Tlv::SSL => length >= TLS_FIELDS,
            _ => true,
        };
        if !fits {
            return error(ProxyErrorKind::TlvLength { kind, length });
        }
        if kind == Tlv::SSL && !is_well_formed(&tlv.value[TLS_FIELDS..]) {
            return error(ProxyErrorKind::TlvTooLong);
        }
        if kind == Tlv::CRC32C && checksum.replace(at + FRAME).is_some() {
            return error(ProxyErrorKind::SecondChecksum);
        }
        rest = behind;
    }
    Ok(checksum)
}

fn is_well_formed(mut rest: &[u8]) -> bool {
    while let Some((_, behind)) = split(rest) {
        rest = behind;
    }
    rest.is_empty()
}

/// Appends a TLV. `value` is no longer than a header, which fits into 16 bits.
pub(super) fn append(kind: u8, value: &[u8], to: &mut Vec<u8>) {
    to.push(kind);
    to.extend_from_slice(&(value.len() as u16).to_be_bytes());
    to.extend_from_slice(value);
}

/// Returns the length of a TLV with this value.
pub(super) fn length(value: &[u8]) -> usize {
    FRAME + value.len()
}
