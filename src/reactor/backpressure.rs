//! Backpressure: holds connections back and lets them continue. Timeouts and rate limits at work,
//! with their clock and timers; the read backoff; producers that the loop reads for connections.

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

/// Reads of a connection before one of its timeouts expires, each of up to the budget of a turn, a
/// quarter of a megabyte. Together they exceed the six megabytes that a socket holds by default on
/// Linux: the rest arrived after the timeout.
const LOOKS_MAX: u8 = 32;

/// Time per turn for reading connections whose timeouts have expired.
const LOOKS_TIME: Duration = Duration::from_millis(2);

/// Read backoff: how long to stop reading a connection whose peer takes nothing; replies would only
/// pile up in memory, be copied there, and fall out of the cache. Not for ever, since a client may
/// send all it has before it begins to read. With the bytes read in one turn this allows a quarter
/// of a gigabyte a second.
const READ_BACKOFF: Duration = Duration::from_millis(1);

/// Bytes read from a producer in one call: the default high-water mark.
const CHUNK_LEN: usize = 64 * 1024;

/// Chunks read for one connection in one turn, so that a peer that takes them as fast as they are
/// read does not hold up other connections.
pub(super) const CHUNKS_PER_TURN: usize = 4;

/// Returns the number of bytes that a reader has given.
fn produced(read: &io::Result<usize>) -> usize {
    read.as_ref().map_or(0, |count| *count)
}

/// Timeouts.
impl Reactor {
    /// Updates the timeouts of a connection by the clock, and sets its timer. A timer that fires
    /// sooner stays as it is: when it fires, it is set for the remaining time.
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

    /// Checks the timeouts of a connection whose timer has fired. If one has expired, the
    /// connection is read first: the loop may be late, and not the peer.
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

    /// Expires timeouts that phase 2 found to be over, now that what had arrived is read.
    pub(super) fn expire_overdue(&mut self) {
        if self.queues.overdue.is_empty() {
            return;
        }
        let until = self.due_in(LOOKS_TIME);
        for Overdue { id, looks } in std::mem::take(&mut self.queues.overdue) {
            self.fail_overdue_arriving(id);
            let Some(connection) = self.connections.find(id) else { continue };
            if looks == 0 {
                // Data for this connection may have arrived at a producer in the bulk queue.
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
                // A look that finds no time left is not counted.
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
            self.expire_preparation(&connection.transport);
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

    /// Refills the rate of a connection that has used up its allowance. Returns true if it may move
    /// more bytes now; otherwise a timer resumes it.
    pub(super) fn refill_rate(&mut self, connection: &ConnectionRef, direction: Direction) -> bool {
        let now = self.now();
        match connection.transport.refill_rate(direction, now) {
            Refill::Ready => return true,
            Refill::At(due) => self.resume_at(connection.id(), due),
            Refill::Queued => self.schedule_shared_grant(connection.factory(), direction),
        }
        if let Some(slot) = self.factories.get_mut(connection.factory()) {
            slot.rates.waits += 1;
            self.recorder.totals_mut(slot.totals).connections.rate_limit_waits += 1;
        }
        false
    }

    /// Sets the rate timer of a connection. One timer wakes both directions; a direction that is
    /// woken too early asks for a refill again.
    fn resume_at(&mut self, id: Id, due: Instant) {
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

    /// Resumes a connection whose rate timer has fired.
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

    /// Grants a shared rate to some of the connections that wait for it, and resumes them.
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

/// Read backoff.
impl Reactor {
    /// Stops reading a connection until its peer takes something, or for [`READ_BACKOFF`].
    pub(super) fn back_off_reading(&mut self, id: Id) {
        let until = self.queues.read_backoffs.until.unwrap_or_else(|| self.due_in(READ_BACKOFF));
        self.queues.read_backoffs.until = Some(until);
        self.queues.read_backoffs.connections.push(id);
    }

    /// Resumes reading connections whose backoff is over.
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
    /// Reads one chunk from the reader that feeds a connection, and writes it.
    pub(super) fn produce(&mut self, connection: &ConnectionRef) {
        let transport = &connection.transport;
        let Some((mut reader, room)) = transport.take_reader() else { return };
        let mut producer_buffer = std::mem::take(&mut self.scratch.producer_buffer);
        producer_buffer.resize(CHUNK_LEN, 0);
        let room = room.min(CHUNK_LEN);
        let read = guard(|| reader.read(&mut producer_buffer[..room]));
        // A reader is user code: its time must not count for the next callback.
        self.record_callback(EventKind::ReaderRead, transport, read.as_ref().map_or(0, produced));
        let left = match read {
            Ok(Ok(count)) if count > 0 => {
                // The caller settles the connection.
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
                    // Before the callback, in which the protocol may close gracefully.
                    let waited = failed.is_some() && transport.break_off();
                    let mut result = Some(ended.map(|_| produced));
                    self.deliver(connection, Callback::ProducerFinished(&mut result));
                    if let Some(kind) = failed.filter(|_| waited) {
                        let error = format!("cannot read from the producer: {kind}");
                        transport.fail_unfinished(error);
                    }
                }
                Some(reader)
            }
            Err(panic) => {
                let (name, peer) =
                    (self.protocol_name(connection.factory()), transport.peer_address());
                self.report_panic(
                    format_args!("the producer of {name} of {peer} panicked"),
                    &panic,
                );
                drop(guard(|| transport.end(Reason::Panicked(panic.0))));
                Some(reader)
            }
        };
        self.scratch.producer_buffer = producer_buffer;
        self.drop_reader(left);
    }

    /// Drops a reader, whose `Drop` is user code.
    pub(super) fn drop_reader(&self, reader: Option<Box<dyn Read>>) {
        if let Err(panic) = guard(|| drop(reader)) {
            self.report_panic("dropping a producer panicked", &panic);
        }
    }
}
