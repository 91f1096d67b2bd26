//! Accepting: how connections begin, and what happens when they cannot.

use super::Reactor;
use super::callback::Callback;
use super::connections::{Connection, Live};
use super::delayed::Job;
use super::lingering::Courtesy;
use super::panic::guard;
use super::recorder::What;
use crate::address::Address;
use crate::arena::Id;
use crate::reason::Reason;
use crate::socket::{Carrier, Listener, is_exhausted};
use crate::transport::{Agenda, Next, Origin, Settled, Transport};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Connections accepted on one port in one turn: enough that a burst costs few turns, few enough
/// that those who are connected already wait for some milliseconds at most.
pub(super) const ACCEPTS_PER_TURN: usize = 256;

/// Connections accepted on one port before it is closed for a graceful stop: what Linux lets a
/// backlog hold by default.
const LAST_ACCEPTS_MAX: usize = 4096;

/// After so many clients in a row that could not be accepted, it is not the clients.
const GONE_MAX: usize = 64;

/// How long a port rests that could not accept, for want of descriptors or memory. Long enough not
/// to spin, short enough that a client hardly notices. Ranch and Thousand Island take the same.
const REST: Duration = Duration::from_millis(100);

/// While a port cannot accept, it says so this often and no oftener.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// A port as the loop sees it.
#[derive(Debug)]
pub(super) struct OpenPort {
    listener: Box<dyn Listener>,
    /// Shared by its connections.
    origin: Rc<Origin>,
    accepting: Accepting,
    /// When it last said that it cannot accept.
    warned: Option<Instant>,
    /// How many it has turned away since.
    shed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    /// Until the poller says otherwise, nobody waits.
    Idle,
    /// On the list of ports on which somebody may wait.
    Listed,
    /// Could not accept; this timer tries again.
    Resting(Id),
    /// In the queue of its factory, for a token.
    Queued,
}

/// Whether accepting waits for the rate that the factory has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtRate,
    AtOnce,
}

impl OpenPort {
    pub(super) fn new(listener: Box<dyn Listener>, host: Id, agenda: Rc<Agenda>) -> Self {
        let origin =
            Rc::new(Origin { agenda, factory: host, dials: false, address: listener.address() });
        Self { listener, origin, accepting: Accepting::Idle, warned: None, shed: 0 }
    }

    pub(super) fn host(&self) -> Id {
        self.origin.factory
    }

    pub(super) fn address(&self) -> Address {
        self.origin.address.clone()
    }
}

impl Reactor {
    /// The poller says that somebody waits.
    pub(super) fn notice_waiting(&mut self, id: Id) {
        if let Some(port) = self.ports.get_mut(id) {
            if port.accepting == Accepting::Idle {
                port.accepting = Accepting::Listed;
                self.acceptable.push(id);
            }
        }
    }

