//! `TlsConnectorBuilder`: what can be set for the client's side of TLS.

use super::alpn::protocol_names;
use super::certificate_error::CertificateError;
use super::connector::TlsConnector;
use super::cryptography::Cryptography;
use super::identity::Identity;
use super::root_certificates::RootCertificates;
use super::version::TlsVersion;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use std::sync::Arc;

/// Builder of a [`TlsConnector`]; [`TlsConnector::builder`] returns it.
#[derive(Clone, Debug)]
#[must_use = "nothing connects before `build`"]
pub struct TlsConnectorBuilder {
    roots: RootCertificates,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
    min_version: TlsVersion,
    resumption: bool,
    cryptography: Cryptography,
}

// Here, since a builder knows what it makes.
impl TlsConnector {
    /// Begins a connector that trusts these authorities; [`TlsConnectorBuilder`] says what can be
    /// set.
    pub fn builder(roots: &RootCertificates) -> TlsConnectorBuilder {
        TlsConnectorBuilder::new(roots.clone())
    }

    /// Creates a connector that trusts the authorities of the operating system.
    ///
    /// # Errors
    ///
    /// As for [`RootCertificates::system`].
    pub fn with_system_roots() -> Result<Self, CertificateError> {
        Ok(Self::builder(&RootCertificates::system()?).build())
    }
}

impl TlsConnectorBuilder {
    fn new(roots: RootCertificates) -> Self {
        Self {
            roots,
            identity: None,
            alpn: Vec::new(),
            min_version: TlsVersion::V1_2,
            resumption: true,
            cryptography: Cryptography::ring(),
        }
    }

    /// Sets the certificate that the client shows to servers that ask for one; none by default.
    pub fn identity(self, identity: &Identity) -> Self {
        Self { identity: Some(identity.clone()), ..self }
    }

    /// Sets the application protocols that are spoken (ALPN, RFC 7301), the preferred one first;
    /// none by default.
    ///
    /// The server chooses. If it knows none of them, most fail the handshake; others choose none.
    ///
    /// # Panics
    ///
    /// If a name is empty or longer than 255 bytes.
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        Self { alpn: protocol_names(protocols), ..self }
    }

    /// Sets the oldest version of TLS that is spoken; [`TlsVersion::V1_2`] by default.
    pub fn min_version(self, version: TlsVersion) -> Self {
        Self { min_version: version, ..self }
    }

    /// Sets whether sessions are resumed, which spares both sides the certificates and a signature;
    /// they are, by default.
    ///
    /// The connector and its clones remember the latest sessions with 256 servers. Connectors that
    /// were built separately share none, since they may trust others, or show another certificate.
    pub fn resumption(self, resumption: bool) -> Self {
        Self { resumption, ..self }
    }

    /// Sets where random numbers, keys and the time come from.
    #[cfg(feature = "testing")]
    pub(crate) fn cryptography(self, cryptography: Cryptography) -> Self {
        Self { cryptography, ..self }
    }

    /// Creates the connector.
    #[must_use]
    pub fn build(self) -> TlsConnector {
        let Cryptography { provider, time, .. } = self.cryptography;
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(self.min_version.and_later())
            .expect("the provider has suites for each version")
            .with_root_certificates(Arc::clone(self.roots.store()));
        let mut config = match self.identity {
            Some(identity) => {
                let key = SingleCertAndKey::from(Arc::clone(identity.certified_key()));
                builder.with_client_cert_resolver(Arc::new(key))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        TlsConnector::new(Arc::new(config))
    }
}
