//! Shared rate: one rate limit for many connections, first come, first served. Pure: times in,
//! decisions out.

use super::token_bucket::ByteBucket;
use crate::arena::Id;
use std::collections::BTreeMap;
use std::time::Instant;

/// Smallest grant to a connection that has waited, if as many bytes are left: a read of fewer costs
/// as much. The others continue to wait.
const GRANT_MIN: usize = 1024;

/// The rate limiter that the connections of a factory share, in one direction.
#[derive(Debug)]
pub(crate) struct SharedRateLimiter {
    bucket: ByteBucket,
    /// Queue: connections by their tickets, and so in the order in which they came.
    waiting: BTreeMap<u64, Id>,
    tickets: u64,
}

impl SharedRateLimiter {
    /// Returns a limiter of `rate` bytes per second.
    pub(crate) fn new(rate: u64) -> Self {
        Self { bucket: ByteBucket::new(rate), waiting: BTreeMap::new(), tickets: 0 }
    }

    /// Returns how many bytes a connection that has not queued may take: none while others wait.
    pub(crate) fn left(&self) -> usize {
        if self.waiting.is_empty() { self.bucket.left() } else { 0 }
    }

    pub(crate) fn spend(&mut self, count: usize) {
        self.bucket.spend(count);
    }

    /// Takes back `count` bytes that were granted and not used.
    pub(crate) fn give_back(&mut self, count: usize) {
        self.bucket.give_back(count);
    }

    /// Asks for bytes for the connection `id`. The error is its ticket in the queue.
    pub(crate) fn ask(&mut self, id: Id, now: Instant) -> Result<(), u64> {
        let empty = self.waiting.is_empty();
        if empty && (self.bucket.left() > 0 || self.bucket.refill(now).is_ok()) {
            return Ok(());
        }
        self.tickets += 1;
        self.waiting.insert(self.tickets, id);
        Err(self.tickets)
    }

    /// Removes a connection from the queue.
    pub(crate) fn leave(&mut self, ticket: u64) {
        self.waiting.remove(&ticket);
    }

    /// Returns when there are bytes for the connections that wait, if any do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.bucket.due().filter(|_| !self.waiting.is_empty())
    }

    /// Grants the same number of bytes to each of the connections that have waited longest, and
    /// removes them from the queue. The error is the time at which to ask again.
    pub(crate) fn grant(&mut self, now: Instant) -> Result<(Vec<Id>, usize), Instant> {
        self.bucket.refill(now)?;
        let left = self.bucket.left();
        let count = (left / GRANT_MIN).max(1).min(self.waiting.len());
        let grant = left.checked_div(count).unwrap_or(0);
        let first = (0..count).filter_map(|_| self.waiting.pop_first());
        let granted = first.map(|(_, id)| id).collect();
        self.bucket.spend(grant * count);
        Ok((granted, grant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use std::time::Duration;

    const PORTION: Duration = Duration::from_millis(50);

    fn ids(count: usize) -> Vec<Id> {
        let mut arena = Arena::new();
        (0..count).map(|_| arena.insert_with(|_| ())).collect()
    }

    #[test]
    fn the_first_takes_what_is_left_then_all_wait_and_get_equal_grants() {
        let (mut shared, t, ids) = (SharedRateLimiter::new(200_000), Instant::now(), ids(4));
        assert_eq!(shared.left(), 0, "the clock was not read yet");
        assert_eq!((shared.ask(ids[0], t), shared.left()), (Ok(()), 10_000));
        shared.spend(10_000);
        for id in &ids {
            assert!(shared.ask(*id, t).is_err());
        }
        assert_eq!((shared.next(), shared.grant(t)), (Some(t + PORTION), Err(t + PORTION)));
        assert_eq!(shared.grant(t + PORTION), Ok((ids, 2500)));
        assert_eq!(shared.next(), None);
    }

    #[test]
    fn no_connection_overtakes_the_queue() {
        let (mut shared, t, ids) = (SharedRateLimiter::new(20_000), Instant::now(), ids(3));
        assert_eq!(shared.ask(ids[0], t), Ok(()));
        shared.spend(1000);
        assert_eq!(shared.ask(ids[0], t), Err(1));
        shared.give_back(500);
        assert_eq!((shared.left(), shared.ask(ids[1], t)), (0, Err(2)));
        shared.leave(1);
        shared.leave(2);
        assert_eq!((shared.left(), shared.ask(ids[2], t)), (500, Ok(())));
    }

    #[test]
    fn in_a_long_queue_some_wait_longer_and_none_forever() {
        let (mut shared, t, ids) =
            (SharedRateLimiter::new(20 * 3 * GRANT_MIN as u64), Instant::now(), ids(7));
        assert_eq!(shared.ask(ids[0], t), Ok(()));
        shared.spend(3 * GRANT_MIN);
        for id in &ids {
            assert!(shared.ask(*id, t).is_err());
        }
        let mut now = t;
        for expected in [&ids[..3], &ids[3..6], &ids[6..]] {
            now += PORTION;
            let (granted, grant) = shared.grant(now).unwrap();
            assert_eq!(granted, expected);
            assert_eq!(grant, 3 * GRANT_MIN / expected.len());
        }
    }

    #[test]
    fn a_rate_of_one_byte_serves_the_queue_in_turn() {
        let (mut shared, t, ids) = (SharedRateLimiter::new(1), Instant::now(), ids(2));
        assert!(shared.ask(ids[0], t).is_ok());
        shared.spend(1);
        assert!(ids.iter().all(|id| shared.ask(*id, t).is_err()));
        assert_eq!(shared.grant(t + Duration::from_secs(1)), Ok((vec![ids[0]], 1)));
        assert_eq!(shared.grant(t + Duration::from_secs(2)), Ok((vec![ids[1]], 1)));
        assert_eq!(shared.grant(t + Duration::from_secs(3)), Ok((vec![], 0)));
        assert_eq!(shared.left(), 1, "no grant is spent on an empty queue");
    }
}
