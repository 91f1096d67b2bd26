//! Faults of a host: crashes, stalls, clock jumps; and signals.

use super::*;
use std::ops::ControlFlow;

fn inject(simulation: &Simulation, fault: &str) {
    simulation.inject(fault.parse().unwrap());
}

#[test]
fn a_restarted_host_resets_its_old_connections() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    let (ann, bob) = (simulation.peer("ann", address), simulation.peer("bob", address));
    inject(&simulation, "crash server");
    assert_eq!(
        (ann.close_kind(), host.open_resources().connections),
        (None, 0),
        "no peer is notified"
    );
    inject(&simulation, "restart server");
    assert!(host.is_up());
    ann.send("are you there?");
    assert_eq!(ann.close_kind(), Some(End::Reset));
    assert_eq!(bob.close_kind(), None, "a silent peer learns nothing");
    let again = simulation.peer("ann", address);
    again.send("hello");
    assert_eq!(again.take_received(), b"hello", "it was set up as it was the first time");
}

#[test]
fn bytes_for_a_host_without_power_are_retransmitted_until_it_resets_them() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, _, address) = serve(Conditions::ideal(), echo);
    let ann = simulation.peer("ann", address);
    inject(&simulation, "crash ann");
    ann.send("nobody sends this");
    ann.transport().unwrap().write("anybody there?");
    simulation.run_for(s(60));
    assert_eq!(log.received.get(), 0);
    assert!(log.lost.borrow().is_empty(), "the server has no reason to think so");
    inject(&simulation, "restart ann");
    simulation.run_for(s(1));
    assert_eq!(log.reason(), "ConnectionReset");
}

#[test]
fn bytes_unsent_at_a_power_failure_are_never_sent() {
    /// Counts bytes and sends nothing, so that the server does not learn that the client is gone.
    struct Sink(Rc<Cell<usize>>);

    impl<F> Protocol<F> for Sink {
        fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
            self.0.set(self.0.get() + data.len());
        }
    }

    let simulation = Simulation::new(1);
    simulation.set_conditions(Conditions::ideal().send_buffer(1000).receive_buffer(2000));
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    let host = simulation.host("server", move |reactor| {
        let count = Rc::clone(&count);
        reactor.listen_tcp(PORT, move || Sink(Rc::clone(&count)))?;
        Ok(())
    });
    let ann = simulation.peer("ann", host.address(PORT));
    let transport = ann.transport().unwrap();
    transport.pause_reading();
    ann.send([7; 50_000]);
    inject(&simulation, "crash ann");
    drop(ann);
    transport.resume_reading();
    simulation.run_for(s(60));
    assert_eq!(received.get(), 2000, "what had come");
}

#[test]
fn a_host_that_stalls_takes_no_turn() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    let fired = Rc::new(Cell::new(None));
    let (at, clock) = (Rc::clone(&fired), simulation.clone());
    host.reactor(|reactor| reactor.call_later(s(1), move |_| at.set(Some(clock.now()))));
    let peer = simulation.peer("ann", address);
    inject(&simulation, "stall server 5s");
    peer.send("hello");
    simulation.run_for(ms(4999));
    assert_eq!((peer.received().len(), fired.get()), (0, None));
    simulation.run_for(ms(1));
    assert_eq!((peer.take_received().as_slice(), fired.get()), (&b"hello"[..], Some(s(5))));
}

#[test]
fn a_clock_that_jumps_makes_timers_due() {
    let (simulation, host, _) = serve(Conditions::ideal(), Echo::default());
    let fired = Rc::new(Cell::new(0));
    for hours in [1, 3] {
        let count = Rc::clone(&fired);
        host.reactor(|it| it.call_later(s(hours * 3600), move |_| count.set(count.get() + 1)));
    }
    inject(&simulation, "clock-jump server 7200s");
    assert_eq!((fired.get(), simulation.now()), (1, Duration::ZERO), "only its clock jumps");
    simulation.run_for(s(3600) - ms(1));
    assert_eq!(fired.get(), 1);
    simulation.run_for(ms(1));
    assert_eq!(fired.get(), 2);
}

