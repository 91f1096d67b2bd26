//! Panics in callbacks, factories and closures fail a test.

use super::*;
use crate::system_event::{Phase, SystemEvent};
use crate::{Factory, Reactor, TimerId, Transport};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Panics where its client says, and where its factory is told to.
struct Fragile;

#[derive(Clone, Copy)]
struct Fragiles {
    breaks_in: &'static str,
}

impl Fragiles {
    fn reach(&self, place: &str) {
        assert!(self.breaks_in != place, "here");
    }
}

impl Protocol<Fragiles> for Fragile {
    fn connection_made(&mut self, cx: &mut Context<'_, Fragiles>) {
        cx.factory.reach("connection_made");
    }

    fn data_received(&mut self, cx: &mut Context<'_, Fragiles>, data: &[u8]) {
        match data {
            b"timer" => drop(cx.set_timer(s(1))),
            b"later" => drop(cx.reactor.call_later(s(1), |_| panic!("here"))),
            b"close" => cx.transport.lose_connection(),
            _ => panic!("here"),
        }
    }

    fn timer_fired(&mut self, _: &mut Context<'_, Fragiles>, _: TimerId) {
        panic!("here");
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Fragiles>, _: &Reason) {
        cx.factory.reach("connection_lost");
    }
}

impl Factory for Fragiles {
    type Protocol = Fragile;

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.reach("start_factory");
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.reach("stop_factory");
    }

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Fragile> {
        self.reach("build_protocol");
        Some(Fragile)
    }

    fn connection_failed(&mut self, _: &Transport, _: &io::Error, _: &mut Reactor) {
        self.reach("connection_failed");
    }
}

const HINT: &str = "\n\n(a test that expects panics calls allow_panics before)";

/// Asserts that `test` panics with this message, below which the hint stands.
#[track_caller]
fn fails(message: &str, test: impl FnOnce()) {
    let failure = catch_unwind(AssertUnwindSafe(test)).expect_err("the test is green");
    assert_eq!(*failure.downcast::<String>().unwrap(), format!("{message}{HINT}"));
}

fn fragile(breaks_in: &'static str) -> Server<Fragiles> {
    Server::new(Fragiles { breaks_in })
}

#[test]
fn a_panic_in_a_callback_fails_the_call_that_lets_it_happen() {
    let peer = fragile("").connect();
    let of = format!("Fragile of {} panicked in", peer.address());
    fails(&format!("{of} data_received (host server): here"), || peer.send("now"));
    drop(peer);

    fails("Fragile of 10.0.0.2:49152 panicked in connection_made (host server): here", || {
        drop(fragile("connection_made").connect())
    });

    let peer = fragile("").connect();
    peer.send("timer");
    peer.advance(ms(999));
    fails(&format!("{of} timer_fired (host server): here"), || peer.advance(ms(1)));

    let server = fragile("connection_lost");
    let peer = server.connect();
    fails(&format!("{of} connection_lost (host server): here"), || peer.send("close"));
    let peer = server.connect();
    let second = peer.address();
    fails(&format!("Fragile of {second} panicked in connection_lost (host server): here"), || {
        drop(peer)
    });
}

#[test]
fn a_panic_in_a_factory_or_a_closure_fails_the_test() {
    fails(
        "10.0.0.2:49152 rejected: build_protocol of Fragile panicked (host server): here",
        || drop(fragile("build_protocol").connect()),
    );
    let server = fragile("stop_factory");
    fails("stop_factory of Fragile panicked (host server): here", || server.stop());

    let server = fragile("");
    let peer = server.connect();
    peer.send("later");
    fails("a delayed call panicked (host server): here", || server.advance(s(1)));
    let remote = server.reactor(|reactor| reactor.remote());
    remote.call_from_thread(|_| panic!("there")).unwrap();
    fails("a call from another thread panicked (host server): there", || {
        server.reactor(|_| ());
        server.advance(s(1));
    });
    server.reactor(|reactor| {
        let boom = |_: &mut Reactor| panic!("at the end");
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, boom);
    });
    fails("a trigger Before Shutdown panicked (host server): at the end", || server.stop());
}

