//! Overload: many clients with bad intentions.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use twistor::limits::{OverflowPolicy, TimeoutKind, Timeouts};
use twistor::testing::{Conditions, End, Simulation};
use twistor::{
    Context, Factory, LineContext, LineReceiver, Lines, Protocol, Reactor, Reason, Settings,
    Transport, broadcast,
};

/// Counts its connections, and sends back what it receives.
#[derive(Default)]
struct Counting {
    open: usize,
    made: usize,
    reasons: Vec<Reason>,
}

struct Counted;

impl Protocol<Counting> for Counted {
    fn connection_made(&mut self, cx: &mut Context<'_, Counting>) {
        cx.factory.open += 1;
        cx.factory.made += 1;
    }

    fn data_received(&mut self, cx: &mut Context<'_, Counting>, data: &[u8]) {
        cx.transport.write(data);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Counting>, reason: &Reason) {
        cx.factory.open -= 1;
        cx.factory.reasons.push(reason.clone());
    }
}

impl Factory for Counting {
    type Protocol = Counted;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Counted> {
        Some(Counted)
    }
}

fn reset(socket: TcpStream) {
    let linger = Some(Duration::ZERO);
    socket2::SockRef::from(&socket).set_linger(linger).unwrap();
}

/// In batches that fit the limit of descriptors: each connection needs two, the client's and the
/// server's.
#[test]
fn ten_thousand_connections_opened_and_reset_at_once_leave_nothing() {
    const BATCH: usize = 200;
    let mut reactor = Reactor::with_settings(Settings::default().handle_signals(false)).unwrap();
    let port = reactor.listen_tcp((Ipv4Addr::LOCALHOST, 0), Counting::default()).unwrap();
    let address = port.local_address().socket_addr().unwrap();
    static ENDED: AtomicBool = AtomicBool::new(false);
    let clients = std::thread::spawn(move || {
        for batch in 0..10_000 / BATCH {
            let sockets: Vec<TcpStream> =
                (0..BATCH).map(|_| TcpStream::connect(address).unwrap()).collect();
            for (number, mut socket) in sockets.into_iter().enumerate() {
                if (batch + number) % 2 == 0 {
                    let _ = std::io::Write::write_all(&mut socket, b"hello");
                }
                reset(socket);
            }
        }
        ENDED.store(true, Ordering::SeqCst);
    });
    let is_over = |reactor: &mut Reactor| {
        let made = reactor.with_factory(&port, |counting, _| counting.made).unwrap();
        ENDED.load(Ordering::SeqCst) && made == 10_000 && reactor.connection_count() == 0
    };
    let start = std::time::Instant::now();
    while !is_over(&mut reactor) {
        assert!(reactor.turn(Some(Duration::from_millis(10))).unwrap().is_continue());
        assert!(start.elapsed() < Duration::from_secs(60), "{reactor:?}");
    }
    clients.join().unwrap();
    let (open, lost) = reactor.with_factory(&port, |it, _| (it.open, it.reasons.len())).unwrap();
    assert_eq!((open, lost), (0, 10_000));
}

#[test]
fn a_shortage_of_descriptors_keeps_no_client_out_for_ever() {
    let simulation = Simulation::new(7);
    simulation.set_conditions(Conditions::rough());
    let server = simulation.host("server", |reactor| {
        reactor.listen_tcp(8007, Counting::default())?;
        Ok(())
    });
    let old = simulation.peer("old", server.address(8007));
    simulation.run_for(Duration::from_secs(1));
    simulation.inject("exhaust-fds server 5s".parse().unwrap());
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(simulation.peer("crowd", server.address(8007)));
        simulation.run_for(Duration::from_millis(200));
    }
    // Established connections are served meanwhile.
    old.send("hello");
    simulation.run_for(Duration::from_secs(5));
    assert_eq!(old.received(), b"hello");
    let closed = clients.iter().filter(|it| it.close_kind() == Some(End::Closed)).count();
    let served = clients.iter().filter(|it| it.transport().is_some()).count();
    assert_eq!(closed + served, 50, "every client was served, or saw a close");
    assert!(closed > 0 && served > 0, "{closed} {served}");
    clients.clear();
    drop(old);
    simulation.run_for(Duration::from_secs(60));
    let left = server.open_resources();
    assert_eq!((left.connections, left.timers, simulation.connections()), (0, 0, 0));
}

/// A protocol whose handshake is a line.
struct Greeter;

impl LineReceiver<Greeters> for Greeter {
    fn line_received(&mut self, cx: &mut LineContext<'_, Greeters>, _line: &[u8]) {
        cx.transport.handshake_done();
        cx.send_line("welcome");
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Greeters>, reason: &Reason) {
        let slow =
            matches!(reason, Reason::TimedOut(TimeoutKind::Handshake | TimeoutKind::MinRate));
        cx.factory.timed_out += usize::from(slow);
    }
}

