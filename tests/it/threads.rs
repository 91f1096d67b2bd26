//! Calls from other threads.

use crate::support::Server;
use std::sync::mpsc::channel;
use std::thread;
use twistor::{Reactor, ReactorGone};

#[test]
fn calls_come_in_the_order_of_asking_and_wake_the_reactor() {
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
fn calls_before_the_run_wait_and_calls_after_the_end_are_refused() {
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
    assert_eq!(remote.call_from_thread(|_| unreachable!()), Err(ReactorGone));
}
