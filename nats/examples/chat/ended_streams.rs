//! `EndedStreams`: how far this node's streams were in rooms that its last member has left.
//!
//! The other nodes are told of them while they remember the streams, so that a message that is
//! missing at the end of one is noticed. If a member enters the room again meanwhile, the stream
//! continues: then its next message tells of those before it.

use super::streams::Position;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct EndedStreams {
    /// By their rooms.
    ended: BTreeMap<String, Ended>,
}

struct Ended {
    at: Position,
    since: Instant,
}

impl EndedStreams {
    /// The last member has left a room.
    pub(crate) fn insert(&mut self, room: String, at: Position, now: Instant) {
        // Nothing can be missing of a stream without messages.
        if at.message > 0 {
            self.ended.insert(room, Ended { at, since: now });
        }
    }

    /// A member enters a room again. Returns how far the stream was that continues.
    pub(crate) fn take(&mut self, room: &str) -> Option<Position> {
        self.ended.remove(room).map(|ended| ended.at)
    }

    /// Forgets those that ended longer ago than `age`.
    pub(crate) fn forget_old(&mut self, age: Duration, now: Instant) {
        self.ended.retain(|_, ended| now.saturating_duration_since(ended.since) < age);
    }

    /// Forgets those that ended first, until there are no more than `max`.
    pub(crate) fn truncate(&mut self, max: usize) {
        while self.ended.len() > max {
            let first = self.ended.iter().min_by_key(|(_, ended)| ended.since);
            let Some(room) = first.map(|(room, _)| room.clone()) else { return };
            self.ended.remove(&room);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Position)> {
        self.ended.iter().map(|(room, ended)| (room.as_str(), ended.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_streams_are_forgotten() {
        let (mut ended, now, second) =
            (EndedStreams::default(), Instant::now(), Duration::from_secs(1));
        let at = |message| Position { stream: 1, message };
        ended.insert("silent".to_owned(), at(0), now);
        for (number, room) in ["tea", "rum", "cake", "ale"].into_iter().enumerate() {
            ended.insert(room.to_owned(), at(number as u64 + 1), now + second * number as u32);
        }
        assert_eq!(
            (ended.take("rum"), ended.take("rum"), ended.take("silent")),
            (Some(at(2)), None, None)
        );
        ended.truncate(2);
        let rooms = |ended: &EndedStreams| {
            ended.iter().map(|(room, _)| room.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(rooms(&ended), ["ale", "cake"]);
        ended.forget_old(second, now + 3 * second);
        assert_eq!(rooms(&ended), ["ale"]);
        ended.truncate(0);
        assert_eq!(ended.iter().count(), 0);
    }
}
