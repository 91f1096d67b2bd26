//! Who is admitted to a factory, and who is not.

use super::Reactor;
use super::accept::ACCEPTS_PER_TURN;
use super::key::FactoryKey;
use super::timers::TimerAction;
use crate::address::{Address, Network};
use crate::arena::Id;
use crate::limits::TokenBucket;
use crate::transport::Transport;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A factory that turns clients away says so this often and no oftener.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// The part of a rate of accepting that may come at once by default: one that is hardly seen in the
/// rate, and lets a page with its pictures in.
const BURST_SHARE: u32 = 10;

/// How many clients a factory takes on, and how fast; nothing is limited from the start. Set with
/// [`Reactor::set_limits`]. (Twisted's policies `LimitTotalConnectionsFactory` and
/// `LimitConnectionsByPeer`.)
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
    refusal: Option<Bytes>,
}

impl ConnectionLimits {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most connections that clients may have open; who comes then is refused. With zero
    /// everybody is.
    #[must_use]
    pub fn max_connections(self, connections: usize) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// The most that one peer may have: an IPv4 address, or the first 64 bits of an IPv6 address,
    /// which is what one customer is given. With zero everybody is refused.
    #[must_use]
    pub fn max_per_peer(self, per_peer: usize) -> Self {
        Self { per_peer: Some(per_peer), ..self }
    }

    /// How many clients are accepted in each such span of time, on all ports of the factory
    /// together. The others are not refused but wait, in the backlogs of the ports and then in
    /// their own systems; ports on which clients wait take turns. A client that is refused, because
    /// of another limit, does not count.
    ///
    /// This is a token bucket: [`accept_burst`](Self::accept_burst) says how many may come at once.
    /// Over any span of time, no more than the rate and the burst together are accepted. A count of
    /// zero counts as one. A span of zero sets no limit. A span of `Duration::MAX`
    /// never ends: after the burst no client is accepted.
    #[must_use]
    pub fn accept_rate(self, count: u32, span: Duration) -> Self {
        Self { accept_rate: Some((count, span)), ..self }
    }

    /// How many clients of [`accept_rate`](Self::accept_rate) are accepted at once, after a time
    /// without any. Default: a tenth of the rate's count, so that in no span more than a tenth
    /// above the rate are accepted. Zero counts as one.
    #[must_use]
    pub fn accept_burst(self, count: u32) -> Self {
        Self { accept_burst: Some(count), ..self }
    }

    fn bucket(&self) -> Option<TokenBucket> {
        let (count, span) = self.accept_rate?;
        Some(TokenBucket::new(count, span, self.accept_burst.unwrap_or(count / BURST_SHARE)))
    }

    /// What a client is told that is refused, as far as its socket takes it at once. Without it,
    /// the client only sees a close.
    #[must_use]
    pub fn reject_message(self, message: impl Into<Bytes>) -> Self {
        Self { refusal: Some(message.into()), ..self }
    }
}

/// Connections that a factory rejected, by cause, since it was created. Returned by
/// [`Reactor::rejections`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectionStats {
    /// Because of [`ConnectionLimits::max_connections`], or of
    /// [`Settings::max_connections`](crate::Settings::max_connections).
    pub connections: u64,
    /// Because of [`ConnectionLimits::max_per_peer`].
    pub per_peer: u64,
    /// By `build_protocol`, or because it panicked.
    pub factory: u64,
    /// Because there were no descriptors, or no memory.
    pub exhausted: u64,
    /// Times a port stopped accepting because of [`ConnectionLimits::accept_rate`]. Clients then
    /// wait in the backlog; none is rejected.
    pub accept_throttled: u64,
}

/// What a factory knows of its clients.
#[derive(Debug, Default)]
pub(super) struct Admission {
    limits: ConnectionLimits,
    bucket: Option<TokenBucket>,
    /// Ports that wait for a token, those first that have waited longest.
    queue: VecDeque<Id>,
    /// Set while any do.
    timer: Option<Id>,
    /// Clients that were taken on.
    admitted: u64,
    /// Connections that were accepted and are not over.
    open: usize,
    /// The same for each peer; only if they are limited.
    peers: HashMap<Network, usize>,
    pub(super) rejections: RejectionStats,
    /// When it last said that it turns clients away, and how many it has since.
    warned: Option<Instant>,
    unsaid: u64,
}

impl Admission {
    /// Takes a client on, unless there are too many.
    fn admit(&mut self, peer: &Address, reactor_is_full: bool) -> bool {
        let full = self.limits.connections.is_some_and(|max| self.open >= max);
        if full || reactor_is_full {
            self.rejections.connections += 1;
            return false;
        }
        if let Some(max) = self.limits.per_peer {
            let count = self.peers.entry(peer.network()).or_default();
            if *count >= max {
                if *count == 0 {
                    self.peers.remove(&peer.network());
                }
                self.rejections.per_peer += 1;
                return false;
            }
            *count += 1;
        }
        self.open += 1;
        self.admitted += 1;
        true
    }

    /// A client that was taken on is gone.
    fn release_admission(&mut self, peer: Address) {
        self.open -= 1;
        if let Some(count) = self.peers.get_mut(&peer.network()) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer.network());
            }
        }
    }

    /// How many peers it knows.
    #[cfg(test)]
    pub(super) fn peers(&self) -> usize {
        self.peers.len()
    }
}

