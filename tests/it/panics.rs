//! A panic in each callback, while other connections are served.

use crate::support::{Client, Cx, Event, Server, echo};
use std::time::Duration;
use twistor::system_event::{Phase, SystemEvent};

/// The first connection panics where the test says; the others echo.
fn check(act: fn(Event<'_>, &mut Cx<'_>), provoke: impl FnOnce(Client), end: &[&str]) {
    let server = Server::new(act);
    server.expect(&["started"]);
    let victim = server.connect();
    server.expect(&["0 made"]);
    let mut bystander = server.connect();
    bystander.send("before");
    bystander.expect("before");
    server.expect(&["1 made"]);
    provoke(victim);
    server.expect(end);
    bystander.send("after");
    bystander.expect("after");
    // The factory's count of open connections is correct.
    let port = server.port.key();
    let open = move |reactor: &mut twistor::Reactor| reactor.with_factory(port, |it, _| it.open);
    assert_eq!(server.call(open), Ok(1));
    assert!(server.call(|reactor| reactor.connection_count() == 1));
    let mut late = server.connect();
    late.send("late");
    late.expect("late");
    assert_eq!(server.stop().iter().filter(|entry| *entry == "stopped").count(), 1);
}

/// The list had one entry when the first connection was made.
fn is_first(cx: &Cx<'_>) -> bool {
    cx.factory.all[0] == *cx.transport
}

#[test]
fn in_connection_made() {
    let server = Server::new(|event, cx| {
        assert!(!(event == Event::Made && cx.factory.all.len() == 2), "made");
        echo(event, cx);
    });
    let mut bystander = server.connect();
    server.expect(&["started", "0 made"]);
    server.connect().expect_close();
    server.expect(&["1 made", "1 lost: panicked: made"]);
    bystander.send("after");
    bystander.expect("after");
    assert_eq!(server.stop(), ["0 lost: stopped", "stopped"]);
}

#[test]
fn in_data_received() {
    check(
        |event, cx| {
            if let (Event::Data(_), true) = (event, is_first(cx)) {
                cx.transport.write("last words");
                panic!("data");
            }
            echo(event, cx);
        },
        |mut victim| {
            victim.send("x");
            assert_eq!(victim.rest(), b"last words");
        },
        &["0 lost: panicked: data"],
    );
}

#[test]
fn in_timer_fired() {
    check(
        |event, cx| {
            if let (Event::Data(_), true) = (event, is_first(cx)) {
                cx.set_timer(Duration::from_millis(1));
            }
            assert!(event != Event::Timer, "timer");
            echo(event, cx);
        },
        |mut victim| {
            victim.send("x");
            assert_eq!(victim.rest(), b"x");
        },
        &["0 timer", "0 lost: panicked: timer"],
    );
}

#[test]
fn in_reading_resumed() {
    check(
        |event, cx| {
            if let (Event::Data(_), true) = (event, is_first(cx)) {
                cx.transport.pause_reading();
                cx.transport.resume_reading();
            }
            assert!(event != Event::Resumed, "resumed");
            echo(event, cx);
        },
        |mut victim| {
            victim.send("x");
            assert_eq!(victim.rest(), b"x");
        },
        &["0 resumed", "0 lost: panicked: resumed"],
    );
}

#[test]
fn in_read_connection_lost() {
    check(
        |event, cx| {
            assert!(!(event == Event::ReadLost && is_first(cx)), "read lost");
            echo(event, cx);
        },
        |victim| {
            victim.finish();
            victim.expect_close();
        },
        &["0 read lost", "0 lost: panicked: read lost"],
    );
}

#[test]
fn in_write_connection_lost() {
    check(
        |event, cx| {
            if let (Event::Data(_), true) = (event, is_first(cx)) {
                cx.transport.lose_write_connection();
            }
            assert!(event != Event::WriteLost, "write lost");
            echo(event, cx);
        },
        |mut victim| {
            victim.send("x");
            victim.expect_close();
        },
        &["0 write lost", "0 lost: panicked: write lost"],
    );
}

#[test]
fn in_connection_lost() {
    check(
        |event, cx| {
            assert!(!(event == Event::Lost && is_first(cx)), "lost");
            echo(event, cx);
        },
        |victim| {
            victim.finish();
            victim.expect_close();
        },
        &["0 read lost", "0 lost: done"],
    );
}

#[test]
fn after_an_abort_the_panic_is_the_reason() {
    check(
        |event, cx| {
            if let (Event::Data(_), true) = (event, is_first(cx)) {
                cx.transport.abort_connection();
                panic!("and more");
            }
            echo(event, cx);
        },
        |mut victim| {
            victim.send("x");
            victim.expect_close();
        },
        &["0 lost: panicked: and more"],
    );
}

#[test]
fn in_timers_calls_and_triggers() {
    let server = Server::new(echo);
    let (fired_in, fired) = std::sync::mpsc::channel();
    let last = fired_in.clone();
    server.call(move |reactor| {
        reactor.call_later(Duration::ZERO, |_| panic!("in a timer"));
        reactor.call_later(Duration::ZERO, move |_| fired_in.send("timer").unwrap());
        reactor.call_when_running(|_| panic!("when running"));
        let before = |_: &mut twistor::Reactor| panic!("in a trigger");
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, before);
        let after = move |_: &mut twistor::Reactor| last.send("after").unwrap();
        reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, after);
    });
    server.remote.call_from_thread(|_| panic!("in a call")).unwrap();
    assert_eq!(fired.recv(), Ok("timer"));
    let mut client = server.connect();
    client.send("x");
    client.expect("x");
    assert_eq!(server.stop(), ["started", "0 made", "0 lost: stopped", "stopped"]);
    assert_eq!(fired.recv(), Ok("after"));
}

struct Brittle(std::sync::mpsc::Sender<&'static str>);

impl twistor::Factory for Brittle {
    type Protocol = Calm;

    fn build_protocol(&mut self, _: &twistor::Transport, _: &mut twistor::Reactor) -> Option<Calm> {
        Some(Calm)
    }

    fn stop_factory(&mut self, _: &mut twistor::Reactor) {
        self.0.send("stopping").unwrap();
        panic!("in stop_factory");
    }
}

struct Calm;

impl<F> twistor::Protocol<F> for Calm {}

#[test]
fn in_stop_factory() {
    let server = Server::new(echo);
    let (said_in, said) = std::sync::mpsc::channel();
    server.call(move |reactor| {
        let port = reactor.listen("tcp:0:interface=127.0.0.1", Brittle(said_in)).unwrap();
        assert!(reactor.stop_listening(&port));
    });
    assert_eq!(said.recv(), Ok("stopping"));
    let mut client = server.connect();
    client.send("x");
    client.expect("x");
    assert_eq!(server.stop(), ["started", "0 made", "0 lost: stopped", "stopped"]);
    assert!(said.recv().is_err(), "stopped once, and dropped");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("when dropped");
    }
}

#[test]
fn in_drops_of_user_values() {
    let server = Server::new(echo);
    server.call(|reactor| {
        let bomb = Bomb;
        let timer = reactor.call_later(Duration::from_secs(3600), move |_| drop(bomb));
        assert!(reactor.cancel(timer));
        let bomb = Bomb;
        reactor.call_later(Duration::from_secs(3600), move |_| drop(bomb));
    });
    let mut client = server.connect();
    client.send("x");
    client.expect("x");
    assert_eq!(server.stop(), ["started", "0 made", "0 lost: stopped", "stopped"]);
}
