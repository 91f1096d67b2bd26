//! Ports, and the errors of accepting.

use super::*;
use crate::driver::scripted::Closed;
use crate::error::ListenError;
use std::io;

#[test]
fn out_of_descriptors_a_port_sheds_clients_backs_off_and_recovers() {
    let mut fixture = Fixture::new(quiet);
    fixture.turn();
    // EMFILE, ENFILE, ENOMEM, ENOBUFS.
    let no_buffers = if cfg!(target_os = "linux") { 105 } else { 55 };
    for (number, errno) in [24, 23, 12, no_buffers].into_iter().enumerate() {
        fixture.script.fail_accept(io::Error::from_raw_os_error(errno));
        let waiting = [fixture.script.connect(), fixture.script.connect()];
        fixture.turn();
        assert_eq!(turned_away(&fixture), 2 * (number as u64 + 1));
        assert_eq!(fixture.script.refills(), number + 1, "the reserve is there for the next time");
        assert!(waiting.iter().all(|peer| peer.closed() == Closed::InOrder));
        let _late = fixture.script.connect();
        // It does not spin: nothing is due before the delay is over, though a client waits.
        for _ in 0..5 {
            fixture.turn();
        }
        fixture.log.expect(&[]);
        let now = fixture.reactor.now();
        assert_eq!(fixture.reactor.next_deadline(), Some(now + Duration::from_millis(100)));
        fixture.script.advance(Duration::from_millis(100));
        fixture.turn();
        fixture.log.expect(&[&format!("{number} made")]);
    }
}

fn turned_away(fixture: &Fixture) -> u64 {
    fixture.reactor.rejections(&fixture.port).unwrap().exhausted
}

/// Sends "goodbye" and closes when data comes.
fn goodbye(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    on_data(event, || {
        cx.transport.write("goodbye");
        cx.transport.lose_connection();
    });
}

#[test]
fn out_of_descriptors_without_waiting_clients_nothing_is_closed_and_no_port_backs_off() {
    let mut fixture = Fixture::new(goodbye);
    let talker = fixture.connect();
    talker.send("hello");
    fixture.settle();
    // The last client has taken the last descriptor, and Linux says so to the accept after it.
    let last = fixture.script.connect();
    fixture.script.fail_accept(io::Error::from_raw_os_error(24));
    fixture.turn();
    assert_eq!(fixture.log.count("1 made"), 1);
    assert_eq!(
        (talker.closed(), last.closed()),
        (Closed::No, Closed::No),
        "the last bytes are safe"
    );
    assert_eq!((turned_away(&fixture), fixture.reactor.timers.len()), (0, 1));
    // The next client is accepted without a delay.
    fixture.connect();
    assert_eq!(fixture.log.count("2 made"), 1);
}

#[test]
fn out_of_descriptors_lingering_connections_are_closed_first() {
    let mut fixture = Fixture::new(goodbye);
    let talker = fixture.connect();
    talker.send("hello");
    fixture.settle();
    assert_eq!(talker.closed(), Closed::No);
    fixture.script.fail_accept(io::Error::from_raw_os_error(24));
    fixture.connect();
    assert_eq!(talker.closed(), Closed::InOrder);
    assert_eq!((turned_away(&fixture), fixture.script.refills()), (0, 1));
    assert_eq!((fixture.log.count("1 made"), fixture.reactor.timers.len()), (1, 0));
}

#[test]
fn a_client_that_is_gone_does_not_block_the_next() {
    let mut fixture = Fixture::new(quiet);
    for kind in [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::Interrupted,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::Other,
    ] {
        fixture.script.fail_accept(kind.into());
    }
    fixture.connect();
    fixture.log.expect(&["0 made"]);
    assert_eq!(turned_away(&fixture), 0);
}

#[test]
fn a_port_that_cannot_accept_backs_off_and_rejects_no_client() {
    let mut fixture = Fixture::new(quiet);
    for _ in 0..70 {
        fixture.script.fail_accept(io::ErrorKind::PermissionDenied.into());
    }
    fixture.connect();
    fixture.log.expect(&[]);
    assert_eq!(turned_away(&fixture), 0);
    let now = fixture.reactor.now();
    assert_eq!(fixture.reactor.next_deadline(), Some(now + Duration::from_millis(100)));
    fixture.script.advance(Duration::from_millis(100));
    fixture.turn();
    fixture.log.expect(&["0 made"]);
}

#[test]
fn a_client_aborted_while_it_is_rejected_is_reset() {
    struct Rude;
    impl Factory for Rude {
        type Protocol = Silent;
        fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Silent> {
            transport.abort_connection();
            None
        }
    }
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    reactor.listen_tcp(8007, Rude).unwrap();
    let peer = script.connect();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    assert_eq!(peer.closed(), Closed::Reset);
}

