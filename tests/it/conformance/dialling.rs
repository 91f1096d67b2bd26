//! Outgoing connections.

use super::{Carrier, pattern};
use crate::support::{Cx, Event, Server, echo};
#[cfg(unix)]
use socket2::{Domain, SockAddr, Type};
use std::net::{SocketAddr, TcpListener};
use twistor::{Address, UnixAddress};

const LENGTH: usize = 300_000;

/// Checks the bytes, and notes their number at the end.
fn listen(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Data(data) => {
            let end = cx.factory.received;
            assert!(data == &pattern(LENGTH)[end - data.len()..end]);
        }
        Event::Lost => cx.factory.note(format!("{} bytes", cx.factory.received)),
        _ => {}
    }
}

pub(super) fn writes_before_the_connection_arrive_and_are_answered(carrier: Carrier) {
    let server = carrier.serve(echo);
    let dialled = server.dial(server.address.clone(), listen, |transport| {
        transport.write(pattern(LENGTH));
        transport.lose_write_connection();
    });
    let bytes = format!("{LENGTH} bytes");
    let expected =
        ["started", "0 made", "0 write lost", "0 read lost", "0 lost: done", &bytes, "stopped"];
    server.expect_of(&dialled, &expected);
    server.expect(&["0 made", "0 read lost", "0 lost: done"]);
}

/// Returns an address of the same host at which no server listens.
fn unused_address(carrier: Carrier, server: &Server) -> Address {
    match (carrier, &server.address) {
        (
            Carrier::Tcp4 | Carrier::Tcp6 | Carrier::Named | Carrier::TcpRecords | Carrier::Tls,
            Address::Tcp(address),
        ) => {
            let listener = TcpListener::bind((address.ip(), 0)).unwrap();
            listener.local_addr().unwrap().into()
        }
        (_, Address::Tcp(address)) => SocketAddr::new(address.ip(), address.port() + 1).into(),
        (Carrier::RoughUnix(_) | Carrier::Faulted { over_unix: true, .. }, _) => {
            Address::Unix(UnixAddress::abstract_name("nobody"))
        }
        #[cfg(unix)]
        (_, Address::Unix(address)) => {
            // A socket that is bound, and does not listen.
            let path = address.as_path().unwrap().with_extension("stale");
            let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
            Address::Unix(path.as_path().into())
        }
        (_, other) => panic!("{other} has no neighbour"),
    }
}

pub(super) fn a_refused_attempt_is_reported_and_stops_the_factory(carrier: Carrier) {
    let server = carrier.serve(echo);
    let to = unused_address(carrier, &server);
    let dialled = server.dial(to, listen, |transport| transport.write("hello"));
    server.expect_of(&dialled, &["started", "failed: ConnectionRefused", "stopped"]);
    assert!(server.call(|reactor| reactor.connection_count() == 0));
}

pub(super) fn an_attempt_is_cancelled_at_once(carrier: Carrier) {
    let server = carrier.serve(echo);
    for give_up in [twistor::Transport::abort_connection, twistor::Transport::lose_connection] {
        let dialled = server.dial(server.address.clone(), listen, give_up);
        server.expect_of(&dialled, &["started", "failed: ConnectionAborted", "stopped"]);
    }
    server.wait_until("nothing is left", |reactor| reactor.connection_count() == 0);
}

pub(super) fn writes_before_a_graceful_close_are_delivered(carrier: Carrier) {
    let server = carrier.serve(|event, cx| match event {
        Event::ReadLost => cx.transport.lose_connection(),
        _ => listen(event, cx),
    });
    let dialled = server.dial(server.address.clone(), listen, |transport| {
        transport.write(pattern(LENGTH));
        transport.lose_connection();
    });
    server.expect_of(&dialled, &["started", "0 made", "0 lost: done", "0 bytes", "stopped"]);
    let bytes = format!("{LENGTH} bytes");
    server.expect(&["0 made", "0 read lost", "0 lost: done", &bytes]);
}

pub(super) fn a_reset_by_the_other_side_is_reported_with_its_error(carrier: Carrier) {
    let server = carrier.serve(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.abort_connection();
        }
    });
    // More than is read at once: a Unix socket tells the other side only of unread bytes.
    let much = |transport: &twistor::Transport| transport.write(pattern(100_000));
    let dialled = server.dial(server.address.clone(), listen, much);
    let expected = ["started", "0 made", "0 lost: ConnectionReset", "0 bytes", "stopped"];
    server.expect_of(&dialled, &expected);
}

pub(super) fn many_simultaneous_attempts_are_all_served(carrier: Carrier) {
    let server = carrier.serve(echo);
    let dialled: Vec<_> = (0..50)
        .map(|_| {
            server.dial(server.address.clone(), listen, |transport| {
                transport.write(pattern(1000));
                transport.lose_write_connection();
            })
        })
        .collect();
    for dialled in &dialled {
        server.expect_of(dialled, &["started", "0 made", "0 write lost", "0 read lost"]);
        server.expect_of(dialled, &["0 lost: done", "1000 bytes", "stopped"]);
    }
    server.wait_until("nothing is left", |reactor| reactor.connection_count() == 0);
}

/// Far more than the system's buffers hold.
const MUCH: usize = 10_000_000;

/// Far more than the buffers of a simulated network hold.
const MUCH_SIMULATED: usize = 1_000_000;

/// Sends everything in the first callback, and closes its half; notes when as much has come.
fn send_first<const COUNT: usize>(event: Event<'_>, cx: &mut Cx<'_>) {
    match event {
        Event::Made => {
            cx.transport.write(pattern(COUNT));
            cx.transport.lose_write_connection();
        }
        Event::Data(data) => {
            let begin = cx.factory.received - data.len();
            assert!(data == &pattern(cx.factory.received)[begin..]);
        }
        Event::Lost => cx.factory.note(format!("{} bytes", cx.factory.received)),
        _ => {}
    }
}

pub(super) fn both_sides_may_send_everything_before_they_read(carrier: Carrier) {
    let (count, act): (usize, fn(Event<'_>, &mut Cx<'_>)) = match carrier.is_simulated() {
        true => (MUCH_SIMULATED, send_first::<MUCH_SIMULATED>),
        false => (MUCH, send_first::<MUCH>),
    };
    let server = carrier.serve(act);
    let dialled = server.dial(server.address.clone(), act, |_| {});
    server.expect(&["0 made"]);
    server.wait_until("both are done", |reactor| reactor.connection_count() == 0);
    for log in [server.stop(), dialled.try_iter().collect()] {
        let [.., lost, bytes, stopped] = &log[..] else { panic!("{log:?}") };
        let expected = format!("{count} bytes");
        assert_eq!([&**lost, bytes, stopped], ["0 lost: done", &expected, "stopped"]);
    }
}
