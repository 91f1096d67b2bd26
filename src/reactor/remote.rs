//! Calls from other threads.

use super::Reactor;
use super::errors::CallError;
use crate::driver::Wake;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Calls that are made in one turn: small ones take some hundred microseconds together, so that
/// threads which call all the time do not hold up connections.
const CALLS_PER_TURN: usize = 1024;

type Call = Box<dyn FnOnce(&mut Reactor) + Send>;

/// Reaches a reactor from other threads; [`Reactor::remote`] makes it.
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
    /// Notified when calls were taken out of a full queue, or the reactor is gone.
    room: Condvar,
    /// The most that may wait.
    max: usize,
    /// The thread of the reactor, which cannot wait for itself.
    owner: ThreadId,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Queue {
    /// In the order of asking, with the thread that has asked; none for results of work.
    calls: VecDeque<(Option<ThreadId>, Call)>,
    /// How many calls of each thread wait, of those that have any.
    threads: HashMap<ThreadId, usize>,
}

impl Queue {
    /// A thread that has no call waiting is let in however full the queue is, so that those who
    /// fill it keep nobody else out.
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

    /// Takes the calls that one turn makes, of those that are there now.
    pub(super) fn take(&self) -> Vec<Call> {
        self.take_up_to(CALLS_PER_TURN)
    }

    /// Takes all calls that are there now.
    pub(super) fn take_all(&self) -> Vec<Call> {
        self.take_up_to(usize::MAX)
    }

    fn take_up_to(&self, count: usize) -> Vec<Call> {
        let mut queue = self.lock();
        // Most turns find it so.
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

    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(|queue| queue.calls.is_empty())
    }

    /// The reactor is gone: no more calls.
    pub(super) fn close(&self) {
        let rejected = self.lock().take();
        self.room.notify_all();
        // Only now: a closure's drop may use its own `Remote`, which needs the lock.
        drop(rejected);
    }

    /// The result of some work, of which there is no more than there is work.
    pub(super) fn finish(&self, call: impl FnOnce(&mut Reactor) + Send + 'static) {
        let mut queue = self.lock();
        match queue.as_mut() {
            Some(queue) => self.add(queue, None, Box::new(call)),
            None => {
                drop(queue);
                // Only now: what it holds is the user's, whose drop may want the lock.
                drop(call);
            }
        }
    }

    /// Adds a call, and wakes the reactor if it may sleep.
    fn add(&self, queue: &mut Queue, thread: Option<ThreadId>, call: Call) {
        queue.push(thread, call);
        // Whoever pushed the first has woken the reactor, which does not sleep while there are any.
        if queue.calls.len() == 1 {
            self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Queue>> {
        // Nothing panics while the lock is held, so what it guards is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote {
    /// Calls `call` on the reactor's thread, in its next turn and in the order of asking; wakes the
    /// reactor if it sleeps. Never blocks. (`callFromThread`)
    ///
    /// A turn makes 1024 calls at most, and the next turn follows at once if there are more, so
    /// that threads which call all the time do not hold up connections. A call made before the
    /// reactor runs waits until it does. What the reactor has not got to when it stops is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError`], with the call: as many calls wait as
    /// [`Settings::max_pending_calls`](crate::Settings::max_pending_calls) says, or the reactor was
    /// dropped. A thread that has no call waiting is never refused because others have filled the
    /// queue.
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

    /// The same, but if too many calls wait, this thread waits for room: for senders that should be
    /// no faster than the reactor.
    ///
    /// It waits as long as the reactor makes no calls: for ever, if the reactor never runs. So a
    /// thread that holds a lock which a callback may want should use
    /// [`call_from_thread`](Self::call_from_thread). On the reactor's own thread, which cannot wait
    /// for itself, it does not wait.
    ///
    /// # Errors
    ///
    /// [`CallError::ReactorGone`] if the reactor was dropped, also while this thread waited; on the
    /// reactor's own thread [`CallError::QueueFull`].
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

    /// As many calls may wait as this.
    fn calls(max: usize) -> Arc<Calls> {
        Calls::new(Script::new().driver().waker(), max)
    }

    fn noop(_: &mut Reactor) {}

    #[test]
    fn those_who_fill_the_queue_are_refused_and_keep_nobody_else_out() {
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
            // Results are always taken.
            calls.finish(noop);
            assert_eq!(calls.take_all().len(), max.max(1) + 2);
            assert!(remote.call_from_thread(noop).is_ok() && calls.take().len() == 1);
            let queue = calls.lock();
            assert!(queue.as_ref().unwrap().threads.is_empty(), "no thread is remembered");
        }
    }

    #[test]
    fn a_turn_makes_no_more_than_its_share_and_in_order() {
        let calls = calls(usize::MAX);
        (0..CALLS_PER_TURN * 2 + 1).for_each(|_| calls.remote().call_from_thread(noop).unwrap());
        assert_eq!([(); 4].map(|()| calls.take().len()), [CALLS_PER_TURN, CALLS_PER_TURN, 1, 0]);
    }

    #[test]
    fn a_thread_that_waits_goes_on_when_there_is_room_and_when_nobody_is_left() {
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
