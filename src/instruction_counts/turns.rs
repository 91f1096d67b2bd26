//! Cost of turns of the event loop, without system calls.

use super::{rounds, script};
use crate::driver::scripted::{Closed, Peer, Script};
use crate::{Context, Factory, Protocol, Reactor, Settings, Transport};
use std::net::Ipv4Addr;
use std::time::Duration;

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

const BYTES: &[u8] = &[b'x'; 16 * 1024];

/// Sends `PIECES` pieces of `LEN` bytes in one callback.
struct Write<const PIECES: usize, const LEN: usize>;

impl<F, const PIECES: usize, const LEN: usize> Protocol<F> for Write<PIECES, LEN> {
    fn data_received(&mut self, cx: &mut Context<'_, F>, _: &[u8]) {
        (0..PIECES).for_each(|_| cx.transport.write(&BYTES[..LEN]));
    }
}

const QUOTE: &[u8] = b"An apple a day keeps the doctor away\r\n";

struct Quote;

impl<F> Protocol<F> for Quote {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(QUOTE);
        cx.transport.lose_connection();
    }
}

/// Sends what one member says to all others.
#[derive(Default)]
struct Room {
    members: Vec<Transport>,
}

struct Member;

impl Factory for Room {
    type Protocol = Member;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Member> {
        self.members.push(transport.clone());
        Some(Member)
    }
}

impl Protocol<Room> for Member {
    fn data_received(&mut self, cx: &mut Context<'_, Room>, data: &[u8]) {
        for member in cx.factory.members.iter().filter(|member| *member != cx.transport) {
            member.write(data);
        }
    }
}

/// A reactor with a port and its clients.
struct Fixture {
    script: Script,
    reactor: Reactor,
    peers: Vec<Peer>,
}

impl Fixture {
    fn new(factory: impl Factory, clients: usize) -> Self {
        let script = script();
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        reactor.listen_tcp(8007, factory).unwrap();
        let peers = (0..clients).map(|_| script.connect()).collect();
        let mut fixture = Self { script, reactor, peers };
        while fixture.reactor.connection_count() < clients {
            fixture.turn();
        }
        fixture
    }

    fn turn(&mut self) {
        assert!(self.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    }

    /// Turns in which nothing is ready.
    fn stay_idle(mut self) {
        let count = self.reactor.connection_count();
        rounds(|counter| {
            counter.count(|| self.turn());
            1
        });
        assert_eq!(self.reactor.connection_count(), count);
    }

    /// All clients send `message`, and get `answer` in the same turn.
    fn answer(mut self, message: &[u8], answer: &[u8]) {
        rounds(|counter| {
            self.peers.iter().for_each(|peer| peer.send(message));
            counter.count(|| self.turn());
            assert!(self.peers.iter().all(|peer| peer.received() == answer));
            1
        });
    }
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn empty() {
    Fixture::new(|| Echo, 0).stay_idle();
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn idle_10_000() {
    Fixture::new(|| Echo, 10_000).stay_idle();
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn echo_1() {
    Fixture::new(|| Echo, 1).answer(&BYTES[..64], &BYTES[..64]);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn echo_64() {
    Fixture::new(|| Echo, 64).answer(&BYTES[..64], &BYTES[..64]);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn write_100_times() {
    Fixture::new(|| Write::<100, 64>, 1).answer(b"x", &BYTES[..100 * 64]);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn write_16k() {
    Fixture::new(|| Write::<1, { BYTES.len() }>, 1).answer(b"x", BYTES);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn chat_100() {
    let mut fixture = Fixture::new(Room::default(), 101);
    let line = b"<alice> What a wonderful day it is\r\n";
    rounds(|counter| {
        fixture.peers[0].send(line);
        let mut received = Vec::new();
        // A fan-out is held for several turns.
        for _ in 0..10 {
            counter.count(|| fixture.turn());
            received = fixture.peers[1..].iter().map(Peer::received).collect();
            if received.iter().any(|it| !it.is_empty()) {
                break;
            }
        }
        assert_eq!(received, vec![line; 100]);
        1
    });
}

/// Cost of a stop for each timer that is left.
#[test]
#[ignore = "counted by benches/counts/check"]
fn stop_with_10_000_timers() {
    const TIMERS: usize = 10_000;
    let Fixture { mut reactor, .. } = Fixture::new(|| Echo, 0);
    rounds(|counter| {
        for number in 0..TIMERS {
            let delay = Duration::from_millis(number as u64);
            reactor.call_later(delay, |reactor| reactor.stop());
        }
        reactor.stop();
        assert!(counter.count(|| reactor.turn(Some(Duration::ZERO))).unwrap().is_break());
        TIMERS
    });
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn accept_quote_close() {
    let mut fixture = Fixture::new(|| Quote, 0);
    rounds(|counter| {
        let peer = fixture.script.connect();
        counter.count(|| fixture.turn());
        assert_eq!(peer.received(), QUOTE);
        assert_eq!(peer.closed(), Closed::InOrder);
        1
    });
    assert_eq!(fixture.reactor.connection_count(), 0);
}

/// A connection to a literal address, from the call until it is closed.
#[test]
#[ignore = "counted by benches/counts/check"]
fn connect_quote_close() {
    let Fixture { script, mut reactor, .. } = Fixture::new(|| Echo, 0);
    let port = reactor.listen_tcp(8008, || Quote).unwrap();
    rounds(|counter| {
        counter.count(|| reactor.connect_tcp((Ipv4Addr::LOCALHOST, 8007), &port)).unwrap();
        let peer = script.dialled();
        peer.answer();
        let turn = counter.count(|| reactor.turn(Some(Duration::ZERO)));
        assert!(turn.unwrap().is_continue());
        assert_eq!(peer.received(), QUOTE);
        assert_eq!(peer.closed(), Closed::InOrder);
        1
    });
    assert_eq!(reactor.connection_count(), 0);
}
