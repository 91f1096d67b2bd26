//! The limit on the unsent bytes of all connections together, and which connections it costs.

use super::*;
use crate::limits::OverflowPolicy;

const SLOW: &str = "lost: slow consumer: too many unsent bytes";

fn with_limits(settings: Settings) -> Fixture {
    Fixture::with(settings.close_timeout(Duration::from_secs(10)), quiet)
}

#[test]
fn unsent_bytes_never_exceed_the_total_limit_even_within_a_callback() {
    const MAX: usize = 1_000_000;
    for length in [1, 20, 700, 5000, 20_000] {
        let mut fixture = Fixture::with(Settings::default().max_unsent_total(MAX), |event, cx| {
            if let Event::Data(data) = event {
                let (all, message) = (&cx.factory.all, vec![b'x'; data.len()]);
                // A megabyte and a half to each, in one callback.
                for _ in 0..1_500_000 / message.len() / 10 {
                    all.iter().for_each(|member| member.write(&message));
                    let unsent: usize = all.iter().map(Transport::unsent).sum();
                    assert!(unsent <= MAX, "{unsent}");
                }
            }
        });
        let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
        peers[1..].iter().for_each(|peer| peer.set_room(if length % 2 == 0 { 10_000 } else { 0 }));
        peers[0].send(vec![b'x'; length]);
        fixture.settle();
        assert!(fixture.log.count(&format!("9 {SLOW}")) <= 1);
        assert_eq!(fixture.log.0.borrow().iter().filter(|it| it.contains("panic")).count(), 0);
        assert!(fixture.reactor.hub.unsent() <= MAX);
        // A peer that keeps up is not lost, and receives everything.
        assert_eq!(fixture.log.count(&format!("0 {SLOW}")), 0, "{length}");
        assert_eq!(peers[0].received().len(), 1_500_000 / length / 10 * length);
    }
}

#[test]
fn slow_consumers_are_lost_at_once_and_not_the_connection_written_to() {
    let mut fixture = with_limits(Settings::default().max_unsent_total(100_000));
    let peers: Vec<Peer> = (0..4).map(|_| fixture.connect()).collect();
    peers.iter().for_each(|peer| peer.set_room(0));
    let all: Vec<Transport> = (0..4).map(|number| fixture.transport(number)).collect();
    [10_000, 60_000, 20_000].iter().zip(&all).for_each(|(count, it)| it.write(vec![0; *count]));
    fixture.settle();
    all[3].write([0; 5000]);
    all[3].write([0; 5001]);
    // Before any callback.
    let unsent = || all.iter().map(Transport::unsent).collect::<Vec<_>>();
    assert_eq!(unsent(), [10_000, 0, 20_000, 10_001]);
    assert!(!all[1].accepts_writes());
    fixture.settle();
    assert_eq!(fixture.log.count(&format!("1 {SLOW}")), 1);
    assert_eq!(fixture.reactor.connection_count(), 3);
}

#[test]
fn a_quarter_of_the_limit_is_freed_at_a_time() {
    let mut fixture = with_limits(Settings::default().max_unsent_total(100_000));
    let peers: Vec<Peer> = (0..10).map(|_| fixture.connect()).collect();
    peers.iter().for_each(|peer| peer.set_room(0));
    for number in 0..10 {
        fixture.transport(number).write(vec![0; 10_000]);
    }
    fixture.settle();
    fixture.transport(9).write("x");
    assert_eq!(fixture.reactor.hub.unsent(), 70_000);
    fixture.settle();
    assert_eq!(fixture.reactor.connection_count(), 7);
}

#[test]
fn bytes_written_before_a_connection_is_made_count_as_well() {
    let mut fixture = with_limits(Settings::default().max_unsent_total(100_000));
    let log = Log::default();
    let probes = Probes { log: log.clone(), act: quiet, all: Vec::new(), key: Rc::default() };
    let target = crate::TcpClientEndpoint::new(std::net::SocketAddr::from(([192, 0, 2, 7], 80)));
    let connector = fixture.reactor.connect_tcp(target, probes).unwrap();
    connector.transport().write(vec![0; 90_000]);
    fixture.settle();
    let peer = fixture.connect();
    peer.set_room(0);
    let member = fixture.transport(0);
    member.write(vec![0; 20_000]);
    assert_eq!((connector.transport().unsent(), member.unsent()), (0, 20_000));
    fixture.settle();
    assert_eq!(log.count("failed: connection aborted") + log.count("failed: other error"), 1);
    assert_eq!(fixture.reactor.connection_count(), 1);
}

