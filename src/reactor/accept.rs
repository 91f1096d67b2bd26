//! Accepting: how connections begin, and what happens when they cannot.

use super::Reactor;
use super::callback::Callback;
use super::linger_budget::LingerReason;
use super::open_port::Accepting;
use super::open_port::OpenPort;
use super::panic::guard;
use super::recorder::EventKind;
use super::table::{Established, Slot};
use super::timers::TimerAction;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, is_exhausted};
use crate::reason::Reason;
use crate::transport::{Action, ListenerInfo, Settled, Transport};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Connections accepted on one port in one turn: enough that a burst costs few turns, few enough
/// that those who are connected already wait for some milliseconds at most.
pub(super) const ACCEPTS_PER_TURN: usize = 256;

/// Connections accepted on one port before it is closed for a graceful stop: what Linux lets a
/// backlog hold by default.
const LAST_ACCEPTS_MAX: usize = 4096;

/// After so many clients in a row that could not be accepted, it is not the clients.
const ACCEPT_ERRORS_MAX: usize = 64;

/// How long a port rests that could not accept, for want of descriptors or memory. Long enough not
/// to spin, short enough that a client hardly notices. Ranch and Thousand Island take the same.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Whether accepting waits for the rate that the factory has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtRate,
    AtOnce,
}

