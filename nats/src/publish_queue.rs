//! `PublishQueue`: messages that wait for a connection.

use std::collections::VecDeque;

/// What happens to a message that is published while as many bytes wait as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuePolicy {
    /// The message is rejected: `publish` returns
    /// [`PublishError::QueueFull`](crate::error::PublishError::QueueFull), and the caller, who
    /// still has the message, decides.
    #[default]
    Reject,
    /// The oldest messages are dropped, and counted in
    /// [`Statistics::dropped`](crate::Statistics::dropped).
    DropOldest,
}

/// Messages that wait for a connection, or for room in its write buffer, in order.
#[derive(Debug, Default)]
pub(crate) struct PublishQueue {
    messages: VecDeque<Queued>,
    bytes: usize,
}

/// A message as it is sent.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) command: Box<[u8]>,
    /// The length of the payload, headers included.
    pub(crate) payload_len: usize,
}

/// What a queued message takes besides its bytes.
const OVERHEAD: usize = size_of::<Queued>();

impl PublishQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns how many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message, if no more than `max` bytes wait then. Returns how many others were dropped
    /// for it, or `Err` if it was rejected.
    pub(crate) fn push(
        &mut self,
        message: Queued,
        max: usize,
        policy: QueuePolicy,
    ) -> Result<u64, ()> {
        let size = message.command.len() + OVERHEAD;
        let mut dropped = 0;
        if size > max || (policy == QueuePolicy::Reject && self.bytes + size > max) {
            return Err(());
        }
        while self.bytes + size > max && self.pop().is_some() {
            dropped += 1;
        }
        self.bytes += size;
        self.messages.push_back(message);
        Ok(dropped)
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.command.len() + OVERHEAD;
        Some(message)
    }

    /// Removes all messages, and returns how many there were.
    pub(crate) fn clear(&mut self) -> u64 {
        let count = self.messages.len() as u64;
        *self = Self::default();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(command: &str) -> Queued {
        Queued { command: command.as_bytes().into(), payload_len: 0 }
    }

    fn drain(queue: &mut PublishQueue) -> Vec<String> {
        let text = |it: Queued| String::from_utf8(it.command.into_vec()).unwrap();
        std::iter::from_fn(|| queue.pop()).map(text).collect()
    }

    #[test]
    fn a_full_queue_rejects_the_new_or_drops_the_oldest() {
        let max = 2 * (OVERHEAD + 2);
        for (policy, third, kept) in [
            (QueuePolicy::Reject, Err(()), ["a1", "b2"]),
            (QueuePolicy::DropOldest, Ok(1), ["b2", "c3"]),
        ] {
            let mut queue = PublishQueue::default();
            assert_eq!(queue.push(message("a1"), max, policy), Ok(0));
            assert_eq!(queue.push(message("b2"), max, policy), Ok(0));
            assert_eq!(queue.push(message("c3"), max, policy), third);
            assert_eq!(drain(&mut queue), kept);
            assert_eq!((queue.bytes(), queue.is_empty()), (0, true));
        }
    }

    #[test]
    fn a_message_larger_than_the_queue_drops_no_other() {
        let mut queue = PublishQueue::default();
        let max = OVERHEAD + 5;
        queue.push(message("abcde"), max, QueuePolicy::DropOldest).unwrap();
        assert_eq!(queue.push(message("abcdef"), max, QueuePolicy::DropOldest), Err(()));
        assert_eq!(queue.clear(), 1);
        assert_eq!(queue.bytes(), 0);
    }
}
