//! Running and stopping.

use crate::support::{Client, TIMEOUT};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use twistor::error::RunError;
use twistor::{Context, Protocol, Reactor, Settings};

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

fn reactor() -> Reactor {
    Reactor::with_settings(Settings::default().handle_signals(false)).unwrap()
}

#[test]
fn a_stop_before_the_run_ends_it_at_once() {
    let mut reactor = reactor();
    reactor.stop();
    assert!(!reactor.is_running());
    reactor.run().unwrap();
    reactor.call_when_running(|reactor| {
        assert!(reactor.is_running());
        assert!(matches!(reactor.run(), Err(RunError::AlreadyRunning)));
        reactor.stop();
    });
    reactor.run().unwrap();
    assert!(!reactor.is_running());
}

#[test]
fn two_reactors_live_side_by_side() {
    let (mut one, mut two) = (reactor(), reactor());
    let first = one.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let second = two.listen_tcp((Ipv4Addr::LOCALHOST, 0), || Echo).unwrap();
    let address = |port: twistor::Address| port.socket_addr().unwrap();
    let addresses = [address(first.local_address()), address(second.local_address())];
    let clients = std::thread::spawn(move || {
        for address in addresses {
            let mut client = Client::connect(address);
            client.send("hello");
            client.expect("hello");
        }
    });
    let start = Instant::now();
    while !clients.is_finished() {
        assert!(start.elapsed() < TIMEOUT);
        for reactor in [&mut one, &mut two] {
            assert!(reactor.turn(Some(Duration::from_millis(1))).unwrap().is_continue());
        }
    }
    clients.join().unwrap();
}

#[test]
fn a_turn_may_wait_longer_than_any_poller() {
    for timer in [None, Some(Duration::MAX)] {
        let mut reactor = reactor();
        if let Some(delay) = timer {
            reactor.call_later(delay, |_| unreachable!());
        }
        let remote = reactor.remote();
        let woken = std::thread::spawn(move || remote.call_from_thread(Reactor::stop));
        while reactor.turn(Some(Duration::MAX)).unwrap().is_continue() {}
        woken.join().unwrap().unwrap();
    }
}

#[test]
fn timers_are_never_early() {
    let mut reactor = reactor();
    for milliseconds in [0, 1, 2, 5, 10, 20] {
        let (delay, set) = (Duration::from_millis(milliseconds), Instant::now());
        reactor.call_later(delay, move |reactor| {
            assert!(set.elapsed() >= delay);
            if milliseconds == 20 {
                reactor.stop();
            }
        });
    }
    reactor.run().unwrap();
}

#[test]
fn reactors_of_one_process_draw_different_numbers() {
    let drawn: std::collections::BTreeSet<u64> = (0..8).map(|_| reactor().random()).collect();
    assert_eq!(drawn.len(), 8);
}
