//! What the module `tls` has for the rest of the library, where its feature is not enabled: nothing
//! of this can exist.

/// See the module `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSide {}

impl TlsSide {
    /// Never happens: there is no such side.
    pub(crate) fn session(&self) -> std::io::Result<Session> {
        match *self {}
    }
}

/// See the module `tls`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Session {}
