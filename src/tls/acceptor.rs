//! `TlsAcceptor`: the server's side of TLS.

use super::Certificates;
use super::noted_name::NotingResolver;
use rustls::ServerConfig;
use std::fmt;
use std::sync::Arc;

/// The server's side of TLS: its certificates, and what it negotiates. Clones share them.
///
/// ```no_run
/// use twistor::tls::{Certificates, TlsAcceptor, TlsVersion};
///
/// let certificates = Certificates::from_files("chain.pem", "key.pem")?;
/// let acceptor = TlsAcceptor::builder(&certificates)
///     .alpn(["irc"])
///     .min_version(TlsVersion::V1_3)
///     .build();
/// # Ok::<(), twistor::tls::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    accepts_truncation: bool,
    certificates: Option<Certificates>,
}

impl TlsAcceptor {
    /// Creates an acceptor from a configuration of rustls, with any provider of cryptography.
    ///
    /// The configuration is copied, so that the acceptor learns which server the client has named:
    /// `cert_resolver` is called by another resolver. What the configuration shares, such as
    /// `ticketer` and `session_storage`, stays shared.
    ///
    /// A panic of code that it calls ends that one connection; a client in its handshake is
    /// rejected.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.cert_resolver = Arc::new(NotingResolver(config.cert_resolver));
        // Early data can be replayed by anybody, and no protocol is asked whether that does harm.
        config.max_early_data_size = 0;
        Self { config: Arc::new(config), accepts_truncation: false, certificates: None }
    }

    /// Notes which certificates the configuration shows.
    pub(super) fn with_certificates(self, certificates: Certificates) -> Self {
        Self { certificates: Some(certificates), ..self }
    }

    /// Returns the certificates that the acceptor was [built](Self::builder) with, to read them
    /// again; `None` if it has a configuration of its own.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Sets whether a client may end a connection without saying so (the alert `close_notify`);
    /// not by default.
    ///
    /// Without that alert it is unknown whether the client has sent everything, or an attacker has
    /// cut the connection: it is lost with the error `UnexpectedEof`. Accept this only from clients
    /// that never send the alert, in protocols whose messages tell where they end.
    #[must_use]
    pub fn accept_truncation(self, accept: bool) -> Self {
        Self { accepts_truncation: accept, ..self }
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) fn accepts_truncation(&self) -> bool {
        self.accepts_truncation
    }
}

/// Two are equal if one is a clone of the other, with the same settings.
impl PartialEq for TlsAcceptor {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
            && self.accepts_truncation == other.accepts_truncation
    }
}

impl Eq for TlsAcceptor {}

/// Shows no more than the type: a configuration is long.
impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}
