//! Faults at every point of a connection's life: the connection ends once, reports it once, leaves
//! nothing behind, and affects no other.

use super::*;
use crate::Producer;
use crate::limits::{OverflowPolicy, RateLimits, Timeouts};

const MINUTE: Duration = Duration::from_secs(60);

/// More than the high-water mark.
const MUCH: usize = 100_000;

thread_local! {
    /// The callback that panics, of the first connection.
    static PANICS_IN: Cell<Event<'static>> = const { Cell::new(Event::Made) };
}

/// Panics in the callback that was named, and otherwise echoes.
fn fragile(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    let is_first = cx.factory.all.first() == Some(cx.transport);
    let panics_in = PANICS_IN.get();
    let is_meant = std::mem::discriminant(&event) == std::mem::discriminant(&panics_in);
    assert!(!is_first || !is_meant, "on purpose");
    match event {
        Event::Data(b"timer") => drop(cx.set_timer(Duration::from_secs(1))),
        Event::Data(b"resume") => {
            cx.transport.pause_reading();
            cx.transport.resume_reading();
        }
        _ => echo(event, cx),
    }
}

/// Brings a connection to a callback.
type Direction = fn(&mut Fixture, &Peer, &Transport);

const CALLBACKS: [(Event<'static>, Direction); 12] = [
    (Event::Made, |_, _, _| {}),
    (Event::Data(b""), |_, peer, _| peer.send("hello")),
    (Event::Timer, |fixture, peer, _| {
        peer.send("timer");
        fixture.settle();
        fixture.script.advance(MINUTE);
    }),
    (Event::Resumed, |_, peer, _| peer.send("resume")),
    (Event::TimedOut(TimeoutKind::Protocol), |fixture, _, transport| {
        transport.set_timeout(Duration::from_secs(1));
        fixture.settle();
        fixture.script.advance(MINUTE);
    }),
    (Event::MustWait, |_, peer, transport| {
        peer.set_room(0);
        transport.register_producer(Producer::push());
        transport.write([0; MUCH]);
    }),
    (Event::MayWrite, |fixture, peer, transport| {
        peer.set_room(0);
        transport.register_producer(Producer::push());
        transport.write([0; MUCH]);
        fixture.settle();
        peer.set_room(MUCH);
    }),
    (Event::Produced, |_, _, transport| {
        transport.register_producer(Producer::reader(&b"abc"[..]));
    }),
    (Event::Rejected, |_, peer, transport| {
        peer.set_room(0);
        transport.set_max_unsent(1, OverflowPolicy::Reject);
        transport.write("ab");
        transport.write("c");
    }),
    (Event::ReadLost, |_, peer, _| peer.close()),
    (Event::WriteLost, |_, _, transport| transport.lose_write_connection()),
    (Event::Lost, |_, _, transport| transport.abort_connection()),
];

#[test]
fn a_panic_in_any_callback_ends_its_connection_and_no_other() {
    for (event, provoke) in CALLBACKS {
        PANICS_IN.set(event);
        let mut fixture = Fixture::new(fragile);
        let (peer, witness) = (fixture.connect(), fixture.connect());
        let transport = fixture.transport(0);
        provoke(&mut fixture, &peer, &transport);
        fixture.settle();
        let reason = match event {
            Event::Lost => "0 lost: connection aborted by this side",
            _ => "0 lost: a callback panicked: on purpose",
        };
        let lost: Vec<String> =
            fixture.log.0.borrow().iter().filter(|it| it.contains("lost:")).cloned().collect();
        assert_eq!(lost, [reason], "{event:?}");
        witness.send("hello");
        fixture.settle();
        assert_eq!(witness.received(), b"hello", "{event:?}");
        for peer in [peer, witness] {
            peer.close();
        }
        fixture.settle();
        fixture.script.advance(MINUTE);
        fixture.settle();
        fixture.expect_empty();
        fixture.reactor.stop_listening(&fixture.port);
        fixture.settle();
        assert_eq!(fixture.log.count("stopped"), 1, "{event:?}");
    }
}

/// Brings a connection to a point of its life.
const POINTS: [(&str, Direction); 19] = [
    ("idle", |_, _, _| {}),
    ("unread", |_, peer, _| peer.send("unread")),
    ("written to", |_, _, transport| transport.write("hello")),
    ("full", |fixture, peer, transport| {
        peer.set_room(10);
        transport.write([0; MUCH]);
        fixture.settle();
    }),
    ("paused", |fixture, _, transport| {
        transport.pause_reading();
        fixture.settle();
    }),
    ("paused with data", |fixture, peer, transport| {
        transport.pause_reading();
        fixture.settle();
        peer.send("unread");
    }),
    ("resting", |fixture, peer, transport| {
        peer.set_room(0);
        transport.write([0; MUCH]);
        fixture.settle();
        peer.send("unread");
        fixture.turn();
    }),
    ("its output closed", |fixture, _, transport| {
        transport.lose_write_connection();
        fixture.settle();
    }),
    ("its output closing", |fixture, peer, transport| {
        peer.set_room(10);
        transport.write([0; MUCH]);
        transport.lose_write_connection();
        fixture.settle();
    }),
    ("closing", |fixture, peer, transport| {
        peer.set_room(10);
        transport.write([0; MUCH]);
        transport.lose_connection();
        fixture.settle();
    }),
    ("lingering", |fixture, peer, transport| {
        peer.send("received_any");
        fixture.settle();
        transport.lose_connection();
        fixture.settle();
    }),
    ("reading at a rate", |fixture, peer, transport| {
        transport.set_rate_limits(RateLimits::new().read(20));
        peer.send([0; 3]);
        fixture.settle();
    }),
    ("writing at a rate", |fixture, _, transport| {
        transport.set_rate_limits(RateLimits::new().write(20));
        transport.write([0; MUCH]);
        fixture.settle();
    }),
    ("in turn for a rate that is shared", |fixture, peer, transport| {
        fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new().read(20).write(20));
        peer.send([0; 3]);
        transport.write([0; MUCH]);
        fixture.settle();
    }),
    ("fed by a reader", |fixture, peer, transport| {
        peer.set_room(10);
        transport.register_producer(Producer::reader(io::repeat(1)));
        transport.lose_connection();
        fixture.settle();
    }),
    ("fed by itself", |fixture, peer, transport| {
        peer.set_room(10);
        transport.register_producer(transport);
        peer.send([0; MUCH]);
        fixture.settle();
    }),
    ("feeding one that is full", |fixture, peer, transport| {
        let sink = fixture.connect();
        sink.set_room(0);
        fixture.transport(2).register_producer(transport);
        fixture.transport(2).write([0; MUCH]);
        fixture.settle();
        peer.send("unread");
    }),
    ("waited for", |fixture, _, transport| {
        let second = Duration::from_secs(1);
        transport.set_timeouts(Timeouts::new().idle(second).max_lifetime(second));
        fixture.settle();
    }),
    ("aborted", |_, _, transport| transport.abort_connection()),
];

