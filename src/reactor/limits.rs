//! Limits of a factory: sets them, and applies its connection limits to new clients.

use super::Reactor;
use super::accept::ACCEPTS_PER_TURN;
use super::factories::FactorySlot;
use super::key::FactoryKey;
use super::open_port::AcceptQueue;
use super::table::Slot;
use super::timers::TimerAction;
use crate::address::Network;
use crate::arena::Id;
use crate::limits::{Admission, ConnectionLimits, Direction, RateLimits, RejectionStats, Timeouts};
use crate::transport::Transport;
use bytes::Bytes;
use std::time::Instant;

impl Reactor {
    /// Sets the connection limits of a factory: the number of clients that it accepts, on all its
    /// ports, from now on. Connected clients stay, and count. Returns false if the factory is gone.
    ///
    /// `build_protocol` is not called for a rejected client; [`rejections`](Self::rejections)
    /// counts it, and a warning is logged, once in five seconds at most. Outgoing connections do
    /// not count.
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
        let counted: Option<Vec<Network>> =
            limits.counts_peers().then(|| self.client_networks(key.id).collect());
        let Some(slot) = self.slot_mut(key) else { return false };
        slot.admission.set(limits, counted.unwrap_or_default());
        // Ports that wait for a token of the former rate must see the new one.
        let AcceptQueue { ports, timer } = std::mem::take(&mut slot.accept_queue);
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        for port in ports {
            self.retry_accept(port);
        }
        true
    }

    /// Sets the timeouts of a factory's connections that are made from now on, on all its ports.
    /// [`Transport::set_timeouts`] sets them for one connection. Returns false if the factory is
    /// gone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::limits::Timeouts;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// reactor.set_timeouts(&port, Timeouts::new().idle(Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_timeouts<F>(&mut self, key: impl Into<FactoryKey<F>>, timeouts: Timeouts) -> bool {
        self.slot_mut(key).map(|slot| slot.timeouts = Some(timeouts)).is_some()
    }

    /// Sets the rate limits of a factory's connections: the bytes per second that each connection
    /// made from now on, outgoing ones included, may read and write.
    /// [`Transport::set_rate_limits`] sets them for one connection. Returns false if the factory is
    /// gone.
    pub fn set_rate_limits<F>(&mut self, key: impl Into<FactoryKey<F>>, rates: RateLimits) -> bool {
        self.slot_mut(key).map(|slot| slot.rates.each = rates).is_some()
    }

    /// Sets the rate limits that all connections of a factory share: the bytes per second that they
    /// may read and write together from now on, existing connections included. Returns false if the
    /// factory is gone.
    ///
    /// Connections that want more than is available wait, and in turn get equal grants. (Twisted's
    /// `ThrottlingFactory`, which pauses all connections for as long as the last second was too
    /// fast.)
    ///
    /// ```
    /// use twistor::limits::RateLimits;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// // One megabyte per second for each connection, ten for all of them.
    /// reactor.set_rate_limits(&port, RateLimits::new().read(1_000_000).write(1_000_000));
    /// reactor.set_shared_rate_limits(&port, RateLimits::new().read(10_000_000).write(10_000_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_shared_rate_limits<F>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        rates: RateLimits,
    ) -> bool {
        let key = key.into();
        let Some(slot) = self.slot_mut(key) else { return false };
        let former = slot.rates.share(rates);
        self.end_sharing(&former);
        let Some(rates) = self.slot(key).map(|slot| &slot.rates) else { return false };
        for (_, established) in self.connections.all_established() {
            if established.connection.factory() == key.id {
                for direction in [Direction::Read, Direction::Write] {
                    let transport = &established.connection.transport;
                    transport.join_shared_rate(direction, rates.shared_limiter(direction));
                }
            }
        }
        true
    }

    /// Returns the number of clients that a factory has rejected since it was created, by cause;
    /// `None` if the factory is gone.
    pub fn rejections<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<RejectionStats> {
        self.slot(key).map(|slot| slot.admission.rejections)
    }

    /// Returns how often connections of a factory have waited because of [`RateLimits`], their own
    /// or shared ones, since the factory was created; `None` if the factory is gone.
    pub fn rate_limit_waits<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<u64> {
        self.slot(key).map(|slot| slot.rates.waits)
    }

    /// Returns the peers of a factory's clients, once for each connection: also of those whose
    /// connections are not made yet, if they were counted when they were accepted.
    fn client_networks(&self, factory: Id) -> impl Iterator<Item = Network> {
        self.connections.iter().filter_map(move |(_, slot)| {
            let (transport, network) = match slot {
                Slot::Arriving(arriving) => (&arriving.transport, arriving.counted),
                Slot::Established(established) => {
                    let transport = &established.connection.transport;
                    (transport, transport.peer_network())
                }
                Slot::Attempt(_) | Slot::Lingering(_) => return None,
            };
            network.filter(|_| transport.factory() == factory && !transport.is_outgoing())
        })
    }

    /// Returns true if a port has to wait for a token, or behind ports that have waited longer; it
    /// is then in the queue.
    pub(super) fn waits_to_accept(&mut self, port: Id, factory: Id) -> bool {
        let now = self.now();
        let Some(slot) = self.factories.get_mut(factory) else { return false };
        let next = slot.admission.next(now);
        if next.is_none() && slot.accept_queue.ports.is_empty() {
            return false;
        }
        slot.accept_queue.ports.push_back(port);
        self.with_admission(factory, |admission| admission.rejections.accept_throttled += 1);
        self.schedule_accept(factory, next.unwrap_or(now));
        true
    }

    /// Sets the timer for the ports that wait for a token, if there are any.
    fn schedule_accept(&mut self, factory: Id, due: Instant) {
        let Some(slot) = self.factories.get_mut(factory) else { return };
        let AcceptQueue { ports, timer } = &mut slot.accept_queue;
        if timer.is_none() && !ports.is_empty() {
            *timer = Some(self.timers.set(due, TimerAction::AcceptNext(factory)));
        }
    }

    /// Lets the port that has waited longest accept in this turn: a token is available.
    pub(super) fn grant_accept(&mut self, factory: Id) {
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.accept_queue.timer = None;
            self.queues.accept_granted.push(factory);
        }
    }

    /// Accepts one client on each waiting port in turn, as long as there are tokens; a port on
    /// which more clients may wait goes to the back of the queue. Not inlined: most turns have no
    /// such port, and would pay for it.
    #[inline(never)]
    pub(super) fn accept_next(&mut self, factory: Id) {
        let now = self.now();
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(slot) = self.factories.get_mut(factory) else { return };
            if slot.admission.next(now).is_some() {
                break;
            }
            let Some(port) = slot.accept_queue.ports.pop_front() else { break };
            let admitted = slot.admission.admitted();
            let more = self.accept_one(port);
            let Some(slot) = self.factories.get_mut(factory) else { return };
            match more {
                // A rejected client takes no token, and so does not use up the port's turn.
                true if slot.admission.admitted() == admitted => {
                    slot.accept_queue.ports.push_front(port);
                }
                true => slot.accept_queue.ports.push_back(port),
                false => {}
            }
        }
        let Some(slot) = self.factories.get(factory) else { return };
        let next = slot.admission.next(now);
        self.schedule_accept(factory, next.unwrap_or(now));
    }

    /// Removes a closed port from the queue for tokens.
    pub(super) fn leave_queue(&mut self, port: Id, factory: Id) {
        let Some(slot) = self.factories.get_mut(factory) else { return };
        let AcceptQueue { ports, timer } = &mut slot.accept_queue;
        ports.retain(|waiting| *waiting != port);
        if let Some(timer) = timer.take_if(|_| ports.is_empty()) {
            self.timers.cancel(timer);
        }
    }

    /// Admits a client, or returns the message for the rejected client, if there is one. (An empty
    /// message sends nothing.)
    /// `peer` is what it counts for; `None` if that is not known yet, or it is not counted.
    pub(super) fn admit(
        &mut self,
        factory: Id,
        peer: Option<Network>,
    ) -> Result<(), Option<Bytes>> {
        let now = self.now();
        // A lingering socket does not count as a client.
        let operators = self.out_of_band_connections + self.out_of_band_arriving;
        let others = operators + self.successor_connections;
        let open = self.connections.len() - self.lingerers.len() - others;
        let full = self.settings.max_connections.is_some_and(|max| open >= max)
            && self.serves_clients(factory);
        match self.with_admission(factory, |admission| admission.admit(peer, full, now)) {
            Some(true) => {
                self.factories.get(factory).into_iter().for_each(FactorySlot::report_load);
                Ok(())
            }
            Some(false) => Err(self.reject_message(factory)),
            None => Err(None),
        }
    }

    /// Counts an admitted client for its peer, which has become known, or returns the message for
    /// the rejected client, if there is one.
    pub(super) fn admit_peer(&mut self, transport: &Transport) -> Result<(), Option<Bytes>> {
        let (factory, peer) = (transport.factory(), transport.peer_network());
        match self.with_admission(factory, |admission| admission.admit_peer(peer)) {
            Some(true) => Ok(()),
            Some(false) => Err(self.reject_message(factory)),
            None => Err(None),
        }
    }

    /// Calls `call` with a factory's admission, and adds what that rejects to the totals of the
    /// type of its protocols. `None` if the factory is gone.
    pub(super) fn with_admission<R>(
        &mut self,
        factory: Id,
        call: impl FnOnce(&mut Admission) -> R,
    ) -> Option<R> {
        let slot = self.factories.get_mut(factory)?;
        let before = slot.admission.rejections;
        let result = call(&mut slot.admission);
        let rejected = slot.admission.rejections.since(before);
        self.recorder.totals_mut(slot.totals).connections.rejections.merge(rejected);
        Some(result)
    }

    /// Returns the message for a client over a limit, and warns of it.
    fn reject_message(&mut self, factory: Id) -> Option<Bytes> {
        let now = self.now();
        let slot = self.factories.get_mut(factory)?;
        let message = slot.admission.reject_message();
        if let Some(count) = slot.admission.warn(now) {
            let name = self.protocol_name(factory);
            log::warn!("{name}: connection limit reached, {count} clients rejected");
        }
        message
    }

    /// Frees the place of a client whose connection is gone.
    pub(super) fn release_admission(&mut self, transport: &Transport) {
        self.release_place(transport, transport.peer_network());
    }

    /// Frees the place of a client that was counted for this peer; `None` if it was for none yet.
    pub(super) fn release_place(&mut self, transport: &Transport, counted: Option<Network>) {
        let slot = self.factories.get_mut(transport.factory()).filter(|_| !transport.is_outgoing());
        if let Some(slot) = slot {
            slot.admission.release(counted);
            slot.report_load();
        }
    }
}
