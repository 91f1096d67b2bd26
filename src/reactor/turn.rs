//! One turn of the event loop. This file is its specification; `docs/REACTOR.md` numbers the same
//! phases.

use super::Reactor;
use super::callback::Callback;
use super::errors::RunError;
use super::fan_out::FAN_OUT;
use super::lifecycle::ShutdownReport;
use super::panic::guard;
use super::queues::Aborted;
use super::scratch::BUFFER_LEN;
use super::table::{ConnectionRef, Slot};
use crate::arena::Id;
use crate::driver::{Edges, Ready};
use crate::limits::Direction;
use crate::transport::{ReadOutcome, Traffic};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Bytes read from a bulk connection before the next one is served: a quarter of a megabyte, about
/// 50 µs of the kernel's time.
const BULK_BYTES_PER_TURN: usize = 4 * BUFFER_LEN;

/// Read calls for one connection in a turn, however short the reads: a few short reads may precede
/// a FIN.
const READS_PER_TURN: usize = 8;

/// Bytes read per turn from all connections with sparse traffic together, unless [`SHARE_MIN`] for
/// each is more: a whole buffer for each of 64. At most a few milliseconds of work.
const SHARES: usize = 4 * 1024 * 1024;

/// Smallest share of a sparse connection in a turn: most messages are shorter.
const SHARE_MIN: usize = 4 * 1024;

/// Time per turn for bulk connections; the rest of their queue waits for the next turn. It bounds
/// what they add to the latency of all other connections, however many they are. Polling in between
/// costs a few per cent of it.
const BULK_TIME: Duration = Duration::from_millis(2);

/// Running time after which a callback should yield. A protocol that asks once in several messages
/// overruns it by a small factor.
const CALLBACK_TIME: Duration = Duration::from_micros(500);