#[test]
fn a_panic_of_a_clients_factory_fails_the_test() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server", |_| Ok(()));
    let client = simulation.host("client", |_| Ok(()));
    let failed = "connection_failed of the factory of Fragile of 10.0.0.1:1 panicked";
    fails(&format!("{failed} (host client): here"), || {
        client.connect(server.address(1), Fragiles { breaks_in: "connection_failed" });
    });
    fails("start_factory of Fragile panicked (host client): here", || {
        client.reactor(|reactor| {
            let factory = Fragiles { breaks_in: "start_factory" };
            assert!(reactor.listen_tcp(1, factory).is_err());
        });
    });
}

#[test]
fn a_panic_at_the_end_of_a_simulation_fails_the_test() {
    fails("stop_factory of Fragile panicked (host server): here", || {
        drop(fragile("stop_factory"));
    });

    let simulation = Simulation::new(1);
    let server = simulation.host("server", |reactor| {
        Ok(reactor.listen_tcp(PORT, Fragiles { breaks_in: "connection_lost" })?)
    });
    let client = simulation.host("client", |_| Ok(()));
    let attempt = client.connect(server.address(PORT), Echo::default);
    assert!(attempt.is_connected());
    drop((server, client));
    fails("Fragile of 10.0.0.2:49152 panicked in connection_lost (host server): here", || {
        drop(simulation);
    });
}

#[test]
fn a_test_that_fails_already_is_not_failed_again() {
    let failure = catch_unwind(|| {
        fragile("").reactor(|reactor| {
            let factory = Fragiles { breaks_in: "start_factory" };
            assert!(reactor.listen_tcp(1, factory).is_err());
            // Before the kit has looked for panics.
            panic!("by the test");
        });
    });
    assert_eq!(failure.unwrap_err().downcast_ref(), Some(&"by the test"));
    let failure = catch_unwind(|| {
        let server = fragile("");
        let _closes_in_its_drop = server.connect();
        server.connect().send("now");
    });
    assert!(failure.unwrap_err().downcast::<String>().unwrap().contains("in data_received"));
}

#[test]
fn allowed_panics_are_returned_instead() {
    let server = fragile("stop_factory");
    server.simulation().allow_panics();
    let (ann, bob) = (server.connect(), server.connect());
    ann.send("now");
    bob.send("timer");
    server.advance(s(1));
    assert!(matches!(ann.lost_reason(), Some(Reason::Panicked(_))));
    let expected = [(&ann, "data_received"), (&bob, "timer_fired")].map(|(peer, callback)| {
        format!("Fragile of {} panicked in {callback} (host server): here", peer.address())
    });
    assert_eq!(server.simulation().take_panics(), expected);
    server.stop();
    let simulation = server.simulation();
    let stopped = "stop_factory of Fragile panicked (host server): here";
    assert_eq!(
        (simulation.take_panics(), simulation.take_panics()),
        (vec![stopped.into()], vec![])
    );
}

#[test]
fn an_exploration_names_the_seed_of_a_panic() {
    let scenario = |breaks_in, sent: &'static str| {
        move |simulation: &Simulation| {
            let host = simulation.host("server", move |reactor| {
                Ok(reactor.listen_tcp(PORT, Fragiles { breaks_in })?)
            });
            simulation.inject("stall server 1ms".parse().unwrap());
            let peer = simulation.peer("ann", host.address(PORT));
            peer.send(sent);
            peer.advance(ms(1));
        }
    };
    for (breaks_in, sent, message) in [
        ("", "now", "Fragile of 10.0.0.2:49152 panicked in data_received (host server): here"),
        // Only the drop of the simulation stops the factory.
        ("stop_factory", "close", "stop_factory of Fragile panicked (host server): here"),
    ] {
        let scenario = scenario(breaks_in, sent);
        let explored = catch_unwind(|| simulation::explore_seeds(5..=9, scenario));
        let text = *explored.unwrap_err().downcast::<String>().unwrap();
        let rest = text.strip_prefix(message).expect(&text);
        assert!(rest.contains("with the seed 5, after "), "{text}");
        fails(message, || replay(5, "", scenario));
    }
}
