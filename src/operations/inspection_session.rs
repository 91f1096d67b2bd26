//! A session of an operator on an inspection port.

use super::inspector_command::{Command, HELP};
use super::listing::{Listing, Subject};
use crate::framing::{Delimiter, LineContext, LineReceiver};
use crate::limits::Timeouts;
use crate::reactor::{Reactor, TimerId};
use crate::transport::{Producer, Transport};
use std::borrow::Cow;
use std::time::Duration;

/// Longest time for a peer that is not served to read why.
const REFUSED_LIFETIME: Duration = Duration::from_secs(5);

/// Answers commands, one after another.
#[derive(Debug)]
pub struct InspectionSession {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The peer is not served, for this reason.
    Refused(String),
    /// Waits for a command.
    Idle,
    /// A listing is being sent, and further commands wait for its end. It continues in the next
    /// turn, by the timer, or when there is room.
    Listing { listing: Listing, next_turn: Option<TimerId> },
}

impl<F> LineReceiver<F> for InspectionSession {
    // The answers are read by scripts, which would see a CR.
    const DELIMITER: Delimiter = Delimiter::Exact(Cow::Borrowed(b"\n"));
    const MAX_LENGTH: usize = 256;

    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        if let State::Refused(refusal) = &self.state {
            fail(cx.transport, refusal);
            // The peer may be about to send a command, and would not read the answer if that
            // failed.
            cx.transport.lose_write_connection();
            cx.transport.set_timeouts(Timeouts::new().max_lifetime(REFUSED_LIFETIME));
        }
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        if matches!(self.state, State::Refused(_)) {
            return;
        }
        let text = String::from_utf8_lossy(line);
        match Command::parse(&text) {
            Ok(command) => self.answer(cx, command),
            Err(error) => fail(cx.transport, &error),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, F>, _line: &[u8]) {
        fail(cx.transport, "a command has at most 256 bytes");
        cx.transport.lose_connection();
    }

    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, _timer: TimerId) {
        if let State::Listing { next_turn, .. } = &mut self.state {
            *next_turn = None;
            if cx.transport.may_produce() {
                self.list_next(cx);
            }
        }
    }

    fn producing_resumed(&mut self, cx: &mut LineContext<'_, F>) {
        if matches!(self.state, State::Listing { next_turn: None, .. }) {
            self.list_next(cx);
        }
    }

    /// Sends the rest of a listing as well: scripts close their half after the last command.
    fn read_connection_lost(&mut self, cx: &mut LineContext<'_, F>) {
        cx.transport.lose_connection();
    }

    /// A drain does not concern this port: an operator wants to see it.
    fn drain_requested(&mut self, _cx: &mut LineContext<'_, F>) {}
}

impl InspectionSession {
    pub(super) fn new() -> Self {
        Self { state: State::Idle }
    }

    /// Creates a session that only says why the peer is not served.
    pub(super) fn refused(refusal: String) -> Self {
        Self { state: State::Refused(refusal) }
    }

    fn answer<F>(&mut self, cx: &mut LineContext<'_, F>, command: Command<'_>) {
        let transport = cx.transport;
        match command {
            Command::Help => done(transport, HELP),
            Command::Connections { name } => {
                let name = name.unwrap_or_default().to_owned();
                self.list(cx, Subject::Connections { name });
            }
            Command::Factories => self.list(cx, Subject::Factories),
            Command::Ports => self.list(cx, Subject::Ports),
            Command::Timers => {
                let timers = cx.reactor.timers();
                let next = timers.next.map_or("none".to_owned(), |next| format!("{next:.3?}"));
                done(transport, &format!("timers={} next={next}\n", timers.count));
            }
            Command::Events => done(transport, &format!("{}\n", cx.reactor.last_events())),
            Command::Metrics => done(transport, &format!("{}\n", cx.reactor.metrics())),
            Command::Close { id } => on_connection(cx, id, Transport::lose_connection),
            Command::Abort { id } if cx.reactor.parse_connection_id(id) == Some(transport.id()) => {
                fail(transport, "this is your own session; quit ends it");
            }
            Command::Abort { id } => on_connection(cx, id, Transport::abort_connection),
            Command::Drain { deadline } => done(transport, &drain(cx.reactor, deadline)),
            Command::Log { level } => {
                log::set_max_level(level);
                done(transport, "");
            }
            Command::Quit => {
                done(transport, "");
                transport.lose_connection();
            }
        }
    }

    fn list<F>(&mut self, cx: &mut LineContext<'_, F>, subject: Subject) {
        cx.pause_reading();
        cx.transport.register_producer(Producer::push());
        self.state = State::Listing { listing: Listing::of(subject), next_turn: None };
        self.list_next(cx);
    }

    /// Sends the next part of the listing. Another one follows in the next turn, or when there is
    /// room.
    fn list_next<F>(&mut self, cx: &mut LineContext<'_, F>) {
        let State::Listing { listing, next_turn } = &mut self.state else { return };
        if let Some(lines) = listing.next(cx.reactor) {
            cx.transport.write(lines);
            if cx.transport.may_produce() {
                *next_turn = Some(cx.set_timer(Duration::ZERO));
            }
        } else {
            self.state = State::Idle;
            done(cx.transport, "");
            cx.transport.unregister_producer();
            cx.resume_reading();
        }
    }
}

fn done(transport: &Transport, answer: &str) {
    transport.write(answer);
    transport.write("ok\n");
}

fn fail(transport: &Transport, error: &str) {
    transport.write(format!("error: {error}\n"));
}

fn on_connection<F>(cx: &LineContext<'_, F>, id: &str, request: fn(&Transport)) {
    let found = cx.reactor.parse_connection_id(id).and_then(|id| cx.reactor.transport(id));
    match found {
        Some(transport) => {
            log::info!("an operator ends the connection {id}");
            // First the answer, since the connection may be the operator's own.
            done(cx.transport, "");
            request(&transport);
        }
        None => fail(cx.transport, &format!("there is no connection {id:?}, or it is over")),
    }
}

/// Begins a drain, or shortens the one that is under way, and says what it waits for.
fn drain(reactor: &mut Reactor, deadline: Option<Duration>) -> String {
    if deadline.is_some() || reactor.drain_deadline().is_none() {
        let deadline = deadline.unwrap_or(reactor.drain_timeout());
        log::info!("an operator asks for a drain of {deadline:?} at most");
        reactor.stop_gracefully(deadline);
    }
    let until = reactor.drain_deadline().unwrap_or(reactor.now());
    let left = until.saturating_duration_since(reactor.now());
    format!("draining connections={} left={left:.3?}\n", reactor.draining_count())
}
