//! The contract of a stream transport, kept by every carrier.

use crate::support::{Client, Cx, Event, Server};
use std::time::Duration;
use twistor::Settings;

/// What carries the bytes.
#[derive(Clone, Copy)]
enum Carrier {
    Tcp4,
    Tcp6,
}

impl Carrier {
    fn serve(self, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        self.serve_with(Settings::default(), act)
    }

    fn serve_with(self, settings: Settings, act: fn(Event<'_>, &mut Cx<'_>)) -> Server {
        let at = match self {
            Self::Tcp4 => "127.0.0.1:0",
            Self::Tcp6 => "[::1]:0",
        };
        let server = Server::with(at.parse().unwrap(), settings, act);
        server.expect(&["started"]);
        server
    }
}

macro_rules! battery {
    ($($name:ident),* $(,)?) => {
        mod tcp4 { $(#[test] fn $name() { super::$name(super::Carrier::Tcp4); })* }
        mod tcp6 { $(#[test] fn $name() { super::$name(super::Carrier::Tcp6); })* }
    };
}

battery! {
    an_echo_of_any_size_comes_back_whole,
    what_a_client_sends_before_it_closes_is_answered,
    losing_the_connection_delivers_everything_to_one_who_reads_late,
    losing_the_connection_delivers_everything_to_one_who_goes_on_talking,
    losing_the_connection_stops_the_reading,
    what_is_written_after_losing_the_connection_is_dropped,
    aborting_resets_and_discards,
    aborting_a_full_connection_is_not_held_up,
    a_peer_that_takes_nothing_is_given_up,
    a_reset_by_the_peer_is_told_with_its_error,
    a_close_by_the_peer_flushes_first,
    a_half_closed_connection_can_be_written_to,
    closing_the_writing_half_goes_on_reading,
    a_paused_connection_reads_nothing_but_notices_a_reset,
    pausing_when_made_sticks,
    a_timer_comes_back_to_its_protocol,
    failing_tells_the_reason_and_closes_in_order,
    kept_handles_are_harmless,
    addresses_are_those_of_the_sockets,
    socket_options_can_be_set,
    formatted_writes_arrive,
}

fn echo(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(data) => cx.transport.write(data),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256 * 13) as u8).collect()
}

fn an_echo_of_any_size_comes_back_whole(carrier: Carrier) {
    let server = carrier.serve(echo);
    let mut client = server.connect();
    for size in [1, 2, 100, 8191, 8192, 8193, 65_535, 65_536, 65_537, 300_000] {
        let data = pattern(size);
        client.send(&data);
        client.expect(&data);
    }
    // And while nothing is read for a long time: more than all the buffers of the system.
    let data = pattern(16 << 20);
    let mut writer = client.socket.try_clone().unwrap();
    let sent = data.clone();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
    server.wait_until("the server is full", |reactor| reactor.connection_count() == 1);
    client.expect(&data);
    sending.join().unwrap().unwrap();
    client.finish();
    client.expect_close();
    server.expect(&["0 made", "0 read lost", "0 lost: done"]);
}

fn what_a_client_sends_before_it_closes_is_answered(carrier: Carrier) {
    let server = carrier.serve(echo);
    // Data and FIN together, many times: they often share an edge.
    for number in 0..200 {
        let mut client = server.connect();
        client.send("ping");
        client.finish();
        assert_eq!(client.rest(), b"ping");
        let made = format!("{number} made");
        let (read_lost, lost) = (format!("{number} read lost"), format!("{number} lost: done"));
        server.expect(&[&made, &read_lost, &lost]);
    }
}

const MUCH: usize = 64 << 20;

fn losing_the_connection_delivers_everything_to_one_who_reads_late(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made"]);
    // Nothing is read yet, so the connection is still there.
    assert!(server.call(|reactor| reactor.connection_count() == 1));
    let received = client.rest();
    assert!(received == pattern(MUCH), "{} bytes", received.len());
    server.expect(&["0 lost: done"]);
}

fn losing_the_connection_delivers_everything_to_one_who_goes_on_talking(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write(pattern(4 << 20));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    let mut writer = client.socket.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        // As much as it can, until the server no longer listens.
        let chunk = [0; 64 * 1024];
        for _ in 0..500 {
            if std::io::Write::write_all(&mut writer, &chunk).is_err() {
                return;
            }
        }
        let _ = writer.shutdown(std::net::Shutdown::Write);
    });
    assert!(client.rest() == pattern(4 << 20));
    talking.join().unwrap();
    server.expect(&["0 made", "0 lost: done"]);
}