    /// A port has rested.
    pub(super) fn accept_again(&mut self, id: Id) {
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
            let Some(host) = self.ports.get(id).map(OpenPort::host) else {
                return false;
            };
            if pace == Pace::AtRate && self.waits_to_accept(id, host) {
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
                    let origin = Rc::clone(&port.origin);
                    self.welcome(stream, peer, origin);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_exhausted(&error) => {
                    if !self.accept_exhausted(id, &error) {
                        return false;
                    }
                }
                // That client is gone, or a firewall took it; the next may be there.
                Err(error) if gone < GONE_MAX => {
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
        let origin = Rc::clone(&port.origin);
        match port.listener.accept_with_reserve() {
            Ok((stream, peer)) => {
                let has_room = self.close_lingering();
                if has_room {
                    self.refill_reserve(id);
                    self.welcome(stream, peer, origin);
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
            let shed = 1 + port.listener.shed(ACCEPTS_PER_TURN - 1);
            port.shed += shed;
            let host = port.host();
            if let Some(shelf) = self.hosts.get_mut(host) {
                shelf.door.refusals.exhausted += shed as u64;
            }
            self.recorder.known.refused += shed as u64;
        }
    }

    /// Nothing can be accepted for now: the port rests. The poller will not report those again who
    /// wait already, so a timer has to.
    fn rest(&mut self, id: Id, error: &io::Error) {
        let now = self.now();
        let timer = self.set_job(REST, Job::Accept(id));
        let Some(port) = self.ports.get_mut(id) else { return drop(self.timers.cancel(timer)) };
        port.accepting = Accepting::Resting(timer);
        if port.warned.is_none_or(|at| now.duration_since(at) >= WARNING_INTERVAL) {
            let (address, shed) = (port.address(), port.shed);
            log::warn!(
                "cannot accept on {address}: {error}; {shed} waiting clients were turned away; \
                 trying again every {REST:?}"
            );
            (port.warned, port.shed) = (Some(now), 0);
        }
    }

    /// A port is closed: nothing waits for it any more.
    pub(super) fn end_accepting(&mut self, id: Id, port: &OpenPort) {
        match port.accepting {
            Accepting::Resting(timer) => drop(self.timers.cancel(timer)),
            Accepting::Queued => self.leave_queue(id, port.host()),
            Accepting::Idle | Accepting::Listed => {}
        }
    }

    /// A client has connected: builds its protocol and introduces them.
    fn welcome(&mut self, stream: Carrier, peer: Address, origin: Rc<Origin>) {
        let admitted = self.admit(origin.factory, &peer);
        self.recorder.known.refused += u64::from(admitted.is_err());
        if let Err(None) = admitted {
            // Dropped, and so closed.
            return;
        }
        let id = self.connections.insert_with(|id| {
            let transport = Transport::new(id, stream, peer, origin);
            Connection::Live(Live::new(transport))
        });
        let Some(party) = self.connections.party(id) else { return };
        match admitted {
            Err(Some(refusal)) => {
                party.transport.write_bytes(refusal);
                // It may be about to speak, and is to hear this nevertheless.
                self.refuse(id, &party.transport, true);
            }
            _ => self.introduce(id, &party.transport),
        }
    }

    /// A connection stands: builds its protocol.
    pub(super) fn introduce(&mut self, id: Id, transport: &Transport) {
        let (host, peer) = (transport.factory(), transport.peer_address());
        let Some(mut party) = self.connections.party(id) else { return };
        let previous = self.agenda.enter(id);
        // Before the factory sees it, so that what `build_protocol` sets counts. Whoever connects
        // may have set something before.
        if let Some(shelf) = self.hosts.get(host) {
            if let Some(deadlines) = shelf.deadlines.filter(|_| !transport.has_timeouts()) {
                transport.set_timeouts(deadlines);
            }
            shelf.ration.serve(transport);
        }
        let built = self.on_host(host, |host, reactor| host.build(transport, reactor));
        self.agenda.leave(previous);
        let seat = match built {
            Some(Ok(seat)) => seat,
            Some(Err(panic)) => {
                let name = self.protocol_name(host);
                log::error!("{peer} is refused: building {name} panicked: {}", panic.0);
                self.note_panic(&format!("a panic in building {name}"));
                None
            }
            None => None,
        };
        let (Some(seat), Some(live)) = (seat, self.connections.live_mut(id)) else {
            if let Some(shelf) = self.hosts.get_mut(host) {
                shelf.door.refusals.factory += u64::from(!transport.dials());
            }
            self.recorder.known.refused += u64::from(!transport.dials());
            self.note_call();
            self.refuse(id, transport, false);
            self.leave(transport);
            return self.end_use(transport);
        };
        live.party.take_seat(seat);
        party.take_seat(seat);
        if let Some(shelf) = self.hosts.get_mut(host) {
            shelf.connections += 1;
        }
        #[cfg(feature = "testing")]
        self.tell_watcher(transport, super::Happening::Built(transport));
        log::debug!("{} of {peer}: connected", self.protocol_name(host));
        if transport.dials() {
            self.recorder.known.connected += 1;
            self.note_event(What::Connected, id);
        } else {
            self.recorder.known.accepted += 1;
            self.note_event(What::Accepted, id);
        }
        self.call(&party, Callback::Made);
        // Only now: a connection that is closed in its first callback is never watched.
        if transport.is_connected() {
            transport.watch();
        }
    }

    /// The factory does not want the client, or has too many. What was written, such as the reason,
    /// is sent as far as the socket takes it at once.
    fn refuse(&mut self, id: Id, transport: &Transport, lingers: bool) {
        log::debug!("{} is refused", transport.peer_address());
        // Nothing is left to send more at a time.
        transport.lift_rates();
        let end = transport.settle(&mut Settled::default());
        if matches!(end, Next::End(Reason::Aborted)) || transport.is_unfinished() {
            transport.reset();
        }
        self.drop_reader(transport.end_flow());
        let mut closed = transport.release();
        if let Some(closed) = &mut closed {
            closed.spoken |= lingers;
        }
        let lingering = closed.and_then(|closed| {
            self.linger(id, closed, transport.peer_address().network(), Courtesy::Refusal)
        });
        self.vacate(id, lingering);
        if guard(|| drop(end)).is_err() {
            log::error!("dropping an error of {} panicked", transport.peer_address());
        }
    }
}
