//! Connection limits: clients over the limit.

use super::Carrier;
use crate::support::echo;
use std::time::Duration;
use twistor::limits::{ConnectionLimits, RejectionStats};

pub(super) fn clients_over_the_limit_are_rejected_until_one_leaves(carrier: Carrier) {
    let server = carrier.serve(echo);
    let port = server.port.key();
    let in_all = ConnectionLimits::new().max_connections(1);
    let of_a_peer = match carrier.tells_peers_apart() {
        true => ConnectionLimits::new().max_per_peer(1),
        false => in_all.clone().max_per_peer(0),
    };
    for limits in [in_all, of_a_peer] {
        let limits = limits.reject_message("busy\r\n");
        server.call(move |reactor| reactor.set_limits(port, limits));
        let mut first = server.connect();
        first.send("hello");
        first.expect("hello");
        carrier.expect_rejection(server.connect(), "busy\r\n");
        // A client that sends before it reads is rejected as well.
        let mut eager = server.connect();
        if !carrier.shakes_hands() {
            eager.send("let me in");
        }
        carrier.expect_rejection(eager, "busy\r\n");
        first.finish();
        first.expect_close();
        server.wait_until("it is gone", |reactor| reactor.connection_count() == 0);
    }
    let refusals = server.call(move |reactor| reactor.rejections(port)).unwrap();
    let mut expected = RejectionStats::default();
    (expected.connections, expected.per_peer) =
        if carrier.tells_peers_apart() { (2, 2) } else { (4, 0) };
    assert_eq!(refusals, expected);
    let mut last = server.connect();
    last.send("hello");
    last.expect("hello");
}

pub(super) fn an_accept_rate_accepts_every_client_in_the_end(carrier: Carrier) {
    let server = carrier.serve(echo);
    let port = server.port.key();
    let limits = ConnectionLimits::new().accept_rate(3, Duration::from_millis(300));
    server.call(move |reactor| reactor.set_limits(port, limits));
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("hello");
    }
    for client in &mut clients {
        client.expect("hello");
    }
    let mut refusals = server.call(move |reactor| reactor.rejections(port)).unwrap();
    assert!(refusals.accept_throttled > 0, "{refusals:?}");
    refusals.accept_throttled = 0;
    assert_eq!(refusals, RejectionStats::default());
}
