//! Calls from other threads.

use super::Reactor;
use super::errors::ReactorGone;
use crate::socket::Wake;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    waiting: Mutex<Option<Vec<Call>>>,
    waker: Arc<dyn Wake>,
}

impl Calls {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new(Some(Vec::new())), waker })
    }

    pub(super) fn remote(self: &Arc<Self>) -> Remote {
        Remote { calls: Arc::clone(self) }
    }

    /// Takes the calls that are there now; later ones wait for the next turn.
    pub(super) fn take(&self) -> Vec<Call> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(Vec::is_empty)
    }

    /// The reactor is gone: no more calls.
    pub(super) fn close(&self) {
        let refused = self.lock().take();
        // Only now: a closure's drop may use its own `Remote`, which needs the lock.
        drop(refused);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Call>>> {
        // Nothing panics while the lock is held, so what it guards is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote {
    /// Calls `call` on the reactor's thread, in its next turn and in the order of asking; wakes the
    /// reactor if it sleeps. (`callFromThread`)
    ///
    /// A call made before the reactor runs waits until it does. What the reactor has not got to
    /// when it stops is dropped.
    ///
    /// # Errors
    ///
    /// [`ReactorGone`] if the reactor was dropped; the call is dropped as well.
    pub fn call_from_thread(
        &self,
        call: impl FnOnce(&mut Reactor) + Send + 'static,
    ) -> Result<(), ReactorGone> {
        let call: Call = Box::new(call);
        let first = {
            let mut waiting = self.calls.lock();
            let Some(waiting) = waiting.as_mut() else {
                return Err(ReactorGone);
            };
            waiting.push(call);
            waiting.len() == 1
        };
        // Whoever pushed the first has woken the reactor, and it takes them all.
        if first {
            self.calls.waker.wake();
        }
        Ok(())
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lock().as_ref().map(Vec::len);
        f.debug_struct("Calls").field("waiting", &waiting).finish_non_exhaustive()
    }
}
