//! Calls from other threads.

use crate::support::{Server, TIMEOUT};
use std::sync::mpsc::channel;
use std::thread;
use twistor::Reactor;
use twistor::error::CallError;

#[test]
fn calls_wake_the_reactor_and_run_in_the_order_of_their_thread() {
    let server = Server::new(|_, _| {});
    let (results_in, results) = channel();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (remote, results_in) = (server.remote.clone(), results_in.clone());
            thread::spawn(move || {
                for number in 0..1000 {
                    let results_in = results_in.clone();
                    let call = move |_: &mut Reactor| results_in.send((thread, number)).unwrap();
                    remote.call_from_thread(call).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(results_in);
    let mut next = [0; 4];
    for (thread, number) in results {
        assert_eq!(number, next[thread], "of thread {thread}");
        next[thread] += 1;
    }
    assert_eq!(next, [1000; 4]);
}

#[test]
fn a_call_made_by_a_call_waits_for_the_next_turn_and_starves_nobody() {
    let server = Server::new(|event, cx| {
        if let crate::support::Event::Data(data) = event {
            cx.transport.write(data);
        }
    });
    fn again(reactor: &mut Reactor) {
        let remote = reactor.remote();
        remote.call_from_thread(again).unwrap();
    }
    server.remote.call_from_thread(again).unwrap();
    let mut client = server.connect();
    client.send("still served");
    client.expect("still served");
}

#[test]
fn calls_before_the_run_wait_and_calls_after_the_end_are_rejected() {
    let mut reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let (called_in, called) = channel();
    let first = remote.clone();
    thread::spawn(move || {
        let call = move |reactor: &mut Reactor| {
            called_in.send(()).unwrap();
            reactor.stop();
        };
        first.call_from_thread(call).unwrap();
    })
    .join()
    .unwrap();
    assert!(called.try_recv().is_err(), "not before the reactor runs");
    reactor.run().unwrap();
    assert!(called.try_recv().is_ok());
    drop(reactor);
    let refused = remote.call_from_thread(|_| unreachable!());
    assert!(matches!(refused, Err(CallError::ReactorGone(_))));
}

#[test]
fn the_loop_continues_while_a_thread_works() {
    let server = Server::new(|event, cx| {
        if let crate::support::Event::Data(data) = event {
            cx.transport.write(data);
        }
    });
    let (go, gate) = channel::<u32>();
    let (result_in, result) = channel();
    server.call(move |reactor| {
        reactor.defer_to_thread(
            move || gate.recv().unwrap() + 1,
            move |reactor, outcome| {
                result_in.send((outcome.unwrap(), reactor.is_running())).unwrap();
            },
        );
    });
    let mut client = server.connect();
    client.send("meanwhile");
    client.expect("meanwhile");
    assert!(result.try_recv().is_err());
    go.send(6).unwrap();
    assert_eq!(result.recv_timeout(TIMEOUT), Ok((7, true)), "and it wakes the reactor");
}

#[test]
fn work_may_outlive_its_reactor() {
    let mut reactor = Reactor::new().unwrap();
    let (go, gate) = channel::<()>();
    let (begun_in, begun) = channel();
    let (ended_in, ended) = channel();
    let work = move || {
        begun_in.send(()).unwrap();
        gate.recv().unwrap();
        ended_in.send(()).unwrap();
    };
    reactor.defer_to_thread(work, |_, _| unreachable!("the reactor is gone"));
    begun.recv_timeout(TIMEOUT).unwrap();
    reactor.stop();
    reactor.run().unwrap();
    drop(reactor);
    go.send(()).unwrap();
    ended.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn work_that_has_not_begun_is_dropped_when_the_reactor_stops() {
    let settings = twistor::Settings::default().max_blocking_threads(1).handle_signals(false);
    let mut reactor = Reactor::with_settings(settings).unwrap();
    let (go, gate) = channel::<()>();
    let (begun_in, begun) = channel();
    let (ended_in, ended) = channel();
    let first = ended_in.clone();
    let work = move || {
        begun_in.send(()).unwrap();
        gate.recv().unwrap();
        first.send("first").unwrap();
    };
    reactor.defer_to_thread(work, |_, _| unreachable!("the reactor has stopped"));
    begun.recv_timeout(TIMEOUT).unwrap();
    for name in ["second", "third"] {
        let ended_in = ended_in.clone();
        let work = move || ended_in.send(name).unwrap();
        reactor.defer_to_thread(work, |_, _| unreachable!("the reactor has stopped"));
    }
    drop(ended_in);
    reactor.stop();
    reactor.run().unwrap();
    // The reactor still exists, and its thread is free again.
    go.send(()).unwrap();
    assert_eq!(ended.iter().collect::<Vec<_>>(), ["first"]);
    drop(reactor);
}

#[test]
fn more_work_than_threads_all_runs() {
    let settings = twistor::Settings::default().max_blocking_threads(2);
    let mut reactor = Reactor::with_settings(settings).unwrap();
    let left = std::rc::Rc::new(std::cell::Cell::new(100));
    for number in 0..100 {
        let left = std::rc::Rc::clone(&left);
        reactor.defer_to_thread(
            move || assert!(number % 10 != 3, "number {number}"),
            move |reactor, outcome| {
                assert_eq!(outcome.is_err(), number % 10 == 3);
                left.set(left.get() - 1);
                if left.get() == 0 {
                    reactor.stop();
                }
            },
        );
    }
    reactor.run().unwrap();
    assert_eq!(left.get(), 0);
}
