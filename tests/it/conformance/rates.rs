//! Rate limits: bytes that move no faster than the limit.

use super::{Carrier, pattern};
use crate::support::{Event, Server, echo};
use std::time::Duration;
use twistor::Settings;
use twistor::limits::RateLimits;

/// Passes through the buffers in a moment, unless a rate limit holds it back.
const LENGTH: usize = 60_000;

/// Takes several quanta to send `LENGTH`.
const RATE: u64 = 400_000;

fn waits(server: &Server) -> u64 {
    let port = server.port.clone();
    server.call(move |reactor| reactor.rate_limit_waits(&port).unwrap())
}

fn both() -> RateLimits {
    RateLimits::new().read(RATE).write(RATE)
}

pub(super) fn an_echo_under_a_rate_limit_comes_back_whole(carrier: Carrier) {
    let server = carrier.serve(echo);
    let port = server.port.key();
    server.call(move |reactor| reactor.set_rate_limits(port, both()));
    let mut client = server.connect();
    client.send(pattern(LENGTH));
    client.expect(pattern(LENGTH));
    client.finish();
    client.expect_close();
    server.expect(&["0 made", "0 read lost", "0 lost: done"]);
    // At most two quanta are available at once; by then another is due, or two.
    assert!(waits(&server) > 0);
}

pub(super) fn connections_sharing_a_rate_limit_are_all_served(carrier: Carrier) {
    let server = carrier.serve(echo);
    let port = server.port.key();
    server.call(move |reactor| reactor.set_shared_rate_limits(port, both()));
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(pattern(LENGTH));
    }
    for client in &mut clients {
        client.expect(pattern(LENGTH));
    }
    assert!(waits(&server) > 5);
    // A client that resets while it waits does not affect the others.
    let mut fickle = server.connect();
    fickle.send(pattern(LENGTH));
    fickle.reset();
    for client in clients {
        client.finish();
        client.expect_close();
    }
    server.wait_until("all connections are closed", |reactor| reactor.connection_count() == 0);
}

pub(super) fn losing_the_connection_delivers_everything_under_a_rate_limit(carrier: Carrier) {
    // Shorter than a quantum takes to refill: a rate limit does not count against the peer.
    let settings = Settings::default().close_timeout(Duration::from_millis(20));
    let server = carrier.serve_with(settings, |event, cx| {
        if event == Event::Made {
            cx.transport.set_rate_limits(RateLimits::new().write(RATE));
            cx.transport.write(pattern(LENGTH));
            cx.transport.lose_connection();
        }
    });
    assert!(server.connect().rest() == pattern(LENGTH));
    server.expect(&["0 made", "0 lost: done"]);
    assert!(waits(&server) > 0);
}
