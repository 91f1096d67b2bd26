//! Inbox: the bounded queue behind a mailbox, which threads fill and a reactor empties. It knows no
//! reactor.

use super::errors::SendError;
use crate::arena::Id;
use crate::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};

/// What a mailbox does with a message for which it has no room.
///
/// There are two, since there are two kinds of messages: those whose sender has to know that they
/// were not taken, and those of which only the newest count. To block the sender would be a third,
/// and would let two shards wait for each other for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxPolicy {
    /// Rejects the new message: [`Mailbox::send`](super::Mailbox::send) returns it.
    #[default]
    Reject,
    /// Drops the oldest message that waits, and counts it in
    /// [`Mailbox::dropped`](super::Mailbox::dropped).
    DropOldest,
}

/// Asks the receiver to take messages; never called while the queue is locked.
type Notify = Box<dyn Fn() + Send + Sync>;

/// Where a mailbox is open: the number of the reactor, and the slot in its table.
pub(super) type Place = (usize, Id);

/// The messages of a mailbox that wait for their receiver.
pub(super) struct Inbox<M> {
    queue: Mutex<Queue<M>>,
    capacity: usize,
    policy: MailboxPolicy,
}

struct Queue<M> {
    messages: VecDeque<M>,
    receiver: Receiver,
    dropped: u64,
}

/// The state of the receiving side.
enum Receiver {
    /// No reactor has opened the mailbox: messages wait.
    Awaited,
    /// A reactor receives. `notified` is true while it knows of messages that wait.
    Open { place: Place, notify: Arc<Notify>, notified: bool },
    /// The mailbox was closed, or its reactor has stopped.
    Closed,
}

impl<M> Inbox<M> {
    pub(super) fn new(capacity: usize, policy: MailboxPolicy) -> Self {
        let queue = Queue { messages: VecDeque::new(), receiver: Receiver::Awaited, dropped: 0 };
        Self { queue: Mutex::new(queue), capacity: capacity.max(1), policy }
    }

    /// Adds a message, and notifies a receiver that does not know of any. What overflows is dropped
    /// when the queue is no longer locked, since its `Drop` may send a message.
    pub(super) fn push(&self, message: M) -> Result<(), SendError<M>> {
        let mut queue = self.lock();
        if matches!(queue.receiver, Receiver::Closed) {
            return Err(SendError::Closed(message));
        }
        let mut oldest = None;
        if queue.messages.len() >= self.capacity {
            if self.policy == MailboxPolicy::Reject {
                return Err(SendError::Full(message));
            }
            oldest = queue.messages.pop_front();
            queue.dropped += 1;
        }
        queue.messages.push_back(message);
        let notify = match &mut queue.receiver {
            Receiver::Open { notify, notified, .. } if !*notified => {
                *notified = true;
                Some(Arc::clone(notify))
            }
            _ => None,
        };
        drop(queue);
        if let Some(notify) = notify {
            notify();
        }
        drop(oldest);
        Ok(())
    }

    /// Lets a receiver be notified from now on, at once if messages wait. Returns false if there is
    /// or was one.
    pub(super) fn open(&self, place: Place, notify: Notify) -> bool {
        let mut queue = self.lock();
        if !matches!(queue.receiver, Receiver::Awaited) {
            return false;
        }
        let notified = !queue.messages.is_empty();
        let notify = Arc::new(notify);
        queue.receiver = Receiver::Open { place, notify: Arc::clone(&notify), notified };
        drop(queue);
        if notified {
            notify();
        }
        true
    }

    /// Removes up to `count` messages. Returns true if more wait: the receiver still counts as
    /// notified then.
    pub(super) fn take(&self, count: usize, into: &mut Vec<M>) -> bool {
        let mut queue = self.lock();
        let count = count.min(queue.messages.len());
        into.extend(queue.messages.drain(..count));
        let more = !queue.messages.is_empty();
        if let Receiver::Open { notified, .. } = &mut queue.receiver {
            *notified = more;
        }
        more
    }

    /// Accepts no further message, and returns those that wait.
    pub(super) fn close(&self) -> VecDeque<M> {
        let mut queue = self.lock();
        let receiver = std::mem::replace(&mut queue.receiver, Receiver::Closed);
        let messages = std::mem::take(&mut queue.messages);
        drop(queue);
        drop(receiver);
        messages
    }

    /// Returns where the mailbox is open.
    pub(super) fn place(&self) -> Option<Place> {
        match self.lock().receiver {
            Receiver::Open { place, .. } => Some(place),
            Receiver::Awaited | Receiver::Closed => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.lock().receiver, Receiver::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        // Nothing panics while the lock is held, so the queue is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.len())
            .field("capacity", &self.capacity)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
