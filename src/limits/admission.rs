//! Connection limits: which clients a factory admits, and how fast. Pure: times and peers in,
//! decisions out.

use super::token_bucket::TokenBucket;
use super::warning_throttle::WarningThrottle;
use crate::address::Network;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Default burst of an accept rate, as a divisor of its count: hardly seen in the rate, and enough
/// for a page with its pictures.
const BURST_SHARE: u32 = 10;

/// Connection limits of a factory: how many clients it admits, and how fast. None is set by
/// default. Set with [`Reactor::set_limits`](crate::Reactor::set_limits); connected clients stay,
/// and count. [`Reactor::rejections`](crate::Reactor::rejections) counts rejected clients by cause.
///
/// No protocol is built for a rejected client: it receives the
/// [`reject_message`](Self::reject_message), if one is set, and the connection is closed.
/// Connections that the factory opens itself do not count.
/// [`Settings::max_connections`](crate::Settings::max_connections) limits a whole reactor.
/// (Twisted's policies `LimitTotalConnectionsFactory` and `LimitConnectionsByPeer`.)
///
/// ```
/// use std::time::Duration;
/// use twistor::limits::ConnectionLimits;
///
/// let limits = ConnectionLimits::new()
///     .max_connections(10_000)
///     .max_per_peer(100)
///     .accept_rate(500, Duration::from_secs(1))
///     .reject_message("Too many guests, please come back later.\r\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConnectionLimits {
    connections: Option<usize>,
    per_peer: Option<usize>,
    accept_rate: Option<(u32, Duration)>,
    accept_burst: Option<u32>,
    reject_message: Option<Bytes>,
}

impl ConnectionLimits {
    /// Returns connection limits of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the open connections of all clients to `connections`; further clients are rejected.
    /// Zero rejects all.
    #[must_use]
    pub fn max_connections(self, connections: usize) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// Limits the open connections of each peer to `per_peer`; further ones are rejected. A peer is
    /// an IPv4 address, or the first 64 bits of an IPv6 address, which is what one customer is
    /// given. Programs that connect to a Unix socket are not counted, since no address tells them
    /// apart. Zero rejects all clients that are counted.
    #[must_use]
    pub fn max_per_peer(self, per_peer: usize) -> Self {
        Self { per_peer: Some(per_peer), ..self }
    }

    /// Limits the accept rate to `count` clients in each `span`, on all ports of the factory
    /// together. Further clients are not rejected but wait: in the backlogs of the ports, then in
    /// their own operating systems. Ports on which clients wait take turns. A client that another
    /// limit rejects does not count.
    ///
    /// This is a token bucket: [`accept_burst`](Self::accept_burst) says how many clients may be
    /// accepted at once. Over any span, no more than `count` and the burst together are accepted. A
    /// `count` of zero counts as one. A `span` of zero sets no limit. A `span` of `Duration::MAX`
    /// never ends: after the burst no client is accepted.
    #[must_use]
    pub fn accept_rate(self, count: u32, span: Duration) -> Self {
        Self { accept_rate: Some((count, span)), ..self }
    }

    /// Sets the burst of [`accept_rate`](Self::accept_rate): how many clients are accepted at once
    /// after a time without any. Default: a tenth of the rate's count, and at least one, so that
    /// hardly more than the rate is accepted in any span. Zero counts as one.
    #[must_use]
    pub fn accept_burst(self, count: u32) -> Self {
        Self { accept_burst: Some(count), ..self }
    }

    /// Returns true if connections are counted for each peer.
    pub(crate) fn counts_peers(&self) -> bool {
        self.per_peer.is_some()
    }

    fn bucket(&self) -> Option<TokenBucket> {
        let (count, span) = self.accept_rate?;
        Some(TokenBucket::new(count, span, self.accept_burst.unwrap_or(count / BURST_SHARE)))
    }

    /// Sets the message for a client that is over [`max_connections`](Self::max_connections) or
    /// [`max_per_peer`](Self::max_per_peer): best effort, without waiting. Default: none, and the
    /// client only sees a close.
    #[must_use]
    pub fn reject_message(self, message: impl Into<Bytes>) -> Self {
        Self { reject_message: Some(message.into()), ..self }
    }
}

