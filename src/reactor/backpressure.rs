//! Backpressure: how connections are held back, and go on. Timeouts and rates at work, with their
//! clock and their timers; pauses of reading; and producers that the loop reads for connections.

use super::Reactor;
use super::callback::Callback;
use super::factory_rates::FactoryRates;
use super::panic::guard;
use super::queues::Overdue;
use super::recorder::EventKind;
use super::table::ConnectionRef;
use super::timers::TimerAction;
use crate::arena::Id;
use crate::limits::{Direction, Refill};
use crate::reason::Reason;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How often a connection is read before one of its timeouts is held against it: each time by the
/// budget of a turn, a quarter of a megabyte, which together is more than the six megabytes that
/// Linux lets a socket hold by default. More than that has come since.
const LOOKS_MAX: u8 = 32;

/// Time in a turn for such looks.
const LOOKS_TIME: Duration = Duration::from_millis(2);

/// How long a connection rests from reading whose peer takes nothing: what it would be sent in
/// reply would only pile up here, where it is copied and falls out of the cache. Not for ever, for
/// a client may well send all it has before it begins to read. With what is read in one turn this
/// makes a quarter of a gigabyte a second.
const READ_BACKOFF: Duration = Duration::from_millis(1);

/// Read in one call: what the high-water mark is from the start.
const CHUNK_LEN: usize = 64 * 1024;

/// Chunks read for one connection in one turn, so that a peer that takes them as fast as they are
/// read does not hold up the others.
pub(super) const CHUNKS_PER_TURN: usize = 4;

/// How many bytes a reader has given.
fn produced(read: &io::Result<usize>) -> usize {
    read.as_ref().map_or(0, |count| *count)
}

/// Timeouts.
impl Reactor {
    /// Reads the clock for a connection, and has a timer look again. One that is set already and
    /// comes sooner is left alone: it will be set for what is left.
    pub(super) fn update_timeouts(&mut self, connection: &ConnectionRef) {
        let due = connection.transport.update_timeouts(self.now());
        let (Some(due), Some(established)) =
            (due, self.connections.established_mut(connection.id()))
        else {
            return;
        };
        let timer = established.timeout_timer();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((id, _)) => {
                self.timers.reset(id, due);
                *timer = Some((id, due));
            }
            None => {
                *timer =
                    Some((self.timers.set(due, TimerAction::CheckTimeouts(connection.id())), due))
            }
        }
    }

    /// The timer of a connection is due. If something is over, the connection is read first: it
    /// may be the loop that is late, and not the peer.
    pub(super) fn check_timeouts(&mut self, id: Id) {
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(established) = self.connections.established_mut(id) {
            *established.timeout_timer() = None;
        }
        if connection.transport.is_overdue(self.now()) {
            if connection.transport.connection().look() {
                self.queues.ready.push(id);
            }
            self.queues.overdue.push(Overdue { id, looks: 1 });
        } else {
            self.update_timeouts(&connection);
        }
    }

    /// Decides on timeouts that were found to be over before all that had arrived was read.
    pub(super) fn expire_overdue(&mut self) {
        if self.queues.overdue.is_empty() {
            return;
        }
        let until = self.due_in(LOOKS_TIME);
        for Overdue { id, looks } in std::mem::take(&mut self.queues.overdue) {
            self.fail_overdue_connecting(id);
            let Some(connection) = self.connections.find(id) else { continue };
            if looks == 0 {
                // What the producer gives may have arrived, and stand in the bulk queue.
                let producer = connection.transport.producer().map(|producer| producer.slot());
                if let Some(producer) = producer.and_then(|id| self.connections.find(id)) {
                    self.serve_at_once(&producer);
                }
                if !connection.transport.connection().was_fed() {
                    self.close_timed_out(&connection);
                }
                continue;
            }
            if looks < LOOKS_MAX && connection.transport.connection().has_more() {
                // If there is no time for it now, it is looked at as often later.
                let in_time = self.now() < until;
                if in_time {
                    self.serve_at_once(&connection);
                }
                self.queues.overdue.push(Overdue { id, looks: looks + u8::from(in_time) });
                continue;
            }
            if let Some(kind) = connection.transport.expired_timeout(self.now()) {
                self.call(&connection, Callback::TimedOut(kind));
            }
            self.update_timeouts(&connection);
        }
    }
}

/// Rate limits.
impl Reactor {
    /// Cancels the timers of shared rates that are replaced or gone.
    pub(super) fn end_sharing(&mut self, rates: &FactoryRates) {
        for direction in [Direction::Read, Direction::Write] {
            if let Some(timer) = rates.shared(direction).and_then(|shared| shared.timer) {
                self.timers.cancel(timer);
            }
        }
    }

    /// Reads the clock for a connection that has used up what it may move. True if there is more;
    /// otherwise it will go on by itself.
    pub(super) fn refill_rate(&mut self, connection: &ConnectionRef, direction: Direction) -> bool {
        let now = self.now();
        match connection.transport.refill_rate(direction, now) {
            Refill::Ready => return true,
            Refill::At(due) => self.go_on_at(connection.id(), due),
            Refill::Queued => self.schedule_shared_grant(connection.factory(), direction),
        }
        if let Some(slot) = self.factories.get_mut(connection.factory()) {
            slot.rates.waits += 1;
        }
        false
    }