impl Reactor {
    /// The poller says that somebody waits.
    pub(super) fn notice_waiting(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            if port.accepting == Accepting::Idle {
                port.accepting = Accepting::Listed;
                self.queues.listeners.push(id);
            }
        }
    }

    /// A port has rested.
    pub(super) fn retry_accept(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.accepting = Accepting::Idle;
            self.notice_waiting(id);
        }
    }

    /// Accepts who waits on a port, up to the budget of a turn.
    pub(super) fn accept(&mut self, id: Id) {
        let Some(port) = self.ports.get_mut(id) else {
            return;
        };
        port.accepting = Accepting::Idle;
        if self.accept_up_to(id, ACCEPTS_PER_TURN, Pace::AtRate) {
            self.notice_waiting(id);
        }
    }

    /// Accepts one client on a port that has waited for its turn. True if it is to wait for
    /// another.
    pub(super) fn accept_one(&mut self, id: Id) -> bool {
        let Some(port) = self.ports.get_mut(id) else { return false };
        port.accepting = Accepting::Idle;
        let more = self.accept_up_to(id, 1, Pace::AtOnce);
        let Some(port) = self.ports.get_mut(id).filter(|_| more) else { return false };
        port.accepting = Accepting::Queued;
        true
    }

    /// Accepts who waits on a port that is about to be closed: they have connected, and closing the
    /// port would reset them. A rate of accepting does not hold them back.
    pub(super) fn accept_last(&mut self, id: Id) {
        self.accept_up_to(id, LAST_ACCEPTS_MAX, Pace::AtOnce);
    }

    /// Accepts who waits on a port. True if the budget is used up and more may wait.
    fn accept_up_to(&mut self, id: Id, budget: usize, pace: Pace) -> bool {
        let mut gone = 0;
        for _ in 0..budget {
            // Asked each time: building a protocol may close the port.
            let Some(factory) = self.ports.get(id).map(OpenPort::factory) else {
                return false;
            };
            if pace == Pace::AtRate && self.waits_to_accept(id, factory) {
                if let Some(port) = self.ports.get_mut(id) {
                    port.accepting = Accepting::Queued;
                }
                return false;
            }
            let Some(port) = self.ports.get_mut(id) else {
                return false;
            };
            match port.listener.accept() {
                Ok((stream, peer)) => {
                    gone = 0;
                    let listener_info = Rc::clone(&port.listener_info);
                    self.on_accepted(stream, peer, listener_info);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_exhausted(&error) => {
                    if !self.accept_exhausted(id, &error) {
                        return false;
                    }
                }
                // That client is gone, or a firewall took it; the next may be there.
                Err(error) if gone < ACCEPT_ERRORS_MAX => {
                    gone += 1;
                    log::debug!("a client was gone before it was accepted: {error}");
                }
                Err(error) => {
                    self.rest(id, &error);
                    return false;
                }
            }
        }
        true
    }

    /// Out of descriptors, but for the one in reserve: it shows whether anybody waits. Connections
    /// that linger make room for a client who does; otherwise all who wait are turned away, and the
    /// port rests. False if accepting ends for now.
    fn accept_exhausted(&mut self, id: Id, error: &io::Error) -> bool {
        let Some(port) = self.ports.get_mut(id) else { return false };
        let listener_info = Rc::clone(&port.listener_info);
        match port.listener.accept_with_reserve() {
            Ok((stream, peer)) => {
                let has_room = self.close_lingering();
                if has_room {
                    self.refill_reserve(id);
                    self.on_accepted(stream, peer, listener_info);
                } else {
                    drop(stream);
                    self.shed(id);
                    self.refill_reserve(id);
                    self.rest(id, error);
                }
                has_room
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // There is no reserve. If this frees descriptors, the next attempt tells.
            Err(_) if self.close_lingering() => true,
            Err(_) => {
                self.rest(id, error);
                false
            }
        }
    }

    fn refill_reserve(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            port.listener.refill_reserve();
        }
    }

    /// One client was turned away for want of a descriptor; so are the others who wait.
    fn shed(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            let shed = 1 + port.listener.shed(ACCEPTS_PER_TURN - 1) as u64;
            port.warnings.count(shed);
            let factory = port.factory();
            if let Some(slot) = self.factories.get_mut(factory) {
                slot.admission.rejections.exhausted += shed;
            }
            self.recorder.totals.rejected += shed;
        }
    }

    /// Nothing can be accepted for now: the port rests. The poller will not report those again who
    /// wait already, so a timer has to.
    fn rest(&mut self, id: Id, error: &io::Error) {
        let now = self.now();
        let timer = self.set_timer_action(ACCEPT_RETRY_DELAY, TimerAction::RetryAccept(id));
        let Some(port) = self.ports.get_mut(id) else { return drop(self.timers.cancel(timer)) };
        port.accepting = Accepting::RetryLater(timer);
        if let Some(shed) = port.warnings.warn(now) {
            let address = port.address();
            log::warn!(
                "cannot accept on {address}: {error}; {shed} waiting clients were turned away; \
                 trying again every {ACCEPT_RETRY_DELAY:?}"
            );
        }
    }

    /// A port is closed: nothing waits for it any more.
    pub(super) fn end_accepting(&mut self, id: Id, port: &OpenPort) {
        match port.accepting {
            Accepting::RetryLater(timer) => drop(self.timers.cancel(timer)),
            Accepting::Queued => self.leave_queue(id, port.factory()),
            Accepting::Idle | Accepting::Listed => {}
        }
    }

    /// A client has connected: builds its protocol and introduces them.
    fn on_accepted(&mut self, stream: AnyStream, peer: Address, listener_info: Rc<ListenerInfo>) {
        let admitted = self.admit(listener_info.factory, &peer);
        self.recorder.totals.rejected += u64::from(admitted.is_err());
        if let Err(None) = admitted {
            // Dropped, and so closed.
            return;
        }
        let id = self.connections.insert_with(|id| {
            let transport = Transport::new(id, stream, peer, listener_info);
            Slot::Established(Established::new(transport))
        });
        let Some(connection) = self.connections.find(id) else { return };
        match admitted {
            Err(Some(refusal)) => {
                connection.transport.write_bytes(refusal);
                // It may be about to speak, and is to hear this nevertheless.
                self.reject(id, &connection.transport, true);
            }
            _ => self.establish(id, &connection.transport),
        }
    }

    /// A connection stands: builds its protocol.
    pub(super) fn establish(&mut self, id: Id, transport: &Transport) {
        let (factory, peer) = (transport.factory(), transport.peer_address());
        let Some(mut connection) = self.connections.find(id) else { return };
        let previous = self.hub.enter(id);
        // Before the factory sees it, so that what `build_protocol` sets counts. Whoever connects
        // may have set something before.
        if let Some(slot) = self.factories.get(factory) {
            if let Some(timeouts) = slot.timeouts.filter(|_| !transport.has_timeouts()) {
                transport.set_timeouts(timeouts);
            }
            slot.rates.serve(transport);
        }
        let built = self.with_erased(factory, |factory, reactor| factory.build(transport, reactor));
        self.hub.leave(previous);
        let protocol_index = match built {
            Some(Ok(protocol_index)) => protocol_index,
            Some(Err(panic)) => {
                let name = self.protocol_name(factory);
                log::error!("{peer} is refused: building {name} panicked: {}", panic.0);
                self.record_panic(&format!("a panic in building {name}"));
                None
            }
            None => None,
        };
        let (Some(protocol_index), Some(established)) =
            (protocol_index, self.connections.established_mut(id))
        else {
            if let Some(slot) = self.factories.get_mut(factory) {
                slot.admission.rejections.factory += u64::from(!transport.is_outgoing());
            }
            self.recorder.totals.rejected += u64::from(!transport.is_outgoing());
            self.record_call();
            self.reject(id, transport, false);
            self.release_admission(transport);
            return self.release_factory(transport);
        };
        established.connection.set_protocol_index(protocol_index);
        connection.set_protocol_index(protocol_index);
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.connections += 1;
        }
        #[cfg(feature = "testing")]
        self.notify_observer(transport, super::Happening::Built(transport));
        log::debug!("{} of {peer}: connected", self.protocol_name(factory));
        if transport.is_outgoing() {
            self.recorder.totals.connected += 1;
            self.record_event(EventKind::Connected, id);
        } else {
            self.recorder.totals.accepted += 1;
            self.record_event(EventKind::Accepted, id);
        }
        self.call(&connection, Callback::ConnectionMade);
        // Only now: a connection that is closed in its first callback is never watched.
        if transport.is_connected() {
            transport.register();
        }
    }

    /// The factory does not want the client, or has too many. What was written, such as the reason,
    /// is sent as far as the socket takes it at once.
    fn reject(&mut self, id: Id, transport: &Transport, lingers: bool) {
        log::debug!("{} is refused", transport.peer_address());
        // Nothing is left to send more at a time.
        transport.clear_rates();
        let end = transport.settle(&mut Settled::default());
        if matches!(end, Action::End(Reason::Aborted)) || transport.connection().is_unfinished() {
            transport.connection().reset();
        }
        self.drop_reader(transport.end_extras());
        let mut closed = transport.connection().release();
        if let Some(closed) = &mut closed {
            closed.peer.sent_any |= lingers;
        }
        let lingering = closed.and_then(|closed| {
            self.linger(id, closed, transport.peer_address().network(), LingerReason::Refusal)
        });
        self.remove_connection(id, lingering);
        if guard(|| drop(end)).is_err() {
            log::error!("dropping an error of {} panicked", transport.peer_address());
        }
    }
}