#[derive(Default)]
struct Greeters {
    timed_out: usize,
}

impl Factory for Greeters {
    type Protocol = Lines<Greeter>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Greeter>> {
        Some(Lines::new(Greeter))
    }
}

/// A thousand clients send a byte every three seconds, and one sends a whole line.
#[test]
fn clients_that_send_a_byte_at_a_time_do_not_accumulate() {
    const COUNT: usize = 1000;
    let simulation = Simulation::new(1);
    let port = std::rc::Rc::new(std::cell::OnceCell::new());
    let opened = std::rc::Rc::clone(&port);
    let server = simulation.host("server", move |reactor| {
        let port = reactor.listen_tcp(8007, Greeters::default())?;
        let timeouts = Timeouts::new().handshake(Duration::from_secs(30));
        reactor.set_timeouts(&port, timeouts.idle(Duration::from_secs(3600)));
        let _ = opened.set(port);
        Ok(())
    });
    let good = simulation.peer("good", server.address(8007));
    let slow: Vec<_> = (0..COUNT).map(|_| simulation.peer("bad", server.address(8007))).collect();
    good.send("hello\r\n");
    for _ in 0..11 {
        slow.iter().for_each(|peer| peer.send("x"));
        simulation.run_for(Duration::from_secs(3));
    }
    assert_eq!(good.received(), b"welcome\r\n");
    assert!(slow.iter().all(|peer| peer.close_kind().is_some()));
    let timed_out = server.reactor(|reactor| {
        reactor.with_factory(port.get().unwrap(), |greeters, _| greeters.timed_out)
    });
    assert_eq!((timed_out, server.open()), (Ok(COUNT), 1));
    // One timer for each, and none left except that of the good client.
    simulation.run_for(Duration::from_secs(60));
    assert_eq!((server.open_resources().timers, server.open_resources().connections), (1, 1));
}

/// Broadcasts what the first member sends.
#[derive(Default)]
struct Room {
    members: Vec<Transport>,
}

struct Member;

impl Protocol<Room> for Member {
    fn connection_made(&mut self, cx: &mut Context<'_, Room>) {
        cx.transport.set_max_unsent(LAGGARD_MAX, OverflowPolicy::Close);
        cx.factory.members.push(cx.transport.clone());
    }

    fn data_received(&mut self, cx: &mut Context<'_, Room>, data: &[u8]) {
        broadcast(&cx.factory.members, [data, &[b'.'; PICTURE]].concat());
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Room>, reason: &Reason) {
        match reason {
            Reason::Overflow => cx.factory.members.retain(|member| member != cx.transport),
            // At the end, when the clients go. No broadcast follows.
            _ => assert!(matches!(reason, Reason::Done), "{reason}"),
        }
    }
}

impl Factory for Room {
    type Protocol = Member;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Member> {
        Some(Member)
    }
}

const LAGGARD_MAX: usize = 100_000;
const PICTURE: usize = 20_000;

/// A hundred of ten thousand members never read.
#[test]
fn a_broadcast_closes_slow_consumers_and_reaches_all_others() {
    const MEMBERS: usize = 10_000;
    const LAGGARDS: usize = 100;
    const ROUNDS: usize = 10;
    let simulation = Simulation::new(3);
    let buffer = 32_000;
    simulation.set_conditions(Conditions::ideal().send_buffer(buffer).receive_buffer(buffer));
    // All that the laggards may have unsent, and what a round leaves for a moment.
    let settings = Settings::default().max_unsent_total(4 * LAGGARDS * LAGGARD_MAX);
    let server = simulation.host_with("server", settings, |reactor| {
        reactor.listen_tcp(8007, Room::default())?;
        Ok(())
    });
    let address: SocketAddr = server.address(8007);
    let talker = simulation.peer("talker", address);
    let laggards: Vec<_> = (0..LAGGARDS).map(|_| simulation.late_reader("lazy", address)).collect();
    let others: Vec<_> =
        (LAGGARDS + 1..MEMBERS).map(|_| simulation.peer("others", address)).collect();
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(server.open(), MEMBERS);
    for round in 0..ROUNDS {
        talker.send([round as u8]);
        simulation.run_for(Duration::from_secs(1));
        let expected: Vec<u8> = [&[round as u8][..], &[b'.'; PICTURE]].concat();
        assert!(others.iter().all(|peer| peer.take_received() == expected), "in round {round}");
        assert!(talker.take_received() == expected);
    }
    assert_eq!(server.open(), MEMBERS - LAGGARDS);
    assert!(laggards.iter().all(|peer| peer.close_kind() != Some(End::Closed)));
}
