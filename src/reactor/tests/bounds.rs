//! Every wait in the life of a connection has an end: the table of `docs/REACTOR.md`, as a test.

use super::*;
use crate::limits::{RateLimits, Timeouts};
use crate::{Producer, TcpClientEndpoint};
use std::net::Ipv4Addr;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Acts as the default callbacks do, apart from the wait itself.
fn plain(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    match event {
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        // This byte makes the protocol continue after the peer's FIN, and never close.
        Event::ReadLost if cx.factory.log.count("0 data h") == 0 => cx.transport.close_passively(),
        _ => {}
    }
}

/// A wait: how a connection gets into it, and when it is over.
struct Wait {
    name: &'static str,
    begin: fn(&mut Fixture, &Peer, &Transport),
    bound: Duration,
    /// The last entry of the log.
    end: &'static str,
}

const CLOSE: &str = "0 lost: close timeout: the last bytes were not sent in time";
const IDLE: &str = "0 lost: idle timeout";
const DONE: &str = "0 lost: connection closed gracefully";

/// The close timeout of the fixture.
const CLOSE_TIMEOUT: Duration = s(10);

const WAITS: [Wait; 15] = [
    Wait {
        name: "for the peer, at all",
        begin: |_, _, transport| transport.set_timeouts(Timeouts::new().idle(s(7))),
        bound: s(7),
        end: IDLE,
    },
    Wait {
        name: "for its first byte",
        begin: |_, _, transport| transport.set_timeouts(Timeouts::new().first_byte(s(7))),
        bound: s(7),
        end: "0 lost: timeout waiting for the first byte",
    },
    Wait {
        name: "for the end of a handshake",
        begin: |_, _, transport| transport.set_timeouts(Timeouts::new().handshake(s(7))),
        bound: s(7),
        end: "0 lost: handshake timeout",
    },
    Wait {
        name: "for what the protocol waits for",
        begin: |_, _, transport| transport.set_timeout(s(7)),
        bound: s(7),
        end: "0 lost: protocol timeout",
    },
    Wait {
        name: "for a peer that takes nothing",
        begin: |_, peer, transport| {
            peer.set_room(0);
            transport.write("x");
            transport.set_timeouts(Timeouts::new().min_rate(1, s(7)));
        },
        bound: s(7),
        end: "0 lost: below the minimum transfer rate",
    },
    Wait {
        name: "for this side, when the peer has sent its FIN",
        begin: |_, peer, transport| {
            peer.send("h");
            peer.close();
            transport.set_timeouts(Timeouts::new().idle(s(7)));
        },
        bound: s(7),
        end: IDLE,
    },
    Wait {
        name: "for the peer's FIN, when this side has sent its own",
        begin: |_, _, transport| {
            transport.lose_write_connection();
            transport.set_timeouts(Timeouts::new().idle(s(7)));
        },
        bound: s(7),
        end: IDLE,
    },
    Wait {
        name: "for the protocol to read again",
        begin: |_, _, transport| {
            transport.pause_reading();
            transport.set_timeouts(Timeouts::new().idle(s(1)).max_lifetime(s(7)));
        },
        bound: s(7),
        end: "0 lost: maximum lifetime reached",
    },
    Wait {
        name: "for a peer that takes nothing of the last bytes",
        begin: |_, peer, transport| {
            peer.set_room(0);
            transport.write("x");
            transport.lose_connection();
        },
        bound: CLOSE_TIMEOUT,
        end: CLOSE,
    },
    Wait {
        name: "the same, when it has sent its FIN",
        begin: |_, peer, transport| {
            peer.set_room(0);
            transport.write("x");
            peer.close();
        },
        bound: CLOSE_TIMEOUT,
        end: CLOSE,
    },
    Wait {
        name: "for a producer, when this side closes",
        begin: |_, _, transport| {
            transport.register_producer(Producer::push());
            transport.lose_connection();
        },
        bound: CLOSE_TIMEOUT,
        end: CLOSE,
    },
    Wait {
        name: "for a connection that produces, when this side closes",
        begin: |fixture, _, transport| {
            fixture.connect();
            transport.register_producer(&fixture.transport(1));
            transport.lose_connection();
        },
        bound: CLOSE_TIMEOUT,
        end: CLOSE,
    },
    Wait {
        name: "for a producer, when the peer closes",
        begin: |_, peer, transport| {
            transport.register_producer(Producer::pull());
            peer.close();
        },
        bound: Duration::ZERO,
        end: DONE,
    },
    Wait {
        name: "for a rate, with something left to send",
        begin: |_, _, transport| {
            transport.set_rate_limits(RateLimits::new().write(1));
            transport.write([0; 8]);
            transport.lose_connection();
        },
        // One byte at once, and one each second.
        bound: s(7),
        end: DONE,
    },
    Wait {
        name: "of a drain, for a protocol that stays",
        begin: |fixture, _, _| fixture.reactor.stop_gracefully(s(7)),
        bound: s(7),
        end: "0 lost: reactor stopped",
    },
];

#[test]
fn every_wait_of_a_connection_ends_at_its_bound_and_not_before() {
    const STEP: Duration = Duration::from_millis(500);
    for Wait { name, begin, bound, end } in WAITS {
        let mut fixture = Fixture::new(plain);
        let peer = fixture.connect();
        let transport = fixture.transport(0);
        begin(&mut fixture, &peer, &transport);
        let start = fixture.reactor.now();
        let mut ended = None;
        for _ in 0..100 {
            for _ in 0..5 {
                if fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
                    break;
                }
            }
            if !transport.is_connected() {
                ended = Some(fixture.reactor.now() - start);
                break;
            }
            fixture.script.advance(STEP);
        }
        assert_eq!(ended, Some(bound), "{name}");
        assert_eq!(fixture.log.count(end), 1, "{name}: {:?}", fixture.log.0.borrow());
    }
}

#[test]
fn an_attempt_to_connect_ends() {
    let mut fixture = Fixture::new(quiet);
    let endpoint = TcpClientEndpoint::new((Ipv4Addr::LOCALHOST, 8000)).timeout(s(7));
    let probes = Probes { log: fixture.log.clone(), act: quiet, all: vec![], key: Rc::default() };
    let connector = fixture.reactor.connect_tcp(endpoint, probes).unwrap();
    fixture.script.advance(s(7) - Duration::from_nanos(1));
    fixture.settle();
    assert!(connector.transport().is_connected(), "not lost yet");
    fixture.script.advance(Duration::from_nanos(1));
    fixture.settle();
    fixture.log.expect(&["failed: timed out", "stopped"]);
    fixture.expect_empty();
}

#[test]
fn a_closed_connection_that_still_reads_ends() {
    for peer_sends in [false, true] {
        let mut fixture =
            Fixture::new(|event, cx| on_data(event, || cx.transport.lose_connection()));
        let peer = fixture.connect();
        peer.send("x");
        fixture.settle();
        let start = fixture.reactor.now();
        while fixture.reactor.connections.len() > 0 {
            assert!(fixture.reactor.now() - start < s(60));
            fixture.script.advance(Duration::from_millis(500));
            if peer_sends {
                peer.send("and more");
            }
            fixture.turn();
        }
        let bound = if peer_sends { s(30) } else { s(5) };
        assert_eq!(fixture.reactor.now() - start, bound);
        fixture.expect_empty();
    }
}
