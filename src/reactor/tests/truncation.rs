//! A truncated stream ends with a reset, a complete one with a close.

use super::*;
use crate::Producer;
use crate::driver::scripted::Closed;
use crate::limits::{OverflowPolicy, Timeouts};
use std::cell::Cell;
use std::io::Read;

const SECOND: Duration = Duration::from_secs(1);

/// Ends a connection.
type Direction = fn(&mut Fixture, &Peer, &Transport);

/// Each end that is not an orderly close, and whether it resets the connection in any case, without
/// time for the peer to read the last bytes.
const ENDS: [(&str, Direction, bool); 10] = [
    ("fail", |_, _, transport| transport.fail("because"), false),
    ("panic", |_, peer, _| peer.send("panic"), false),
    (
        "idle",
        |fixture, _, transport| time_out(fixture, transport, Timeouts::new().idle(SECOND)),
        false,
    ),
    (
        "lifetime",
        |fixture, _, transport| time_out(fixture, transport, Timeouts::new().max_lifetime(SECOND)),
        false,
    ),
    (
        "timeout",
        |fixture, _, transport| {
            transport.set_timeout(SECOND);
            fixture.settle();
            fixture.script.advance(SECOND);
        },
        false,
    ),
    ("stop", |fixture, _, _| stop(fixture, Duration::ZERO), false),
    ("drain", |fixture, _, _| stop(fixture, SECOND), false),
    ("drop", |fixture, _, _| drop(std::mem::replace(fixture, Fixture::new(quiet))), false),
    ("abort", |_, _, transport| transport.abort_connection(), true),
    (
        "overflow",
        |_, peer, transport| {
            peer.set_room(0);
            transport.set_max_unsent(10, OverflowPolicy::Close);
            transport.write([0; 10]);
            transport.write([0; 10]);
        },
        true,
    ),
];

fn time_out(fixture: &mut Fixture, transport: &Transport, timeouts: Timeouts) {
    transport.set_timeouts(timeouts);
    fixture.settle();
    fixture.script.advance(SECOND);
}

/// Stops the reactor, with protocols that ignore the drain.
fn stop(fixture: &mut Fixture, deadline: Duration) {
    fixture.reactor.stop_gracefully(deadline);
    for _ in 0..3 {
        if fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
            return;
        }
        fixture.script.advance(deadline);
    }
    panic!("it does not stop");
}

/// Panics on request, and otherwise acts as the default callbacks do.
fn plain(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::Data(b"panic") => panic!("on purpose"),
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        Event::ReadLost => cx.transport.close_passively(),
        // As the protocol hears it: from within the callback.
        Event::Produced if EXPLAINS.get() => {
            cx.transport.write(", and no more");
            cx.transport.lose_connection();
        }
        _ => {}
    }
}

thread_local! {
    /// A protocol whose reader has failed sends a message, and closes.
    static EXPLAINS: Cell<bool> = const { Cell::new(false) };
}

/// Settings of a reactor whose streams hold nothing, and of one whose streams hold what its write
/// buffers would.
fn each_kind() -> Vec<Settings> {
    let plain = Settings::default().close_timeout(10 * SECOND);
    #[cfg(feature = "testing")]
    return vec![plain.clone(), plain.record_layer(1000)];
    #[cfg(not(feature = "testing"))]
    vec![plain]
}

/// Returns what the peer sees of a connection that ends in this way.
fn seen(prepare: Direction, end: Direction) -> (Vec<u8>, Closed) {
    seen_with(&each_kind()[0], prepare, end)
}

fn seen_with(settings: &Settings, prepare: Direction, end: Direction) -> (Vec<u8>, Closed) {
    let mut fixture = Fixture::with(settings.clone(), plain);
    let peer = fixture.connect();
    let transport = fixture.transport(0);
    prepare(&mut fixture, &peer, &transport);
    fixture.settle();
    end(&mut fixture, &peer, &transport);
    for _ in 0..4 {
        // Unless the reactor has stopped, one more turn.
        let _ = fixture.reactor.turn(Some(Duration::ZERO));
    }
    assert!(!transport.is_connected());
    (peer.received(), if peer.output_finished() { Closed::InOrder } else { peer.closed() })
}

/// The bytes that may be missing when a connection ends.
const UNFINISHED: [(&str, Direction); 5] = [
    ("unsent bytes", |_, peer, transport| {
        peer.set_room(3);
        transport.write("goodbye");
    }),
    ("a push producer", |_, _, transport| transport.register_producer(Producer::push())),
    ("a pull producer", |_, _, transport| transport.register_producer(Producer::pull())),
    ("a reader", |_, peer, transport| {
        peer.set_room(3);
        transport.register_producer(Producer::reader(io::repeat(1)));
    }),
    ("a connection", |fixture, _, transport| {
        fixture.connect();
        let producer = fixture.transport(1);
        transport.register_producer(&producer);
    }),
];

#[test]
fn every_end_of_a_connection_with_something_missing_resets_it() {
    for ((missing, prepare), (end, direction, _)) in
        UNFINISHED.into_iter().flat_map(|missing| ENDS.map(|end| (missing, end)))
    {
        for settings in each_kind() {
            let closed = seen_with(&settings, prepare, direction).1;
            assert_eq!(closed, Closed::Reset, "{missing}, {end}, {settings:?}");
        }
    }
}

