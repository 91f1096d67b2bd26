//! How bytes travel between hosts.

use super::*;

#[test]
fn a_packet_takes_the_time_of_its_path() {
    let (simulation, host, address) = serve(Conditions::ideal().latency(ms(50)), Echo::default());
    let peer = simulation.peer("ann", address);
    simulation.run_for(ms(49));
    assert_eq!((host.open(), peer.is_connected()), (0, false));
    simulation.run_for(ms(1));
    assert_eq!((host.open(), peer.is_connected()), (1, false), "the answer is on its way");
    simulation.run_for(ms(50));
    assert!(peer.is_connected());
    peer.send("hello");
    simulation.run_for(ms(99));
    assert_eq!(peer.received(), b"");
    simulation.run_for(ms(1));
    assert_eq!(peer.take_received(), b"hello");
}

#[test]
fn each_pair_of_hosts_may_have_a_path_of_its_own() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let (near, far) = (simulation.peer("near", address), simulation.peer("far", address));
    simulation.set_conditions_between("far", "server", Conditions::ideal().latency(s(1)));
    near.send("now");
    far.send("later");
    assert_eq!((near.take_received(), far.take_received()), (b"now".to_vec(), Vec::new()));
    simulation.run_for(s(2));
    assert_eq!(far.take_received(), b"later");
}

#[test]
fn packets_that_jitter_do_not_overtake_each_other() {
    let log = Log::default();
    let rough = Conditions::ideal().latency(ms(5)).jitter(ms(40)).loss(300);
    let (simulation, _, address) = serve(rough, Echo { log: log.clone(), ..Echo::default() });
    let peer = simulation.peer("ann", address);
    simulation.run_for(s(1));
    for byte in b'a'..=b'z' {
        peer.send([byte]);
        simulation.run_for(ms(3));
    }
    simulation.run_for(s(9));
    assert_eq!(peer.take_received(), b"abcdefghijklmnopqrstuvwxyz");
    let pieces = log.pieces.get();
    assert!((2..26).contains(&pieces), "{pieces} pieces: some were held up by others");
}

#[test]
fn a_lost_packet_comes_a_fifth_of_a_second_later() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let peer = simulation.peer("ann", address);
    simulation.set_conditions(Conditions::ideal().loss(1000));
    peer.send("hello");
    simulation.run_for(ms(399));
    assert_eq!(peer.received(), b"");
    simulation.run_for(ms(1));
    assert_eq!(peer.take_received(), b"hello", "lost once on either way");
}

#[test]
fn the_connections_of_two_hosts_share_the_bandwidth() {
    let log = Log::default();
    let (simulation, _, address) =
        serve(Conditions::ideal(), Echo { log: log.clone(), ..Echo::default() });
    let [one, two] = [simulation.peer("ann", address), simulation.peer("ann", address)];
    let other = simulation.peer("bob", address);
    simulation.set_conditions(Conditions::ideal().bandwidth(10_000));
    one.send([0; 10_000]);
    two.send([0; 10_000]);
    simulation.run_for(ms(999));
    assert_eq!(log.received.get(), 0);
    simulation.run_for(ms(1));
    assert_eq!(log.received.get(), 10_000, "those of one");
    other.send([0; 5_000]);
    simulation.run_for(ms(500));
    assert_eq!(log.received.get(), 15_000, "those of the other host have their own bandwidth");
    simulation.run_for(ms(500));
    assert_eq!(log.received.get(), 25_000);
}

#[test]
fn unread_bytes_fill_both_socket_buffers_and_then_the_write_buffer() {
    let conditions = Conditions::ideal().send_buffer(1000).receive_buffer(2000);
    let (simulation, _, address) = serve(conditions, Echo { greeting: 50_000, ..Echo::default() });
    let peer = simulation.late_reader("ann", address);
    let transport = peer.transport().unwrap();
    assert_eq!((transport.unsent(), peer.received().len()), (47_000, 0));
    simulation.run_for(s(3600));
    assert_eq!(transport.unsent(), 47_000, "for ever");
    peer.resume_reading();
    assert_eq!((transport.unsent(), peer.take_received().len()), (0, 50_000));
}

