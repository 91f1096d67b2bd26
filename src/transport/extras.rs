//! Optional state of a connection, allocated on first use: its producer and consumers, and its own
//! limits.

use super::descriptor_queue::DescriptorQueue;
use super::producer::Feed;
use super::proxied::Proxied;
use super::{ConnectionId, Inner};
use crate::limits::{Direction, OverflowPolicy, RateLimiters, TimeoutTracker};
use std::collections::BTreeMap;
use std::rc::Weak;

/// Optional state of a connection: only one that has a producer, is one, or has limits or timeouts
/// of its own, has it.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) feed: Feed,
    /// Connections that this one is the producer of. By id, since thousands may leave one after the
    /// other.
    pub(super) consumers: BTreeMap<ConnectionId, Weak<Inner>>,
    pub(super) timeouts: Option<Box<TimeoutTracker>>,
    pub(super) rate_limiters: Option<Box<RateLimiters>>,
    pub(super) overflow: OverflowPolicy,
    /// Descriptors to be sent.
    pub(super) descriptors: DescriptorQueue,
    /// Writes rejected since the protocol last heard `write_rejected`.
    pub(super) rejected: usize,
    /// The PROXY header that the connection began with.
    pub(super) proxied: Option<Box<Proxied>>,
    /// Writes rejected or dropped since the connection was made.
    pub(super) dropped: u64,
}

impl Extras {
    /// Returns the state of a connection that may have `max_unsent` unsent bytes.
    pub(super) fn new(max_unsent: usize) -> Self {
        Self {
            feed: Feed::new(max_unsent),
            consumers: BTreeMap::new(),
            timeouts: None,
            rate_limiters: None,
            overflow: OverflowPolicy::Close,
            descriptors: DescriptorQueue::default(),
            rejected: 0,
            dropped: 0,
            proxied: None,
        }
    }

    /// Counts `count` bytes that the peer has sent.
    pub(super) fn received(&mut self, count: usize) {
        if let Some(timeouts) = &mut self.timeouts {
            timeouts.received(count);
        }
        self.spend(Direction::Read, count);
    }

    /// Counts `count` bytes that the socket has taken.
    pub(super) fn sent(&mut self, count: usize) {
        if let Some(timeouts) = &mut self.timeouts {
            timeouts.sent(count);
        }
    }

    /// Counts `count` bytes that the socket, or a layer on it, has taken.
    pub(super) fn taken(&mut self, count: usize) {
        self.spend(Direction::Write, count);
        if !self.descriptors.is_empty() {
            self.descriptors.sent(count);
        }
    }

    /// Takes `count` bytes from the rate of a direction: read, or taken by the socket or by a layer
    /// on it.
    pub(super) fn spend(&mut self, direction: Direction, count: usize) {
        if let Some(rate_limiters) = &mut self.rate_limiters {
            rate_limiters.limiter_mut(direction).spend(count);
        }
    }
}
