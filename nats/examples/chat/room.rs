//! `Room`: a room in which this node has members.

use super::streams::{Position, Streams};
use std::collections::BTreeMap;
use twistor::{Transport, broadcast};
use twistor_nats::{Subject, SubscriptionId};

pub(crate) struct Room {
    pub(crate) subject: Subject,
    /// By the keys of their names.
    pub(crate) members: BTreeMap<String, Transport>,
    pub(crate) subscription: Option<SubscriptionId>,
    pub(crate) own: Position,
    pub(crate) others: Streams,
}

impl Room {
    pub(crate) fn tell_missing(&self, missing: u64) {
        let text = match missing {
            0 => return,
            1 => "* A message from another node is missing.\r\n".to_owned(),
            _ => format!("* {missing} messages from another node are missing.\r\n"),
        };
        broadcast(self.members.values(), text);
    }
}
