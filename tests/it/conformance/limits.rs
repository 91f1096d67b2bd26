//! Clients that are too many.

use super::Carrier;
use crate::support::{Client, echo};
use std::time::Duration;
use twistor::limits::{ConnectionLimits, RejectionStats};

/// As far as its socket took it at once, and with a reset if that was not all.
fn is_told(carrier: Carrier, client: Client) {
    let (heard, in_order) = client.rest_and_end();
    assert!(b"busy\r\n".starts_with(&heard));
    assert!(in_order || matches!(carrier, Carrier::Rough(_)), "{heard:?}");
    assert!(!in_order || heard.len() == 6, "{heard:?}");
}

pub(super) fn who_is_one_too_many_is_told_so_until_somebody_goes(carrier: Carrier) {
    let server = carrier.serve(echo);
    let port = server.port.key();
    for limits in
        [ConnectionLimits::new().max_connections(1), ConnectionLimits::new().max_per_peer(1)]
    {
        let limits = limits.reject_message("busy\r\n");
        server.call(move |reactor| reactor.set_limits(port, limits));
        let mut first = server.connect();
        first.send("hello");
        first.expect("hello");
        is_told(carrier, server.connect());
        // Who talks before it listens is told as well.
        let mut eager = server.connect();
        eager.send("let me in");
        is_told(carrier, eager);
        first.finish();
        first.expect_close();
        server.wait_until("it is gone", |reactor| reactor.connection_count() == 0);
    }
    let refusals = server.call(move |reactor| reactor.rejections(port)).unwrap();
    assert_eq!(
        refusals,
        RejectionStats { connections: 2, per_peer: 2, ..RejectionStats::default() }
    );
    let mut last = server.connect();
    last.send("hello");
    last.expect("hello");
}

pub(super) fn a_rate_lets_everybody_in_by_and_by(carrier: Carrier) {
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
    let refusals = server.call(move |reactor| reactor.rejections(port)).unwrap();
    assert!(refusals.accept_throttled > 0, "{refusals:?}");
    assert_eq!(RejectionStats { accept_throttled: 0, ..refusals }, RejectionStats::default());
}
