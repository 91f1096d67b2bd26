//! Bytes on their way, and what holds them up.

use super::{Carrier, pattern};
use crate::support::{Client, Event, echo};
use std::time::Duration;

pub(super) fn an_echo_of_any_size_comes_back_whole(carrier: Carrier) {
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

pub(super) fn what_a_client_sends_before_it_closes_is_answered(carrier: Carrier) {
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

pub(super) fn a_paused_connection_reads_nothing_but_notices_a_reset(carrier: Carrier) {
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

pub(super) fn pausing_when_made_sticks(carrier: Carrier) {
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

pub(super) fn a_timer_comes_back_to_its_protocol(carrier: Carrier) {
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

pub(super) fn addresses_are_those_of_the_sockets(carrier: Carrier) {
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

pub(super) fn socket_options_can_be_set(carrier: Carrier) {
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

pub(super) fn formatted_writes_arrive(carrier: Carrier) {
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