fn losing_the_connection_stops_the_reading(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.factory.note("data");
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send(pattern(1 << 20));
    server.expect(&["0 made", "data", "0 lost: done"]);
    assert_eq!(server.stop(), ["stopped"]);
}

fn what_is_written_after_losing_the_connection_is_dropped(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.write("in time");
            cx.transport.lose_connection();
            cx.transport.lose_connection();
            cx.transport.write("too late");
        }
    });
    assert_eq!(server.connect().rest(), b"in time");
    server.expect(&["0 made", "0 lost: done"]);
}

fn aborting_resets_and_discards(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("never sent");
            cx.transport.abort_connection();
            cx.transport.abort_connection();
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send("x");
    client.expect_reset();
    server.expect(&["0 made", "0 lost: aborted"]);
    assert_eq!(server.stop(), ["stopped"]);
}

fn aborting_a_full_connection_is_not_held_up(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
            cx.set_timer(Duration::from_millis(1));
        }
        Event::Timer => cx.transport.abort_connection(),
        _ => {}
    });
    let client = server.connect();
    server.expect(&["0 made", "0 timer", "0 lost: aborted"]);
    client.expect_reset();
}

fn a_peer_that_takes_nothing_is_given_up(carrier: Carrier) {
    let settings = Settings::default().close_timeout(Duration::from_millis(50));
    let server = carrier.serve_with(settings, |event, cx| {
        if event == Event::Made {
            cx.transport.write(pattern(MUCH));
            cx.transport.lose_connection();
        }
    });
    let client = server.connect();
    server.expect(&["0 made", "0 lost: timed out"]);
    client.expect_reset();
}

fn a_reset_by_the_peer_is_told_with_its_error(carrier: Carrier) {
    let server = carrier.serve(|_, _| {});
    server.connect().reset();
    server.expect(&["0 made", "0 lost: ConnectionReset"]);
}

fn a_close_by_the_peer_flushes_first(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(_) => cx.transport.write(pattern(16 << 20)),
        Event::ReadLost => cx.transport.lose_connection(),
        _ => {}
    });
    let mut client = server.connect();
    client.send("x");
    client.finish();
    server.expect(&["0 made", "0 read lost"]);
    assert!(client.rest() == pattern(16 << 20));
    server.expect(&["0 lost: done"]);
}

fn a_half_closed_connection_can_be_written_to(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::ReadLost => drop(cx.set_timer(Duration::from_millis(1))),
        Event::Timer => {
            cx.transport.write("still here");
            cx.transport.lose_write_connection();
        }
        _ => {}
    });
    let client = server.connect();
    client.finish();
    assert_eq!(client.rest(), b"still here");
    // Both halves are done, and nobody has to say so.
    let end = ["0 made", "0 read lost", "0 timer", "0 write lost", "0 lost: done"];
    server.expect(&end);
}

fn closing_the_writing_half_goes_on_reading(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.write("that is all");
            cx.transport.lose_write_connection();
            cx.transport.lose_write_connection();
            cx.transport.write("too late");
        }
        Event::Data(data) => cx.factory.note(String::from_utf8_lossy(data)),
        _ => {}
    });
    let mut client = server.connect();
    client.expect("that is all");
    server.expect(&["0 made", "0 write lost"]);
    client.send("heard");
    server.expect(&["heard"]);
    client.expect_close();
    server.expect(&["0 read lost", "0 lost: done"]);
}

