//! What a proxy tells about the TLS of its client.

use super::tlv::{TLS_FIELDS, Tlv, Tlvs};

/// What a proxy tells about the client's TLS: the value of a TLV of type [`Tlv::SSL`], as
/// [`ProxyHeader::tls`](super::ProxyHeader::tls) returns it.
#[derive(Clone, Debug)]
pub struct TlsInfo<'a> {
    flags: u8,
    verify_result: u32,
    tlvs: Tlvs<'a>,
}

/// The client connected over TLS (`PP2_CLIENT_SSL`).
const OVER_TLS: u8 = 0x01;

/// The client presented a certificate, on this connection or earlier in its session
/// (`PP2_CLIENT_CERT_CONN`, `PP2_CLIENT_CERT_SESS`).
const CERTIFICATE: u8 = 0x02 | 0x04;

impl<'a> TlsInfo<'a> {
    /// Creates the view of a TLV's value, `None` if that is too short.
    pub(super) fn new(value: &'a [u8]) -> Option<Self> {
        let (&[flags, a, b, c, d], tlvs) = value.split_first_chunk::<TLS_FIELDS>()?;
        let verify_result = u32::from_be_bytes([a, b, c, d]);
        Some(Self { flags, verify_result, tlvs: Tlvs::new(tlvs) })
    }

    /// Returns whether the client connected over TLS.
    pub fn is_tls(&self) -> bool {
        self.flags & OVER_TLS != 0
    }

    /// Returns whether the client presented a certificate, on this connection or earlier in its TLS
    /// session.
    pub fn has_certificate(&self) -> bool {
        self.flags & CERTIFICATE != 0
    }

    /// Returns whether the client presented a certificate and the proxy verified it.
    pub fn is_verified(&self) -> bool {
        // The result is zero as well if there was nothing to verify.
        self.has_certificate() && self.verify_result == 0
    }

    /// Returns the result of the verification, zero if it succeeded or there was no certificate.
    /// Other values are those of the proxy's TLS library.
    pub fn verify_result(&self) -> u32 {
        self.verify_result
    }

    /// Returns the version of TLS, such as `TLSv1.3`.
    pub fn version(&self) -> Option<&'a str> {
        self.tlvs().text(Tlv::SSL_VERSION)
    }

    /// Returns the cipher's name, such as `ECDHE-RSA-AES128-GCM-SHA256`.
    pub fn cipher(&self) -> Option<&'a str> {
        self.tlvs().text(Tlv::SSL_CIPHER)
    }

    /// Returns the common name of the client's certificate.
    pub fn common_name(&self) -> Option<&'a str> {
        self.tlvs().text(Tlv::SSL_CN)
    }

    /// Returns all TLVs within this one.
    pub fn tlvs(&self) -> Tlvs<'a> {
        self.tlvs.clone()
    }
}
