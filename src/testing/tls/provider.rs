//! Cryptography whose random numbers follow from a seed.

use super::super::random::Random;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup, ring,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{Error, NamedGroup, PeerMisbehaved};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Threads that have drawn numbers without a seed of their own: otherwise two acceptors would call
/// different sessions by the same name.
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RANDOM: RefCell<Random> =
        RefCell::new(Random::new(THREADS.fetch_add(1, Ordering::Relaxed)));
}

/// Lets the random numbers of this thread's reproducible connections follow from `seed`.
///
/// A [`Simulation`](crate::testing::Simulation) does so with its own seed when it begins.
pub fn seed(seed: u64) {
    RANDOM.set(Random::new(seed));
}

fn fill(bytes: &mut [u8]) {
    RANDOM.with_borrow_mut(|random| {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
    });
}

/// Returns the cryptography of *ring*, with random numbers that follow from the seed, and a key
/// exchange that does too.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let ring = ring::default_provider();
    let kx_groups = [&SeededGroup as &dyn SupportedKxGroup].into_iter().chain(ring.kx_groups);
    Arc::new(CryptoProvider {
        kx_groups: kx_groups.collect(),
        secure_random: &SeededRandom,
        ..ring
    })
}

#[derive(Debug)]
struct SeededRandom;

impl SecureRandom for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        fill(bytes);
        Ok(())
    }
}

/// A key exchange that keeps nothing secret: what both sides send, combined. The groups of *ring*
/// draw their keys from the operating system and cannot be made to follow from a seed.
///
/// It comes first in the list of groups. A peer that does not know it chooses another one, so other
/// implementations can be spoken with, but not reproducibly.
#[derive(Debug)]
struct SeededGroup;

/// The first number that is reserved for private use, RFC 8446 section 4.2.7.
const GROUP: NamedGroup = NamedGroup::Unknown(0xfe00);

const KEY_LENGTH: usize = 32;

impl SupportedKxGroup for SeededGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = [0; KEY_LENGTH];
        fill(&mut share);
        Ok(Box::new(SeededExchange(share)))
    }

    fn name(&self) -> NamedGroup {
        GROUP
    }
}

struct SeededExchange([u8; KEY_LENGTH]);

impl ActiveKeyExchange for SeededExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.len() != KEY_LENGTH {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let secret: Vec<u8> = self.0.iter().zip(peer).map(|(own, peer)| own ^ peer).collect();
        Ok(SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        GROUP
    }
}

/// A clock that stands still: the age of a ticket is part of a resumption's first message.
#[derive(Debug)]
pub(super) struct FixedTime;

/// 1 January 2030. The certificates are valid then.
const NOW: Duration = Duration::from_secs(1_893_456_000);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(NOW))
    }
}
