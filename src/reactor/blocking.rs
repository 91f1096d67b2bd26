//! Blocking work on other threads, and its results.

use super::Reactor;
use super::panic::guard;
use crate::arena::Id;
use crate::continuation::Continuation;
use crate::transport::Transport;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The closure that receives the outcome of deferred work. Only the two closures of
/// [`Reactor::defer_to_thread`] know the outcome's type.
pub(super) type DeferredCall = Box<dyn FnOnce(&mut Reactor, Box<dyn Any + Send>)>;

/// Why work that was deferred to a thread has no result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeferError {
    /// The work panicked, with this message.
    Panicked(Arc<str>),
    /// The operating system could not start a thread for the work.
    NoThread(Arc<io::Error>),
}

impl fmt::Display for DeferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "work on a thread panicked: {message}"),
            Self::NoThread(error) => write!(f, "cannot start a thread for the work: {error}"),
        }
    }
}

impl Error for DeferError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Panicked(_) => None,
            Self::NoThread(error) => Some(&**error),
        }
    }
}

impl Reactor {
    /// Runs `work`, which blocks or takes long, on another thread, and then calls `then` with its
    /// result on this one. (`deferToThread`)
    ///
    /// The loop continues meanwhile. `then` is called in the phase of calls from other threads,
    /// never from within this. It may hold values that are not `Send`, such as a
    /// [`Transport`](crate::Transport). To come back to a protocol, use
    /// [`Context::defer_to_thread`](crate::Context::defer_to_thread).
    ///
    /// Work begins in the order of the calls, on at most
    /// [`max_blocking_threads`](crate::Settings::max_blocking_threads) threads, which start when
    /// they are needed and end when they are not. It cannot be cancelled. When the reactor stops,
    /// work that has not begun is dropped. Work that has begun runs to its end; the reactor does
    /// not wait for it, and its result is dropped. So is every `then` that was not called.
    ///
    /// On a simulated network the work runs at once, before this returns, and takes no time, so
    /// that runs are reproducible.
    ///
    /// ```
    /// use twistor::{Context, Protocol};
    ///
    /// /// Answers a path with the size of the file.
    /// struct Sizes;
    ///
    /// impl<F> Protocol<F> for Sizes {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         let path = String::from_utf8_lossy(data).trim().to_owned();
    ///         let transport = cx.transport.clone();
    ///         cx.reactor.defer_to_thread(
    ///             move || std::fs::metadata(path).map(|file| file.len()),
    ///             move |_reactor, size| match size {
    ///                 Ok(Ok(size)) => transport.write(format!("{size}\r\n")),
    ///                 Ok(Err(error)) => transport.write(format!("{error}\r\n")),
    ///                 Err(panic) => transport.fail(panic),
    ///             },
    ///         );
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `then` is called with a [`DeferError`] if the work panicked, or if no thread could be
    /// started.
    pub fn defer_to_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Self, Result<T, DeferError>) + 'static,
    ) {
        let call: DeferredCall = Box::new(move |reactor, outcome| {
            if let Ok(outcome) = outcome.downcast() {
                then(reactor, *outcome);
            }
        });
        let id = self.deferred.insert_with(|_| call);
        let calls = Arc::clone(&self.calls);
        let finish = move |outcome: Result<T, DeferError>| {
            let outcome: Box<dyn Any + Send> = Box::new(outcome);
            // A reactor that is gone has dropped the closure as well.
            calls.finish(move |reactor| reactor.finish_work(id, outcome));
        };
        let finish_without = finish.clone();
        let work = move || finish(guard(work).map_err(|panic| DeferError::Panicked(panic.0)));
        if let Err(error) =
            self.driver.spawn_blocking(Box::new(work), self.settings.max_blocking_threads)
        {
            finish_without(Err(DeferError::NoThread(Arc::new(error))));
        }
    }

    /// Runs `work` on another thread, and then calls the continuation that `then` makes of its
    /// result, unless the connection is lost before that.
    pub(crate) fn defer_and_continue<T: Send + 'static>(
        &mut self,
        transport: &Transport,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(Result<T, DeferError>) -> Continuation + 'static,
    ) {
        let connection = transport.slot();
        self.defer_to_thread(work, move |reactor, result| {
            reactor.call_continuation(connection, then(result));
        });
    }

    /// Calls the closure for the outcome of some work, unless the reactor has stopped in the
    /// meantime.
    fn finish_work(&mut self, id: Id, outcome: Box<dyn Any + Send>) {
        if let Some(call) = self.deferred.remove(id) {
            call(self, outcome);
        }
    }

    /// Drops all closures that wait for an outcome, and the work that has not begun.
    pub(super) fn drop_pending_work(&mut self) {
        for work in self.driver.take_waiting_work() {
            if let Err(panic) = guard(|| drop(work)) {
                self.report_panic("dropping deferred work panicked", &panic);
            }
        }
        for call in self.deferred.take_all() {
            if let Err(panic) = guard(|| drop(call)) {
                self.report_panic("dropping the second closure of deferred work panicked", &panic);
            }
        }
    }
}