/// Returns the earlier of two deadlines. (A simulation asks for deadlines all the time, and in a
/// debug build an iterator over them would be a tenth of what it costs.)
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Reactor {
    /// Runs one turn. Work that is added to a phase while it runs waits for the next turn.
    pub(super) fn one_turn(
        &mut self,
        timeout: Option<Duration>,
    ) -> Result<ControlFlow<ShutdownReport>, RunError> {
        self.start_up()?; //         only in the first turn of a run
        self.run_calls(); //         1. calls for signals, and from other threads
        self.run_timers(); //        2. timers that are due
        if let Some(report) = self.stop_if_asked() {
            self.record_turn();
            return Ok(ControlFlow::Break(report)); // 3. shutdown, if a stop was requested
        }
        self.wait(timeout).map_err(RunError::Poll)?; // 4. poll until something is ready
        self.report_aborted(); //    5. connections that callbacks aborted
        self.accept_waiting(); //    6. new connections
        self.serve_ready(); //       7. each ready connection: reading, then writing
        self.expire_overdue(); //    8. timeouts that have expired, after reading what arrived
        self.flush(); //             9. writes to connections other than the callback's own
        self.stop_unused_factories(); // 10. factories whose last port was closed
        Ok(ControlFlow::Continue(()))
    }

    // Inlined into the turn: start-up calls it once as well.
    #[inline(always)]
    pub(super) fn run_calls(&mut self) {
        if self.signals.has_work() {
            self.run_signal_calls();
        }
        for call in self.calls.take() {
            let called = guard(|| call(self));
            self.record_call();
            if let Err(panic) = called {
                self.report_panic("a call from another thread panicked", &panic);
                self.record_panic("a panic in a call from another thread");
            }
        }
    }

    fn run_timers(&mut self) {
        if self.timers.len() == 0 {
            return;
        }
        let now = self.now();
        let mark = self.timers.mark();
        while let Some((id, action)) = self.timers.pop(now, mark) {
            self.run_timer_action(id, action);
        }
    }

    // Inlined, with what it calls for each event: start-up waits once as well.
    #[inline(always)]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.is_busy_polling() {
            Some(Duration::ZERO)
        } else {
            match self.next_deadline() {
                Some(due) => {
                    let until = due.saturating_duration_since(self.now());
                    Some(timeout.map_or(until, |timeout| timeout.min(until)))
                }
                None => timeout,
            }
        };
        let mut ready = std::mem::take(&mut self.scratch.events);
        self.record_turn();
        if self.fan_out.is_quiet() {
            self.driver.sched_yield();
        }
        let waited = self.driver.wait(&mut ready, timeout);
        self.record_wait(ready.len());
        // A call from another thread ends a wait without an event.
        let quiet = ready.is_empty() && self.calls.is_empty();
        self.fan_out.record_poll(quiet);
        if !quiet && !self.settings.busy_poll.is_zero() {
            self.busy_poll_until = Some(self.due_in(self.settings.busy_poll));
        }
        for event in ready.drain(..) {
            self.notice(event);
        }
        self.scratch.events = ready;
        waited
    }

    /// Returns true while busy polling: the last event is so recent that sleeping would cost more
    /// than polling again.
    fn is_busy_polling(&mut self) -> bool {
        let Some(until) = self.busy_poll_until else {
            return false;
        };
        if self.now() >= until {
            self.busy_poll_until = None;
        }
        self.busy_poll_until.is_some()
    }

    /// Returns when the next turn is due even if no event arrives: now, if work is left over;
    /// `None` if it has nothing to do before an event arrives.
    ///
    /// Use it to embed the reactor in another loop; see [`turn`](Self::turn).
    pub fn next_deadline(&mut self) -> Option<Instant> {
        match self.calls.is_empty() {
            true => self.next_own_deadline(),
            false => Some(self.now()),
        }
    }

    /// Returns when the next turn is due, apart from calls of other threads: each has woken the
    /// reactor, and a simulation decides how long that takes.
    #[inline]
    pub(crate) fn next_own_deadline(&mut self) -> Option<Instant> {
        let left_over = self.queues.has_work()
            || self.hub.has_yielded()
            || self.hub.len() > 0
            || self.signals.has_work()
            || self.driver.may_have_more()
            || self.is_to_start_up();
        if left_over {
            return Some(self.now());
        }
        let timeout = earlier(self.timers.next(), self.queues.read_backoffs.until);
        earlier(timeout, self.stop_deadline())
    }

    /// Records an event of the poller. No callback runs before all events are recorded.
    #[inline(always)]
    fn notice(&mut self, event: Ready) {
        match event {
            Ready::Port(token) => {
                if let Some(id) = self.ports.id_from_bits(token) {
                    self.notice_waiting(id);
                }
            }
            Ready::Resolved(token) => self.notice_answer(token),
            Ready::Signal(name) => self.notice_signal(name),
            Ready::Stream { token, edges } => {
                let Some(id) = self.connections.id_from_bits(token) else { return };
                match self.connections.established(id) {
                    Some(established) => {
                        let transport = &established.connection.transport;
                        transport.notice(edges);
                        let traffic = transport.connection().queue();
                        if let Some(traffic) = traffic {
                            self.queues.list(id, traffic);
                        }
                    }
                    None => self.notice_other(id, edges),
                }
            }
        }
    }

    /// Records an event of a socket without a protocol: one that is connecting, or lingers.
    fn notice_other(&mut self, id: Id, edges: Edges) {
        if let Some(Slot::Arriving(arriving)) = self.connections.get(id) {
            // These are not reported again. All else is checked when the connection is established.
            let Edges { read_closed, priority, error, .. } = edges;
            let read_closed = read_closed || error;
            arriving.transport.notice(Edges { read_closed, priority, ..Edges::default() });
            // A new socket has room, which the poller says at once; only the peer can go on.
            if !arriving.awaits_peer() || edges.readable || read_closed || priority {
                self.queues.ready.push(id);
            }
        }
        if let Some(Slot::Attempt(attempt)) = self.connections.get(id) {
            self.queues.ready.push(attempt.connection);
        }
        // A lingering connection only reads.
        if edges.readable || edges.read_closed || edges.error {
            self.queue_lingering(id);
        }
    }

    pub(super) fn report_aborted(&mut self) {
        let shed = self.hub.take_shed();
        self.record_bytes_lost(shed);
        for Aborted { id, reason, unsent } in std::mem::take(&mut self.queues.aborted) {
            if !self.is_connection_out_of_band(id) {
                self.record_bytes_lost(unsent);
            }
            self.lose(id, reason);
        }
    }

    fn accept_waiting(&mut self) {
        for factory in std::mem::take(&mut self.queues.accept_granted) {
            self.accept_next(factory);
        }
        for port in std::mem::take(&mut self.queues.listeners) {
            self.accept(port);
        }
    }

    fn serve_ready(&mut self) {
        self.end_read_backoffs();
        self.list_yielded();
        if self.queues.handshakes.any_waits() {
            self.continue_handshakes();
        }
        let mut ready_connections =
            std::mem::replace(&mut self.queues.ready, std::mem::take(&mut self.scratch.ids));
        let share = (SHARES / ready_connections.len().max(1)).clamp(SHARE_MIN, BUFFER_LEN);
        let mut sparse = ready_connections.drain(..);
        let mut time = None;
        // One call site serves both kinds: the code inlined there is most of a request's cost.
        while let Some(id) = sparse.next().or_else(|| self.next_bulk(&mut time)) {
            match self.connections.find(id) {
                Some(connection) => self.serve(&connection, share),
                None => {
                    self.serve_lingering(id);
                    self.check_arriving(id);
                }
            }
        }
        drop(sparse);
        self.scratch.ids = ready_connections;
    }

    /// Adds connections whose protocols have yielded to the bulk queue.
    fn list_yielded(&mut self) {
        if !self.hub.has_yielded() {
            return;
        }
        for id in self.hub.take_yielded() {
            let connection = self.connections.find(id);
            if let Some(traffic) =
                connection.and_then(|connection| connection.transport.connection().queue())
            {
                self.queues.list(id, traffic);
            }
        }
    }

    /// Takes the next bulk connection from the queue, until their time is over or each was served
    /// once. A turn serves at least one.
    fn next_bulk(&mut self, time: &mut Option<(Instant, usize)>) -> Option<Id> {
        if self.queues.bulk.is_empty() {
            return None;
        }
        let now = self.now();
        let (until, left) = time.get_or_insert((now + BULK_TIME, self.queues.bulk.len()));
        if *left == 0 || now >= *until {
            return None;
        }
        *left -= 1;
        self.queues.bulk.pop_front()
    }

    /// Serves a connection: reads, and then writes; with sparse traffic at most `share` bytes of
    /// either.
    fn serve(&mut self, connection: &ConnectionRef, share: usize) {
        let transport = &connection.transport;
        let (traffic, yielded) = transport.connection().begin_serving();
        let is_sparse = traffic == Traffic::Sparse;
        if yielded {
            self.call(connection, Callback::DataReceived(&[]));
        }
        let bytes_max = if is_sparse { share } else { BULK_BYTES_PER_TURN };
        self.read(connection, traffic.quantum(), bytes_max);
        if transport.connection().take_needs_settle() {
            if is_sparse && transport.connection().has_bulk_to_send(share) {
                self.take_turns(connection);
            } else {
                self.settle(connection);
            }
        }
        if transport.connection().end_serving() {
            self.list_readable(connection);
        }
    }

    /// Moves a connection with much to send to the bulk queue.
    pub(super) fn take_turns(&mut self, connection: &ConnectionRef) {
        if connection.transport.connection().queue_bulk() {
            self.queues.bulk.push_back(connection.id());
        }
    }

    /// Reads up to `most` bytes from a connection, at most `quantum` at once, and delivers them.
    #[inline(always)]
    fn read(&mut self, connection: &ConnectionRef, quantum: usize, most: usize) {
        let transport = &connection.transport;
        let mut buffer = std::mem::take(&mut self.scratch.buffer);
        let quantum = quantum.min(buffer.len());
        let mut left = most;
        for _ in 0..READS_PER_TURN {
            let length = quantum.min(left);
            match transport.receive(&mut buffer[..length]) {
                ReadOutcome::Data { count, last } => {
                    left -= count;
                    self.recorder.totals.bytes_received += count as u64;
                    self.call(connection, Callback::DataReceived(&buffer[..count]));
                    if last {
                        break;
                    }
                }
                ReadOutcome::Descriptor => self.deliver_descriptor(connection),
                ReadOutcome::HandshakeCompleted => {
                    self.call(connection, Callback::HandshakeCompleted);
                }
                ReadOutcome::End => self.call(connection, Callback::ReadConnectionLost),
                ReadOutcome::Backpressure => {
                    self.back_off_reading(connection.id());
                    break;
                }
                ReadOutcome::NeedsRefill if self.refill_rate(connection, Direction::Read) => {}
                ReadOutcome::NeedsRefill | ReadOutcome::Nothing => break,
            }
        }
        self.scratch.buffer = buffer;
    }

    #[cold]
    fn deliver_descriptor(&mut self, connection: &ConnectionRef) {
        let mut descriptor = connection.transport.connection().take_descriptor();
        self.call(connection, Callback::DescriptorReceived(&mut descriptor));
    }

    /// Serves a connection at once, whatever its position in the bulk queue.
    pub(super) fn serve_at_once(&mut self, connection: &ConnectionRef) {
        if connection.transport.connection().take_yield() {
            self.call(connection, Callback::DataReceived(&[]));
        }
        self.read(connection, BUFFER_LEN, BULK_BYTES_PER_TURN);
        if connection.transport.connection().take_needs_settle() {
            self.settle(connection);
        }
        self.serve_again(connection);
    }

    /// Queues a connection to be served, if there is more to read.
    #[inline]
    pub(super) fn serve_again(&mut self, connection: &ConnectionRef) {
        if connection.transport.connection().has_more_to_read() {
            self.list_readable(connection);
        }
    }

    #[inline(never)]
    fn list_readable(&mut self, connection: &ConnectionRef) {
        if let Some(traffic) = connection.transport.queue_readable() {
            self.queues.list(connection.id(), traffic);
        }
    }

    /// Returns true if the running callback has used its share of the turn, half a millisecond, and
    /// should return so that other connections are served. The protocol then keeps its remaining
    /// input, calls [`Transport::yield_now`](crate::Transport::yield_now), and continues when it is
    /// called again.
    ///
    /// This reads the clock, which costs about as much as processing a very short line: a protocol
    /// with many small messages should ask once in several of them.
    #[must_use = "this only asks: `Transport::yield_now` yields"]
    pub fn should_yield(&self) -> bool {
        self.driver.is_time_up(self.recorder.mark(), CALLBACK_TIME)
    }

    fn flush(&mut self) {
        if self.hub.must_flush_now() {
            self.fan_out.end();
        } else if self.fan_out.defers(self.hub.len(), || self.driver.now()) {
            return;
        }
        let mut dirty = self.hub.take(std::mem::take(&mut self.scratch.ids));
        if dirty.len() > FAN_OUT {
            // In the order of their slots, so that memory is walked in order: for a thousand
            // members this saves about eight per cent of the cost.
            dirty.sort_unstable();
        }
        let any = !dirty.is_empty();
        for id in dirty.drain(..) {
            match self.connections.find(id) {
                Some(connection) => {
                    connection.transport.connection().clear_dirty();
                    self.settle(&connection);
                    self.serve_again(&connection);
                }
                None => self.check_arriving(id),
            }
        }
        self.scratch.ids = dirty;
        if any {
            self.record_flush();
        }
    }

    fn stop_unused_factories(&mut self) {
        for factory in std::mem::take(&mut self.queues.unused_factories) {
            self.stop_if_unused(factory);
        }
    }
}
