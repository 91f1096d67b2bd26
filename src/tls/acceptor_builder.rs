//! `TlsAcceptorBuilder`: what can be set for the server's side of TLS.

use super::acceptor::TlsAcceptor;
use super::alpn::protocol_names;
use super::certificates::Certificates;
use super::client_authentication::ClientAuthentication;
use super::cryptography::Cryptography;
use super::version::TlsVersion;
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Builder of a [`TlsAcceptor`]; [`TlsAcceptor::builder`] returns it.
#[derive(Clone, Debug)]
#[must_use = "nothing listens before `build`"]
pub struct TlsAcceptorBuilder {
    certificates: Certificates,
    reject_unknown_names: bool,
    alpn: Vec<Vec<u8>>,
    client_authentication: ClientAuthentication,
    min_version: TlsVersion,
    resumption: bool,
    cryptography: Cryptography,
}

// Here, since a builder knows what it makes.
impl TlsAcceptor {
    /// Begins an acceptor with these certificates; [`TlsAcceptorBuilder`] says what can be set.
    pub fn builder(certificates: &Certificates) -> TlsAcceptorBuilder {
        TlsAcceptorBuilder::new(certificates.clone())
    }
}

impl TlsAcceptorBuilder {
    fn new(certificates: Certificates) -> Self {
        Self {
            certificates,
            reject_unknown_names: false,
            alpn: Vec::new(),
            client_authentication: ClientAuthentication::None,
            min_version: TlsVersion::V1_2,
            resumption: true,
            cryptography: Cryptography::ring(),
        }
    }

    /// Sets whether a client that names a server without a certificate is rejected; by default it
    /// gets the default certificate, and decides itself.
    ///
    /// The handshake then fails with the alert `access_denied`, which is what rustls sends, and not
    /// `unrecognized_name` as RFC 6066 suggests. Clients that name no server are not rejected.
    pub fn reject_unknown_names(self, reject: bool) -> Self {
        Self { reject_unknown_names: reject, ..self }
    }

    /// Sets the application protocols that are spoken (ALPN, RFC 7301), the preferred one first;
    /// none by default.
    ///
    /// If the client names some too, one that both name is chosen; if there is none, the handshake
    /// fails with the alert `no_application_protocol`. A client that names none is accepted.
    ///
    /// # Panics
    ///
    /// If a name is empty or longer than 255 bytes.
    pub fn alpn<P: Into<Vec<u8>>>(self, protocols: impl IntoIterator<Item = P>) -> Self {
        Self { alpn: protocol_names(protocols), ..self }
    }

    /// Sets whether clients are asked for certificates; not by default.
    pub fn client_authentication(self, authentication: ClientAuthentication) -> Self {
        Self { client_authentication: authentication, ..self }
    }

    /// Sets the oldest version of TLS that is spoken; [`TlsVersion::V1_2`] by default.
    pub fn min_version(self, version: TlsVersion) -> Self {
        Self { min_version: version, ..self }
    }

    /// Sets whether a client may resume a session that it had within the last hours, which spares
    /// both sides the certificates and a signature; it may, by default.
    ///
    /// The state of a session is kept by the client, in tickets that only this acceptor and its
    /// clones can read, with keys that change every six hours. They survive
    /// [`Certificates::reload`]. Separately built acceptors never share them, since a session
    /// that was begun without a client certificate must not be resumed where one is required.
    pub fn resumption(self, resumption: bool) -> Self {
        Self { resumption, ..self }
    }

    /// Sets where random numbers, keys and the time come from.
    #[cfg(feature = "testing")]
    pub(crate) fn cryptography(self, cryptography: Cryptography) -> Self {
        Self { cryptography, ..self }
    }

    /// Creates the acceptor.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    #[must_use]
    pub fn build(self) -> TlsAcceptor {
        let Cryptography { provider, time, tickets } = self.cryptography;
        let verifier = |roots: &super::RootCertificates| {
            WebPkiClientVerifier::builder_with_provider(
                Arc::clone(roots.store()),
                Arc::clone(&provider),
            )
        };
        let verifier = match &self.client_authentication {
            ClientAuthentication::None => Ok(WebPkiClientVerifier::no_client_auth()),
            ClientAuthentication::Optional(roots) => {
                verifier(roots).allow_unauthenticated().build()
            }
            ClientAuthentication::Required(roots) => verifier(roots).build(),
        };
        let resolver = CertificateResolver {
            certificates: self.certificates.clone(),
            reject_unknown_names: self.reject_unknown_names,
        };
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(self.min_version.and_later())
            .expect("the provider has suites for each version")
            .with_client_cert_verifier(verifier.expect("there are roots"))
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = self.alpn;
        if !self.resumption {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else if tickets {
            config.ticketer = Ticketer::new().expect("the system has random numbers");
        }
        TlsAcceptor::new(Arc::new(config)).with_certificates(self.certificates)
    }
}

/// Chooses the certificate for a client.
#[derive(Debug)]
struct CertificateResolver {
    certificates: Certificates,
    reject_unknown_names: bool,
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (name, schemes) = (hello.server_name(), hello.signature_schemes());
        self.certificates.find(name, schemes, self.reject_unknown_names)
    }
}
