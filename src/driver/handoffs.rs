//! Handoffs: the accepted sockets that wait for the reactor of another thread.

use super::handoff::Handoff;
use crate::address::Address;
use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// The most sockets that wait for a shard: a few turns of accepting. Each holds a descriptor, and
/// its client waits longer than it would for another shard.
pub(super) const WAITING_MAX: usize = 1024;

/// The accepted sockets that wait for one shard, and how many connections it has.
pub(crate) struct Handoffs {
    queue: Mutex<Queue>,
    /// Length of the queue, for those who choose a shard.
    waiting: AtomicUsize,
    /// Open connections of the shard's factory.
    open: AtomicUsize,
}

/// Tells the shard that a socket waits; never called while the queue is locked.
pub(super) type Notify = Arc<dyn Fn() + Send + Sync>;

enum Queue {
    /// The shard does not listen: not yet, or no longer.
    Closed,
    Open {
        sockets: VecDeque<(Handoff, Address)>,
        notify: Notify,
    },
    /// The shard takes what waits, and nothing more.
    Sealed {
        sockets: VecDeque<(Handoff, Address)>,
    },
}

impl Handoffs {
    pub(crate) fn new() -> Arc<Self> {
        // Closed, and so full.
        let (waiting, open) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(0));
        Arc::new(Self { queue: Mutex::new(Queue::Closed), waiting, open })
    }

    /// Returns true if the shard takes another socket, as far as can be known without the lock.
    pub(crate) fn has_room(&self) -> bool {
        // A closed queue counts as full.
        self.waiting.load(Ordering::Acquire) < WAITING_MAX
    }

    /// Returns the number of connections that the shard has.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that the shard has or is about to have.
    pub(crate) fn load(&self) -> usize {
        self.connections().saturating_add(self.waiting.load(Ordering::Relaxed))
    }

    pub(crate) fn set_open(&self, count: usize) {
        self.open.store(count, Ordering::Relaxed);
    }

    /// Adds a socket, and notifies the shard if it is the first. Returns it if the queue is full or
    /// not open.
    pub(crate) fn push(&self, socket: Handoff, peer: Address) -> Result<(), (Handoff, Address)> {
        let mut queue = self.lock();
        let Queue::Open { sockets, notify } = &mut *queue else { return Err((socket, peer)) };
        if sockets.len() >= WAITING_MAX {
            return Err((socket, peer));
        }
        sockets.push_back((socket, peer));
        let first = (sockets.len() == 1).then(|| Arc::clone(notify));
        self.waiting.store(sockets.len(), Ordering::Release);
        drop(queue);
        if let Some(notify) = first {
            notify();
        }
        Ok(())
    }

    /// Takes sockets from now on. Returns false if it does already, or has some left from before.
    pub(super) fn open(&self, notify: Notify) -> bool {
        let mut queue = self.lock();
        let is_closed = matches!(*queue, Queue::Closed);
        if is_closed {
            *queue = Queue::Open { sockets: VecDeque::new(), notify };
            self.waiting.store(0, Ordering::Release);
        }
        is_closed
    }

    pub(super) fn pop(&self) -> Option<(Handoff, Address)> {
        let mut queue = self.lock();
        match &mut *queue {
            Queue::Closed => None,
            Queue::Open { sockets, .. } => {
                let first = sockets.pop_front();
                self.waiting.store(sockets.len(), Ordering::Release);
                first
            }
            Queue::Sealed { sockets } => sockets.pop_front(),
        }
    }

    pub(super) fn seal(&self) {
        let mut queue = self.lock();
        if let Queue::Open { sockets, .. } = &mut *queue {
            let sockets = std::mem::take(sockets);
            *queue = Queue::Sealed { sockets };
            self.waiting.store(usize::MAX, Ordering::Release);
        }
    }

    /// Closes the queue, and returns the sockets in it.
    pub(super) fn close(&self) -> VecDeque<(Handoff, Address)> {
        let mut queue = self.lock();
        self.waiting.store(usize::MAX, Ordering::Release);
        self.open.store(0, Ordering::Relaxed);
        match std::mem::replace(&mut *queue, Queue::Closed) {
            Queue::Closed => VecDeque::new(),
            Queue::Open { sockets, .. } | Queue::Sealed { sockets } => sockets,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held, so the queue is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handoffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handoffs").field("load", &self.load()).finish_non_exhaustive()
    }
}
