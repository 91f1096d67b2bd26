//! Attempt: a client on a host's reactor, as its test sees it.

use super::host_state::Progress;
use crate::reason::Reason;
use crate::testing::observer::{CallbackCounts, Key, Observer};
use crate::transport::Transport;
use std::cell::Cell;
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;

/// A client on a host's reactor, connecting or connected; see
/// [`Host::connect`](super::Host::connect).
///
/// It reports how the attempt went, which callbacks the client's protocol received, and why its
/// connection was lost, as [`Peer`](crate::testing::Peer) does for a server's protocol.
///
/// ```
/// use twistor::testing::Simulation;
/// use twistor::{Context, Protocol, Reason};
///
/// /// Hangs up on each client.
/// struct Rude;
///
/// impl<F> Protocol<F> for Rude {
///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
///         cx.transport.abort_connection();
///     }
/// }
///
/// struct Client;
///
/// impl<F> Protocol<F> for Client {}
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server", |reactor| Ok(reactor.listen_tcp(8007, || Rude)?));
/// let client = simulation.host("client", |_reactor| Ok(()));
/// let attempt = client.connect(server.address(8007), || Client);
/// assert!(attempt.is_over() && attempt.error().is_none());
/// assert!(matches!(attempt.lost_reason(), Some(Reason::Lost(_))));
/// assert_eq!(attempt.calls().connection_made(), 1);
/// ```
pub struct Attempt {
    progress: Rc<Cell<Progress>>,
    observer: Rc<Observer>,
    key: Key,
}

impl Attempt {
    pub(super) fn new(progress: Rc<Cell<Progress>>, observer: Rc<Observer>, key: Key) -> Self {
        Self { progress, observer, key }
    }

    /// Returns true while the client is connected.
    pub fn is_connected(&self) -> bool {
        self.progress.get() == Progress::Connected
    }

    /// Returns why the client could not connect.
    pub fn error(&self) -> Option<ErrorKind> {
        match self.progress.get() {
            Progress::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Returns true when the client could not connect, and when its connection is over.
    pub fn is_over(&self) -> bool {
        matches!(self.progress.get(), Progress::Failed(_) | Progress::Over)
    }

    /// Returns the protocol's transport, for queries such as `is_paused`, `unsent`,
    /// `is_disconnecting`. `None` until the connection is made.
    pub fn transport(&self) -> Option<Transport> {
        self.observer.watched(self.key).map(|seen| seen.transport)
    }

    /// Returns the reason that the protocol's `connection_lost` received; `None` before that, and
    /// if the attempt failed or its host crashed, since no callback reports it then.
    pub fn lost_reason(&self) -> Option<Reason> {
        self.observer.watched(self.key)?.lost
    }

    /// Returns how often each callback of the protocol has run; zeros if none was built.
    pub fn calls(&self) -> CallbackCounts {
        self.observer.watched(self.key).map_or(CallbackCounts::default(), |seen| seen.calls)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.observer.unwatch(self.key);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("progress", &self.progress.get()).finish_non_exhaustive()
    }
}
