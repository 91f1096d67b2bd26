//! Outages: hosts that lose their program or their power for a time.

use super::*;
use crate::testing::simulation::explore_seeds;
use std::io::ErrorKind;

fn inject(simulation: &Simulation, fault: &str) {
    simulation.inject(fault.parse().unwrap());
}

/// Reads when its test says so, and closes what its peer has closed.
struct Slow;

impl<F> Protocol<F> for Slow {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.pause_reading();
    }
}

#[test]
fn the_system_of_a_process_that_is_killed_closes_its_connections() {
    let log = Log::default();
    let echo = Echo { greeting: 3, log: log.clone() };
    let (simulation, host, address) = serve(Conditions::ideal(), echo);
    let (idle, sending) = (simulation.peer("ann", address), simulation.peer("ann", address));
    let slow = simulation.host("slow", |reactor| Ok(reactor.listen_tcp(PORT, || Slow)?));
    let unread = simulation.peer("ann", slow.address(PORT));
    unread.send("nobody reads this");
    inject(&simulation, "process-outage server 5s");
    inject(&simulation, "process-outage slow 5s");
    assert_eq!(
        (idle.take_received().as_slice(), idle.close_kind()),
        (&b"..."[..], Some(End::Closed))
    );
    assert_eq!(unread.close_kind(), Some(End::Reset), "as Linux does with unread bytes");
    sending.send("are you there?");
    assert_eq!(sending.close_kind(), Some(End::Reset), "nobody reads it");
    assert!(log.lost.borrow().is_empty() && idle.lost_reason().is_none(), "no callback");
    assert_eq!((host.is_up(), host.open(), host.open_resources().ports), (false, 0, 0));

    let early = simulation.peer("ann", address);
    assert_eq!(early.close_kind(), Some(End::Refused), "the machine answers for it");
    simulation.run_for(s(5) - ms(1));
    assert_eq!(simulation.peer("ann", address).close_kind(), Some(End::Refused));
    simulation.run_for(ms(1));
    assert!(host.is_up());
    let late = simulation.peer("ann", address);
    late.send("hello");
    assert_eq!(late.take_received(), b"...hello", "the same port");
    assert_eq!(idle.close_kind(), Some(End::Closed));
}

#[test]
fn what_a_killed_process_has_written_still_arrives() {
    let conditions = Conditions::ideal().latency(ms(10)).bandwidth(100_000);
    let (simulation, _, address) = serve(conditions, Echo { greeting: 50_000, ..Echo::default() });
    let peer = simulation.peer("ann", address);
    simulation.run_for(ms(100));
    assert!(peer.received().len() < 50_000);
    inject(&simulation, "process-outage server 1s");
    simulation.run_for(s(10));
    assert_eq!((peer.received().len(), peer.close_kind()), (50_000, Some(End::Closed)));
    assert!(peer.transport().is_some() && peer.lost_reason().is_none());
}

#[test]
fn clients_that_a_killed_process_has_not_accepted_are_reset() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "stall server 60s");
    let peer = simulation.peer("ann", address);
    assert!(peer.is_connected() && host.open() == 0);
    inject(&simulation, "process-outage server 1s");
    assert_eq!(peer.close_kind(), Some(End::Reset));
    simulation.run_for(s(1));
    let peer = simulation.peer("ann", address);
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello", "the stall was the old process's");
}

#[test]
fn a_machine_that_fails_is_silent_until_it_is_back() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    let (idle, sending) = (simulation.peer("ann", address), simulation.peer("ann", address));
    inject(&simulation, "machine-outage server 30s");
    sending.send("are you there?");
    let late = simulation.peer("ann", address);
    simulation.run_for(s(30) - ms(1));
    assert!(!host.is_up());
    for peer in [&idle, &sending, &late] {
        assert_eq!(peer.close_kind(), None, "nobody answers");
    }
    simulation.run_for(s(2));
    assert!(host.is_up());
    assert_eq!((idle.close_kind(), sending.close_kind()), (None, Some(End::Reset)));
    simulation.run_for(s(2));
    assert!(late.is_connected(), "a SYN has been sent after 31 seconds");
}

#[test]
fn a_restart_ends_an_outage_and_a_power_failure_takes_its_place() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "process-outage server 60s");
    for fault in ["stall server 100s", "exhaust-fds server 100s", "process-outage server 1s"] {
        inject(&simulation, fault);
    }
    inject(&simulation, "restart server");
    let peer = simulation.peer("ann", address);
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello", "without effect on a program that does not run");

    inject(&simulation, "process-outage server 1000s");
    inject(&simulation, "crash server");
    let peer = simulation.peer("ann", address);
    simulation.run_for(s(50));
    assert_eq!((peer.close_kind(), host.is_up()), (None, false), "the machine is off");
    simulation.run_for(s(2000));
    assert!(!host.is_up(), "neither outage is the present one any more");
    inject(&simulation, "machine-outage server 10s");
    inject(&simulation, "restart server");
    assert!(host.is_up());
}