fn a_paused_connection_reads_nothing_but_notices_a_reset(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Data(b"pause") => {
            cx.transport.pause_reading();
            cx.transport.write("paused");
        }
        Event::Data(data) => cx.factory.note(String::from_utf8_lossy(data)),
        Event::Made => cx.transport.write("welcome"),
        _ => {}
    });
    let mut client = server.connect();
    client.expect("welcome");
    client.send("pause");
    client.expect("paused");
    client.send("held back");
    let port = server.port;
    server.call(move |reactor| {
        reactor.with_factory(port, |probes, _| {
            assert!(probes.all[0].is_paused());
            probes.all[0].write("resuming");
            probes.all[0].resume_reading();
        })
    });
    client.expect("resuming");
    server.expect(&["0 made", "0 resumed", "held back"]);
    client.send("pause");
    client.expect("paused");
    client.reset();
    server.expect(&["0 lost: ConnectionReset"]);
}

fn pausing_when_made_sticks(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            cx.transport.pause_reading();
            cx.set_timer(Duration::from_millis(20));
        }
        Event::Timer => {
            assert_eq!(cx.factory.received, 0);
            cx.transport.resume_reading();
        }
        Event::Data(data) => cx.transport.write(data),
        _ => {}
    });
    let mut client = server.connect();
    client.send("at once");
    client.expect("at once");
    server.expect(&["0 made", "0 timer", "0 resumed"]);
}

fn a_timer_comes_back_to_its_protocol(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => {
            let never = cx.set_timer(Duration::from_secs(3600));
            let soon = cx.set_timer(Duration::from_secs(3600));
            assert!(cx.reactor.cancel(never));
            assert!(cx.reactor.reset(soon, Duration::from_millis(1)));
        }
        Event::Timer => cx.transport.lose_connection(),
        _ => {}
    });
    server.connect().expect_close();
    server.expect(&["0 made", "0 timer", "0 lost: done"]);
}

fn failing_tells_the_reason_and_closes_in_order(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write("sorry");
            cx.transport.fail("no such room");
            cx.transport.lose_connection();
        }
    });
    let mut client = server.connect();
    client.send("x");
    assert_eq!(client.rest(), b"sorry");
    server.expect(&["0 made", "0 lost: failed: no such room"]);
}

fn kept_handles_are_harmless(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::Made => cx.transport.lose_connection(),
        Event::Lost => {
            cx.transport.write("late");
            cx.transport.lose_connection();
            cx.transport.abort_connection();
        }
        _ => {}
    });
    server.connect().expect_close();
    let mut second = server.connect();
    server.expect(&["0 made", "0 lost: done", "1 made", "1 lost: done"]);
    let port = server.port;
    server.call(move |reactor| {
        reactor.with_factory(port, |probes, _| {
            let old = &probes.all[0];
            old.write_sequence(["late", "and later"]);
            old.lose_connection();
            old.lose_write_connection();
            old.abort_connection();
            old.pause_reading();
            old.resume_reading();
            old.fail("nothing");
            old.set_tcp_keep_alive(true).unwrap();
            assert!(!old.is_connected() && old.unsent() == 0);
            assert!(old.peer().ip().unwrap().is_loopback());
            assert_eq!(old.host().port(), probes.all[1].host().port());
            assert_ne!(old.id(), probes.all[1].id());
        })
    });
    second.expect("");
    assert_eq!(server.stop(), ["stopped"]);
}

fn addresses_are_those_of_the_sockets(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            let (host, peer) = (cx.transport.host(), cx.transport.peer());
            cx.transport.write(format!("{host} {peer}\n"));
        }
    });
    let mut client = server.connect();
    let (host, peer) = (client.socket.peer_addr().unwrap(), client.socket.local_addr().unwrap());
    client.expect(format!("{host} {peer}\n"));
}

fn socket_options_can_be_set(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            cx.transport.set_tcp_no_delay(false).unwrap();
            cx.transport.set_tcp_no_delay(true).unwrap();
            cx.transport.set_tcp_keep_alive(true).unwrap();
            cx.transport.write("set");
        }
    });
    Client::connect(server.address).expect("set");
}

fn formatted_writes_arrive(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        use std::io::Write;
        if event == Event::Made {
            write!(cx.transport, "{} and ", 1).unwrap();
            let mut kept = cx.transport.clone();
            write!(kept, "{}", 2).unwrap();
            kept.flush().unwrap();
            cx.transport.write_sequence([&b" and "[..], b"3"]);
            cx.transport.lose_connection();
        }
    });
    assert_eq!(server.connect().rest(), b"1 and 2 and 3");
}
