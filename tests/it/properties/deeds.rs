//! Actions that talkers take by themselves.

use super::ledger::{Ledger, Who};
use super::talker::{Talker, Talkers, add};
use std::cell::Cell;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use twistor::limits::{OverflowPolicy, RateLimits};
use twistor::testing::Random;
use twistor::{Context, Producer, Transport};

impl Talker {
    pub(super) fn say(&mut self, cx: &Context<'_, Talkers>) {
        let length = match self.random.below(8) {
            0 => self.random.below(60_000),
            1 => 0,
            _ => self.random.below(2000),
        };
        write(cx.factory, self.client, cx.transport, length);
    }

    /// Registers a reader as the producer, unless there is one.
    pub(super) fn produce(&mut self, cx: &Context<'_, Talkers>) {
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

    /// Registers as a push producer.
    pub(super) fn push(&mut self, cx: &mut Context<'_, Talkers>) {
        let (who, ledger, client) = (cx.factory.who, cx.factory.ledger.clone(), self.client);
        let side = ledger.side(client, who, |side| side.clone());
        if side.producing || side.finished || cx.transport.is_disconnecting() {
            return;
        }
        ledger.side(client, who, |side| side.producing = true);
        self.held = false;
        cx.transport.register_producer(Producer::push());
        let transport = cx.transport.clone();
        cx.reactor.call_later(self.random.up_to(Duration::from_secs(3)), move |_| {
            if transport.is_connected() {
                transport.unregister_producer();
                ledger.side(client, who, |side| side.producing = false);
            }
        });
    }

    /// Limits its rate for a while, or its unsent bytes, or sets water marks.
    pub(super) fn restrict(&mut self, cx: &mut Context<'_, Talkers>) {
        match self.random.below(3) {
            0 => {
                self.built = None;
                let rate = 1000 + self.random.below(100_000) as u64;
                cx.transport.set_rate_limits(RateLimits::new().read(rate).write(rate));
                let transport = cx.transport.clone();
                let after = self.random.up_to(Duration::from_secs(3));
                cx.reactor.call_later(after, move |_| transport.set_rate_limits(RateLimits::new()));
            }
            1 => {
                let policy = *self.random.pick(&[OverflowPolicy::Reject, OverflowPolicy::DropNew]);
                cx.transport.set_max_unsent(1000 + self.random.below(100_000), policy);
            }
            _ => {
                let high = 1 + self.random.below(100_000);
                cx.transport.set_water_marks(high, self.random.below(high));
            }
        }
    }

    /// Writes as long as it may.
    pub(super) fn say_while_it_may(&mut self, cx: &Context<'_, Talkers>) {
        for _ in 0..self.random.below(30) {
            if !cx.transport.may_produce() {
                self.held = cx.transport.accepts_writes();
                return;
            }
            self.say(cx);
        }
    }

    pub(super) fn finish(&self, cx: &Context<'_, Talkers>) {
        cx.transport.lose_write_connection();
        cx.factory.ledger.side(self.client, cx.factory.who, |side| side.finished = true);
    }

    /// Pauses reading until a timer of its own, a timer of the reactor, or some work is done.
    pub(super) fn pause(&mut self, cx: &mut Context<'_, Talkers>) {
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

    pub(super) fn act(&mut self, cx: &mut Context<'_, Talkers>) {
        let (ledger, who, client) = (cx.factory.ledger.clone(), cx.factory.who, self.client);
        let rude = || ledger.side(client, who, |side| side.rude = true);
        match self.random.below(44) {
            0..=15 => self.say(cx),
            16..=19 => {
                for _ in 0..self.random.below(5) {
                    self.say(cx);
                }
            }
            20..=23 => self.pause(cx),
            37 | 38 => self.produce(cx),
            40 | 41 => self.push(cx),
            42 | 43 => self.restrict(cx),
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
                // Dropped, and so not part of the ledger.
                if !ledger.side(client, who, |side| side.producing) {
                    cx.transport.write("too late");
                }
            }
            33 => self.finish(cx),
            34 => {
                rude();
                cx.transport.abort_connection();
            }
            35 => cx.transport.fail("no more"),
            _ => drop(cx.set_timer(self.random.up_to(Duration::from_secs(1)))),
        }
    }
}

/// A reader of the bytes that a talker sends.
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

/// Writes to any connection, and enters the accepted bytes into its ledger.
fn write(factory: &Talkers, client: SocketAddr, transport: &Transport, length: usize) {
    let accounts = factory.ledger.side(client, factory.who, |side| side.sent);
    let data = factory.ledger.say(client, factory.who, length);
    let (accepted, dropped) = (transport.accepts_writes(), transport.dropped_writes());
    transport.write(data);
    if !accepted || transport.dropped_writes() > dropped {
        factory.ledger.side(client, factory.who, |side| side.sent = accounts);
    }
}
