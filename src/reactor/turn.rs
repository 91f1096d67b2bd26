//! One turn of the loop. This file is its specification; `docs/REACTOR.md` numbers the same phases.

use super::callback::Callback;
use super::connections::{Aborted, Connection, Party};
use super::draining::ShutdownReport;
use super::panic::guard;
use super::{BUFFER_LEN, Reactor};
use crate::arena::Id;
use crate::socket::{Edges, Ready};
use crate::transport::{Received, Traffic, Way};
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Bytes read from a bulk connection before the next one is served: a quarter of a megabyte, about
/// 50 µs of the kernel's time.
const READ_PER_TURN: usize = 4 * BUFFER_LEN;

/// Reads from one connection in a turn, however short they are: a FIN may stand behind a few short
/// reads.
const CALLS_PER_TURN: usize = 8;

/// Bytes read per turn from all connections with sparse traffic together, unless [`SHARE_MIN`] for
/// each is more: a whole buffer for each of 64. A few milliseconds' work, if all of it is there.
const SHARES: usize = 4 * 1024 * 1024;

/// Smallest share of a sparse connection in a turn: most messages are shorter.
const SHARE_MIN: usize = 4 * 1024;

/// Time per turn for bulk connections; the rest of their queue waits for the next turn. It bounds
/// what they add to everybody else's latency, however many they are. Polling in between costs a few
/// per cent of it.
const BULK_TIME: Duration = Duration::from_millis(2);

/// A callback that has run for this long should yield. A protocol that asks once in several
/// messages overruns it by a small factor.
const CALLBACK_TIME: Duration = Duration::from_micros(500);

/// More transports than this touched in one turn are a fan-out, which is worth waiting for more of
/// the same: each member then gets the lines of several turns in one call.
const FAN_OUT: usize = 16;

/// A fan-out waits until so many polls in a row, none of which sleeps, have brought nothing. With
/// nothing to gather they cost a microsecond.
const FAN_OUT_POLLS: u32 = 4;

/// And for at most this long for each of its transports, if something always comes: a quarter of
/// what sending to it will take.
const FAN_OUT_WAIT: Duration = Duration::from_micros(1);

/// And for no longer than this, however many they are: nobody should notice.
const FAN_OUT_WAIT_MAX: Duration = Duration::from_millis(1);

/// A fan-out that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    since: Instant,
    /// Polls in a row that brought nothing.
    empty_polls: u32,
}