/// Rejections of a factory since it was created, by cause. Returned by
/// [`Reactor::rejections`](crate::Reactor::rejections).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectionStats {
    /// Clients over [`ConnectionLimits::max_connections`] or
    /// [`Settings::max_connections`](crate::Settings::max_connections).
    pub connections: u64,
    /// Clients over [`ConnectionLimits::max_per_peer`].
    pub per_peer: u64,
    /// Clients for which [`build_protocol`](crate::Factory::build_protocol) returned `None` or
    /// panicked.
    pub factory: u64,
    /// Clients that were closed for want of descriptors or memory.
    pub exhausted: u64,
    /// Clients that sent no valid PROXY header, or none in time, or that are no proxy of
    /// [`ServerEndpoint::proxy_protocol`](crate::ServerEndpoint::proxy_protocol); and those whose
    /// TLS handshake failed, or was not complete in time. A client that leaves before does not
    /// count.
    pub handshake: u64,
    /// Times a port stopped accepting because of [`ConnectionLimits::accept_rate`]. Clients then
    /// wait in the backlog; none is rejected.
    pub accept_throttled: u64,
}

impl RejectionStats {
    /// Adds the rejections of another factory.
    pub(crate) fn merge(&mut self, more: Self) {
        self.connections += more.connections;
        self.per_peer += more.per_peer;
        self.factory += more.factory;
        self.exhausted += more.exhausted;
        self.handshake += more.handshake;
        self.accept_throttled += more.accept_throttled;
    }

    /// Returns the rejections since the factory had `earlier` ones.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            connections: self.connections - earlier.connections,
            per_peer: self.per_peer - earlier.per_peer,
            factory: self.factory - earlier.factory,
            exhausted: self.exhausted - earlier.exhausted,
            handshake: self.handshake - earlier.handshake,
            accept_throttled: self.accept_throttled - earlier.accept_throttled,
        }
    }
}

/// Decides which clients a factory admits, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    limits: ConnectionLimits,
    bucket: Option<TokenBucket>,
    /// Clients admitted since the factory was created.
    admitted: u64,
    /// Open connections of admitted clients.
    open: usize,
    /// Open connections by peer, counted only if a limit needs them.
    peers: HashMap<Network, usize>,
    pub(crate) rejections: RejectionStats,
    warnings: WarningThrottle,
    /// Throttles the warnings of clients that did not arrive.
    handshake_warnings: WarningThrottle,
}

impl Admission {
    /// Replaces the limits; `clients` are the peers of the connections that count already.
    pub(crate) fn set(
        &mut self,
        limits: ConnectionLimits,
        clients: impl IntoIterator<Item = Network>,
    ) {
        self.bucket = limits.bucket();
        self.peers.clear();
        if limits.counts_peers() {
            for client in clients {
                *self.peers.entry(client).or_default() += 1;
            }
        }
        self.limits = limits;
    }

