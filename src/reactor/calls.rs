//! Calls: the bounded queue of calls from other threads, which a reactor makes in its turns.

use super::Reactor;
use super::errors::CallError;
use crate::driver::Wake;
use crate::sync::{Condvar, Mutex, MutexGuard, ThreadId, thread};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError};

/// Calls made in one turn: small ones take some hundred microseconds together, so that threads
/// which call all the time do not hold up connections.
pub(super) const CALLS_PER_TURN: usize = 1024;

type Call = Box<dyn FnOnce(&mut Reactor) + Send>;

/// The calls that wait for a reactor's next turn.
pub(super) struct Calls {
    /// `None` once the reactor is gone.
    queue: Mutex<Option<Queue>>,
    /// Notified when calls were taken from a full queue, or the reactor is gone.
    room: Condvar,
    /// Maximum number of waiting calls.
    max: usize,
    /// The thread of the reactor, which cannot wait for itself.
    owner: ThreadId,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Queue {
    /// Waiting calls in order, each with its thread; `None` for results of deferred work.
    calls: VecDeque<(Option<ThreadId>, Call)>,
    /// Number of waiting calls of each thread that has any.
    threads: HashMap<ThreadId, usize>,
}

impl Queue {
    /// Returns true if a call of `thread` is accepted. A thread without a waiting call always has
    /// room, so that threads which fill the queue do not lock others out.
    fn has_room_for(&self, thread: ThreadId, max: usize) -> bool {
        self.calls.len() < max || !self.threads.contains_key(&thread)
    }

    fn push(&mut self, thread: Option<ThreadId>, call: Call) {
        if let Some(thread) = thread {
            *self.threads.entry(thread).or_default() += 1;
        }
        self.calls.push_back((thread, call));
    }

    fn pop(&mut self) -> Option<Call> {
        let (thread, call) = self.calls.pop_front()?;
        let count = thread.and_then(|thread| Some((thread, self.threads.get_mut(&thread)?)));
        if let Some((thread, count)) = count {
            *count -= 1;
            if *count == 0 {
                self.threads.remove(&thread);
            }
        }
        Some(call)
    }
}

impl Calls {
    pub(super) fn new(waker: Arc<dyn Wake>, max: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Some(Queue::default())),
            room: Condvar::new(),
            max,
            owner: thread::current().id(),
            waker,
        })
    }

    /// Takes the calls for one turn from those that wait now.
    pub(super) fn take(&self) -> Vec<Call> {
        self.take_up_to(CALLS_PER_TURN)
    }

    /// Takes all calls that wait now.
    pub(super) fn take_all(&self) -> Vec<Call> {
        self.take_up_to(usize::MAX)
    }

    fn take_up_to(&self, count: usize) -> Vec<Call> {
        let mut queue = self.lock();
        // Most turns find it empty.
        let Some(queue) = queue.as_mut().filter(|queue| !queue.calls.is_empty()) else {
            return Vec::new();
        };
        let was_full = queue.calls.len() >= self.max;
        let taken = (0..count).map_while(|_| queue.pop()).collect();
        if was_full {
            self.room.notify_all();
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().as_ref().map_or(0, |queue| queue.calls.len())
    }

    /// Returns the number of threads that have calls waiting.
    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.lock().as_ref().map_or(0, |queue| queue.threads.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(|queue| queue.calls.is_empty())
    }

    /// Closes the queue: the reactor is gone.
    pub(super) fn close(&self) {
        let rejected = self.lock().take();
        self.room.notify_all();
        // Only now: a closure's `Drop` may use its own `Remote`, which needs the lock.
        drop(rejected);
    }

    /// Adds a call of this thread, if there is room for it.
    pub(super) fn push<C>(&self, call: C) -> Result<(), CallError<C>>
    where
        C: FnOnce(&mut Reactor) + Send + 'static,
    {
        let thread = thread::current().id();
        match self.lock().as_mut() {
            None => Err(CallError::ReactorGone(call)),
            Some(queue) if !queue.has_room_for(thread, self.max) => Err(CallError::QueueFull(call)),
            Some(queue) => {
                self.add(queue, Some(thread), Box::new(call));
                Ok(())
            }
        }
    }

    /// Adds a call of this thread as soon as there is room for it. The reactor's own thread does
    /// not wait.
    pub(super) fn push_blocking<C>(&self, call: C) -> Result<(), CallError<C>>
    where
        C: FnOnce(&mut Reactor) + Send + 'static,
    {
        let thread = thread::current().id();
        let mut queue = self.lock();
        loop {
            match queue.as_mut() {
                None => return Err(CallError::ReactorGone(call)),
                Some(queue) if queue.has_room_for(thread, self.max) => {
                    self.add(queue, Some(thread), Box::new(call));
                    return Ok(());
                }
                Some(_) if thread == self.owner => return Err(CallError::QueueFull(call)),
                Some(_) => {}
            }
            queue = self.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds the result of deferred work, however full the queue is: there is one for each piece of
    /// work.
    pub(super) fn finish(&self, call: impl FnOnce(&mut Reactor) + Send + 'static) {
        let mut queue = self.lock();
        match queue.as_mut() {
            Some(queue) => self.add(queue, None, Box::new(call)),
            None => {
                drop(queue);
                // Only now: the closure holds user values, whose `Drop` may need the lock.
                drop(call);
            }
        }
    }

    /// Adds a call, and wakes the reactor if it may be asleep.
    fn add(&self, queue: &mut Queue, thread: Option<ThreadId>, call: Call) {
        queue.push(thread, call);
        // The first call has woken the reactor, which does not sleep while calls are waiting.
        if queue.calls.len() == 1 {
            self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Queue>> {
        // Nothing panics while the lock is held, so the queue is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lock().as_ref().map(|queue| queue.calls.len());
        f.debug_struct("Calls").field("waiting", &waiting).finish_non_exhaustive()
    }
}