#[test]
fn a_client_that_its_factory_rejects_gets_the_message_before_the_end() {
    struct Full(usize);
    impl Factory for Full {
        type Protocol = Silent;
        fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Silent> {
            transport.write(vec![b'x'; self.0]);
            None
        }
    }
    // A long message is sent at once, and a short one when the factory has returned.
    for len in [1, 100_000] {
        let script = Script::new();
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        reactor.listen_tcp(8007, Full(len)).unwrap();
        let peer = script.connect();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        assert_eq!((peer.received().len(), peer.closed()), (len, Closed::No));
        // Bytes that are received by a closed socket would reset the connection.
        peer.send("hello");
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        peer.close();
        assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
        assert_eq!((peer.unread(), peer.closed()), (0, Closed::InOrder));
        assert_eq!(reactor.lingerers.len(), 0);
    }
}

#[test]
fn when_every_client_is_gone_the_port_backs_off_and_does_not_spin() {
    let mut fixture = Fixture::new(quiet);
    let gone = |count: usize| {
        for _ in 0..count {
            fixture.script.fail_accept(io::ErrorKind::NetworkDown.into());
        }
    };
    // Many, but not in a row.
    gone(60);
    let _first = fixture.script.connect();
    gone(60);
    let _second = fixture.script.connect();
    gone(65);
    fixture.turn();
    fixture.log.expect(&["0 made", "1 made"]);
    assert_eq!((turned_away(&fixture), fixture.reactor.timers.len()), (0, 1));
}

#[test]
fn a_flood_of_clients_leaves_time_for_established_connections() {
    let mut fixture = Fixture::new(echo);
    let first = fixture.connect();
    let _flood: Vec<Peer> = (0..1000).map(|_| fixture.script.connect()).collect();
    first.send("hello");
    fixture.turn();
    assert_eq!(first.received(), b"hello");
    assert_eq!(fixture.reactor.connection_count(), 257);
    for _ in 0..3 {
        fixture.turn();
    }
    assert_eq!(fixture.reactor.connection_count(), 1001);
}

struct Silent;

impl<F> Protocol<F> for Silent {}

/// A factory that refuses, closes its own port, or panics, as the test says.
struct Fickle {
    port: Rc<RefCell<Option<ListeningPort<Self>>>>,
    built: usize,
    log: Log,
}

impl Factory for Fickle {
    type Protocol = Box<dyn Protocol<Self>>;

    fn build_protocol(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Option<Self::Protocol> {
        self.built += 1;
        match self.built {
            1 => {
                transport.write("full\r\n");
                None
            }
            2 => panic!("on purpose"),
            3 => {
                reactor.stop_listening(self.port.borrow().clone().unwrap());
                Some(Box::new(Silent))
            }
            _ => unreachable!("the port is closed"),
        }
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stopped");
    }
}

#[test]
fn a_factory_may_refuse_panic_and_close_its_own_port_while_building() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let own = Rc::new(RefCell::new(None));
    let fickle = Fickle { port: Rc::clone(&own), built: 0, log: log.clone() };
    let port = reactor.listen_tcp(8007, fickle).unwrap();
    *own.borrow_mut() = Some(port.clone());
    let peers: Vec<Peer> = (0..5).map(|_| script.connect()).collect();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    assert_eq!(peers[0].received(), b"full\r\n");
    assert_eq!(reactor.connection_count(), 1);
    log.expect(&["stopped"]);
    assert!(!reactor.stop_listening(&port));
    assert_eq!(reactor.with_factory(&port, |fickle: &mut Fickle, _| fickle.built), Ok(3));
}

/// A factory that logs its starts and stops, and fails to start if the test says so.
struct Counting {
    log: Log,
    starts: bool,
}

impl Factory for Counting {
    type Protocol = Silent;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Silent> {
        None
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.log.push("start");
        if self.starts { Ok(()) } else { Err(io::Error::other("no")) }
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stop");
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.log.push("dropped");
    }
}

#[test]
fn a_factory_starts_with_its_first_port_and_stops_with_its_last() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let counting = Counting { log: log.clone(), starts: true };
    let first = reactor.listen_tcp(8007, counting).unwrap();
    let second = reactor.listen_tcp(8008, &first).unwrap();
    let third = reactor.listen_tcp(8009, first.key()).unwrap();
    log.expect(&["start"]);
    reactor.stop_listening(&first);
    reactor.stop_listening(&third);
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    log.expect(&[]);
    reactor.stop_listening(&second);
    log.expect(&[]);
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    log.expect(&["stop", "dropped"]);
    assert!(matches!(reactor.listen_tcp(8010, &first), Err(ListenError::NoFactory { .. })));
    assert!(reactor.with_factory(&first, |_, _| ()).is_err());
}

