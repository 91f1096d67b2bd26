//! How shards end: drains, failures, panics.

use super::{Greeter, Running, any, is_stopped, receive, ways};
use crate::support::Client;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;
use twistor::Reactor;
use twistor::shards::{Balance, ShardsError, SharedPort};

/// Far longer than a drain takes here.
const DRAIN: Duration = Duration::from_secs(60);

#[test]
fn a_drain_accepts_the_clients_that_wait_and_resets_none() {
    for port in ways() {
        let what = format!("{port:?}");
        let running = Running::start(2, port);
        let established: Vec<_> = (0..20).map(|_| running.connect().0).collect();
        let release = running.hold_up();
        let waiting: Vec<_> = (0..60).map(|_| Client::connect(running.address.clone())).collect();
        running.handle.stop_gracefully(DRAIN);
        release();
        for client in established {
            client.expect_close();
        }
        for client in waiting {
            // Accepted, greeted and closed in an orderly way.
            let greeting = client.rest();
            assert!(greeting == b"0\n" || greeting == b"1\n", "{what}: {greeting:?}");
        }
        let report = running.join().unwrap();
        assert!(report.shards().iter().all(is_stopped));
        assert_eq!(
            report.total().to_string(),
            "80 connections drained, 0 lost, 0 aborted, 0 bytes lost"
        );
    }
}

/// The shards learn of the drain one after the other; what one accepts meanwhile, and hands over to
/// one that has begun, is not lost.
#[test]
fn shards_that_drain_at_different_moments_reset_no_client() {
    for port in ways() {
        for first in [0, 1] {
            let running = Running::start(2, port_like(&port));
            let (held_in, held) = channel();
            let (release, released) = channel::<()>();
            let hold_up = move |_: &mut Reactor| {
                held_in.send(()).unwrap();
                released.recv().unwrap();
            };
            running.remote(1 - first).call_from_thread(hold_up).unwrap();
            receive(&held);
            let waiting: Vec<_> =
                (0..30).map(|_| Client::connect(running.address.clone())).collect();
            running.handle.stop_gracefully(DRAIN);
            // This shard has drained, and is gone.
            let gone = running.remote(first);
            while gone.call_from_thread(|_| {}).is_ok() {
                std::thread::yield_now();
            }
            release.send(()).unwrap();
            for client in waiting {
                let greeting = client.rest();
                assert!(greeting == b"0\n" || greeting == b"1\n", "{port:?}: {greeting:?}");
            }
            let total = running.join().unwrap().total();
            assert_eq!((total.drained, total.lost, total.aborted), (30, 0, 0), "{port:?}");
        }
    }
}

/// Returns a port that is shared in the same way.
fn port_like(port: &SharedPort) -> SharedPort {
    let what = format!("{port:?}");
    match what.contains("ReusePort") {
        true => SharedPort::reuse_port(any()),
        false if what.contains("RoundRobin") => SharedPort::acceptor(any(), Balance::RoundRobin),
        false => SharedPort::acceptor(any(), Balance::LeastConnections),
    }
}

#[test]
fn a_stop_of_one_shard_stops_all_with_its_deadline() {
    for by in 0..3 {
        let running = Running::start(3, SharedPort::acceptor(any(), Balance::RoundRobin));
        let clients = [(); 6].map(|()| running.connect().0);
        running.remote(by).call_from_thread(|reactor| reactor.stop_gracefully(DRAIN)).unwrap();
        clients.into_iter().for_each(Client::expect_close);
        assert_eq!(running.join().unwrap().total().drained, 6);
    }
}

#[test]
fn a_stop_before_the_run_or_during_the_set_up_stops_all() {
    let shards = super::shards(2);
    shards.handle().stop();
    assert!(shards.run(|_, _| Ok(())).unwrap().shards().iter().all(is_stopped));
    let shards = super::shards(3);
    let handle = shards.handle();
    let report = shards.run(|_, shard| {
        if shard.index() == 1 {
            shard.handle().stop_gracefully(DRAIN);
        }
        Ok(())
    });
    assert!(report.unwrap().shards().iter().all(is_stopped));
    handle.stop();
    assert_eq!(handle.metrics(DRAIN).shards().iter().flatten().count(), 0, "and none answers");
}

#[test]
fn a_stop_in_the_set_up_of_one_shard_reaches_those_that_are_set_up_later() {
    for by in 0..3 {
        for deadline in [Duration::ZERO, DRAIN] {
            let (ended_in, ended) = channel();
            std::thread::spawn(move || {
                let report = super::shards(3).run(|reactor, shard| {
                    if shard.index() == by {
                        reactor.stop_gracefully(deadline);
                    }
                    Ok(())
                });
                ended_in.send(report).unwrap();
            });
            let report = receive(&ended).unwrap();
            assert!(report.shards().len() == 3 && report.shards().iter().all(is_stopped));
        }
    }
}

#[test]
fn a_shard_that_cannot_be_set_up_stops_all_and_leaves_nothing_open() {
    for panics in [false, true] {
        let (address_in, address) = channel();
        let error = super::shards(3)
            .run(|reactor, shard| {
                assert!(shard.index() < 1 || !panics, "no luck");
                if shard.index() == 1 {
                    return Err("no disk".into());
                }
                let port = reactor.listen("tcp:0:interface=127.0.0.1", || Greeter { index: 0 })?;
                address_in.send(port.local_address().socket_addr().unwrap())?;
                Ok(())
            })
            .unwrap_err();
        let expected = match panics {
            false => "cannot set up shard 1: no disk",
            true => "cannot set up shard 1: its set-up panicked: no luck",
        };
        assert_eq!(error.to_string(), expected);
        assert!(matches!(
            error,
            ShardsError::SetUp { shard: 1, .. } | ShardsError::SetUpPanicked { shard: 1, .. }
        ));
        assert!(TcpStream::connect(receive(&address)).is_err(), "the port of shard 0 is closed");
        assert!(address.try_recv().is_err(), "shard 2 was not set up");
    }
}
