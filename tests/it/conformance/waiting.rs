//! Timeouts.

use super::Carrier;
use crate::support::{Cx, Event, Server, connect_in_turn};
use std::time::Duration;
use twistor::limits::{TimeoutKind, Timeouts};

const SOON: Duration = Duration::from_millis(30);
const NEVER: Duration = Duration::from_secs(100_000);

/// Writes on request, and does the default at a timeout.
fn wait(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(b"l") => cx.transport.write(vec![0; cx.factory.large]),
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => {}
    }
}

fn serve(carrier: Carrier, timeouts: Timeouts) -> Server {
    let server = carrier.serve(wait);
    let port = server.port.key();
    assert!(server.call(move |reactor| reactor.set_timeouts(port, timeouts)));
    server
}

pub(super) fn a_silent_client_is_closed_gracefully(carrier: Carrier) {
    for timeouts in [
        Timeouts::new().idle(SOON),
        Timeouts::new().first_byte(SOON).idle(NEVER),
        Timeouts::new().max_lifetime(SOON).first_byte(NEVER),
    ] {
        let server = serve(carrier, timeouts);
        server.connect().expect_close();
        server.expect(&["0 made"]);
        assert!(server.next().starts_with("0 timed out: "));
        assert!(server.next().starts_with("0 lost: timed out: "));
        assert_eq!(server.call(|reactor| reactor.connection_count()), 0);
    }
}

pub(super) fn a_client_that_never_reads_is_reset(carrier: Carrier) {
    let server = serve(carrier, Timeouts::new().min_rate(1, SOON));
    let mut client = server.connect();
    client.send("l");
    server.expect(&["0 made", "0 timed out: MinRate", "0 lost: timed out: MinRate"]);
    carrier.expect_abort(client);
}

pub(super) fn a_handshake_a_byte_at_a_time_is_timed_out(carrier: Carrier) {
    let server = serve(carrier, Timeouts::new().handshake(SOON).idle(NEVER));
    let mut client = server.connect();
    client.send("a");
    server.wait_until("it is heard", |reactor| reactor.connection_count() < 2);
    client.send("b");
    server.expect(&["0 made", "0 timed out: Handshake", "0 lost: timed out: Handshake"]);
    client.expect_close();
}

pub(super) fn a_late_loop_does_not_time_out_a_client_that_sent_in_time(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.set_timeouts(Timeouts::new().idle(IDLE)),
        Event::TimedOut(kind) => cx.transport.time_out(kind),
        _ => crate::support::echo(event, cx),
    });
    let [mut spoke, _silent] = connect_in_turn(&server);
    let late = if carrier.is_simulated() { 4 * IDLE } else { 2 * IDLE };
    server.while_held_up(late, || spoke.send("in time"), |_| ());
    server.expect(&["1 timed out: Idle", "1 lost: timed out: Idle"]);
    spoke.expect("in time");
}

/// An idle timeout: long enough for a busy machine to hold the loop up before it is over. Data
/// takes longer to arrive on a rough network than on the machine.
const IDLE: Duration = Duration::from_millis(750);

pub(super) fn a_protocol_says_goodbye_after_a_timeout(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.set_timeout(SOON),
        Event::TimedOut(kind) => {
            assert_eq!(kind, TimeoutKind::Protocol);
            cx.transport.write("goodbye");
            cx.transport.lose_connection();
        }
        _ => {}
    });
    assert_eq!(server.connect().rest(), b"goodbye");
    server.expect(&["0 made", "0 timed out: Protocol", "0 lost: done"]);
}