    /// Returns when the accept rate allows another client; `None` if it does now.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        self.bucket.as_ref()?.next(now)
    }

    /// Admits a client, unless a limit is reached; false if it is rejected.
    pub(crate) fn admit(
        &mut self,
        peer: Option<Network>,
        reactor_is_full: bool,
        now: Instant,
    ) -> bool {
        let full = self.limits.connections.is_some_and(|max| self.open >= max);
        if full || reactor_is_full {
            self.rejections.connections += 1;
            self.warnings.count(1);
            return false;
        }
        if !self.admit_peer(peer) {
            return false;
        }
        self.open += 1;
        self.admitted += 1;
        if let Some(bucket) = &mut self.bucket {
            // The rate was asked before, and has a token, unless the port is about to be closed.
            let _ = bucket.take(now);
        }
        true
    }

    /// Counts a client for its peer, unless that has reached its limit; false if it is rejected. An
    /// admitted client whose peer becomes known later is counted then.
    pub(crate) fn admit_peer(&mut self, peer: Option<Network>) -> bool {
        let (Some(max), Some(peer)) = (self.limits.per_peer, peer) else { return true };
        let count = self.peers.entry(peer).or_default();
        if *count >= max {
            if *count == 0 {
                self.peers.remove(&peer);
            }
            self.rejections.per_peer += 1;
            self.warnings.count(1);
            return false;
        }
        *count += 1;
        true
    }

    /// Releases the place of an admitted client that is gone. `peer` is what it was counted for:
    /// `None` while its peer was not known.
    pub(crate) fn release(&mut self, peer: Option<Network>) {
        self.open -= 1;
        let Some(peer) = peer else { return };
        if let Some(count) = self.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
    }

    /// Returns how many clients were admitted so far.
    pub(crate) fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Returns the message for a rejected client.
    pub(crate) fn reject_message(&self) -> Option<Bytes> {
        self.limits.reject_message.clone()
    }

    /// Returns how many clients were rejected since the last warning, if another one may be logged
    /// now.
    pub(crate) fn warn(&mut self, now: Instant) -> Option<u64> {
        self.warnings.warn(now)
    }

    /// Counts a client that did not arrive, and returns how many did not since the last warning, if
    /// another one may be logged now.
    pub(crate) fn reject_handshake(&mut self, now: Instant) -> Option<u64> {
        self.rejections.handshake += 1;
        self.handshake_warnings.count(1);
        self.handshake_warnings.warn(now)
    }

    /// Returns how many clients are counted in all.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Returns how many peers are counted.
    #[cfg(test)]
    pub(crate) fn peers(&self) -> usize {
        self.peers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(last: u8) -> Option<Network> {
        Some(Network::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[test]
    fn a_rejected_client_takes_no_token_and_no_place() {
        let (mut admission, t) = (Admission::default(), Instant::now());
        let limits = ConnectionLimits::new().max_per_peer(1).max_connections(2);
        admission.set(limits.accept_rate(2, Duration::from_secs(2)).accept_burst(2), []);
        assert!(admission.admit(peer(1), false, t));
        assert!(!admission.admit(peer(1), false, t), "one too many of this peer");
        assert!(!admission.admit(peer(2), true, t), "the reactor is full");
        assert_eq!((admission.next(t), admission.admitted()), (None, 1));
        assert!(admission.admit(peer(2), false, t));
        assert!(!admission.admit(peer(3), false, t), "one too many in all");
        assert_eq!(admission.next(t), Some(t + Duration::from_secs(1)));
        let rejections = admission.rejections;
        assert_eq!((rejections.connections, rejections.per_peer), (2, 1));
        assert_eq!(admission.warn(t), Some(3));
        admission.release(peer(1));
        assert_eq!((admission.peers(), admission.admitted()), (1, 2));
    }

    #[test]
    fn new_limits_count_connected_clients() {
        let (mut admission, t) = (Admission::default(), Instant::now());
        assert!(admission.admit(peer(1), false, t));
        assert_eq!(admission.peers(), 0, "peers are not counted without a limit");
        admission.set(ConnectionLimits::new().max_per_peer(1), peer(1));
        assert!(!admission.admit(peer(1), false, t));
        admission.set(ConnectionLimits::new(), peer(1));
        assert_eq!(admission.peers(), 0);
    }

    #[test]
    fn a_peer_that_becomes_known_later_is_counted_then_and_released_with_its_client() {
        let (mut admission, t) = (Admission::default(), Instant::now());
        admission.set(ConnectionLimits::new().max_per_peer(1), []);
        assert!(admission.admit(None, false, t) && admission.admit(None, false, t));
        assert!(admission.admit_peer(peer(1)));
        assert!(!admission.admit_peer(peer(1)));
        assert_eq!(admission.rejections.per_peer, 1);
        admission.release(None);
        assert_eq!((admission.open, admission.peers()), (1, 1), "the first one still counts");
        admission.release(peer(1));
        assert_eq!((admission.open, admission.peers()), (0, 0));
    }

    #[test]
    fn clients_of_unknown_peers_are_limited_only_in_all() {
        let (mut admission, t) = (Admission::default(), Instant::now());
        admission.set(ConnectionLimits::new().max_per_peer(0).max_connections(2), []);
        assert!(admission.admit(None, false, t) && admission.admit(None, false, t));
        assert!(!admission.admit(None, false, t));
        assert_eq!(admission.peers(), 0);
    }
}
