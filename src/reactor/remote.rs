//! Calls from other threads.

use super::Reactor;
use super::errors::CallError;
use crate::driver::Wake;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Calls made in one turn: small ones take some hundred microseconds together, so that threads
/// which call all the time do not hold up connections.
const CALLS_PER_TURN: usize = 1024;

type Call = Box<dyn FnOnce(&mut Reactor) + Send>;

/// A handle that reaches a reactor from other threads; [`Reactor::remote`] returns it.
///
/// ```
/// use twistor::Reactor;
///
/// let mut reactor = Reactor::new()?;
/// let remote = reactor.remote();
/// let thread = std::thread::spawn(move || remote.call_from_thread(|reactor| reactor.stop()));
/// reactor.run()?;
/// thread.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    calls: Arc<Calls>,
}

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

    pub(super) fn remote(self: &Arc<Self>) -> Remote {
        Remote { calls: Arc::clone(self) }
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

impl Remote {
    /// Calls `call` on the reactor's thread however full the queue is, unless the reactor is gone:
    /// for the library's own calls, of which few wait.
    pub(crate) fn post(&self, call: impl FnOnce(&mut Reactor) + Send + 'static) {
        self.calls.finish(call);
    }

    /// Calls `call` on the reactor's thread in its next turn, after the calls that wait already;
    /// wakes the reactor if it sleeps. Never blocks. (`callFromThread`)
    ///
    /// A turn makes 1024 calls at most, and the next turn follows at once if there are more, so
    /// that threads which call all the time do not hold up connections. A call made before the
    /// reactor runs waits until it does. Calls that still wait when the reactor stops are dropped.
    ///
    /// # Errors
    ///
    /// [`CallError`], with the call: the queue already holds
    /// [`Settings::max_pending_calls`](crate::Settings::max_pending_calls) calls, or the reactor
    /// was dropped. A call of a thread that has none waiting is never rejected because others have
    /// filled the queue.
    pub fn call_from_thread<C>(&self, call: C) -> Result<(), CallError<C>>
    where
        C: FnOnce(&mut Reactor) + Send + 'static,
    {
        let thread = thread::current().id();
        match self.calls.lock().as_mut() {
            None => Err(CallError::ReactorGone(call)),
            Some(queue) if !queue.has_room_for(thread, self.calls.max) => {
                Err(CallError::QueueFull(call))
            }
            Some(queue) => {
                self.calls.add(queue, Some(thread), Box::new(call));
                Ok(())
            }
        }
    }

    /// Calls `call` as [`call_from_thread`](Self::call_from_thread) does, but blocks while the
    /// queue is full: backpressure for senders that should be no faster than the reactor.
    ///
    /// It blocks as long as the reactor makes no calls: for ever, if the reactor never runs. So a
    /// thread that holds a lock which a callback may need should use
    /// [`call_from_thread`](Self::call_from_thread). It does not block on the reactor's own thread,
    /// which cannot wait for itself.
    ///
    /// # Errors
    ///
    /// [`CallError::ReactorGone`] if the reactor was dropped, also while this thread was blocked;
    /// [`CallError::QueueFull`] on the reactor's own thread.
    pub fn call_from_thread_blocking<C>(&self, call: C) -> Result<(), CallError<C>>
    where
        C: FnOnce(&mut Reactor) + Send + 'static,
    {
        let thread = thread::current().id();
        let mut queue = self.calls.lock();
        loop {
            match queue.as_mut() {
                None => return Err(CallError::ReactorGone(call)),
                Some(queue) if queue.has_room_for(thread, self.calls.max) => {
                    self.calls.add(queue, Some(thread), Box::new(call));
                    return Ok(());
                }
                Some(_) if thread == self.calls.owner => return Err(CallError::QueueFull(call)),
                Some(_) => {}
            }
            queue = self.calls.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lock().as_ref().map(|queue| queue.calls.len());
        f.debug_struct("Calls").field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::scripted::Script;

    /// Returns a queue for `max` calls.
    fn calls(max: usize) -> Arc<Calls> {
        Calls::new(Script::new().driver().waker(), max)
    }

    fn noop(_: &mut Reactor) {}

    #[test]
    fn threads_that_fill_the_queue_are_rejected_and_lock_no_other_out() {
        for max in [0, 1, 10] {
            let calls = calls(max);
            let remote = calls.remote();
            for _ in 0..max.max(1) {
                remote.call_from_thread(noop).unwrap();
            }
            assert!(matches!(remote.call_from_thread(noop), Err(CallError::QueueFull(_))));
            let blocking = remote.call_from_thread_blocking(noop);
            assert!(matches!(blocking, Err(CallError::QueueFull(_))), "it cannot wait for itself");
            let other = remote.clone();
            let outcomes = thread::spawn(move || {
                [other.call_from_thread(noop).is_ok(), other.call_from_thread(noop).is_ok()]
            });
            assert_eq!(outcomes.join().unwrap(), [true, false], "one of each thread");
            // Results are always accepted.
            calls.finish(noop);
            assert_eq!(calls.take_all().len(), max.max(1) + 2);
            assert!(remote.call_from_thread(noop).is_ok() && calls.take().len() == 1);
            let queue = calls.lock();
            assert!(queue.as_ref().unwrap().threads.is_empty(), "no thread is remembered");
        }
    }

    #[test]
    fn a_turn_makes_a_bounded_number_of_calls_in_order() {
        let calls = calls(usize::MAX);
        (0..CALLS_PER_TURN * 2 + 1).for_each(|_| calls.remote().call_from_thread(noop).unwrap());
        assert_eq!([(); 4].map(|()| calls.take().len()), [CALLS_PER_TURN, CALLS_PER_TURN, 1, 0]);
    }

    #[test]
    fn a_blocked_thread_continues_when_there_is_room_and_when_the_queue_is_closed() {
        let calls = calls(1);
        let remote = calls.remote();
        let sender = thread::spawn(move || {
            let taken = (0..100).take_while(|_| remote.call_from_thread_blocking(noop).is_ok());
            (taken.count(), remote.call_from_thread(noop).is_err())
        });
        let mut received = 0;
        while received < 50 {
            received += calls.take().len();
            thread::yield_now();
        }
        calls.close();
        let (taken, rejected) = sender.join().unwrap();
        assert!((50..=100).contains(&taken) && rejected, "{taken}");
    }
}
