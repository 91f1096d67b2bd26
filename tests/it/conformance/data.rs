//! Data transfer.

use super::{Carrier, pattern};
use crate::support::{Event, echo};
use std::time::Duration;
use twistor::{Reactor, Settings};

pub(super) fn an_echo_of_any_size_comes_back_whole(carrier: Carrier) {
    let server = carrier.serve(echo);
    let mut client = server.connect();
    for size in [1, 2, 100, 8191, 8192, 8193, 65_535, 65_536, 65_537, 300_000] {
        let data = pattern(size);
        client.send(data);
        client.expect(data);
    }
    // Again while the client reads nothing for a long time: more than all the buffers of the
    // system.
    let data = pattern(carrier.large());
    let sending = client.send_meanwhile(data);
    server.wait_until("the server is full", |reactor| reactor.connection_count() == 1);
    client.expect(data);
    assert!(sending.ended());
    client.finish();
    client.expect_close();
    server.expect(&["0 made", "0 read lost", "0 lost: done"]);
}

pub(super) fn bytes_sent_before_a_close_are_answered(carrier: Carrier) {
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

pub(super) fn data_around_urgent_data_is_answered(carrier: Carrier) {
    if !carrier.has_urgent_data() {
        return;
    }
    let server = carrier.serve(echo);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for number in 0..clients.len() {
        server.expect(&[&format!("{number} made")]);
    }
    // All of it arrives before the loop reads, and a read stops at the mark.
    let send = || {
        for client in &mut clients {
            client.send("before");
            client.send_urgent();
            client.send("behind");
        }
    };
    server.while_held_up(Duration::from_millis(50), send, |_| ());
    for client in &mut clients {
        client.expect("beforebehind");
        client.send("later");
        client.expect("later");
    }
}

pub(super) fn a_client_that_sends_everything_before_it_reads_is_answered(carrier: Carrier) {
    let server = carrier.serve(echo);
    let mut client = server.connect();
    // The server pauses reading from it again and again (backpressure), but not for ever.
    let data = pattern(carrier.large());
    client.send(data);
    client.finish();
    assert!(client.rest() == data);
    server.expect(&["0 made", "0 read lost", "0 lost: done"]);
}

pub(super) fn writes_of_all_sizes_keep_their_order(carrier: Carrier) {
    // Some are sent at once, some are buffered, and some wait behind others.
    const SIZES: [usize; 9] = [20_000, 1, 8192, 0, 65_536, 8191, 100, 300_000, 3];
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            let mut sizes = SIZES;
            if cx.factory.all.len() == 2 {
                sizes.reverse();
            }
            let data = pattern(SIZES.iter().sum());
            let mut rest = data;
            for size in sizes {
                let (piece, more) = rest.split_at(size);
                cx.transport.write(piece);
                rest = more;
            }
            cx.transport.lose_connection();
        }
    });
    for _ in 0..2 {
        assert!(server.connect().rest() == pattern(SIZES.iter().sum()));
    }
    server.expect(&["0 made", "0 lost: done", "1 made", "1 lost: done"]);
}

pub(super) fn writes_from_other_callbacks_arrive_in_order(carrier: Carrier) {
    // Each connection writes what it receives to the first.
    let server = carrier.serve(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all[0].write(data);
        }
    });
    let mut first = server.connect();
    server.expect(&["0 made"]);
    let mut second = server.connect();
    server.expect(&["1 made"]);
    second.send("from the second");
    first.expect("from the second");
    let port = server.port.key();
    server.call(move |reactor| {
        let first = reactor.with_factory(port, |probes, _| probes.all[0].clone()).unwrap();
        first.write("from a call, ");
        first.write(pattern(100_000));
        reactor.call_later(Duration::ZERO, move |_| {
            first.write(", and from a timer");
            first.lose_connection();
        });
    });
    first.expect("from a call, ");
    first.expect(pattern(100_000));
    assert_eq!(first.rest(), b", and from a timer");
    server.expect(&["0 lost: done"]);
}

pub(super) fn a_broadcast_to_many_arrives_whole_at_each(carrier: Carrier) {
    const MEMBERS: usize = 100;
    let server = carrier.serve(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all.iter().for_each(|member| member.write(data));
        }
    });
    let mut members: Vec<_> = (0..MEMBERS).map(|_| server.connect()).collect();
    for number in 0..MEMBERS {
        server.expect(&[&format!("{number} made")]);
    }
    // More members than are flushed at once, and more lines before the first has arrived.
    let line = pattern(1000);
    for _ in 0..20 {
        members[0].send(line);
    }
    for member in &mut members {
        member.expect(line.repeat(20));
    }
    // One leaves in between, without effect on the others.
    members.remove(7).reset();
    members[0].send(line);
    for member in &mut members {
        member.expect(line);
    }
}

pub(super) fn a_busy_polling_loop_serves_like_any_other(carrier: Carrier) {
    let settings = Settings::default().busy_poll(Duration::from_micros(50));
    let server = carrier.serve_with(settings, |event, cx| match event {
        Event::Made => drop(cx.set_timer(Duration::from_millis(1))),
        // It also sleeps.
        Event::Timer => cx.transport.write("timer"),
        event => echo(event, cx),
    });
    let mut client = server.connect();
    client.expect("timer");
    for number in 0..100 {
        client.send(format!("ping {number}"));
        client.expect(format!("ping {number}"));
    }
    client.finish();
    client.expect_close();
    server.expect(&["0 made", "0 timer", "0 read lost", "0 lost: done"]);
}

pub(super) fn timers_end_with_their_connection(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if event == Event::Made {
            for hours in 10..13 {
                cx.set_timer(Duration::from_secs(3600 * hours));
            }
            match cx.factory.all.len() {
                1 => cx.transport.lose_connection(),
                2 => cx.transport.abort_connection(),
                _ => cx.transport.write("unread"),
            }
        }
    });
    server.connect().expect_close();
    server.expect(&["0 made", "0 lost: done"]);
    carrier.expect_abort(server.connect());
    server.expect(&["1 made", "1 lost: aborted"]);
    let client = server.connect();
    client.wait_for_bytes();
    client.reset();
    server.expect(&["2 made", "2 lost: ConnectionReset"]);
    // No timer is left.
    server
        .wait_until("no timer is left", |reactor: &mut Reactor| reactor.next_deadline().is_none());
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
            let (host, peer) = (cx.transport.local_address(), cx.transport.peer_address());
            cx.transport.write(format!("{host} {peer}\n"));
        }
    });
    let mut client = server.connect();
    let (host, peer) = (server.address.clone(), client.address());
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
    server.connect().expect("set");
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

pub(super) fn results_of_threads_are_sent(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(data) = event {
            let (data, transport) = (data.to_vec(), cx.transport.clone());
            let asked = std::thread::current().id();
            cx.reactor.defer_to_thread(
                move || data.to_ascii_uppercase(),
                move |_, answer| {
                    assert_eq!(std::thread::current().id(), asked);
                    transport.write(answer.unwrap());
                },
            );
        }
    });
    let mut clients = [server.connect(), server.connect()];
    for (client, question) in clients.iter_mut().zip(["one", "two"]) {
        client.send(question);
        client.expect(question.to_uppercase());
    }
}