#[test]
fn consumers_that_have_caught_up_leave_the_list_of_slow_ones() {
    let mut fixture = with_limits(Settings::default());
    for round in 0..500 {
        let peer = fixture.connect();
        peer.set_room(0);
        let transport = fixture.transport(round);
        transport.write([0; 100]);
        fixture.turn();
        peer.set_room(100);
        fixture.turn();
        assert_eq!(transport.unsent(), 0);
    }
    let listed = fixture.reactor.hub.unsent_list_len();
    assert!(listed < 40, "{listed}");
}

#[test]
fn a_write_that_may_be_dropped_is_dropped_before_any_connection_is_lost() {
    for (policy, rejected) in [(OverflowPolicy::DropNew, 0), (OverflowPolicy::Reject, 1)] {
        let mut fixture = with_limits(Settings::default().max_unsent_total(100_000));
        let peers: Vec<Peer> = (0..2).map(|_| fixture.connect()).collect();
        peers.iter().for_each(|peer| peer.set_room(0));
        let [hog, member] = [0, 1].map(|number| fixture.transport(number));
        hog.write(vec![0; 90_000]);
        member.set_max_unsent(None, policy);
        member.write([0; 5000]);
        fixture.settle();
        member.write([0; 5001]);
        assert_eq!((member.unsent(), member.dropped_writes()), (5000, 1));
        // There is room for this one.
        member.write([0; 5000]);
        assert_eq!((member.unsent(), member.dropped_writes()), (10_000, 1));
        fixture.settle();
        assert_eq!(fixture.log.count("1 rejected 1"), rejected);
        assert_eq!(fixture.reactor.connection_count(), 2);
        // With nothing unsent it keeps up, and the write is accepted.
        peers[1].set_room(usize::MAX / 2);
        fixture.settle();
        peers[1].set_room(0);
        member.write(vec![0; 20_000]);
        assert_eq!((hog.unsent(), member.unsent()), (0, 20_000));
    }
}

#[test]
fn bytes_of_a_producer_are_never_dropped() {
    let mut fixture = with_limits(Settings::default().max_unsent_total(100_000));
    let peers: Vec<Peer> = (0..2).map(|_| fixture.connect()).collect();
    peers.iter().for_each(|peer| peer.set_room(0));
    let [hog, fed] = [0, 1].map(|number| fixture.transport(number));
    fed.set_max_unsent(None, OverflowPolicy::DropNew);
    fed.write([1; 1000]);
    hog.write(vec![0; 95_000]);
    fixture.settle();
    fed.register_producer(crate::Producer::reader(io::Cursor::new(vec![1; 20_000])));
    fixture.settle();
    assert_eq!((hog.unsent(), fed.unsent()), (0, 21_000));
    peers[1].set_room(usize::MAX / 2);
    fixture.settle();
    assert!(peers[1].received() == [1; 21_000]);
}

#[test]
fn discarded_bytes_are_in_the_report() {
    let mut fixture = with_limits(Settings::default().max_unsent_total(1000));
    let peer = fixture.connect();
    peer.set_room(0);
    let transport = fixture.transport(0);
    transport.write([0; 600]);
    fixture.settle();
    fixture.reactor.stop_gracefully(Duration::from_secs(1));
    for _ in 0..3 {
        fixture.turn();
    }
    transport.write([0; 600]);
    assert_eq!(transport.unsent(), 0);
    let report = loop {
        match fixture.reactor.turn(Some(Duration::ZERO)).unwrap() {
            std::ops::ControlFlow::Break(report) => break report,
            std::ops::ControlFlow::Continue(()) => {
                fixture.script.advance(Duration::from_millis(300))
            }
        }
    };
    assert_eq!((report.lost, report.bytes_lost), (1, 1200));
}
