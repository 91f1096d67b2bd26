//! Blocking work on other threads, and its results.

use super::*;
use crate::error::DeferError;
use std::sync::mpsc::channel;

/// Logs its drop.
struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn entry(outcome: Result<i32, DeferError>) -> String {
    match outcome {
        Ok(number) => format!("result {number}"),
        Err(error) => error.to_string(),
    }
}

impl Fixture {
    fn defer(&mut self, work: fn() -> i32) {
        let log = self.log.clone();
        self.reactor.defer_to_thread(work, move |_, outcome| log.push(entry(outcome)));
    }
}

#[test]
fn a_result_comes_with_the_calls_of_the_turn_after_the_work() {
    let mut fixture = Fixture::new(quiet);
    fixture.defer(|| 6 * 7);
    fixture.defer(|| 43);
    fixture.settle();
    fixture.log.expect(&[]);
    assert_eq!(fixture.reactor.next_deadline(), None, "the loop may sleep meanwhile");
    assert_eq!(fixture.script.work_aside(), 2);
    fixture.log.expect(&[]);
    let log = fixture.log.clone();
    fixture.reactor.call_later(Duration::ZERO, move |_| log.push("timer"));
    fixture.turn();
    fixture.log.expect(&["result 42", "result 43", "timer"]);
    fixture.expect_empty();
    assert_eq!(fixture.reactor.deferred.len(), 0);
}

#[test]
fn work_is_deferred_and_answered_within_callbacks() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(data) = event {
            let (data, transport) = (data.to_vec(), cx.transport.clone());
            let work = move || data.to_ascii_uppercase();
            cx.reactor.defer_to_thread(work, move |_, answer| transport.write(answer.unwrap()));
        }
    });
    let (first, second) = (fixture.connect(), fixture.connect());
    first.send("one");
    second.send("two");
    fixture.turn();
    // An answer to a connection that is gone has no effect.
    fixture.transport(0).abort_connection();
    fixture.script.work_aside();
    fixture.settle();
    assert_eq!(
        (first.received().as_slice(), second.received().as_slice()),
        (&b""[..], &b"TWO"[..])
    );
}

#[test]
fn a_panic_of_the_work_is_its_outcome_and_one_of_the_continuation_ends_nothing() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    fixture.log.expect(&["0 made"]);
    fixture.defer(|| panic!("no {}", "luck"));
    fixture.reactor.defer_to_thread(|| (), |_, _| panic!("by the answer"));
    fixture.defer(|| 3);
    fixture.script.work_aside();
    fixture.turn();
    fixture.log.expect(&["work on a thread panicked: no luck", "result 3"]);
    peer.send("x");
    fixture.turn();
    assert_eq!(peer.received(), b"x");
}

#[test]
fn without_a_thread_the_continuation_gets_an_error_later() {
    let mut fixture = Fixture::new(quiet);
    fixture.script.refuse_threads();
    fixture.defer(|| unreachable!());
    fixture.log.expect(&[]);
    fixture.turn();
    let kind = io::Error::from(io::ErrorKind::WouldBlock);
    fixture.log.expect(&[&format!("cannot start a thread for the work: {kind}")]);
    assert_eq!(fixture.reactor.deferred.len(), 0);
}

#[test]
fn a_stopping_reactor_waits_for_no_work() {
    let mut fixture = Fixture::new(quiet);
    let dropped = Rc::new(Cell::new(false));
    let held = Held(Rc::clone(&dropped));
    fixture.reactor.defer_to_thread(|| 1, move |_, _| drop(held));
    fixture.script.begin_work();
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    assert!(dropped.get());
    fixture.log.expect(&["stopped"]);
    // Work of the first run ends in the second, and must not be mistaken for work of that run.
    let log = fixture.log.clone();
    fixture.reactor.defer_to_thread(|| 2, move |_, outcome| log.push(entry(outcome)));
    assert_eq!(fixture.script.work_aside(), 2);
    fixture.turn();
    fixture.log.expect(&["result 2"]);
}

#[test]
fn work_that_has_not_begun_when_the_reactor_stops_never_does() {
    let mut fixture = Fixture::new(quiet);
    let (log_in, log) = channel();
    for number in 0..3 {
        let log_in = log_in.clone();
        fixture.reactor.defer_to_thread(move || log_in.send(number).unwrap(), |_, _| {});
        if number == 0 {
            fixture.script.begin_work();
        }
    }
    // Values that it holds may panic when they are dropped, which affects nothing else.
    let bomb = Bomb;
    fixture.reactor.defer_to_thread(move || drop(bomb), |_, _| {});
    drop(log_in);
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["stopped"]);
    assert_eq!(fixture.script.work_aside(), 1);
    assert_eq!(log.iter().collect::<Vec<_>>(), [0], "and the others are dropped");
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("by a drop");
    }
}

#[test]
fn a_continuation_that_panics_when_it_is_dropped_is_contained() {
    let mut fixture = Fixture::new(quiet);
    let bomb = Bomb;
    fixture.reactor.defer_to_thread(
        || (),
        move |_, _| {
            let _bomb = &bomb;
        },
    );
    fixture.reactor.stop();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    fixture.log.expect(&["stopped"]);
}
