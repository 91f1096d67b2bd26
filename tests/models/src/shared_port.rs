//! Models of a shared port: the acceptor hands sockets over, and a shard takes them, or stops.

use crate::address::Address;
use crate::explore;
use crate::handoff::Handoff;
use crate::handoffs::Handoffs;
use crate::sleep::Sleep;
use loom::thread;
use std::sync::Arc;

/// A queue that a shard has opened, and the shard's sleep.
fn open() -> (Arc<Handoffs>, Arc<Sleep>) {
    let (handoffs, sleep) = (Handoffs::new(), Arc::new(Sleep::default()));
    let woken = Arc::clone(&sleep);
    assert!(handoffs.open(Arc::new(move || woken.wake())));
    (handoffs, sleep)
}

/// Starts an acceptor that hands `count` sockets over, and returns those that come back.
fn accept(handoffs: &Arc<Handoffs>, count: usize) -> thread::JoinHandle<Vec<usize>> {
    let handoffs = Arc::clone(handoffs);
    thread::spawn(move || {
        let push = |number| handoffs.push(Handoff(number), Address).err();
        (0..count).filter_map(push).map(|(Handoff(number), _)| number).collect()
    })
}

fn take(handoffs: &Handoffs) -> impl Iterator<Item = usize> {
    std::iter::from_fn(|| handoffs.pop()).map(|(Handoff(number), _)| number)
}

#[test]
fn a_sleeping_shard_is_woken_for_every_socket() {
    explore(|| {
        let (handoffs, sleep) = open();
        let acceptor = accept(&handoffs, 3);
        let mut taken = Vec::new();
        while taken.len() < 3 {
            sleep.sleep();
            taken.extend(take(&handoffs));
        }
        assert_eq!((taken, acceptor.join().unwrap()), (vec![0, 1, 2], vec![]));
        assert_eq!(handoffs.load(), 0);
    });
}

#[test]
fn a_socket_comes_back_or_is_taken_before_the_end() {
    explore(|| {
        let (handoffs, _) = open();
        let acceptor = accept(&handoffs, 3);
        handoffs.seal();
        let mut seen: Vec<usize> = take(&handoffs).collect();
        let left = handoffs.close();
        assert_eq!(left.len(), 0, "what was sealed takes no more");
        assert!(!handoffs.has_room());
        seen.extend(acceptor.join().unwrap());
        assert_eq!(seen, [0, 1, 2]);
        assert!(!handoffs.has_room(), "nobody chooses a shard that has stopped");
    });
}