#[test]
fn a_reset_at_any_point_ends_its_own_connection_and_no_other() {
    type Reset = fn(&Peer);
    // The poller reports the reset, which ends the connection at once; or a read finds it.
    let resets: [(Reset, bool); 2] = [(Peer::reset, true), (Peer::reset_in_line, false)];
    for ((name, bring), (reset, is_announced)) in
        POINTS.into_iter().flat_map(|point| resets.map(|reset| (point, reset)))
    {
        let mut fixture = Fixture::new(echo);
        let (peer, witness) = (fixture.connect(), fixture.connect());
        let transport = fixture.transport(0);
        bring(&mut fixture, &peer, &transport);
        reset(&peer);
        fixture.settle();
        assert!(!is_announced || !transport.is_connected(), "{name}");
        // A connection that is not read meets it when it is read again.
        let others = fixture.reactor.with_factory(&fixture.port, |probes, _| probes.all.clone());
        others.unwrap().iter().skip(2).for_each(Transport::abort_connection);
        transport.resume_reading();
        peer.set_room(10 * MUCH);
        for _ in 0..3 {
            fixture.settle();
            fixture.script.advance(MINUTE);
        }
        fixture.settle();
        let lost = fixture.log.0.borrow().iter().filter(|it| it.starts_with("0 lost:")).count();
        assert_eq!((lost, transport.is_connected()), (1, false), "{name}");
        fixture.reactor.set_shared_rate_limits(&fixture.port, RateLimits::new());
        witness.send("hello");
        fixture.settle();
        assert_eq!(witness.received(), b"hello", "{name}");
        witness.close();
        fixture.settle();
        assert_eq!((transport.unsent(), fixture.reactor.hub.unsent()), (0, 0), "{name}");
        fixture.expect_empty();
    }
}

#[test]
fn a_client_that_resets_before_it_is_accepted_is_made_and_lost_or_neither() {
    let mut fixture = Fixture::new(echo);
    for reset in [Peer::reset, Peer::reset_in_line] {
        let peer = fixture.script.connect();
        peer.send("hello");
        reset(&peer);
        fixture.settle();
        fixture.expect_empty();
    }
    let log = fixture.log.0.borrow();
    let count = |what: &str| log.iter().filter(|it| it.contains(what)).count();
    assert_eq!(count("made"), count("lost"));
}

#[test]
fn a_peer_that_reads_a_byte_a_second_gets_everything_unless_a_timeout_is_set() {
    const LENGTH: usize = 100;
    let read = |timeouts: Timeouts| {
        let mut fixture = Fixture::new(|event, cx| match event {
            Event::TimedOut(kind) => cx.transport.time_out(kind),
            _ => echo(event, cx),
        });
        let peer = fixture.connect();
        let transport = fixture.transport(0);
        transport.set_timeouts(timeouts);
        peer.set_room(0);
        transport.write([1; LENGTH]);
        transport.lose_connection();
        fixture.settle();
        let mut received = 0;
        for _ in 0..LENGTH {
            fixture.script.advance(Duration::from_secs(1));
            peer.set_room(1);
            fixture.settle();
            received += peer.received().len();
        }
        let lost = fixture.log.0.borrow().last().cloned().unwrap();
        (received, lost)
    };
    let all = (LENGTH, "0 lost: connection closed gracefully".to_owned());
    assert_eq!(read(Timeouts::new()), all);
    // The last byte is taken in the turn in which the timeout expires, and counts.
    let some = (60, "0 lost: maximum lifetime reached".to_owned());
    assert_eq!(read(Timeouts::new().max_lifetime(MINUTE)), some);
}
