//! `TlsConnector`: the client's side of TLS.

use super::server_name_error::ServerNameError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::sync::Arc;

/// The client's side of TLS: the certificates that it trusts, and what it negotiates. Clones share
/// them, and the sessions that can be resumed.
///
/// ```no_run
/// use twistor::tls::{RootCertificates, TlsConnector};
///
/// // For servers of the internet:
/// let connector = TlsConnector::with_system_roots()?;
/// // For servers of your own:
/// let roots = RootCertificates::from_file("our-authority.pem")?;
/// let connector = TlsConnector::builder(&roots).alpn(["irc"]).build();
/// # Ok::<(), twistor::tls::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    /// In one piece, since endpoints and errors contain a connector.
    shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
struct Shared {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    accepts_truncation: bool,
}

impl TlsConnector {
    /// Creates a connector from a configuration of rustls, with any provider of cryptography.
    ///
    /// A panic of code that it calls ends that one connection, or fails that attempt to connect.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        let shared = Shared { config, server_name: None, accepts_truncation: false };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the name that the server is asked for and that its certificate must be valid for: a
    /// host name, or an IP address. By default it is the host that the client connects to.
    ///
    /// An address is not sent to the server, which then chooses its default certificate.
    ///
    /// # Errors
    ///
    /// If `name` is neither a host name nor an IP address. A name in another script has to be
    /// encoded (`xn--`) first.
    pub fn server_name(mut self, name: &str) -> Result<Self, ServerNameError> {
        Arc::make_mut(&mut self.shared).server_name = Some(parse(name)?);
        Ok(self)
    }

    /// Sets whether a server may end a connection without saying so (the alert `close_notify`);
    /// not by default.
    ///
    /// Without that alert it is unknown whether the server has sent everything, or an attacker has
    /// cut the connection: it is lost with the error `UnexpectedEof`. Accept this only from servers
    /// that never send the alert, in protocols whose messages tell where they end.
    #[must_use]
    pub fn accept_truncation(mut self, accept: bool) -> Self {
        Arc::make_mut(&mut self.shared).accepts_truncation = accept;
        self
    }

    /// Returns the name that a server is asked for, if the client connects to `host`.
    pub(super) fn server_name_for(
        &self,
        host: &str,
    ) -> Result<ServerName<'static>, ServerNameError> {
        self.shared.server_name.clone().map_or_else(|| parse(host), Ok)
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.shared.config
    }

    pub(crate) fn accepts_truncation(&self) -> bool {
        self.shared.accepts_truncation
    }
}

/// Two are equal if one is a clone of the other, with the same settings.
impl PartialEq for TlsConnector {
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (&self.shared, &other.shared);
        Arc::ptr_eq(&own.config, &other.config)
            && own.server_name == other.server_name
            && own.accepts_truncation == other.accepts_truncation
    }
}

impl Eq for TlsConnector {}

/// Shows no more than the type: a configuration is long.
impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, ServerNameError> {
    ServerName::try_from(name.to_owned()).map_err(|_| ServerNameError { name: name.to_owned() })
}
