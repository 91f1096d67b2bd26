//! What the reactor remembers of what it has done.

use super::*;
use crate::Snapshot;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn everything_is_counted() {
    let mut stage = Stage::new(echo);
    let (peer, other) = (stage.connect(), stage.connect());
    other.set_room(2);
    peer.send("hello");
    other.send("hello");
    stage.settle();
    stage.reactor.call_later(ms(5), |_| ());
    let seen = stage.reactor.snapshot();
    assert_eq!((seen.accepted, seen.open, seen.lost, seen.refused), (2, 2, 0, 0));
    assert_eq!((seen.bytes_received, seen.bytes_sent, seen.unsent), (10, 7, 3));
    assert_eq!((seen.timers, seen.panics, seen.closures.calls), (1, 0, 0));
    assert_eq!(seen.protocols.len(), 1);
    let spent = seen.protocols.values().next().unwrap();
    assert_eq!(spent.calls, 4, "two were made, and two received something");
    peer.close();
    other.reset();
    stage.script.advance(ms(5));
    stage.settle();
    let seen = stage.reactor.snapshot();
    assert_eq!((seen.open, seen.lost, seen.closures.calls), (0, 2, 1));
    assert_eq!(seen.busy.calls, seen.turns);
    assert_eq!(seen.slowest, None, "in no time at all");
    assert!(seen.to_string().contains("2 accepted"), "{seen}");
}

/// Takes its time, by the clock of the script.
struct Slow(Script);

impl<F> Protocol<F> for Slow {
    fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
        self.0.advance(ms(data.len() as u64));
    }
}

fn slow(threshold: Duration) -> (Script, Reactor) {
    let script = Script::new();
    let settings = Settings::default().slow_callback(threshold);
    let mut reactor = Reactor::in_world(script.world(), settings);
    let inner = script.clone();
    reactor.listen_tcp(8007, move || Slow(inner.clone())).unwrap();
    (script, reactor)
}

fn turn(reactor: &mut Reactor) -> Snapshot {
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    reactor.snapshot()
}

#[test]
fn time_is_counted_to_whom_it_is_spent_on() {
    let (script, mut reactor) = slow(ms(100));
    let (one, two) = (script.connect(), script.connect());
    turn(&mut reactor);
    one.send([0; 30]);
    two.send([0; 50]);
    turn(&mut reactor);
    // A wait is nobody's time.
    script.advance(ms(1000));
    one.send([0; 20]);
    turn(&mut reactor);
    let seen = turn(&mut reactor);
    let spent = seen.protocols["Slow"];
    assert_eq!((spent.calls, spent.total, spent.longest), (5, ms(100), ms(50)));
    assert_eq!((seen.busy.total, seen.busy.longest), (ms(100), ms(80)));
    let slowest = seen.slowest.unwrap();
    assert_eq!((slowest.took, &*slowest.callback), (ms(50), "Data"));
    assert_eq!(slowest.peer.port(), Some(1));
}

#[test]
fn slow_callbacks_are_told_with_what_came_before_but_not_all_the_time() {
    let (script, mut reactor) = slow(ms(100));
    let peer = script.connect();
    turn(&mut reactor);
    let logged = |count: usize, reactor: &mut Reactor| {
        peer.send(vec![0; count]);
        turn(reactor);
        reactor.recorder.logged()
    };
    assert_eq!(logged(99, &mut reactor), None);
    let first = logged(100, &mut reactor);
    assert_eq!(first, Some(reactor.now()));
    assert_eq!(logged(200, &mut reactor), first);
    script.advance(Duration::from_secs(5));
    assert_eq!(logged(200, &mut reactor), Some(reactor.now()));
    let told = reactor.recorder.last_events();
    let last = told.lines().last().unwrap();
    assert!(last.contains("Data") && last.ends_with(" 200"), "{told}");
    assert!(told.contains("Accepted") && told.contains("Made"), "{told}");
}

#[test]
fn only_so_many_events_are_remembered_and_the_newest_come_last() {
    let mut stage = Stage::new(quiet);
    let peer = stage.connect();
    for round in 1..=300_usize {
        peer.send(vec![0; round]);
        stage.turn();
    }
    let told = stage.reactor.recorder.last_events();
    assert_eq!(told.lines().count(), 129, "and an empty line before them");
    let amounts = told.lines().filter(|line| line.contains("Data"));
    let amounts: Vec<usize> =
        amounts.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(amounts.is_sorted() && amounts.last() == Some(&300), "{told}");
}

#[test]
fn panics_are_counted_wherever_they_come_from() {
    let mut stage = Stage::new(|event, _| assert!(event == Event::Made, "boom"));
    let peer = stage.connect();
    peer.send("x");
    stage.settle();
    // In `data_received`, and in `connection_lost`.
    assert_eq!(stage.reactor.snapshot().panics, 2);
    stage.reactor.call_later(Duration::ZERO, |_| panic!("boom"));
    stage.reactor.remote().call_from_thread(|_| panic!("boom")).unwrap();
    stage.settle();
    assert_eq!(stage.reactor.snapshot().panics, 4);
}

#[test]
fn time_outlives_the_factory_that_it_was_spent_on() {
    let mut stage = Stage::new(echo);
    stage.connect().close();
    let port = stage.port;
    stage.reactor.stop_listening(port);
    stage.settle();
    stage.expect_empty();
    let seen = stage.reactor.snapshot();
    let spent = seen.protocols.values().next().unwrap();
    assert_eq!((seen.protocols.len(), spent.calls), (1, 3), "made, half closed, lost");
}
