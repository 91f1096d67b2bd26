//! `Nodes`: the other nodes, and when they were last heard of, by a heartbeat (their presence) or
//! by a message.

use super::node_id::NodeId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A node that was silent for longer was perhaps cut off: it is told all names at once. A shorter
/// silence goes unnoticed, and each name has its turn to be told again.
const SILENT_AFTER: Duration = Duration::from_secs(7);

/// A node that was silent for so long is forgotten, and its streams with it. Streams that have
/// ended are told for as long.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(600);

/// The most nodes that are known: a stranger on the bus, who may say to be many, does not fill
/// memory. Each has a place of some 50 bytes in each room, of which there may be a thousand too.
pub(crate) const NODES_MAX: usize = 1000;

#[derive(Default)]
pub(crate) struct Nodes {
    last_heard: BTreeMap<NodeId, Instant>,
}

/// What is known of a node that is heard of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    Known,
    /// It is new, or was silent for a while: it may not know the names of this node.
    New,
    /// Too many others are known, and nothing is kept of it.
    Full,
}

impl Nodes {
    /// A node is heard of.
    pub(crate) fn meet(&mut self, node: NodeId, now: Instant) -> Acquaintance {
        let is_full = self.last_heard.len() >= NODES_MAX;
        match self.last_heard.get_mut(&node) {
            Some(last) => {
                let silence = now.saturating_duration_since(std::mem::replace(last, now));
                if silence > SILENT_AFTER { Acquaintance::New } else { Acquaintance::Known }
            }
            None if is_full => Acquaintance::Full,
            None => {
                self.last_heard.insert(node, now);
                Acquaintance::New
            }
        }
    }

    /// Forgets the nodes that are gone, and returns them.
    pub(crate) fn forget_gone(&mut self, now: Instant) -> Vec<NodeId> {
        let is_gone = |last: &Instant| now.saturating_duration_since(*last) >= GONE_AFTER;
        let gone = self.last_heard.iter().filter(|(_, last)| is_gone(last));
        let gone: Vec<NodeId> = gone.map(|(node, _)| *node).collect();
        for node in &gone {
            self.last_heard.remove(node);
        }
        gone
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.last_heard.len()
    }
}

#[test]
fn silence_is_noticed_and_no_more_nodes_are_known_than_may_be() {
    let (mut nodes, begin) = (Nodes::default(), Instant::now());
    let id = |number: usize| NodeId::from_number(number as u128);
    for number in 0..NODES_MAX {
        assert_eq!(nodes.meet(id(number), begin), Acquaintance::New);
    }
    assert_eq!(nodes.meet(id(NODES_MAX), begin), Acquaintance::Full);
    assert_eq!(nodes.meet(id(0), begin + SILENT_AFTER), Acquaintance::Known);
    let now = begin + 3 * SILENT_AFTER;
    assert_eq!(nodes.meet(id(0), now), Acquaintance::New);
    assert_eq!(nodes.forget_gone(begin + GONE_AFTER).len(), NODES_MAX - 1);
    assert_eq!(nodes.forget_gone(now + GONE_AFTER), [id(0)]);
    assert_eq!(nodes.len(), 0);
}
