//! What has been heard from other nodes: in order, not doubled, and what is missing.
//!
//! A node opens a *stream* in a room when its first member enters, and counts its messages from one
//! on. Its streams have growing numbers, so that one which it opens later is told from one that was
//! heard before. From time to time a node tells how far its streams are, those of rooms that its
//! members have left among them, so that a message that is missing at the end is noticed too.

use super::node_id::NodeId;
use std::collections::BTreeMap;

/// A position in the messages of a node in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The number of the stream.
    pub(crate) stream: u64,
    /// The number of the message in it; zero before the first.
    pub(crate) message: u64,
}

/// The streams of other nodes in a room: of those that are known, as [`Nodes`](super::nodes::Nodes)
/// has them.
#[derive(Default)]
pub(crate) struct Streams(BTreeMap<NodeId, Position>);

impl Streams {
    /// A message has arrived. Returns how many are missing before it, or `None` if it was heard
    /// before.
    pub(crate) fn heard(&mut self, node: NodeId, at: Position) -> Option<u64> {
        let last = self.0.get(&node).copied();
        if last.is_some_and(|last| at <= last) {
            return None;
        }
        self.0.insert(node, at);
        Some(last.map_or(0, |last| missing(last, at).saturating_sub(1)))
    }

    /// A node tells how far its stream is, or that it has none: messages up to there have been sent
    /// before. Returns how many of them are missing.
    pub(crate) fn told(&mut self, node: NodeId, at: Option<Position>) -> u64 {
        let last = self.0.get(&node).copied();
        let at = at.unwrap_or(Position { stream: 0, message: 0 });
        if last.is_some_and(|last| at <= last) {
            return 0;
        }
        self.0.insert(node, at);
        last.map_or(0, |last| missing(last, at))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets a node that is gone.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.0.remove(&node);
    }
}

/// Returns how many messages are missing up to `at`, itself included.
fn missing(last: Position, at: Position) -> u64 {
    let before = if at.stream == last.stream { last.message } else { 0 };
    at.message.saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stream: u64, message: u64) -> Position {
        Position { stream, message }
    }

    const NODE: NodeId = NodeId::from_number(1);
    const OTHER: NodeId = NodeId::from_number(2);

    #[test]
    fn a_gap_is_counted_and_nothing_is_heard_twice() {
        let mut streams = Streams::default();
        // A new member has not missed what was said before.
        assert_eq!(streams.heard(NODE, at(1, 7)), Some(0));
        assert_eq!(streams.heard(NODE, at(1, 8)), Some(0));
        assert_eq!(streams.heard(NODE, at(1, 8)), None);
        assert_eq!(streams.heard(NODE, at(1, 3)), None);
        assert_eq!(streams.heard(NODE, at(1, 12)), Some(3));
        assert_eq!(streams.heard(NODE, at(4, 1)), Some(0));
        assert_eq!(streams.heard(NODE, at(1, 13)), None, "of a stream before");
        assert_eq!(streams.heard(NODE, at(5, 3)), Some(2));
        assert_eq!(streams.heard(OTHER, at(1, 1)), Some(0));
    }

    #[test]
    fn what_is_missing_at_the_end_is_told() {
        let mut streams = Streams::default();
        assert_eq!(streams.told(NODE, None), 0);
        assert_eq!(streams.heard(NODE, at(2, 3)), Some(2), "it had none when it told");
        assert_eq!(streams.told(NODE, Some(at(2, 3))), 0);
        assert_eq!(streams.told(NODE, Some(at(2, 5))), 2);
        assert_eq!(streams.told(NODE, None), 0);
        assert_eq!(streams.heard(NODE, at(2, 6)), Some(0));
        assert_eq!(streams.told(NODE, Some(at(3, 1))), 1);
        streams.forget(NODE);
        assert_eq!(streams.told(NODE, Some(at(3, 9))), 0);
    }
}
