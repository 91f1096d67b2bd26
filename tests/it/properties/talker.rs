//! A protocol that does, at random, everything that a protocol can do.

use super::ledger::{Ledger, Who};
use std::cell::Cell;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use twistor::testing::Random;
use twistor::{
    Context, Deadline, Factory, Producer, Protocol, Reactor, Reason, TimerId, Transport,
};

/// How often factories were started and stopped, and how many of their protocols are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) started: Rc<Cell<usize>>,
    pub(super) stopped: Rc<Cell<usize>>,
    pub(super) open: Rc<Cell<usize>>,
    /// Calls that were set for the same moment and came in another order.
    pub(super) overtaken: Rc<Cell<usize>>,
}

impl Counters {
    /// Who counted is gone, and the counts begin anew.
    pub(super) fn crash(&self) {
        self.open.set(0);
        self.stopped.set(self.started.get());
    }
}

fn add(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

pub(super) struct Talkers {
    who: Who,
    ledger: Ledger,
    random: Random,
    counters: Counters,
    /// How long a peer is waited for.
    idle: Option<Duration>,
    /// Other connections, which callbacks act on as well.
    others: Vec<(SocketAddr, Transport)>,
}

pub(super) struct Talker {
    client: SocketAddr,
    random: Random,
    /// What it will still do of its own accord.
    deeds: usize,
    /// When something came.
    heard: Instant,
    /// Ends a pause.
    resumption: Option<TimerId>,
}

impl Talkers {
    pub(super) fn new(who: Who, ledger: &Ledger, counters: &Counters, random: Random) -> Self {
        let (ledger, counters) = (ledger.clone(), counters.clone());
        Self { who, ledger, random, counters, idle: None, others: Vec::new() }
    }

    pub(super) fn patient_for(self, idle: Option<Duration>) -> Self {
        Self { idle, ..self }
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
            Who::Server => transport.peer(),
            Who::Client => transport.host(),
        };
        let client = address.socket_addr().unwrap();
        self.others.retain(|(_, other)| other.is_connected());
        self.others.push((client, transport.clone()));
        let deeds = random.below(12);
        Some(Talker { client, random, deeds, heard: reactor.now(), resumption: None })
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        add(&self.counters.started);
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        add(&self.counters.stopped);
    }
}

impl Talker {
    fn say(&mut self, cx: &Context<'_, Talkers>) {
        let length = match self.random.below(8) {
            0 => self.random.below(60_000),
            1 => 0,
            _ => self.random.below(2000),
        };
        write(cx.factory, self.client, cx.transport, length);
    }

    /// Lets the loop read what is said, unless it does already.
    fn produce(&mut self, cx: &Context<'_, Talkers>) {
        let (who, ledger) = (cx.factory.who, cx.factory.ledger.clone());
        let side = ledger.side(self.client, who, |side| side.clone());
        if side.producing || side.finished || cx.transport.is_disconnecting() {
            return;
        }
        ledger.side(self.client, who, |side| side.producing = true);
        let most = if self.random.below(4) == 0 { 500_000 } else { 3000 };
        let left = self.random.below(most);
        let reading =
            Reading { ledger, client: self.client, who, left, random: self.random.split() };
        cx.transport.register_producer(Producer::reader(reading));
    }

    fn finish(&self, cx: &Context<'_, Talkers>) {
        cx.transport.lose_write_connection();
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.finished = true);
    }

    /// Ends by a timer of its own, by one of the reactor's, or when some work is done.
    fn pause(&mut self, cx: &mut Context<'_, Talkers>) {
        cx.transport.pause_reading();
        let after = self.random.up_to(Duration::from_millis(500));
        if self.resumption.is_none() && self.random.below(2) == 0 {
            self.resumption = Some(cx.set_timer(after));
        } else if self.random.below(2) == 0 {
            let transport = cx.transport.clone();
            cx.reactor.defer_to_thread(|| (), move |_, _| transport.resume_reading());
        } else {
            let transport = cx.transport.clone();
            cx.reactor.call_later(after, move |_| transport.resume_reading());
        }
    }

    fn act(&mut self, cx: &mut Context<'_, Talkers>) {
        let (ledger, who, client) = (cx.factory.ledger.clone(), cx.factory.who, self.client);
        let rude = || ledger.side(client, who, |side| side.rude = true);
        match self.random.below(40) {
            0..=15 => self.say(cx),
            16..=19 => {
                for _ in 0..self.random.below(5) {
                    self.say(cx);
                }
            }
            20..=23 => self.pause(cx),
            37 | 38 => self.produce(cx),
            36 => {
                let after = self.random.up_to(Duration::from_millis(500));
                let (first, overtaken) =
                    (Rc::new(Cell::new(false)), &cx.factory.counters.overtaken);
                let (came, overtaken) = (Rc::clone(&first), Rc::clone(overtaken));
                let due = cx.reactor.now() + after;
                cx.reactor.call_at(due, move |_| first.set(true));
                cx.reactor.call_at(due, move |_| {
                    if !came.get() {
                        add(&overtaken);
                    }
                });
            }
            24 => {
                cx.transport.pause_reading();
                cx.transport.resume_reading();
            }
            25..=28 => {
                let (client, other) = self.random.pick(&cx.factory.others).clone();
                write(cx.factory, client, &other, self.random.below(500));
            }
            29 => {
                for (client, other) in cx.factory.others.clone() {
                    write(cx.factory, client, &other, 20);
                }
            }
            30..=32 => {
                self.say(cx);
                cx.transport.lose_connection();
                // Dropped, and so no part of the account.
                if !ledger.side(client, who, |side| side.producing) {
                    cx.transport.write("too late");
                }
            }
            33 => self.finish(cx),
            34 => {
                rude();
                cx.transport.abort_connection();
            }
            35 => {
                rude();
                cx.transport.fail("no more");
            }
            _ => drop(cx.set_timer(self.random.up_to(Duration::from_secs(1)))),
        }
    }
}