#[test]
fn a_clock_that_jumps_an_hour_makes_one_call_of_an_interval() {
    let (simulation, host, _) = serve(Conditions::ideal(), Echo::default());
    let counts = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&counts);
    host.reactor(|it| {
        it.call_every(s(1), move |reactor| {
            log.borrow_mut().push((reactor.elapsed_periods(), reactor.now()));
            ControlFlow::Continue(())
        });
    });
    inject(&simulation, "clock-jump server 3600s");
    simulation.run_for(s(2));
    let counts = counts.take();
    assert_eq!(counts.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [3600, 1, 1]);
    assert_eq!(counts[2].1 - counts[0].1, s(2), "the deadlines are still whole seconds");
}

#[test]
fn endless_durations_do_not_overflow() {
    let endless = Conditions::ideal().latency(Duration::MAX).jitter(Duration::MAX).loss(1000);
    let (simulation, host, address) = serve(endless, Echo::default());
    let peer = simulation.peer("ann", address);
    simulation.set_conditions(Conditions::ideal().bandwidth(0).send_buffer(0).receive_buffer(0));
    for fault in [
        Fault::Stall { host: "server".into(), lasting: Duration::MAX },
        Fault::ClockJump { host: "server".into(), by: Duration::MAX },
        Fault::ExhaustFds { host: "*".into(), lasting: Duration::MAX },
    ] {
        simulation.inject(fault);
    }
    let other = simulation.peer("ann", address);
    other.send("hello");
    simulation.run_for(s(1000));
    assert_eq!((host.open(), peer.close_kind(), other.is_connected()), (0, None, true));
}

#[test]
fn signals_and_faults_of_a_host_without_power_are_ignored() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "crash server");
    host.signal("SIGTERM");
    for fault in ["exhaust-fds server 1000s", "fail-accept server", "stall server 1000s"] {
        inject(&simulation, fault);
    }
    inject(&simulation, "restart server");
    let peer = simulation.peer("ann", address);
    peer.send("hello");
    assert_eq!((peer.take_received().as_slice(), host.has_stopped()), (&b"hello"[..], false));
}

#[test]
fn a_short_stall_does_not_end_a_long_one() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "stall server 10s");
    inject(&simulation, "stall server 1s");
    let _peer = simulation.peer("ann", address);
    simulation.run_for(s(9));
    assert_eq!(host.open(), 0);
    simulation.run_for(s(1));
    assert_eq!(host.open(), 1);
}

#[test]
fn a_power_failure_runs_no_callback() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, host, address) = serve(Conditions::ideal(), echo);
    let shut_down = Rc::new(Cell::new(false));
    let heard = Rc::clone(&shut_down);
    host.reactor(|reactor| {
        let (phase, event) =
            (crate::system_event::Phase::During, crate::system_event::SystemEvent::Shutdown);
        reactor.add_system_event_trigger(phase, event, move |_| heard.set(true))
    });
    let old = simulation.peer("ann", address);
    old.send("hello");
    inject(&simulation, "crash server");
    assert!(log.lost.borrow().is_empty() && !shut_down.get());
    assert_eq!((old.lost_reason().is_none(), host.open()), (true, 0));

    inject(&simulation, "restart server");
    let new = simulation.peer("bob", address);
    new.send("one");
    new.send("two");
    assert_eq!((old.calls().data_received(), new.calls().data_received()), (1, 2));
    assert_eq!(old.transport().unwrap().peer_address(), old.address().into());
    assert_eq!(host.open(), 1);
}

#[test]
fn a_test_that_panics_in_a_reactor_gives_it_back() {
    let (_, host, _) = serve(Conditions::ideal(), Echo::default());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        host.reactor(|_| panic!("by the test"));
    }));
    assert!(panicked.is_err());
    assert_eq!(host.reactor(|reactor| reactor.connection_count()), 0);
}

