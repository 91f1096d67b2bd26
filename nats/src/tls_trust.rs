//! `TlsTrust`: the certificates that a client trusts.

use twistor::tls::TlsConnector;

/// The certificates that a client trusts.
///
/// A server tells of others before TLS, so that anyone on the way can name a host of their own
/// there. Under authorities that certify any host, such a name must not stand for itself: its owner
/// has a certificate for it, and would get the client's credentials.
pub(crate) enum TlsTrust {
    /// The user's choice: a server that others tell of has a certificate for its own name.
    Chosen(TlsConnector),
    /// The system's authorities: a server that others tell of has a certificate for the name that
    /// was given.
    System(TlsConnector),
}

impl TlsTrust {
    pub(crate) fn connector(&self) -> &TlsConnector {
        match self {
            Self::Chosen(connector) | Self::System(connector) => connector,
        }
    }

    /// Returns true if a name that a server tells of may stand for itself.
    pub(crate) fn believes_names(&self) -> bool {
        matches!(self, Self::Chosen(_))
    }
}