#[test]
fn every_end_of_a_connection_that_has_sent_everything_closes_it() {
    let all_sent: Direction = |_, _, transport| {
        transport.register_producer(Producer::reader(&b"all "[..]));
        transport.write("sent");
    };
    for (end, direction, resets) in ENDS {
        let expected = if resets { Closed::Reset } else { Closed::InOrder };
        for settings in each_kind() {
            let (received, closed) = seen_with(&settings, all_sent, direction);
            assert_eq!(closed, expected, "{end}, {settings:?}");
            assert!(resets || received == b"sentall ", "{end}: {received:?}");
        }
    }
}

/// A reader that fails after three bytes.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0 += 1;
        if self.0 > 1 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        buffer[..3].copy_from_slice(b"abc");
        Ok(3)
    }
}

fn broken_reader(transport: &Transport) {
    transport.register_producer(Producer::reader(Broken(0)));
}

#[test]
fn a_reader_that_fails_leaves_no_stream_that_looks_complete() {
    // The protocol is closing already, so it does not decide what the failure means.
    let (received, closed) = seen(
        |_, _, _| {},
        |_, _, transport| {
            broken_reader(transport);
            transport.lose_connection();
        },
    );
    assert_eq!((received, closed), (b"abc".to_vec(), Closed::Reset));
    // All that was read has been sent; then the protocol gives up, as it does by default.
    let fails: Direction = |fixture, _, transport| {
        broken_reader(transport);
        fixture.settle();
        transport.fail("because of that");
    };
    assert_eq!(seen(|_, _, _| {}, fails), (b"abc".to_vec(), Closed::Reset));
    // The protocol learns of it, sends a message of its own, and closes.
    let explains: Direction = |fixture, _, transport| {
        broken_reader(transport);
        fixture.settle();
        transport.write(", and no more");
        transport.lose_connection();
    };
    let (received, closed) = seen(|_, _, _| {}, explains);
    assert_eq!((received, closed), (b"abc, and no more".to_vec(), Closed::InOrder));
    EXPLAINS.set(true);
    let (received, closed) = seen(|_, _, _| {}, |_, _, transport| broken_reader(transport));
    assert_eq!((received, closed), (b"abc, and no more".to_vec(), Closed::InOrder));
    EXPLAINS.set(false);
    // The protocol has reported it, and keeps the connection: nothing is missing any more.
    let continues: Direction = |fixture, _, transport| {
        broken_reader(transport);
        fixture.settle();
        transport.write(", and no more");
        transport.unregister_producer();
        fixture.settle();
        transport.fail("much later");
    };
    assert_eq!(seen(|_, _, _| {}, continues).1, Closed::InOrder);
    // Another reader gives the rest.
    let goes_on: Direction = |fixture, _, transport| {
        broken_reader(transport);
        fixture.settle();
        transport.register_producer(Producer::reader(&b"def"[..]));
        fixture.settle();
        transport.fail("and yet");
    };
    assert_eq!(seen(|_, _, _| {}, goes_on), (b"abcdef".to_vec(), Closed::InOrder));
}

#[test]
fn a_truncated_reject_message_is_a_reset() {
    let mut fixture = Fixture::new(quiet);
    fixture.reactor.set_limits(
        &fixture.port,
        crate::limits::ConnectionLimits::new().max_connections(0).reject_message("go away"),
    );
    let (told, cut) = (fixture.script.connect(), fixture.script.connect());
    cut.set_room(3);
    fixture.turn();
    assert_eq!((told.received(), told.output_finished()), (b"go away".to_vec(), true));
    assert_eq!((cut.received(), cut.closed()), (b"go ".to_vec(), Closed::Reset));
}

#[test]
fn bytes_lost_during_a_drain_are_counted_however_their_connection_ends() {
    let ways: [(Direction, usize); 5] = [
        (|_, peer, _| peer.reset(), 1),
        (|_, _, transport| transport.abort_connection(), 1),
        (|_, _, transport| transport.fail("because"), 1),
        (
            |fixture, _, transport| {
                transport.lose_connection();
                fixture.settle();
                fixture.script.advance(10 * SECOND);
            },
            1,
        ),
        (|_, peer, _| peer.set_room(4), 0),
    ];
    let ways = ways.into_iter().enumerate();
    for ((number, (end, lost)), settings) in
        ways.flat_map(|way| each_kind().into_iter().map(move |settings| (way, settings)))
    {
        let mut fixture = Fixture::with(settings, plain);
        let (peer, _stays) = (fixture.connect(), fixture.connect());
        let transport = fixture.transport(0);
        peer.set_room(3);
        transport.write("goodbye");
        fixture.settle();
        fixture.reactor.stop_gracefully(100 * SECOND);
        fixture.settle();
        end(&mut fixture, &peer, &transport);
        transport.lose_connection();
        fixture.settle();
        fixture.script.advance(100 * SECOND);
        let std::ops::ControlFlow::Break(report) = fixture.reactor.turn(None).unwrap() else {
            panic!("it does not stop")
        };
        let expected = crate::shutdown::ShutdownReport {
            drained: 1 - lost,
            lost,
            aborted: 1,
            bytes_lost: 4 * lost as u64,
        };
        assert_eq!(report, expected, "end {number}");
    }
}
