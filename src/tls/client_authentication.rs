//! `ClientAuthentication`: whether a server asks its clients for certificates.

use super::root_certificates::RootCertificates;

/// Whether a server asks its clients for certificates, and whom it believes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// Clients are not asked.
    #[default]
    None,
    /// Clients are asked, and may have none. The handshake with a client whose certificate was not
    /// issued by one of these authorities fails.
    Optional(RootCertificates),
    /// Clients must have a certificate that was issued by one of these authorities, directly or
    /// through certificates that they send.
    Required(RootCertificates),
}