/// What a talker says, when it is read.
struct Reading {
    ledger: Ledger,
    client: SocketAddr,
    who: Who,
    left: usize,
    random: Random,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.random.below(4) {
            0 if self.left > 0 => return Err(io::ErrorKind::Interrupted.into()),
            1 if self.left > 0 => 1 + self.random.below(self.left.min(buffer.len())),
            _ => self.left.min(buffer.len()),
        };
        let said = self.ledger.say(self.client, self.who, count);
        buffer[..count].copy_from_slice(&said);
        self.left -= count;
        Ok(count)
    }
}

/// Writes to any connection, and enters into its account what is accepted.
fn write(factory: &Talkers, client: SocketAddr, transport: &Transport, length: usize) {
    let accounts = factory.ledger.side(client, factory.who, |side| side.sent);
    let data = factory.ledger.say(client, factory.who, length);
    let side = factory.ledger.side(client, factory.who, |side| side.clone());
    let closing = (side.finished || transport.is_disconnecting()) && !side.producing;
    if closing || !transport.is_connected() {
        factory.ledger.side(client, factory.who, |side| side.sent = accounts);
    }
    transport.write(data);
}

impl Protocol<Talkers> for Talker {
    fn connection_made(&mut self, cx: &mut Context<'_, Talkers>) {
        add(&cx.factory.counters.open);
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.made += 1);
        cx.set_timer(self.random.up_to(Duration::from_secs(1)));
        // Never fires: it goes with the connection.
        cx.set_timer(Duration::from_secs(24 * 3600));
        if self.random.below(3) == 0 {
            self.act(cx);
        }
    }

    fn data_received(&mut self, cx: &mut Context<'_, Talkers>, data: &[u8]) {
        assert!(!cx.transport.is_paused(), "data while reading is paused");
        cx.factory.ledger.hear(self.client, cx.factory.who, data);
        self.heard = cx.reactor.now();
        if self.deeds > 0 && self.random.below(2) == 0 {
            self.deeds -= 1;
            self.act(cx);
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
            // Two talkers with nothing left to do would wait for each other.
            cx.transport.lose_connection();
        }
    }

    fn timed_out(&mut self, cx: &mut Context<'_, Talkers>, deadline: Deadline) {
        let waited = cx.reactor.now() - self.heard;
        let enough = cx.factory.idle.is_some_and(|idle| waited >= idle);
        assert!(enough && deadline == Deadline::Idle, "{deadline:?} after {waited:?}");
        match self.random.below(3) {
            0 => cx.transport.lose_connection(),
            _ => cx.transport.fail("it has said nothing for too long"),
        }
    }

    /// Some go when they are asked to, some when they have said something more, and some stay.
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

    fn production_ended(&mut self, cx: &mut Context<'_, Talkers>, result: io::Result<u64>) {
        assert!(result.is_ok());
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.producing = false);
        if self.random.below(3) == 0 {
            self.produce(cx);
        }
    }

    fn read_connection_lost(&mut self, cx: &mut Context<'_, Talkers>) {
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
            // So that it comes to an end in any case.
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
            side.rude |= matches!(reason, Reason::Overflow);
            side.producing = false;
        });
        cx.transport.write("into the void");
        cx.set_timer(Duration::ZERO);
    }
}
