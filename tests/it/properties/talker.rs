//! A protocol that does, at random, everything that a protocol can do.

use super::ledger::{Ledger, Who};
use super::setting::Flows;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use twistor::limits::TimeoutKind;
use twistor::testing::Random;
use twistor::{Context, Factory, Protocol, Reactor, Reason, TimerId, Transport};

/// Number of starts and stops of factories, and of their open protocols.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) started: Rc<Cell<usize>>,
    pub(super) stopped: Rc<Cell<usize>>,
    pub(super) open: Rc<Cell<usize>>,
    /// Number of calls that were set for the same time and came in the wrong order.
    pub(super) overtaken: Rc<Cell<usize>>,
}

impl Counters {
    /// Resets the counts, after the power loss of their host.
    pub(super) fn crash(&self) {
        self.open.set(0);
        self.stopped.set(self.started.get());
    }
}

pub(super) fn add(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

pub(super) struct Talkers {
    pub(super) who: Who,
    pub(super) ledger: Ledger,
    pub(super) random: Random,
    pub(super) counters: Counters,
    /// Idle timeout of a peer.
    pub(super) idle: Option<Duration>,
    /// Other connections, which callbacks also act on.
    pub(super) others: Vec<(SocketAddr, Transport)>,
    /// Rates in bytes per second: of each connection, and of all together since `since`.
    pub(super) rates: [Flows; 2],
    pub(super) since: Option<Instant>,
    pub(super) heard: usize,
}

pub(super) struct Talker {
    pub(super) client: SocketAddr,
    pub(super) random: Random,
    /// Number of actions left that it takes by itself.
    pub(super) deeds: usize,
    /// Time when data last arrived.
    pub(super) heard: Instant,
    /// Time when it was built; `None` once it sets a rate of its own.
    pub(super) built: Option<Instant>,
    pub(super) received: usize,
    /// It was paused as a producer.
    pub(super) held: bool,
    /// Timer that resumes reading.
    pub(super) resumption: Option<TimerId>,
    /// It has yielded, and is called again before anything is read.
    pub(super) yielded: bool,
}

impl Talkers {
    pub(super) fn new(who: Who, ledger: &Ledger, counters: &Counters, random: Random) -> Self {
        let (ledger, counters) = (ledger.clone(), counters.clone());
        Self {
            who,
            ledger,
            random,
            counters,
            idle: None,
            others: Vec::new(),
            rates: [Flows::default(); 2],
            since: None,
            heard: 0,
        }
    }

    pub(super) fn with_idle_timeout(self, idle: Option<Duration>) -> Self {
        Self { idle, ..self }
    }

    pub(super) fn with_rates(self, rates: [Flows; 2]) -> Self {
        Self { rates, ..self }
    }
}

/// Checks that no more arrived than the rate allows, with a tolerance of a fifth of a second.
fn check_rate(rate: Option<u64>, since: Instant, now: Instant, bytes: usize) {
    if let Some(rate) = rate {
        let most = rate as f64 * ((now - since).as_secs_f64() + 0.2) + 2.0;
        assert!(bytes as f64 <= most, "{bytes} bytes at {rate} after {:?}", now - since);
    }
}

impl Factory for Talkers {
    type Protocol = Talker;

    fn build_protocol(&mut self, transport: &Transport, reactor: &mut Reactor) -> Option<Talker> {
        let mut random = self.random.split();
        if self.who == Who::Server && random.happens(20) {
            return None;
        }
        let address = match self.who {
            Who::Server => transport.peer_address(),
            Who::Client => transport.local_address(),
        };
        let client = address.socket_addr().unwrap();
        self.others.retain(|(_, other)| other.is_connected());
        self.others.push((client, transport.clone()));
        let deeds = random.below(12);
        let now = reactor.now();
        self.since.get_or_insert(now);
        Some(Talker {
            client,
            random,
            deeds,
            heard: now,
            built: Some(now),
            received: 0,
            held: false,
            resumption: None,
            yielded: false,
        })
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        add(&self.counters.started);
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        add(&self.counters.stopped);
    }
}

impl Protocol<Talkers> for Talker {
    fn connection_made(&mut self, cx: &mut Context<'_, Talkers>) {
        add(&cx.factory.counters.open);
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.made += 1);
        cx.set_timer(self.random.up_to(Duration::from_secs(1)));
        // Never fires: it ends with the connection.
        cx.set_timer(Duration::from_secs(24 * 3600));
        if self.random.below(3) == 0 {
            self.act(cx);
        }
    }

    fn data_received(&mut self, cx: &mut Context<'_, Talkers>, data: &[u8]) {
        if std::mem::take(&mut self.yielded) {
            assert!(data.is_empty(), "it was not done with what came before");
        } else {
            assert!(!data.is_empty() && !cx.transport.is_paused(), "data while reading is paused");
        }
        cx.factory.ledger.hear(self.client, cx.factory.who, data);
        let now = cx.reactor.now();
        self.heard = now;
        let talkers = &mut *cx.factory;
        self.received += data.len();
        talkers.heard += data.len();
        let [each, shared] = talkers.rates;
        if let Some(built) = self.built {
            check_rate(each.read, built, now, self.received);
        }
        if let Some(since) = talkers.since {
            check_rate(shared.read, since, now, talkers.heard);
        }
        if self.deeds > 0 && self.random.below(2) == 0 {
            self.deeds -= 1;
            self.act(cx);
        }
        if self.random.below(8) == 0 {
            cx.transport.yield_now();
            self.yielded = !cx.transport.is_disconnecting();
        }
    }

    fn timer_fired(&mut self, cx: &mut Context<'_, Talkers>, timer: TimerId) {
        if self.resumption == Some(timer) {
            self.resumption = None;
            cx.transport.resume_reading();
        } else if self.deeds > 0 {
            self.deeds -= 1;
            self.act(cx);
            cx.set_timer(self.random.up_to(Duration::from_secs(2)));
        } else if cx.factory.who == Who::Client || self.random.below(4) == 0 {
            // Otherwise two talkers with nothing left to do would wait for each other.
            cx.transport.lose_connection();
        }
    }

    fn timed_out(&mut self, cx: &mut Context<'_, Talkers>, kind: TimeoutKind) {
        let waited = cx.reactor.now() - self.heard;
        let enough = cx.factory.idle.is_some_and(|idle| waited >= idle);
        assert!(enough && kind == TimeoutKind::Idle, "{kind:?} after {waited:?}");
        match self.random.below(3) {
            0 => cx.transport.lose_connection(),
            _ => cx.transport.fail("it has said nothing for too long"),
        }
    }

    /// Some close when requested, some after another write, and some stay.
    fn drain_requested(&mut self, cx: &mut Context<'_, Talkers>) {
        match self.random.below(4) {
            0 => {}
            1 => {
                self.say(cx);
                cx.transport.lose_connection();
            }
            _ => cx.transport.lose_connection(),
        }
    }

    fn producing_paused(&mut self, cx: &mut Context<'_, Talkers>) {
        assert!(!std::mem::replace(&mut self.held, true), "it is already paused");
        assert!(cx.transport.unsent() > 0 && !cx.transport.may_produce());
    }

    fn producing_resumed(&mut self, cx: &mut Context<'_, Talkers>) {
        assert!(std::mem::take(&mut self.held), "it was not paused");
        self.say_while_it_may(cx);
    }

    fn write_rejected(&mut self, cx: &mut Context<'_, Talkers>, count: usize) {
        assert!(count > 0 && cx.transport.dropped_writes() >= count as u64);
    }

    fn producer_finished(&mut self, cx: &mut Context<'_, Talkers>, result: io::Result<u64>) {
        assert!(result.is_ok());
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.producing = false);
        if self.random.below(3) == 0 {
            self.produce(cx);
        }
    }

    fn read_connection_lost(&mut self, cx: &mut Context<'_, Talkers>) {
        assert!(!self.yielded, "it was not done with what came before");
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.heard_end = true);
        match self.random.below(4) {
            0 => {
                self.say(cx);
                self.finish(cx);
            }
            1 => self.say(cx),
            _ => {}
        }
        if self.random.below(4) > 0 {
            cx.transport.lose_connection();
        } else {
            // So that it ends in any case.
            let transport = cx.transport.clone();
            let after = self.random.up_to(Duration::from_secs(5));
            cx.reactor.call_later(after, move |_| transport.lose_connection());
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Talkers>, reason: &Reason) {
        let open = &cx.factory.counters.open;
        open.set(open.get() - 1);
        cx.factory.ledger.side(self.client, cx.factory.who, |side| {
            side.lost.push(reason.clone());
            side.producing = false;
        });
        cx.transport.write("into the void");
        cx.set_timer(Duration::ZERO);
    }
}