impl Reactor {
    /// What is added during a phase waits for the next turn.
    pub(super) fn one_turn(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<ControlFlow<ShutdownReport>> {
        self.start_up(); //          only in the first turn of a run
        self.run_calls(); //         1. from other threads
        self.run_timers(); //        2. those that are due
        if let Some(report) = self.stop_if_asked() {
            self.note_turn();
            return Ok(ControlFlow::Break(report)); // 3. it was asked for, and has been done
        }
        self.wait(timeout)?; //      4. until something is ready
        self.report_aborted(); //    5. whom callbacks of the last turn aborted
        self.accept_waiting(); //    6. new connections
        self.serve_ready(); //       7. each connection: reading, then writing
        self.judge_overdue(); //     8. timeouts that are over, though all that had come is read
        self.flush(); //             9. what callbacks wrote to connections other than their own
        self.retire_factories(); // 10. those whose last port was closed
        Ok(ControlFlow::Continue(()))
    }

    fn run_calls(&mut self) {
        for call in self.calls.take() {
            let called = guard(|| call(self));
            self.note_call();
            if let Err(panic) = called {
                log::error!("a call from another thread panicked: {}", panic.0);
                self.note_panic("a panic in a call from another thread");
            }
        }
    }

    fn run_timers(&mut self) {
        if self.timers.len() == 0 {
            return;
        }
        let now = self.now();
        let mark = self.timers.mark();
        while let Some((id, job)) = self.timers.pop(now, mark) {
            self.do_job(id, job);
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.is_wide_awake() {
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
        let mut ready = std::mem::take(&mut self.ready);
        self.note_turn();
        let waited = self.world.wait(&mut ready, timeout);
        self.note_wait(ready.len());
        // A call from another thread ends a wait as well, and is no event.
        let quiet = ready.is_empty() && self.calls.is_empty();
        if let Some(held) = &mut self.held {
            held.empty_polls = if quiet { held.empty_polls + 1 } else { 0 };
        }
        if !quiet && !self.settings.busy_poll.is_zero() {
            self.awake_until = Some(self.due_in(self.settings.busy_poll));
        }
        for event in ready.drain(..) {
            self.notice(event);
        }
        self.ready = ready;
        waited
    }

    /// True if something has come so lately that sleeping would cost more than to go on asking.
    fn is_wide_awake(&mut self) -> bool {
        let Some(until) = self.awake_until else {
            return false;
        };
        if self.now() >= until {
            self.awake_until = None;
        }
        self.awake_until.is_some()
    }

    /// When the next turn has something to do even if nothing arrives: now, if something is left
    /// over. `None`: not before something arrives.
    ///
    /// For those who embed the reactor in another loop; see [`turn`](Self::turn).
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let left_over = !self.served.is_empty()
            || !self.bulk.is_empty()
            || self.agenda.has_yielded()
            || !self.acceptable.is_empty()
            || !self.granted.is_empty()
            || !self.aborted.is_empty()
            || !self.retiring.is_empty()
            || self.agenda.len() > 0
            || !self.calls.is_empty()
            || self.world.may_have_more()
            || self.is_to_start_up();
        if left_over {
            return Some(self.now());
        }
        let deadlines = [self.timers.next(), self.resting.until(), self.stop_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Notes what the poller reports. Nothing is called before all is noted.
    fn notice(&mut self, event: Ready) {
        match event {
            Ready::Port(token) => {
                if let Some(id) = self.ports.find(token) {
                    self.notice_waiting(id);
                }
            }
            Ready::Signal(name) => {
                log::info!("received {name}, stopping");
                self.stop_by_signal(name);
            }
            Ready::Stream { token, edges } => {
                let Some(id) = self.connections.find(token) else { return };
                match self.connections.live(id) {
                    Some(live) => {
                        let transport = &live.party.transport;
                        transport.notice(edges);
                        if let Some(traffic) = transport.queue() {
                            self.list(id, traffic);
                        }
                    }
                    None => self.notice_other(id, edges),
                }
            }
        }
    }

    /// The same of a connection that has no protocol, yet or any more.
    fn notice_other(&mut self, id: Id, edges: Edges) {
        if let Some(Connection::Connecting(connecting)) = self.connections.get(id) {
            // Not reported again; whatever else it says is looked at when the connection stands.
            let Edges { read_closed, priority, .. } = edges;
            connecting.transport.notice(Edges { read_closed, priority, ..Edges::default() });
            self.served.push(id);
        }
        self.queue_lingering(id);
    }

    pub(super) fn report_aborted(&mut self) {
        let shed = self.agenda.take_shed();
        self.note_bytes_lost(shed);
        for Aborted { id, reason, unsent } in std::mem::take(&mut self.aborted) {
            self.note_bytes_lost(unsent);
            self.lose(id, reason);
        }
    }

    fn accept_waiting(&mut self) {
        for host in std::mem::take(&mut self.granted) {
            self.accept_next(host);
        }
        for port in std::mem::take(&mut self.acceptable) {
            self.accept(port);
        }
    }

    fn serve_ready(&mut self) {
        self.end_rests();
        self.list_yielded();
        let mut served = std::mem::replace(&mut self.served, std::mem::take(&mut self.spare));
        let share = (SHARES / served.len().max(1)).clamp(SHARE_MIN, BUFFER_LEN);
        let mut sparse = served.drain(..);
        let mut time = None;
        // One place that serves both: what is inlined there is most of what a request costs.
        while let Some(id) = sparse.next().or_else(|| self.next_bulk(&mut time)) {
            match self.connections.party(id) {
                Some(party) => self.serve(&party, share),
                None => {
                    self.serve_lingering(id);
                    self.mind_connecting(id);
                }
            }
        }
        drop(sparse);
        self.spare = served;
    }

    /// Lists connections whose protocols have yielded, in the bulk queue.
    fn list_yielded(&mut self) {
        if !self.agenda.has_yielded() {
            return;
        }
        for id in self.agenda.take_yielded() {
            let party = self.connections.party(id);
            if let Some(traffic) = party.and_then(|party| party.transport.queue()) {
                self.list(id, traffic);
            }
        }
    }

    /// The next bulk connection, until the time for them is over or each was served once. At least
    /// one is served in a turn.
    fn next_bulk(&mut self, time: &mut Option<(Instant, usize)>) -> Option<Id> {
        if self.bulk.is_empty() {
            return None;
        }
        let now = self.now();
        let (until, left) = time.get_or_insert((now + BULK_TIME, self.bulk.len()));
        if *left == 0 || now >= *until {
            return None;
        }
        *left -= 1;
        self.bulk.pop_front()
    }

    /// Serves a connection: reads, and then writes; if its traffic is sparse, no more than `share`
    /// of either.
    fn serve(&mut self, party: &Party, share: usize) {
        let transport = &party.transport;
        let (traffic, yielded) = transport.begin_serving();
        let is_sparse = traffic == Traffic::Sparse;
        if yielded {
            self.call(party, Callback::Data(&[]));
        }
        self.read(party, traffic.portion(), if is_sparse { share } else { READ_PER_TURN });
        if transport.take_due() {
            if is_sparse && transport.has_much_to_send(share) {
                self.take_turns(party);
            } else {
                self.settle(party);
            }
        }
        if transport.end_serving() {
            self.list_readable(party);
        }
    }

    /// Moves a connection with much to send to the bulk queue.
    pub(super) fn take_turns(&mut self, party: &Party) {
        if party.transport.take_turns() {
            self.bulk.push_back(party.id());
        }
    }

    /// Reads up to `most` bytes from a connection, at most `portion` at once, and delivers them.
    #[inline(always)]
    fn read(&mut self, party: &Party, portion: usize, most: usize) {
        let transport = &party.transport;
        let mut buffer = std::mem::take(&mut self.buffer);
        let portion = portion.min(buffer.len());
        let mut left = most;
        for _ in 0..CALLS_PER_TURN {
            let length = portion.min(left);
            match transport.receive(&mut buffer[..length]) {
                Received::Data { count, last } => {
                    left -= count;
                    self.recorder.known.bytes_received += count as u64;
                    self.call(party, Callback::Data(&buffer[..count]));
                    if last {
                        break;
                    }
                }
                Received::End => self.call(party, Callback::ReadLost),
                Received::Congestion => {
                    self.rest_from_reading(party.id());
                    break;
                }
                Received::Asks if self.ask_for_more(party, Way::In) => {}
                Received::Asks | Received::Nothing => break,
            }
        }
        self.buffer = buffer;
    }

    /// Serves a connection wherever it stands in the bulk queue.
    pub(super) fn serve_at_once(&mut self, party: &Party) {
        if party.transport.take_yield() {
            self.call(party, Callback::Data(&[]));
        }
        self.read(party, BUFFER_LEN, READ_PER_TURN);
        if party.transport.take_due() {
            self.settle(party);
        }
        self.serve_again(party);
    }

    /// Lists a connection to be served, if there is more to read.
    #[inline]
    pub(super) fn serve_again(&mut self, party: &Party) {
        if party.transport.wants_reading() {
            self.list_readable(party);
        }
    }

    #[inline(never)]
    fn list_readable(&mut self, party: &Party) {
        if let Some(traffic) = party.transport.queue_readable() {
            self.list(party.id(), traffic);
        }
    }

    #[inline]
    fn list(&mut self, id: Id, traffic: Traffic) {
        match traffic {
            Traffic::Sparse => self.served.push(id),
            Traffic::Bulk | Traffic::Yielding => self.bulk.push_back(id),
        }
    }

    /// True if the running callback has used its share of the turn, half a millisecond, and should
    /// return so that other connections are served. The protocol keeps what is left, calls
    /// [`Transport::yield_now`](crate::Transport::yield_now), and continues when it is called
    /// again.
    ///
    /// This reads the clock, which costs about as much as processing a very short line: a protocol
    /// with many small messages should ask once in several of them.
    pub fn should_yield(&self) -> bool {
        self.world.is_time_up(self.recorder.mark(), CALLBACK_TIME)
    }

    fn flush(&mut self) {
        if self.holds_fan_out() {
            return;
        }
        let mut touched = self.agenda.take(std::mem::take(&mut self.spare));
        if touched.len() > FAN_OUT {
            // In the order of their slots, as near to each other in memory as they can be: in a
            // room of a thousand that is some eight per cent of the cost.
            touched.sort_unstable();
        }
        let any = !touched.is_empty();
        for id in touched.drain(..) {
            match self.connections.party(id) {
                Some(party) => {
                    party.transport.untouch();
                    self.settle(&party);
                    self.serve_again(&party);
                }
                None => self.mind_connecting(id),
            }
        }
        self.spare = touched;
        if any {
            self.note_flush();
        }
    }

    /// True if a fan-out is to wait for more.
    fn holds_fan_out(&mut self) -> bool {
        if self.agenda.len() <= FAN_OUT || self.agenda.is_hurried() {
            self.held = None;
            return false;
        }
        let now = self.now();
        let held = self.held.take().unwrap_or(Held { since: now, empty_polls: 0 });
        let wide = u32::try_from(self.agenda.len()).unwrap_or(u32::MAX);
        let wait = FAN_OUT_WAIT.saturating_mul(wide).min(FAN_OUT_WAIT_MAX);
        let holds = held.empty_polls < FAN_OUT_POLLS && now - held.since < wait;
        self.held = holds.then_some(held);
        holds
    }

    fn retire_factories(&mut self) {
        for host in std::mem::take(&mut self.retiring) {
            self.retire(host);
        }
    }
}
