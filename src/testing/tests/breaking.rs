//! How connections end, and faults of the path between hosts.

use super::*;

fn inject(simulation: &Simulation, fault: &str) {
    simulation.inject(fault.parse().unwrap());
}

#[test]
fn a_close_with_unread_bytes_resets() {
    for (reads, reason) in [(true, "Done"), (false, "ConnectionReset")] {
        let log = Log::default();
        let echo = Echo { greeting: 10, log: log.clone() };
        let (simulation, _, address) = serve(Conditions::ideal(), echo);
        let peer = simulation.late_reader("ann", address);
        if reads {
            peer.resume_reading();
        }
        drop(peer);
        assert_eq!(log.reason(), reason);
        simulation.run_for(s(60));
        assert_eq!(simulation.connections(), 0);
    }
}

#[test]
fn bytes_sent_before_a_close_arrive() {
    let log = Log::default();
    let small = Conditions::ideal().latency(ms(10)).send_buffer(500).receive_buffer(500);
    let (simulation, _, address) = serve(small, Echo { log: log.clone(), ..Echo::default() });
    let peer = simulation.late_reader("ann", address);
    peer.send([1; 400]);
    drop(peer);
    simulation.run_for(s(60));
    assert_eq!(log.received.get(), 0, "nobody was connected yet");
    assert_eq!(simulation.connections(), 0);

    let peer = simulation.late_reader("ann", address);
    simulation.run_for(ms(20));
    peer.send([1; 400]);
    drop(peer);
    simulation.run_for(s(60));
    assert_eq!(log.received.get(), 400);
}

#[test]
fn bytes_for_a_closed_connection_are_answered_with_a_reset() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, _, address) = serve(Conditions::ideal().latency(ms(10)), echo);
    let peer = simulation.peer("ann", address);
    simulation.run_for(ms(20));
    let transport = peer.transport().unwrap();
    // A paused server does not read the client's FIN.
    transport.pause_reading();
    drop(peer);
    simulation.run_for(s(1));
    transport.write("hello");
    simulation.run_for(ms(19));
    assert!(transport.is_connected());
    simulation.run_for(ms(1));
    assert_eq!(log.reason(), "ConnectionReset");
}

#[test]
fn a_middlebox_may_reset_both_sides() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, _, address) = serve(Conditions::ideal(), echo);
    let (ann, bob) = (simulation.peer("ann", address), simulation.peer("bob", address));
    inject(&simulation, "reset ann *");
    assert_eq!((ann.close_kind(), bob.close_kind()), (Some(End::Reset), None));
    assert_eq!(log.reason(), "ConnectionReset");
    bob.send("still here");
    assert_eq!(bob.take_received(), b"still here");
}

#[test]
fn a_partition_delays_everything_until_it_heals() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    let (ann, bob) = (simulation.peer("ann", address), simulation.peer("bob", address));
    inject(&simulation, "partition ann server");
    ann.send("hello");
    bob.send("hello");
    simulation.run_for(s(600));
    assert_eq!(
        (ann.take_received().as_slice(), bob.take_received().as_slice()),
        (&b""[..], &b"hello"[..])
    );
    inject(&simulation, "heal ann server");
    simulation.run_for(s(1));
    assert_eq!(ann.take_received(), b"hello");

    inject(&simulation, "partition * server");
    ann.send("hello");
    let lasting = s(15 * 60);
    assert!(!simulation.run_until(lasting - ms(1), || ann.close_kind().is_some()));
    assert!(simulation.run_until(s(1), || ann.close_kind() == Some(End::TimedOut)));
    assert_eq!(bob.close_kind(), None, "a silent peer learns nothing");
    assert_eq!(host.open(), 2, "and neither does the server");
}

#[test]
fn a_server_that_sends_into_a_partition_times_out() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, _, address) = serve(Conditions::ideal(), echo);
    let ann = simulation.peer("ann", address);
    inject(&simulation, "partition ann server");
    ann.transport().unwrap().write("anybody there?");
    simulation.settle();
    simulation.run_for(s(15 * 60) - ms(1));
    assert!(log.lost.borrow().is_empty());
    simulation.run_for(ms(1));
    assert_eq!(log.reason(), "TimedOut");
}

#[test]
fn a_dead_connection_is_closed_for_lack_of_progress() {
    let log = Log::default();
    let settings = Settings::default().close_timeout(s(30));
    let small = Conditions::ideal().send_buffer(100).receive_buffer(100);
    let echo = Echo { greeting: 1000, log: log.clone() };
    let (simulation, host, address) = serve_with(settings, small, echo);
    let (ann, bob) = (simulation.late_reader("ann", address), simulation.peer("bob", address));
    inject(&simulation, "half-open ann server");
    ann.resume_reading();
    ann.transport().unwrap().lose_connection();
    host.reactor(|_| {});
    simulation.run_for(s(29));
    assert_eq!(host.open(), 2);
    simulation.run_for(s(1));
    assert_eq!(log.reason(), "TimedOut(Close)");
    assert_eq!(bob.take_received().len(), 1000);
    assert_eq!(ann.received().len(), 100, "what had come");
    let third = simulation.peer("ann", address);
    assert_eq!(third.take_received().len(), 1000, "new connections work");
}

#[test]
fn a_busy_host_learns_of_a_reset_afterwards() {
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let (simulation, host, address) = serve(Conditions::ideal().latency(ms(10)), echo);
    let client = simulation.host("client", |_| Ok(()));
    let attempt = client.connect(address, || Echo { greeting: 3, ..Echo::default() });
    simulation.run_for(ms(500));
    inject(&simulation, "stall server 5s");
    inject(&simulation, "reset client server");
    simulation.run_for(s(60));
    assert_eq!((log.reason().as_str(), host.open()), ("ConnectionReset", 0));
    assert!(attempt.is_over());
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn a_sender_without_room_notices_a_partition_too() {
    let log = Log::default();
    let echo = Echo { greeting: 2_000_000, log: log.clone() };
    let (simulation, _, address) = serve(Conditions::ideal(), echo);
    let ann = simulation.late_reader("ann", address);
    assert!(ann.transport().unwrap().unsent() > 0);
    inject(&simulation, "partition ann server");
    simulation.run_for(s(15 * 60) - ms(1));
    assert!(log.lost.borrow().is_empty());
    simulation.run_for(ms(1));
    assert_eq!(log.reason(), "TimedOut");
}

#[test]
fn an_abort_or_a_crash_ends_retransmission() {
    for ending in ["abort", "crash"] {
        let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
        let ann = simulation.peer("ann", address);
        inject(&simulation, "partition ann server");
        let transport = ann.transport().unwrap();
        transport.write("late");
        simulation.settle();
        match ending {
            "abort" => host.reactor(|_| transport.abort_connection()),
            _ => inject(&simulation, "crash server"),
        }
        inject(&simulation, "heal ann server");
        simulation.run_for(s(3600));
        assert_eq!((ann.received().len(), ann.close_kind()), (0, None), "{ending}");
        if ending == "crash" {
            inject(&simulation, "restart server");
        }
        ann.close_write();
        simulation.run_for(s(1));
        assert_eq!(
            ann.close_kind(),
            Some(End::Reset),
            "a FIN for a forgotten connection is answered: {ending}"
        );
    }
}

#[test]
fn received_bytes_outlive_their_connection() {
    let peer = connect(Echo::default);
    peer.send("hello");
    peer.reset();
    assert_eq!(peer.take_received(), b"hello");
    let simulation = peer.simulation().clone();
    drop(peer);
    assert_eq!(simulation.connections(), 0);
}