#[test]
fn bytes_that_the_server_does_not_read_wait_at_the_client() {
    let conditions = Conditions::ideal().send_buffer(1000).receive_buffer(2000);
    let (simulation, _, address) = serve(conditions, Echo::default());
    let peer = simulation.peer("ann", address);
    peer.transport().unwrap().pause_reading();
    simulation.settle();
    peer.send([7; 50_000]);
    assert_eq!((peer.unsent(), peer.received().len()), (47_000, 0));
    peer.transport().unwrap().resume_reading();
    simulation.settle();
    assert_eq!((peer.unsent(), peer.take_received().len()), (0, 50_000));
}

#[test]
fn a_slow_reader_reads_at_its_own_rate() {
    let (simulation, _, address) =
        serve(Conditions::ideal(), Echo { greeting: 1000, ..Echo::default() });
    let peer = simulation.late_reader("ann", address);
    peer.read_slowly(100, ms(10));
    assert_eq!(peer.received().len(), 100);
    simulation.run_for(ms(45));
    assert_eq!(peer.received().len(), 500);
    simulation.run_for(ms(45));
    assert_eq!(peer.received().len(), 1000);
}

#[test]
fn short_reads_split_the_bytes() {
    for (conditions, pieces) in
        [(Conditions::ideal(), 1..=1), (Conditions::ideal().short_reads(500), 2..=100)]
    {
        let log = Log::default();
        let echo = Echo { log: log.clone(), ..Echo::default() };
        let (simulation, _, address) = serve(conditions, echo);
        let peer = simulation.peer("ann", address);
        let data: Vec<u8> = (0..50_000_u32).map(|at| (at * 7 + at / 256) as u8).collect();
        peer.send(&data);
        assert!(peer.take_received() == data);
        assert!(pieces.contains(&log.pieces.get()), "{} pieces", log.pieces.get());
    }
}

#[test]
fn writes_are_accepted_in_part() {
    let short = Conditions::ideal().short_writes(900);
    let (simulation, _, address) = serve(short, Echo { greeting: 50_000, ..Echo::default() });
    let peer = simulation.peer("ann", address);
    let unsent = peer.transport().unwrap().unsent();
    assert!((1..50_000).contains(&unsent), "{unsent}");
    simulation.run_for(s(1));
    assert_eq!((peer.transport().unwrap().unsent(), peer.take_received().len()), (0, 50_000));
}

#[test]
fn a_late_reactor_gets_several_events_at_once_in_any_order() {
    let mut orders = std::collections::BTreeSet::new();
    let mut least = usize::MAX;
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        let log = Log::default();
        let echo = Echo { log: log.clone(), ..Echo::default() };
        let host = simulation.host("server", move |reactor| {
            let echo = echo.clone();
            reactor.listen_tcp(PORT, move || echo.clone())?;
            Ok(())
        });
        let peers: Vec<_> = (0..3).map(|_| simulation.peer("crowd", host.address(PORT))).collect();
        simulation.set_conditions(Conditions::ideal().wakeup_delay(ms(10)).reorder(true));
        for byte in b"12" {
            peers.iter().zip(b"abc").for_each(|(peer, name)| peer.send([*name, *byte, *name]));
        }
        simulation.run_for(s(1));
        orders.insert(log.order.borrow().clone());
        least = least.min(log.pieces.get());
    }
    assert!(orders.len() > 3, "{orders:?}");
    assert_eq!(least, 3, "both pieces of each at once");
}

#[test]
fn spurious_events_do_no_harm() {
    let log = Log::default();
    let echo = Echo { greeting: 5, log: log.clone() };
    let (simulation, _, address) = serve(Conditions::ideal().spurious(1000), echo);
    let peer = simulation.peer("ann", address);
    peer.send("hello");
    assert_eq!((peer.take_received().as_slice(), log.pieces.get()), (&b".....hello"[..], 1));
    peer.close_write();
    assert_eq!(log.reason(), "Done");
}
