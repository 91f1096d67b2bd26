//! Accepting: begins connections, and handles exhausted descriptors.

use super::Reactor;
use super::callback::Callback;
use super::client_service::Ended;
use super::distributor::Target;
use super::linger_budget::LingerReason;
use super::open_port::Accepting;
use super::open_port::OpenPort;
use super::panic::guard;
use super::table::{ConnectionRef, Established, Slot, Stage};
use super::timers::TimerAction;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, is_exhausted};
use crate::proxy_protocol::ProxyDecoder;
use crate::reason::Reason;
use crate::tls::TlsSide;
use crate::transport::{Action, ListenerInfo, Settled, Transport};
use bytes::Bytes;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Connections accepted on one port in one turn: enough that a burst costs few turns, few enough
/// that established connections wait for some milliseconds at most.
pub(super) const ACCEPTS_PER_TURN: usize = 256;

/// Connections accepted on one port before a graceful stop closes it: the default maximum of a
/// backlog on Linux.
const LAST_ACCEPTS_MAX: usize = 4096;

/// Accept errors in a row after which the cause is not the clients: the port backs off.
const ACCEPT_ERRORS_MAX: usize = 64;

/// Delay after which a port that could not accept, for want of descriptors or memory, tries again.
/// Long enough not to spin, short enough that a client hardly notices. Ranch and Thousand Island
/// use the same.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Whether accepting waits for the accept rate of the factory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    AtRate,
    AtOnce,
}

/// The port that a connection was accepted on, as far as the connection needs it.
struct AcceptedOn {
    listener_info: Rc<ListenerInfo>,
    greeting: Greeting,
    tls: Option<TlsSide>,
}

/// What an accepted connection begins with, before its protocol is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    None,
    ProxyHeader,
    /// A PROXY header from a peer that is not trusted.
    Untrusted,
}

impl AcceptedOn {
    #[inline]
    fn of(port: &OpenPort, peer: &Address) -> Self {
        let greeting = match &port.proxies {
            None => Greeting::None,
            Some(proxies) if proxies.trusts(peer) => Greeting::ProxyHeader,
            Some(_) => Greeting::Untrusted,
        };
        Self { listener_info: Rc::clone(&port.listener_info), greeting, tls: port.tls.clone() }
    }
}