#[test]
fn a_reactor_that_never_ran_stops_its_factories() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    reactor.listen_tcp(8007, Counting { log: log.clone(), starts: true }).unwrap();
    drop(reactor);
    log.expect(&["start", "stop", "dropped"]);
}

#[test]
fn a_port_moved_within_one_turn_does_not_restart_its_factory() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let counting = Counting { log: log.clone(), starts: true };
    let first = reactor.listen_tcp(8007, counting).unwrap();
    reactor.stop_listening(&first);
    reactor.listen_tcp(8008, &first).unwrap();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    log.expect(&["start"]);
}

#[test]
fn a_listen_that_fails_leaves_nothing_behind() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let counting = |starts| Counting { log: log.clone(), starts };
    // The scripted driver refuses port 1.
    let rejected = reactor.listen_tcp(1, counting(true)).unwrap_err();
    assert!(matches!(rejected, ListenError::Bind { .. }), "{rejected}");
    log.expect(&["dropped"]);
    let unstarted = reactor.listen_tcp(8007, counting(false)).unwrap_err();
    assert_eq!(
        unstarted.to_string(),
        "cannot listen on 0.0.0.0:8007: the factory did not start: no"
    );
    log.expect(&["start", "dropped"]);
    assert_eq!((reactor.ports.len(), reactor.factories.len()), (0, 0));
}

#[test]
fn a_factory_is_stopped_when_all_its_connections_are_lost() {
    let mut fixture = Fixture::new(quiet);
    for _ in 0..3 {
        fixture.connect();
    }
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    let log = fixture.log.0.borrow().clone();
    assert_eq!(log.last().map(String::as_str), Some("stopped"));
    assert_eq!(log.iter().filter(|entry| entry.contains("lost")).count(), 3);
}

#[test]
fn a_failed_listen_after_closing_the_last_port_still_stops_the_factory() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let counting = Counting { log: log.clone(), starts: true };
    let port = reactor.listen_tcp(8007, counting).unwrap();
    reactor
        .with_factory(&port, |_, reactor| {
            reactor.stop_listening(&port);
            // The scripted driver refuses port 1.
            assert!(reactor.listen_tcp(1, &port).is_err());
        })
        .unwrap();
    log.expect(&["start"]);
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    log.expect(&["stop", "dropped"]);
}

#[test]
fn keys_of_another_reactor_reach_nothing() {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let mut other = Reactor::with_driver(Script::new().driver(), Settings::default());
    let counting = Counting { log: log.clone(), starts: true };
    let port = reactor.listen_tcp(8007, counting).unwrap();
    other.listen_tcp(8007, || Silent).unwrap();
    assert!(matches!(other.listen_tcp(8008, &port), Err(ListenError::NoFactory { .. })));
    assert!(other.with_factory(&port, |_, _| ()).is_err());
    assert!(!other.stop_listening(&port));
    assert!(reactor.stop_listening(&port));
}

#[test]
fn a_connection_of_another_factory_is_not_reached() {
    let mut fixture = Fixture::new(quiet);
    fixture.connect();
    let first = fixture.transport(0).id();
    let other = fixture.reactor.listen_tcp(8008, || Silent).unwrap();
    assert!(fixture.reactor.stop_listening(&fixture.port));
    fixture.connect();
    assert_eq!(fixture.reactor.connection_count(), 2);
    assert!(fixture.reactor.with_protocol(&other, first, |_, _| ()).is_err());
    assert!(fixture.reactor.with_protocol(&fixture.port, first, |_, _| ()).is_ok());
}

/// A factory that tries to run the reactor that starts it.
struct Eager;

impl Factory for Eager {
    type Protocol = Silent;

    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        assert!(matches!(reactor.run(), Err(crate::error::RunError::AlreadyRunning)));
        assert!(matches!(reactor.turn(None), Err(crate::error::RunError::AlreadyRunning)));
        Ok(())
    }

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Silent> {
        None
    }
}

#[test]
fn a_factory_cannot_run_the_reactor_that_starts_it() {
    let mut reactor = Reactor::with_driver(Script::new().driver(), Settings::default());
    reactor.listen_tcp(8007, Eager).unwrap();
}

#[test]
fn nothing_new_begins_during_shutdown() {
    let mut fixture = Fixture::new(|event, cx| {
        if event == Event::Lost {
            let rejected = cx.reactor.listen_tcp(8010, || Silent).unwrap_err();
            assert!(matches!(rejected, ListenError::Stopping { .. }));
            cx.reactor.call_later(Duration::ZERO, |_| unreachable!());
        }
    });
    fixture.connect();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(None).unwrap().is_break());
    fixture.expect_empty();
    assert_eq!(fixture.reactor.factories.len(), 0);
}