    /// One timer wakes both directions: whoever is woken too early asks again.
    fn go_on_at(&mut self, id: Id, due: Instant) {
        let Some(established) = self.connections.established_mut(id) else { return };
        let timer = established.rate_timer();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((set, _)) => {
                self.timers.reset(set, due);
                *timer = Some((set, due));
            }
            None => *timer = Some((self.timers.set(due, TimerAction::RateRefill(id)), due)),
        }
    }

    /// The timer of a connection is due.
    pub(super) fn rate_timer_fired(&mut self, id: Id) {
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(established) = self.connections.established_mut(id) {
            *established.rate_timer() = None;
        }
        connection.transport.end_rate_wait();
        self.settle(&connection);
        self.serve_again(&connection);
    }

    /// Sets the timer for the connections that wait for a shared rate, if there are any.
    fn schedule_shared_grant(&mut self, factory: Id, direction: Direction) {
        let slot = self.factories.get_mut(factory);
        let Some(shared) = slot.and_then(|slot| slot.rates.shared_mut(direction)) else { return };
        let next = shared.limiter.borrow().next();
        if let (Some(due), None) = (next, shared.timer) {
            shared.timer =
                Some(self.timers.set(due, TimerAction::SharedRateRefill(factory, direction)));
        }
    }

    /// Grants a shared rate to some of the connections that wait for it, which then go on.
    pub(super) fn grant_shared_rate(&mut self, factory: Id, direction: Direction) {
        let now = self.now();
        let slot = self.factories.get_mut(factory);
        let Some(shared) = slot.and_then(|slot| slot.rates.shared_mut(direction)) else { return };
        shared.timer = None;
        let (ids, bytes) = shared.limiter.borrow_mut().grant(now).unwrap_or_default();
        for id in ids {
            if let Some(connection) = self.connections.find(id) {
                connection.transport.take_grant(direction, bytes);
                self.settle(&connection);
                self.serve_again(&connection);
            }
        }
        self.schedule_shared_grant(factory, direction);
    }
}

/// Pauses of reading.
impl Reactor {
    /// A connection begins to rest: until its peer takes something, or for [`READ_BACKOFF`].
    pub(super) fn rest_from_reading(&mut self, id: Id) {
        let until = self.queues.read_backoffs.until.unwrap_or_else(|| self.due_in(READ_BACKOFF));
        self.queues.read_backoffs.until = Some(until);
        self.queues.read_backoffs.connections.push(id);
    }

    /// Those that have rested for long enough are to be served.
    pub(super) fn end_read_backoffs(&mut self) {
        if self.queues.read_backoffs.until.is_none_or(|until| self.now() < until) {
            return;
        }
        for id in std::mem::take(&mut self.queues.read_backoffs).connections {
            if let Some(connection) = self.connections.find(id) {
                connection.transport.connection().end_read_backoff();
                self.serve_again(&connection);
            }
        }
    }
}

/// Producers that are read.
impl Reactor {
    /// Reads one chunk from a connection's producer, and writes it.
    pub(super) fn produce(&mut self, connection: &ConnectionRef) {
        let transport = &connection.transport;
        let Some((mut reader, room)) = transport.take_reader() else { return };
        let mut producer_buffer = std::mem::take(&mut self.scratch.producer_buffer);
        producer_buffer.resize(CHUNK_LEN, 0);
        let room = room.min(CHUNK_LEN);
        let read = guard(|| reader.read(&mut producer_buffer[..room]));
        // A reader is the user's code, and the next callback is not to blame for it.
        self.record_callback(EventKind::ReaderRead, transport, read.as_ref().map_or(0, produced));
        let left = match read {
            Ok(Ok(count)) if count > 0 => {
                // It is settled by whoever asked for this.
                let previous = self.hub.enter(connection.id());
                let unwanted = transport.send_produced(reader, &producer_buffer[..count.min(room)]);
                self.hub.leave(previous);
                unwanted
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                transport.send_produced(reader, &[])
            }
            Ok(ended) => {
                if let Some(produced) = transport.end_production() {
                    let failed = ended.as_ref().err().map(io::Error::kind);
                    // Before the protocol is told, which may close in words of its own.
                    let waited = failed.is_some() && transport.break_off();
                    let mut result = Some(ended.map(|_| produced));
                    self.deliver(connection, Callback::ProducerFinished(&mut result));
                    if let Some(kind) = failed.filter(|_| waited) {
                        let error = format!("what was to be sent cannot be read: {kind}");
                        transport.fail_unfinished(error);
                    }
                }
                Some(reader)
            }
            Err(panic) => {
                let (name, peer) =
                    (self.protocol_name(connection.factory()), transport.peer_address());
                log::error!("the producer of {name} of {peer} panicked: {}", panic.0);
                drop(guard(|| transport.end(Reason::Panicked(panic.0))));
                Some(reader)
            }
        };
        self.scratch.producer_buffer = producer_buffer;
        self.drop_reader(left);
    }

    /// Drops a reader, which is the user's.
    pub(super) fn drop_reader(&self, reader: Option<Box<dyn Read>>) {
        if let Err(panic) = guard(|| drop(reader)) {
            log::error!("dropping a producer panicked: {}", panic.0);
        }
    }
}
