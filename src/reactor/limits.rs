//! Setting limits, and connection limits at work: which clients are admitted to a factory.

use super::Reactor;
use super::accept::ACCEPTS_PER_TURN;
use super::key::FactoryKey;
use super::open_port::AcceptQueue;
use super::timers::TimerAction;
use crate::address::{Address, Network};
use crate::arena::Id;
use crate::limits::{ConnectionLimits, Direction, RateLimits, RejectionStats, Timeouts};
use crate::transport::Transport;
use bytes::Bytes;
use std::time::Instant;

impl Reactor {
    /// Sets the connection limits of a factory: how many clients it takes on, on all its ports,
    /// from now on. Clients that are connected stay, and count. False if the factory is gone.
    ///
    /// A rejected client costs no protocol, and `build_protocol` is not called for it;
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
        let counted: Option<Vec<Network>> =
            limits.counts_peers().then(|| self.client_networks(key.id).collect());
        let Some(slot) = self.slot_mut(key) else { return false };
        slot.admission.set(limits, counted.unwrap_or_default());
        // Clients that wait for a token of the former rate must see the new one.
        let AcceptQueue { ports, timer } = std::mem::take(&mut slot.accept_queue);
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        for port in ports {
            self.retry_accept(port);
        }
        true
    }

    /// Sets the timeouts of a factory's connections: of those that are made from now on, on all its
    /// ports. [`Transport::set_timeouts`] sets them for one. False if the factory is gone.
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

    /// Sets the rate limits of a factory's connections: how many bytes each of those that are made
    /// from now on may read and write in a second, also those that the factory begins itself.
    /// [`Transport::set_rate_limits`] sets it for one. False if the factory is gone.
    pub fn set_rate_limits<F>(&mut self, key: impl Into<FactoryKey<F>>, rates: RateLimits) -> bool {
        self.slot_mut(key).map(|slot| slot.rates.each = rates).is_some()
    }

    /// Sets the rate limits of all connections of a factory together: how many bytes they may read
    /// and write in a second from now on, those that are there already included. False if the
    /// factory is gone.
    ///
    /// Connections that want more than there is wait, and in turn get the same. (Twisted's
    /// `ThrottlingFactory`, which pauses everybody for as long as the last second was too fast.)
    ///
    /// ```
    /// use twistor::limits::RateLimits;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// // A megabyte a second for each of them, and ten for all.
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

    /// The connections that a factory has rejected since it was created. `None` if it is gone.
    pub fn rejections<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<RejectionStats> {
        self.slot(key).map(|slot| slot.admission.rejections)
    }

    /// How often connections of a factory have waited because of [`RateLimits`], their own or
    /// shared ones, since the factory was created. `None` if the factory is gone.
    pub fn rate_limit_waits<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<u64> {
        self.slot(key).map(|slot| slot.rates.waits)
    }

    /// The peers of a factory's clients, each as often as it has connections.
    fn client_networks(&self, factory: Id) -> impl Iterator<Item = Network> {
        let transports = self.connections.all_established().map(|(_, it)| &it.connection.transport);
        transports
            .filter(move |transport| transport.factory() == factory && !transport.is_outgoing())
            .map(|transport| transport.peer_address().network())
    }

    /// True if a port has to wait for a token, or for those that have waited longer; it is then in
    /// the queue.
    pub(super) fn waits_to_accept(&mut self, port: Id, factory: Id) -> bool {
        let now = self.now();
        let Some(slot) = self.factories.get_mut(factory) else { return false };
        let next = slot.admission.next(now);
        if next.is_none() && slot.accept_queue.ports.is_empty() {
            return false;
        }
        slot.admission.rejections.accept_throttled += 1;
        slot.accept_queue.ports.push_back(port);
        self.schedule_accept(factory, next.unwrap_or(now));
        true
    }

    /// Sees to it that the ports that wait for a token go on.
    fn schedule_accept(&mut self, factory: Id, due: Instant) {
        let Some(slot) = self.factories.get_mut(factory) else { return };
        let AcceptQueue { ports, timer } = &mut slot.accept_queue;
        if timer.is_none() && !ports.is_empty() {
            *timer = Some(self.timers.set(due, TimerAction::AcceptNext(factory)));
        }
    }

    /// There is a token for the port that has waited longest: it accepts in this turn.
    pub(super) fn grant_accept(&mut self, factory: Id) {
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.accept_queue.timer = None;
            self.queues.accept_granted.push(factory);
        }
    }

    /// Each port that waits accepts one client, as long as there are tokens; if more clients may
    /// wait on it, it stands behind the others. Not inlined: most turns have no such port, and would
    /// pay for it.
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
                // A client that was rejected takes nobody's turn.
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

    /// A port is closed, and waits for no token.
    pub(super) fn leave_queue(&mut self, port: Id, factory: Id) {
        let Some(slot) = self.factories.get_mut(factory) else { return };
        let AcceptQueue { ports, timer } = &mut slot.accept_queue;
        ports.retain(|waiting| *waiting != port);
        if let Some(timer) = timer.take_if(|_| ports.is_empty()) {
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
        if slot.admission.admit(peer, full, now) {
            return Ok(());
        }
        let message = slot.admission.reject_message();
        if let Some(count) = slot.admission.warn(now) {
            let name = self.protocol_name(factory);
            log::warn!("{name}: connection limit reached, {count} clients rejected");
        }
        Err(message)
    }

    /// A connection is gone: if it was a client that was taken on, there is room for another.
    pub(super) fn release_admission(&mut self, transport: &Transport) {
        let slot = self.factories.get_mut(transport.factory()).filter(|_| !transport.is_outgoing());
        if let Some(slot) = slot {
            slot.admission.release(&transport.peer_address());
        }
    }
}
