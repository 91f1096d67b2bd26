//! Where a side of TLS gets its cryptography and the time.

use rustls::crypto::{CryptoProvider, ring};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use std::sync::Arc;

/// Where a side of TLS gets its cryptography and the time. Only tests have another than
/// [`ring`](Self::ring).
#[derive(Clone, Debug)]
pub(crate) struct Cryptography {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) time: Arc<dyn TimeProvider>,
    /// Whether the client keeps the state of a session. The keys of such tickets come from the
    /// operating system.
    pub(crate) tickets: bool,
}

impl Cryptography {
    pub(super) fn ring() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            time: Arc::new(DefaultTimeProvider),
            tickets: true,
        }
    }
}
