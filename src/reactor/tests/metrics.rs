//! Metrics and the flight recorder.

use super::*;
use crate::metrics::Metrics;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn everything_is_counted() {
    let mut fixture = Fixture::new(echo);
    let (peer, other) = (fixture.connect(), fixture.connect());
    other.set_room(2);
    peer.send("hello");
    other.send("hello");
    fixture.settle();
    fixture.reactor.call_later(ms(5), |_| ());
    let seen = fixture.reactor.metrics();
    assert_eq!((seen.accepted, seen.open, seen.lost, seen.rejected), (2, 2, 0, 0));
    assert_eq!((seen.bytes_received, seen.bytes_sent, seen.unsent), (10, 7, 3));
    assert_eq!((seen.timers, seen.panics, seen.closures.calls), (1, 0, 0));
    assert_eq!(seen.protocols.len(), 1);
    let call_totals = seen.protocols.values().next().unwrap();
    assert_eq!(call_totals.calls, 4, "two were made, and two received something");
    peer.close();
    other.reset();
    fixture.script.advance(ms(5));
    fixture.settle();
    let seen = fixture.reactor.metrics();
    assert_eq!((seen.open, seen.lost, seen.closures.calls), (0, 2, 1));
    assert_eq!(seen.busy.calls, seen.turns);
    assert_eq!(seen.slowest, None, "in no time at all");
    assert!(seen.to_string().contains("2 accepted"), "{seen}");
}

/// A protocol whose callbacks take time by the scripted clock.
struct Slow(Script);

impl<F> Protocol<F> for Slow {
    fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
        self.0.advance(ms(data.len() as u64));
    }
}

fn slow(threshold: Duration) -> (Script, Reactor) {
    let script = Script::new();
    let settings = Settings::default().slow_callback_duration(threshold);
    let mut reactor = Reactor::with_driver(script.driver(), settings);
    let inner = script.clone();
    reactor.listen_tcp(8007, move || Slow(inner.clone())).unwrap();
    (script, reactor)
}

fn turn(reactor: &mut Reactor) -> Metrics {
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    reactor.metrics()
}

#[test]
fn time_counts_for_the_protocol_that_uses_it() {
    let (script, mut reactor) = slow(ms(100));
    let (one, two) = (script.connect(), script.connect());
    turn(&mut reactor);
    one.send([0; 30]);
    two.send([0; 50]);
    turn(&mut reactor);
    // Waiting time counts for no protocol.
    script.advance(ms(1000));
    one.send([0; 20]);
    turn(&mut reactor);
    let seen = turn(&mut reactor);
    let call_totals = seen.protocols["Slow"];
    assert_eq!((call_totals.calls, call_totals.total, call_totals.longest), (5, ms(100), ms(50)));
    assert_eq!((seen.busy.total, seen.busy.longest), (ms(100), ms(80)));
    let slowest = seen.slowest.unwrap();
    assert_eq!((slowest.took, &*slowest.callback), (ms(50), "data_received"));
    assert_eq!(slowest.peer.port(), Some(1));
}

#[test]
fn slow_callbacks_are_logged_with_the_last_events_at_most_once_in_five_seconds() {
    let (script, mut reactor) = slow(ms(100));
    let peer = script.connect();
    turn(&mut reactor);
    let logged = |count: usize, reactor: &mut Reactor| {
        peer.send(vec![0; count]);
        turn(reactor);
        reactor.recorder.logged
    };
    assert_eq!(logged(99, &mut reactor), None);
    let first = logged(100, &mut reactor);
    assert_eq!(first, Some(reactor.now()));
    assert_eq!(logged(200, &mut reactor), first);
    script.advance(Duration::from_secs(5));
    assert_eq!(logged(200, &mut reactor), Some(reactor.now()));
    let told = reactor.recorder.last_events();
    let last = told.lines().last().unwrap();
    assert!(last.contains("data_received") && last.ends_with(" 200"), "{told}");
    assert!(told.contains("accepted") && told.contains("connection_made"), "{told}");
}

#[test]
fn a_bounded_number_of_events_is_recorded_and_the_newest_come_last() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    for round in 1..=300_usize {
        peer.send(vec![0; round]);
        fixture.turn();
    }
    let told = fixture.reactor.recorder.last_events();
    assert_eq!(told.lines().count(), 128);
    let amounts = told.lines().filter(|line| line.contains("data_received"));
    let amounts: Vec<usize> =
        amounts.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(amounts.is_sorted() && amounts.last() == Some(&300), "{told}");
}

#[test]
fn panics_of_all_kinds_of_user_code_are_counted() {
    let mut fixture = Fixture::new(|event, _| assert!(event == Event::Made, "boom"));
    let peer = fixture.connect();
    peer.send("x");
    fixture.settle();
    // In `data_received`, and in `connection_lost`.
    assert_eq!(fixture.reactor.metrics().panics, 2);
    fixture.reactor.call_later(Duration::ZERO, |_| panic!("boom"));
    fixture.reactor.remote().call_from_thread(|_| panic!("boom")).unwrap();
    fixture.settle();
    assert_eq!(fixture.reactor.metrics().panics, 4);
}