#[test]
fn signals_of_the_program_s_own_reach_a_host_in_order() {
    let simulation = Simulation::new(1);
    simulation.set_conditions(Conditions::ideal().wakeup_delay(ms(10)));
    let log = Rc::new(RefCell::new(Vec::new()));
    let entries = Rc::clone(&log);
    let host = simulation.host("server", move |reactor| {
        for name in ["SIGUSR1", "SIGHUP"] {
            let log = Rc::clone(&entries);
            reactor.on_signal(name, move |reactor| {
                assert!(!reactor.is_draining());
                log.borrow_mut().push(name);
            })?;
        }
        Ok(())
    });
    // All come before the host wakes up.
    for name in ["SIGHUP", "SIGUSR1", "SIGHUP", "SIGTERM"] {
        host.signal(name);
    }
    simulation.run_for(s(1));
    assert_eq!(log.take(), ["SIGHUP", "SIGUSR1"]);
    assert!(host.has_stopped());
}

#[test]
fn a_signal_ends_a_server_gracefully() {
    let log = Log::default();
    let echo = Echo { greeting: 3, log: log.clone() };
    let (simulation, host, address) = serve(Conditions::ideal(), echo);
    let peer = simulation.peer("ann", address);
    host.signal("SIGTERM");
    assert!(host.has_stopped());
    assert_eq!(
        (peer.take_received().as_slice(), peer.close_kind()),
        (&b"..."[..], Some(End::Closed))
    );
    // SIGTERM drains: all written bytes are delivered.
    assert_eq!(log.reason(), "Done");
}

#[test]
fn a_program_that_never_waits_panics() {
    fn again(reactor: &mut crate::Reactor) {
        reactor.call_later(Duration::ZERO, again);
    }
    let panicked = std::panic::catch_unwind(|| {
        let simulation = Simulation::new(1);
        simulation.set_max_turns(1000);
        simulation.host("idle", |_| Ok(()));
        // Its port and its connection end while the panic unwinds.
        let busy = simulation.host("busy", |reactor| {
            reactor.call_later(s(1), again);
            Ok(reactor.listen_tcp(PORT, Echo::default)?)
        });
        let _peer = simulation.peer("ann", busy.address(PORT));
        simulation.run_for(s(2));
    });
    let message = *panicked.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("livelock: host busy has taken 1000 turns"), "{message}");
    assert!(message.contains(" ago: turn"), "{message}");
}

#[test]
fn a_callback_cannot_let_time_pass() {
    struct Impatient(Simulation);

    impl<F> Protocol<F> for Impatient {
        fn data_received(&mut self, _: &mut Context<'_, F>, _: &[u8]) {
            self.0.run_for(s(1));
        }
    }

    let simulation = Simulation::new(1);
    let own = simulation.clone();
    let host = simulation.host("server", move |reactor| {
        let own = own.clone();
        reactor.listen_tcp(PORT, move || Impatient(own.clone()))?;
        Ok(())
    });
    simulation.allow_panics();
    let peer = simulation.peer("ann", host.address(PORT));
    peer.send("go");
    let Some(Reason::Panicked(message)) = peer.lost_reason() else {
        panic!("{:?}", peer.lost_reason())
    };
    assert!(message.contains("asked to run by a callback"), "{message}");
    simulation.run_for(s(1));
    assert_eq!(host.open(), 0, "and the simulation continues");
}

#[test]
fn a_host_that_stalls_is_silent_and_each_boot_is_ready_on_its_own() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |reactor| {
        assert!(reactor.notify_service_manager());
        Ok(())
    });
    simulation.run_for(s(20));
    inject(&simulation, "stall server 40s");
    simulation.run_for(s(45));
    inject(&simulation, "crash server");
    simulation.run_for(s(60));
    inject(&simulation, "restart server");
    simulation.run_for(s(10));
    host.signal("SIGTERM");
    let expected = [
        (0, "READY=1"),
        (15, "WATCHDOG=1"),
        (60, "WATCHDOG=1"),
        (125, "READY=1"),
        (135, "STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000"),
    ];
    assert_eq!(host.service_notifications(), expected.map(|(at, it)| (s(at), it.to_owned())));
    assert!(host.has_stopped());
}
