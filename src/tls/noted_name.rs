//! The server name that a client asks for, noted while the certificate is chosen: rustls'
//! unbuffered connection does not tell it.

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static SERVER_NAME: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// Returns the name that the last client on this thread asked for, if it did, and forgets it.
///
/// To be called after each call of a connection that might have handled a `ClientHello`.
pub(super) fn take() -> Option<Box<str>> {
    SERVER_NAME.take()
}

/// Chooses certificates as another one does, and notes the client's server name before.
///
/// rustls asks for a certificate in each handshake, before it decides whether to resume a session.
#[derive(Debug)]
pub(super) struct NotingResolver(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for NotingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.set(hello.server_name().map(Box::from));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}