#[test]
fn time_outlives_the_factory_that_it_was_spent_on() {
    let mut fixture = Fixture::new(echo);
    fixture.connect().close();
    let port = fixture.port.clone();
    fixture.reactor.stop_listening(&port);
    fixture.settle();
    fixture.expect_empty();
    let seen = fixture.reactor.metrics();
    let call_totals = seen.protocols.values().next().unwrap();
    assert_eq!((seen.protocols.len(), call_totals.calls), (1, 3), "made, half closed, lost");
}

/// Returns the sum of all accounted time.
fn accounted(seen: &Metrics) -> Duration {
    let protocols: Duration = seen.protocols.values().map(|call_totals| call_totals.total).sum();
    protocols + seen.closures.total + seen.flushes.total + seen.other.total
}

#[test]
fn all_time_of_a_turn_counts_once_and_sending_is_not_waiting() {
    const MEMBERS: u32 = 10;
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(data) = event {
            cx.factory.all.iter().for_each(|member| member.write(data));
        }
    });
    let peers: Vec<Peer> = (0..MEMBERS).map(|_| fixture.connect()).collect();
    fixture.script.set_write_takes(ms(3));
    peers[0].send("hello");
    fixture.turn();
    let seen = fixture.reactor.metrics();
    // Includes the write of the last callback, which was sent when it had returned.
    assert_eq!((seen.flushes.calls, seen.flushes.total), (1, MEMBERS * ms(3)));
    // Closures and rejections take time; time outside of turns does not count.
    let script = fixture.script.clone();
    fixture.reactor.call_later(ms(0), move |_| script.advance(ms(50)));
    let limits = crate::limits::ConnectionLimits::new().max_connections(0).reject_message("no");
    fixture.reactor.set_limits(&fixture.port, limits);
    fixture.script.connect();
    fixture.turn();
    for _ in 0..5 {
        fixture.script.advance(ms(1000));
        fixture.turn();
    }
    let seen = fixture.reactor.metrics();
    assert_eq!((seen.closures.total, seen.flushes.total), (ms(50), (MEMBERS + 1) * ms(3)));
    assert_eq!(seen.busy.total, MEMBERS * ms(3) + ms(50) + ms(3));
    assert_eq!(accounted(&seen), seen.busy.total);
    // The last turn of all counts as well.
    let script = fixture.script.clone();
    fixture.reactor.call_later(ms(0), move |reactor| {
        script.advance(ms(7));
        reactor.stop();
    });
    fixture.reactor.run().unwrap();
    let last = fixture.reactor.metrics();
    assert_eq!(last.busy.total, seen.busy.total + ms(7));
    assert_eq!(accounted(&last), last.busy.total);
}

#[test]
fn a_callback_is_not_blamed_for_what_an_outer_loop_does() {
    let (script, mut reactor) = slow(ms(100));
    let peer = script.connect();
    turn(&mut reactor);
    peer.send([0; 1]);
    script.advance(ms(1000));
    let seen = turn(&mut reactor);
    assert_eq!(seen.protocols["Slow"].longest, ms(1));
    assert_eq!(reactor.recorder.logged, None, "no callback was slow");
}

#[test]
fn a_reader_that_is_slow_is_counted_to_its_own_protocol() {
    struct SlowReader(Script, usize);
    impl io::Read for SlowReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.advance(ms(10));
            self.1 -= 1;
            Ok(if self.1 == 0 { 0 } else { buffer.len() })
        }
    }
    let (script, mut reactor) = slow(ms(100));
    let (_consumer, peer) = (script.connect(), script.connect());
    turn(&mut reactor);
    let transport =
        reactor.connections.all_established().next().unwrap().1.connection.transport.clone();
    transport.register_producer(crate::Producer::reader(SlowReader(script.clone(), 3)));
    peer.send([0; 1]);
    turn(&mut reactor);
    let seen = turn(&mut reactor);
    assert_eq!((seen.protocols["Slow"].longest, accounted(&seen)), (ms(10), seen.busy.total));
    assert_eq!(seen.protocols["Slow"].total, ms(31));
}

#[test]
fn no_callback_is_blamed_for_what_a_factory_or_a_trigger_does() {
    struct SlowFactory(Script);
    impl Factory for SlowFactory {
        type Protocol = Slow;
        fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Slow> {
            self.0.advance(ms(300));
            None
        }
        fn connection_failed(&mut self, _: &Transport, _: &io::Error, _: &mut Reactor) {
            self.0.advance(ms(400));
        }
        fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
            self.0.advance(ms(500));
            Ok(())
        }
        fn stop_factory(&mut self, _: &mut Reactor) {
            self.0.advance(ms(600));
        }
    }
    let (script, mut reactor) = slow(ms(100));
    let innocent = script.connect();
    turn(&mut reactor);
    let inner = script.clone();
    reactor.call_later(ms(0), move |reactor| {
        reactor.listen_tcp(8008, SlowFactory(inner.clone())).unwrap();
        // The scripted driver refuses port 1.
        reactor.connect_tcp(([127, 0, 0, 1], 1), SlowFactory(inner)).unwrap();
    });
    script.connect_to(1);
    for _ in 0..3 {
        innocent.send([0; 1]);
        turn(&mut reactor);
    }
    let seen = turn(&mut reactor);
    assert_eq!((seen.protocols["Slow"].longest, accounted(&seen)), (ms(1), seen.busy.total));
    assert!(seen.closures.longest >= ms(600), "{seen}");
    // Nor for the time in which the loop did not run.
    script.advance(ms(3_600_000));
    drop(reactor);
}
