//! Cost of a request, from the call to the reply: a [`RequestQueue`] by itself.

use super::{ALL_ROUNDS, beginning, rounds};
use crate::requests::RequestQueue;
use std::hint::black_box;
use std::time::Duration;

/// Requests under way, all of them sent in one round.
const DEPTH: usize = 64;

/// A request as a client keeps it: its bytes, and what its reply is for.
type Request = (Vec<u8>, usize);

#[test]
#[ignore = "counted by benches/counts/check"]
fn pipeline_64() {
    let (mut queue, mut answered) = (RequestQueue::<Request>::new().depth(DEPTH), 0);
    rounds(|counter| {
        let now = beginning() + Duration::from_secs(1);
        let replies = counter.count(|| {
            for tag in 0..DEPTH {
                queue.push(now, (Vec::new(), tag)).unwrap();
            }
            while let Some(request) = queue.start_next() {
                black_box(request);
            }
            black_box(queue.next_deadline());
            (0..DEPTH).filter(|tag| queue.pop_answered().unwrap().unwrap().1 == *tag).count()
        });
        answered += replies;
        DEPTH
    });
    assert_eq!(answered, DEPTH * ALL_ROUNDS);
}

#[test]
#[ignore = "counted by benches/counts/check"]
fn expire_64() {
    let mut queue = RequestQueue::<Request>::new().depth(DEPTH).timeout(Duration::from_secs(1));
    rounds(|counter| {
        let now = beginning() + Duration::from_secs(1);
        for tag in 0..DEPTH {
            queue.push(now, (Vec::new(), tag)).unwrap();
        }
        while queue.start_next().is_some() {}
        let due = now + Duration::from_secs(1);
        let expired = counter.count(|| {
            let mut expired = 0;
            while black_box(queue.pop_expired(due)).is_some() {
                expired += 1;
            }
            expired
        });
        assert_eq!((expired, queue.overdue()), (DEPTH, DEPTH));
        assert!(queue.connection_lost().is_empty());
        DEPTH
    });
}
