//! What the module `tls` has for the rest of the library, where its feature is not enabled: nothing
//! of this can exist.

/// The side of a TLS handshake; without the feature `tls` there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSide {}

impl TlsSide {
    /// Never happens: there is no such side.
    pub(crate) fn session(&self) -> std::io::Result<Session> {
        match *self {}
    }
}

/// A TLS session; without the feature `tls` there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Session {}
