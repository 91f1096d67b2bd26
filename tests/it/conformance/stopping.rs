//! The end of a run, with connections in every state.

use super::{Carrier, pattern};
use crate::support::{Cx, Event, connect_in_turn};
use std::sync::mpsc::channel;
use std::time::Duration;
use twistor::Reactor;
use twistor::error::ReachError;
use twistor::system_event::{Phase, SystemEvent};

/// Each client sends a letter that selects the state of its connection when the reactor stops.
fn obey(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(b"i") => cx.transport.write("i"),
        Event::Data(b"p") => {
            cx.transport.pause_reading();
            cx.transport.write("p");
        }
        Event::Data(b"h") => {
            cx.transport.write("h");
            cx.transport.lose_write_connection();
        }
        Event::Data(b"f") => {
            cx.transport.write("f");
            cx.transport.write(vec![b'x'; cx.factory.large]);
            cx.transport.lose_connection();
        }
        // The peer's half is closed, and this side stays open.
        Event::ReadLost => cx.factory.note("deaf"),
        _ => {}
    }
}

pub(super) fn connections_in_every_state_get_connection_lost_once(carrier: Carrier) {
    let server = carrier.serve(obey);
    let mut clients = Vec::new();
    for (number, state) in ["i", "p", "h", "f", "i"].into_iter().enumerate() {
        let mut client = server.connect();
        server.expect(&[&format!("{number} made")]);
        client.send(state);
        client.expect(state);
        clients.push(client);
        if state == "h" {
            server.expect(&["2 write lost"]);
        }
    }
    clients[4].finish();
    server.expect(&["4 read lost", "deaf"]);

    let (during_in, during) = channel();
    let port = server.port.key();
    server.call(move |reactor| {
        let before = during_in.clone();
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move |reactor| {
            // All connections are still open and writable.
            let open = reactor.with_factory(port, |probes, _| {
                probes.all[0].write("goodbye");
                probes.open
            });
            before.send(("before", open, reactor.connection_count())).unwrap();
        });
        reactor.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, move |reactor| {
            let open = reactor.with_factory(port, |probes, _| probes.open);
            during_in.send(("during", open, reactor.connection_count())).unwrap();
        });
    });
    let mut end = server.stop();
    assert_eq!(during.recv(), Ok(("before", Ok(5), 5)));
    assert_eq!(during.recv(), Ok(("during", Err(ReachError::FactoryGone), 0)));
    // The factory is last; the order of the connections is unspecified.
    assert_eq!(end.pop().as_deref(), Some("stopped"));
    end.sort();
    let lost: Vec<String> = (0..5).map(|number| format!("{number} lost: stopped")).collect();
    assert_eq!(end, lost);
    carrier.expect_last(clients.swap_remove(0), "goodbye");
}

pub(super) fn connections_aborted_in_the_last_turn_or_during_shutdown_get_connection_lost(
    carrier: Carrier,
) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(_) => {
            cx.factory.all[1].abort_connection();
            cx.reactor.stop();
        }
        Event::Lost => cx.factory.all.iter().for_each(twistor::Transport::abort_connection),
        _ => {}
    });
    let mut clients = connect_in_turn::<4>(&server);
    clients[0].send("x");
    // The test does not stop it as well, since that might come first.
    let told = std::iter::repeat_with(|| server.next());
    let mut end: Vec<String> = told.take_while(|entry| entry != "stopped").collect();
    end.sort();
    let names: Vec<&str> = end.iter().map(|entry| &entry[..7]).collect();
    assert_eq!(names, ["0 lost:", "1 lost:", "2 lost:", "3 lost:"]);
    assert_eq!(end[1], "1 lost: aborted");
}

/// The letter `l` is answered with more than the network holds. At a drain every connection closes,
/// except those that have received `s`.
fn drain(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(b"l") => cx.transport.write(pattern(cx.factory.large)),
        Event::Data(b"s") => cx.factory.waits = true,
        Event::Drain if !cx.factory.waits => cx.transport.lose_connection(),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

pub(super) fn draining_delivers_everything_and_then_stops(carrier: Carrier) {
    let server = carrier.serve(drain);
    let [idle, mut large] = connect_in_turn(&server);
    large.send("l");
    large.expect(&pattern(carrier.large())[..1]);
    server.call(|reactor| reactor.stop_gracefully(Duration::from_secs(600)));
    idle.expect_close();
    assert!(large.rest() == pattern(carrier.large())[1..]);
    let mut told: Vec<String> = (0..5).map(|_| server.next()).collect();
    told.sort();
    let expected = ["0 is to drain", "0 lost: done", "1 is to drain", "1 lost: done", "stopped"];
    assert_eq!(told, expected);
    let report = server.report();
    assert_eq!((report.drained, report.aborted, report.bytes_lost), (2, 0, 0));
}

pub(super) fn clients_waiting_to_be_accepted_are_served_before_a_drain(carrier: Carrier) {
    const COUNT: usize = 20;
    if carrier.shakes_hands() {
        return;
    }
    let server = carrier.serve(|event, cx| match event {
        Event::Drain => cx.transport.lose_connection(),
        _ => crate::support::echo(event, cx),
    });
    let mut clients = Vec::new();
    let connect = || {
        for _ in 0..COUNT {
            let mut client = server.connect();
            client.send("request");
            clients.push(client);
        }
    };
    let stop = |reactor: &mut Reactor| reactor.stop_gracefully(Duration::from_secs(600));
    server.while_held_up(Duration::from_millis(500), connect, stop);
    for client in clients {
        assert_eq!(client.rest(), b"request");
    }
    let report = server.report();
    assert_eq!((report.drained, report.lost, report.aborted), (COUNT, 0, 0));
}

pub(super) fn draining_ends_at_its_deadline(carrier: Carrier) {
    let server = carrier.serve(drain);
    let [mut stays, mut large] = connect_in_turn(&server);
    stays.send("s");
    server.wait_until("it will stay", |_| true);
    large.send("l");
    large.expect(&pattern(carrier.large())[..1]);
    server.call(|reactor| reactor.stop_gracefully(Duration::from_millis(20)));
    let report = server.report();
    assert_eq!((report.drained, report.aborted), (0, 2));
    carrier.expect_abort(large);
    stays.expect_close();
    assert!((1..carrier.large() as u64).contains(&report.bytes_lost), "{report}");
    let mut told = server.stop();
    told.sort();
    let [one, two] =
        ["0", "1"].map(|it| [format!("{it} is to drain"), format!("{it} lost: stopped")]);
    assert_eq!(told, [&one[0], &one[1], &two[0], &two[1], "stopped"]);
}