impl Reactor {
    /// Sets how many clients a factory takes on, on all its ports, from now on; who is there
    /// stays, and counts. False if the factory is gone.
    ///
    /// A client that is refused costs no protocol, and `build_protocol` does not hear of it;
    /// [`rejections`](Self::rejections) counts it, and a warning is logged, once in five seconds at
    /// most. Connections that the factory has begun itself do not count.
    ///
    /// ```
    /// use twistor::limits::ConnectionLimits;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// reactor.set_limits(&port, ConnectionLimits::new().max_connections(1000).max_per_peer(10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limits<F>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        limits: ConnectionLimits,
    ) -> bool {
        let key = key.into();
        let Some(slot) = self.factories.get_mut(key.id).filter(|_| key.reactor == self.id) else {
            return false;
        };
        let admission = &mut slot.admission;
        admission.bucket = limits.bucket();
        // Clients that wait for a token of the former rate must see the new one.
        let (queue, timer) = (std::mem::take(&mut admission.queue), admission.timer.take());
        admission.peers.clear();
        let count_peers = limits.per_peer.is_some();
        admission.limits = limits;
        if count_peers {
            for (_, established) in self.connections.all_established() {
                let transport = &established.connection.transport;
                if established.connection.factory() == key.id && !transport.is_outgoing() {
                    *admission.peers.entry(transport.peer_address().network()).or_default() += 1;
                }
            }
        }
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        for port in queue {
            self.retry_accept(port);
        }
        true
    }

    /// How many clients a factory has not taken on since it lives here. `None` if it is gone.
    pub fn rejections<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<RejectionStats> {
        let key = key.into();
        let slot = self.factories.get(key.id).filter(|_| key.reactor == self.id)?;
        Some(slot.admission.rejections)
    }

    /// True if a port has to wait for a token, or for those that have waited longer; it is then in
    /// the queue.
    pub(super) fn waits_to_accept(&mut self, port: Id, factory: Id) -> bool {
        let now = self.now();
        let Some(admission) = self.factories.get_mut(factory).map(|slot| &mut slot.admission)
        else {
            return false;
        };
        let next = admission.bucket.as_ref().and_then(|bucket| bucket.next(now));
        if next.is_none() && admission.queue.is_empty() {
            return false;
        }
        admission.rejections.accept_throttled += 1;
        admission.queue.push_back(port);
        if admission.timer.is_none() {
            admission.timer =
                Some(self.timers.set(next.unwrap_or(now), TimerAction::AcceptNext(factory)));
        }
        true
    }

    /// There is a token for the port that has waited longest: it accepts in this turn.
    pub(super) fn grant_accept(&mut self, factory: Id) {
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.admission.timer = None;
            self.accept_granted.push(factory);
        }
    }

    /// Each port that waits accepts one client, as long as there are tokens; if more clients may
    /// wait on it, it stands behind the others.
    pub(super) fn accept_next(&mut self, factory: Id) {
        let now = self.now();
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(admission) = self.factories.get_mut(factory).map(|slot| &mut slot.admission)
            else {
                return;
            };
            if admission.bucket.as_ref().is_some_and(|bucket| bucket.next(now).is_some()) {
                break;
            }
            let Some(port) = admission.queue.pop_front() else { break };
            let admitted = admission.admitted;
            let more = self.accept_one(port);
            let Some(admission) = self.factories.get_mut(factory).map(|slot| &mut slot.admission)
            else {
                return;
            };
            match more {
                // A client that was refused takes nobody's turn.
                true if admission.admitted == admitted => admission.queue.push_front(port),
                true => admission.queue.push_back(port),
                false => {}
            }
        }
        let Some(admission) = self.factories.get_mut(factory).map(|slot| &mut slot.admission)
        else {
            return;
        };
        if admission.timer.is_none() && !admission.queue.is_empty() {
            let next = admission.bucket.as_ref().and_then(|bucket| bucket.next(now));
            admission.timer =
                Some(self.timers.set(next.unwrap_or(now), TimerAction::AcceptNext(factory)));
        }
    }

    /// A port is closed, and waits for no token.
    pub(super) fn leave_queue(&mut self, port: Id, factory: Id) {
        let Some(admission) = self.factories.get_mut(factory).map(|slot| &mut slot.admission)
        else {
            return;
        };
        admission.queue.retain(|waiting| *waiting != port);
        if let Some(timer) = admission.timer.take_if(|_| admission.queue.is_empty()) {
            self.timers.cancel(timer);
        }
    }

    /// Takes a client on, or says what it is to be told. (An empty line says nothing.)
    pub(super) fn admit(&mut self, factory: Id, peer: &Address) -> Result<(), Option<Bytes>> {
        let now = self.now();
        // A lingering socket does not count as a client.
        let open = self.connections.len() - self.lingerers.len();
        let full = self.settings.max_connections.is_some_and(|max| open >= max);
        let Some(slot) = self.factories.get_mut(factory) else { return Err(None) };
        let admission = &mut slot.admission;
        if admission.admit(peer, full) {
            if let Some(bucket) = &mut admission.bucket {
                // It was asked before, and has a token, unless this is a last pass.
                let _ = bucket.take(now);
            }
            return Ok(());
        }
        let refusal = admission.limits.refusal.clone();
        admission.unsaid += 1;
        if admission.warned.is_none_or(|at| now.duration_since(at) >= WARNING_INTERVAL) {
            let count = std::mem::take(&mut admission.unsaid);
            admission.warned = Some(now);
            let name = self.protocol_name(factory);
            log::warn!("{name}: connection limit reached, {count} clients rejected");
        }
        Err(refusal)
    }

    /// A connection is gone: if it was a client that was taken on, there is room for another.
    pub(super) fn release_admission(&mut self, transport: &Transport) {
        let slot = self.factories.get_mut(transport.factory()).filter(|_| !transport.is_outgoing());
        if let Some(slot) = slot {
            slot.admission.release_admission(transport.peer_address());
        }
    }
}