#[test]
fn a_client_s_connections_and_attempts_end_with_its_process() {
    let log = Log::default();
    let (simulation, server, address) =
        serve(Conditions::ideal(), Echo { log: log.clone(), ..Echo::default() });
    let client = simulation.host("client", |_| Ok(()));
    let made = client.connect(address, Echo::default);
    let listener = simulation.listen("db", PORT);
    let waiting = client.connect(listener.address(), Echo::default);
    assert_eq!((made.is_connected(), listener.waiting()), (true, 1));
    inject(&simulation, "process-outage client 1s");
    assert_eq!((made.is_over(), waiting.is_over(), listener.waiting()), (true, true, 0));
    assert_eq!((log.reason().as_str(), server.open()), ("Done", 0));
    simulation.run_for(s(200));
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn outages_of_a_test_s_listener_end_and_refuse_or_silence_its_clients() {
    for (fault, error) in [
        ("process-outage db 40s", ErrorKind::ConnectionRefused),
        ("machine-outage db 40s", ErrorKind::TimedOut),
    ] {
        let simulation = Simulation::new(1);
        let listener = simulation.listen("db", PORT);
        let client = simulation.host("client", |_| Ok(()));
        let made = client.connect(listener.address(), Echo::default);
        let peer = listener.accept();
        let waiting = client.connect(listener.address(), Echo::default);
        assert_eq!(listener.waiting(), 1);
        inject(&simulation, fault);
        let silent = error == ErrorKind::TimedOut;
        assert_eq!((made.is_over(), listener.waiting()), (!silent, 0), "{fault}");
        peer.send("this end is gone");
        let late = client.connect(listener.address(), Echo::default);
        simulation.run_for(s(35));
        assert_eq!((waiting.error(), late.error()), (Some(error), Some(error)), "{fault}");
        simulation.run_for(s(5));
        let again = client.connect(listener.address(), Echo::default);
        let peer = listener.accept();
        peer.send("hello");
        assert_eq!((peer.take_received().as_slice(), again.is_connected()), (&b"hello"[..], true));
    }
}

#[test]
fn a_unix_socket_of_a_killed_process_refuses_until_it_is_back() {
    let simulation = Simulation::new(1);
    let host = simulation
        .host("server", |reactor| Ok(reactor.listen("unix:/run/echo.sock", Echo::default)?));
    let peer = host.unix_peer("/run/echo.sock");
    inject(&simulation, "process-outage server 5s");
    assert_eq!(peer.close_kind(), Some(End::Closed));
    assert_eq!(host.unix_peer("/run/echo.sock").close_kind(), Some(End::Refused));
    simulation.run_for(s(5));
    let peer = host.unix_peer("/run/echo.sock");
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello");
}

#[test]
fn random_plans_have_outages_that_end_and_depend_on_the_seed_alone() {
    let plan = |seed| {
        let mut random = Random::new(seed);
        FaultPlan::random(&mut random, &["ann", "server"], s(100), 20)
    };
    let mut outages = 0;
    for seed in 1..50 {
        assert_eq!(plan(seed), plan(seed));
        for (at, fault) in plan(seed).faults() {
            if let Fault::ProcessOutage { lasting, .. } = fault {
                assert!(*at + *lasting <= s(100));
                outages += 1;
            }
        }
    }
    assert!(outages > 50, "{outages}");
    let scenario = |simulation: &Simulation| {
        simulation.set_conditions(Conditions::rough());
        let host =
            simulation.host("server", |reactor| Ok(reactor.listen_tcp(PORT, Echo::default)?));
        let mut random = simulation.random();
        let plan = FaultPlan::new()
            .at(random.up_to(s(5)), "process-outage server 2s".parse().unwrap())
            .at(random.up_to(s(5)), "machine-outage server 3s".parse().unwrap());
        simulation.follow(&plan);
        for _ in 0..5 {
            simulation.peer("ann", host.address(PORT)).send("hello");
            simulation.run_for(s(2));
        }
        simulation.run_for(s(10));
        let peer = simulation.peer("ann", host.address(PORT));
        peer.send("hello");
        assert!(simulation.run_until(s(20), || peer.received() == b"hello"));
    };
    let hashes = [explore_seeds(1..=20, scenario).hash, explore_seeds(1..=20, scenario).hash];
    assert_eq!(hashes[0], hashes[1]);
}
