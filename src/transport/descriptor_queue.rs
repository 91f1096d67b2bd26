//! Descriptors that wait to be sent, each with the byte that is written after it.

use crate::descriptor::Descriptor;
use std::collections::VecDeque;

/// Descriptors in the order of sending, each with the number of unsent bytes before it. Those of
/// later ones count from the same place, so the numbers only grow.
#[derive(Debug, Default)]
pub(super) struct DescriptorQueue(VecDeque<(usize, Descriptor)>);

impl DescriptorQueue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a descriptor that is sent with the byte after the next `ahead` bytes.
    pub(super) fn push(&mut self, ahead: usize, descriptor: Descriptor) {
        self.0.push_back((ahead, descriptor));
    }

    /// Counts `count` bytes that were sent.
    #[cold]
    pub(super) fn sent(&mut self, count: usize) {
        self.0.iter_mut().for_each(|(ahead, _)| *ahead = ahead.saturating_sub(count));
    }

    /// Removes and returns the next descriptor, if it is sent with the next byte.
    pub(super) fn take_due(&mut self) -> Option<Descriptor> {
        match self.0.front() {
            Some((0, _)) => self.0.pop_front().map(|(_, descriptor)| descriptor),
            _ => None,
        }
    }

    /// Returns how many bytes may be sent before the next descriptor is due.
    pub(super) fn ahead(&self) -> usize {
        self.0.front().map_or(usize::MAX, |(ahead, _)| *ahead)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn a_descriptor_is_due_when_the_bytes_before_it_are_sent() {
        use super::{Descriptor, DescriptorQueue};
        let descriptor = || Descriptor::from(std::fs::File::open("/dev/null").unwrap());
        let mut queue = DescriptorQueue::default();
        assert!(queue.is_empty() && queue.take_due().is_none());
        assert_eq!(queue.ahead(), usize::MAX);
        queue.push(0, descriptor());
        queue.push(5, descriptor());
        queue.push(5, descriptor());
        assert!(queue.take_due().is_some() && queue.take_due().is_none());
        assert_eq!((queue.ahead(), queue.len()), (5, 2));
        queue.sent(3);
        assert_eq!(queue.ahead(), 2);
        queue.sent(2);
        assert!(queue.take_due().is_some() && queue.take_due().is_some());
        assert!(queue.is_empty());
    }
}