impl Reactor {
    /// Queues a port: clients wait in its backlog.
    pub(super) fn notice_waiting(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            if port.accepting == Accepting::Idle {
                port.accepting = Accepting::Listed;
                self.queues.listeners.push(id);
            }
        }
    }

    /// Accepts on a port again, whose retry delay is over.
    pub(super) fn retry_accept(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.accepting = Accepting::Idle;
            self.notice_waiting(id);
        }
    }

    /// Accepts the clients that wait on a port, up to the budget of a turn.
    pub(super) fn accept(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(id) else {
            return;
        };
        port.accepting = Accepting::Idle;
        if self.accept_up_to(id, ACCEPTS_PER_TURN, Pace::AtRate) {
            self.notice_waiting(id);
        }
    }

    /// Accepts one client on a port that has waited for its turn. Returns true if the port waits
    /// for another turn.
    pub(super) fn accept_one(&mut self, id: Id) -> bool {
        let Some(port) = self.ports.get_mut(id) else { return false };
        port.accepting = Accepting::Idle;
        let more = self.accept_up_to(id, 1, Pace::AtOnce);
        let Some(port) = self.ports.get_mut(id).filter(|_| more) else { return false };
        port.accepting = Accepting::Queued;
        true
    }

    /// Accepts the clients in the backlog of a port that is about to be closed: they have
    /// connected, and closing the port would reset them. The accept rate does not hold them back.
    pub(super) fn accept_last(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.listener.seal();
        }
        self.accept_up_to(id, LAST_ACCEPTS_MAX, Pace::AtOnce);
    }

    /// Accepts up to `budget` clients on a port. Returns true if the budget is used up and more may
    /// wait.
    fn accept_up_to(&mut self, id: Id, budget: usize, pace: Pace) -> bool {
        // Before any client takes what has become free.
        self.refill_reserve(id);
        let mut gone = 0;
        for _ in 0..budget {
            // Looked up each time: building a protocol may close the port.
            let Some(factory) = self.ports.get(id).map(OpenPort::factory) else {
                return false;
            };
            let target = self.target(id, factory, pace);
            let is_own = matches!(target, Target::Own);
            if is_own && pace == Pace::AtRate && self.waits_to_accept(id, factory) {
                if let Some(port) = self.ports.get_mut(id) {
                    port.accepting = Accepting::Queued;
                }
                return false;
            }
            let accepted = match &target {
                Target::Own => self.accept_client(id),
                Target::Shard(_, shard) => self.accept_for(id, shard),
            };
            match accepted {
                Ok(()) => {
                    gone = 0;
                    self.record_target(id, &target);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_exhausted(&error) => {
                    if !self.accept_exhausted(id, &error) {
                        return false;
                    }
                }
                // That client is gone, or a firewall dropped it; others may wait.
                Err(error) if gone < ACCEPT_ERRORS_MAX => {
                    gone += 1;
                    log::debug!("a client was gone before it was accepted: {error}");
                }
                Err(error) => {
                    self.retry_later(id, &error);
                    return false;
                }
            }
        }
        true
    }

    /// Accepts a client of a port.
    fn accept_client(&mut self, id: Id) -> io::Result<()> {
        let Some(port) = self.ports.get_mut(id) else { return Ok(()) };
        let (stream, peer) = port.listener.accept()?;
        self.accept_stream(id, stream, peer);
        Ok(())
    }

    /// Begins the connection of a client of a port.
    #[inline]
    pub(super) fn accept_stream(&mut self, id: Id, stream: AnyStream, peer: Address) {
        let Some(port) = self.ports.get(id) else { return };
        let accepted_on = AcceptedOn::of(port, &peer);
        self.on_accepted(stream, peer, accepted_on);
    }

    /// Accepts with the reserve descriptor when no other is left, which shows whether a client
    /// waits. Lingering connections make room for it; if there are none, all waiting clients are
    /// rejected, and the port backs off, unless it is one for operators. Returns false if accepting
    /// ends for now.
    fn accept_exhausted(&mut self, id: Id, error: &io::Error) -> bool {
        let Some(port) = self.ports.get_mut(id) else { return false };
        match port.listener.accept_with_reserve() {
            Ok((stream, peer)) => {
                let accepted_on = AcceptedOn::of(port, &peer);
                // An operator or a successor may have the reserve: this is when they come. Until a
                // descriptor is free again there is none.
                let has_room = self.close_lingering()
                    || !self.serves_clients(accepted_on.listener_info.factory);
                if has_room {
                    self.refill_reserve(id);
                    self.on_accepted(stream, peer, accepted_on);
                } else {
                    drop(stream);
                    self.shed(id);
                    self.refill_reserve(id);
                    self.retry_later(id, error);
                }
                has_room
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // There is no reserve, unless this frees a descriptor.
            Err(_) if self.close_lingering() => {
                self.refill_reserve(id);
                true
            }
            Err(_) => {
                self.retry_later(id, error);
                false
            }
        }
    }

    /// Opens the descriptor held in reserve, unless it is open: an operator may have it, or another
    /// thread may have taken it while a port accepted with it. Fails silently while none is free.
    fn refill_reserve(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.listener.refill_reserve();
        }
    }

    /// Rejects all waiting clients, after the first was rejected for want of a descriptor.
    fn shed(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            let shed = 1 + port.listener.shed(ACCEPTS_PER_TURN - 1) as u64;
            port.warnings.count(shed);
            let factory = port.factory();
            self.with_admission(factory, |admission| admission.rejections.exhausted += shed);
            self.recorder.totals.rejected += shed;
        }
    }

    /// Pauses accepting on a port. The poller is edge-triggered and does not report the waiting
    /// clients again, so a timer retries.
    fn retry_later(&mut self, id: Id, error: &io::Error) {
        let now = self.now();
        let timer = self.set_timer_action(ACCEPT_RETRY_DELAY, TimerAction::RetryAccept(id));
        let Some(port) = self.ports.get_mut(id) else { return drop(self.timers.cancel(timer)) };
        port.accepting = Accepting::RetryLater(timer);
        if let Some(shed) = port.warnings.warn(now) {
            let address = port.address();
            log::warn!(
                "cannot accept on {address}: {error}; rejected {shed} waiting clients; retrying \
                 every {ACCEPT_RETRY_DELAY:?}"
            );
        }
    }

    /// Cancels what a closed port waited for: its retry timer, or its place in the accept queue.
    pub(super) fn end_accepting(&mut self, id: Id, port: &OpenPort) {
        match port.accepting {
            Accepting::RetryLater(timer) => drop(self.timers.cancel(timer)),
            Accepting::Queued => self.leave_queue(id, port.factory()),
            Accepting::Idle | Accepting::Listed => {}
        }
    }

    /// Admits a client that has connected, or rejects it.
    fn on_accepted(&mut self, stream: AnyStream, peer: Address, accepted_on: AcceptedOn) {
        let AcceptedOn { listener_info, greeting, tls } = accepted_on;
        if greeting == Greeting::Untrusted {
            return self.reject_untrusted(&listener_info, &peer);
        }
        // The peer of a proxy's client becomes known with the header.
        let counted = peer.network().filter(|_| greeting == Greeting::None);
        let admitted = self.admit(listener_info.factory, counted);
        self.recorder.totals.rejected += u64::from(admitted.is_err());
        if matches!(admitted, Err(None)) || admitted.is_err() && tls.is_some() {
            // Dropped, and so closed: without a message, or before one could be encrypted.
            return;
        }
        if admitted.is_ok() && (greeting == Greeting::ProxyHeader || tls.is_some()) {
            let stage = match greeting {
                Greeting::ProxyHeader => Stage::ReceivingHeader(Box::new(ProxyDecoder::new())),
                _ => Stage::Accepted,
            };
            let transport = |id| Transport::new(id, stream, peer, listener_info);
            return self.begin_arrival(stage, tls, counted, transport);
        }
        let stream = self.settings.layered(stream);
        let id = self.connections.insert_with(|id| {
            let transport = Transport::new(id, stream, peer, listener_info);
            Slot::Established(Established::new(transport))
        });
        let Some(connection) = self.connections.find(id) else { return };
        match admitted {
            Err(message) => self.refuse(id, &connection.transport, message),
            _ => self.establish(id, &connection.transport),
        }
    }

    /// Rejects a client, with a message if there is one.
    pub(super) fn refuse(&mut self, id: Id, transport: &Transport, message: Option<Bytes>) {
        let sent_before = self.hub.sent();
        message.into_iter().for_each(|message| transport.write_bytes(message));
        self.reject(id, transport, sent_before);
    }

    /// Counts a client whose connection was not made, and warns of it.
    pub(super) fn warn_not_arrived(&mut self, factory: Id, peer: &Address, why: &dyn fmt::Display) {
        let now = self.now();
        let rejected = self.with_admission(factory, |admission| admission.reject_handshake(now));
        if let Some(count) = rejected.flatten() {
            let name = self.protocol_name(factory);
            log::warn!(
                "{name}: rejected {count} clients before their connections were made; {peer}: {why}"
            );
        }
    }

    /// Rejects a client that is no proxy, on a port that is only for proxies.
    fn reject_untrusted(&mut self, listener_info: &ListenerInfo, peer: &Address) {
        self.recorder.totals.rejected += 1;
        let why = "its PROXY header would not be believed, since it is in no trusted network";
        self.warn_not_arrived(listener_info.factory, peer, &why);
    }

    /// Builds the protocol of an established connection, and calls `connection_made`.
    pub(super) fn establish(&mut self, id: Id, transport: &Transport) {
        let factory = transport.factory();
        let Some(mut connection) = self.connections.find(id) else { return };
        let previous = self.hub.enter(id);
        // Before the factory sees it, so that settings of `build_protocol` override these. The
        // caller of `connect_tcp` may have set its own before.
        if let Some(slot) = self.factories.get(factory) {
            if let Some(timeouts) = slot.timeouts.filter(|_| !transport.has_timeouts()) {
                transport.set_timeouts(timeouts);
            }
            slot.rates.serve(transport);
        }
        let sent_before = self.hub.sent();
        let built = self.with_erased(factory, |factory, reactor| factory.build(transport, reactor));
        self.hub.leave(previous);
        let protocol_index = match built {
            Some(Ok(protocol_index)) => protocol_index,
            Some(Err(panic)) => {
                let (name, peer) = (self.protocol_name(factory), transport.peer_address());
                self.report_panic(
                    format_args!("{peer} rejected: build_protocol of {name} panicked"),
                    &panic,
                );
                self.record_panic(&format!("a panic in building {name}"));
                None
            }
            None => None,
        };
        let (Some(protocol_index), Some(established)) =
            (protocol_index, self.connections.established_mut(id))
        else {
            return self.end_refused(id, transport, sent_before);
        };
        established.connection.set_protocol_index(protocol_index);
        connection.set_protocol_index(protocol_index);
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.connections += 1;
            let audience = slot.audience;
            self.count_connections(audience, 1);
        }
        #[cfg(feature = "testing")]
        self.notify_observer(transport, super::Happening::Built(transport));
        log::debug!("{} of {}: connected", self.protocol_name(factory), transport.peer_address());
        self.record_established(transport);
        if let Some(service) = transport.service() {
            return self.establish_for_service(service, &connection);
        }
        self.call(&connection, Callback::ConnectionMade);
        // Only now: a connection that is closed in its first callback is never registered.
        if transport.is_connected() {
            transport.register();
        }
    }

    /// Ends a connection for which its factory has built no protocol.
    fn end_refused(&mut self, id: Id, transport: &Transport, sent_before: u64) {
        let rejected = u64::from(!transport.is_outgoing());
        let factory = transport.factory();
        self.with_admission(factory, |admission| admission.rejections.factory += rejected);
        self.recorder.totals.rejected += rejected;
        self.record_call();
        self.reject(id, transport, sent_before);
        self.release_admission(transport);
        if let Some(service) = transport.service() {
            self.client_service_over(service, transport, Ended::Refused);
        }
        self.release_factory(transport);
    }

    /// Calls `connection_made`, before and after which the client service hears of it.
    fn establish_for_service(&mut self, service: Id, connection: &ConnectionRef) {
        self.client_service_established(service);
        self.call(connection, Callback::ConnectionMade);
        if connection.transport.is_connected() {
            connection.transport.register();
            self.client_service_made(service);
        }
    }

    /// Closes a client that the factory or a limit rejects. What was written to it, such as the
    /// reason, is sent best effort, without waiting. `sent_before` is what all sockets had taken
    /// before it was written.
    fn reject(&mut self, id: Id, transport: &Transport, sent_before: u64) {
        log::debug!("{} rejected", transport.peer_address());
        // No later turn could send what a rate holds back.
        transport.clear_rates();
        // A layer says that nothing more comes only for a connection that closes.
        transport.lose_connection();
        let end = transport.settle(&mut Settled::default());
        if matches!(end, Action::End(Reason::Aborted)) || transport.connection().is_unfinished() {
            transport.connection().reset();
        }
        self.drop_reader(transport.end_extras());
        let mut closed = transport.connection().release();
        if let Some(closed) = &mut closed {
            // The client may be about to send, and a reset would destroy the message.
            closed.peer.sent_any |= self.hub.sent() > sent_before;
        }
        let lingering =
            closed.and_then(|closed| self.linger(id, closed, transport, LingerReason::Rejection));
        self.remove_connection(id, lingering);
        if let Err(panic) = guard(|| drop(end)) {
            let peer = transport.peer_address();
            self.report_panic(format_args!("dropping an error of {peer} panicked"), &panic);
        }
    }
}
