//! Remote: a handle that calls closures on a reactor's thread from other threads.

use super::Reactor;
use super::calls::Calls;
use super::errors::CallError;
use std::fmt;
use std::sync::Arc;

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

impl Remote {
    pub(super) fn new(calls: Arc<Calls>) -> Self {
        Self { calls }
    }

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
        self.calls.push(call)
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
        self.calls.push_blocking(call)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::CALLS_PER_TURN;
    use super::*;
    use crate::driver::scripted::Script;
    use std::thread;

    /// Returns a queue for `max` calls.
    fn calls(max: usize) -> Arc<Calls> {
        Calls::new(Script::new().driver().waker(), max)
    }

    fn noop(_: &mut Reactor) {}

    #[test]
    fn threads_that_fill_the_queue_are_rejected_and_lock_no_other_out() {
        for max in [0, 1, 10] {
            let calls = calls(max);
            let remote = Remote::new(Arc::clone(&calls));
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
            assert_eq!(calls.threads(), 0, "no thread is remembered");
        }
    }

    #[test]
    fn a_turn_makes_a_bounded_number_of_calls_in_order() {
        let calls = calls(usize::MAX);
        (0..CALLS_PER_TURN * 2 + 1).for_each(|_| calls.push(noop).unwrap());
        assert_eq!([(); 4].map(|()| calls.take().len()), [CALLS_PER_TURN, CALLS_PER_TURN, 1, 0]);
    }

    #[test]
    fn a_blocked_thread_continues_when_there_is_room_and_when_the_queue_is_closed() {
        let calls = calls(1);
        let remote = Remote::new(Arc::clone(&calls));
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
