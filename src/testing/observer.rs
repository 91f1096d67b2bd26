//! Observer of a reactor's callbacks: counts them, and checks their order.

use super::panics::Panics;
use crate::callback_kind::CallbackKind;
use crate::reactor::{CallbackObserver, Happening};
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::ops::{AddAssign, Index};
use std::rc::Rc;

/// Number of calls of each callback: `counts.data_received()`, or for a loop over
/// [`CallbackKind::ALL`], `counts[kind]`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct CallbackCounts([usize; CallbackKind::ALL.len()]);

macro_rules! define_accessors {
    ($($kind:ident $name:ident $argument:tt)*) => {
        impl CallbackCounts {
            $(
                #[doc = concat!(
                    "Returns how often [`", stringify!($name), "`](crate::Protocol::",
                    stringify!($name), ") has run."
                )]
                pub fn $name(&self) -> usize {
                    self[CallbackKind::$kind]
                }
            )*
        }
    };
}

crate::__callbacks! { define_accessors {} }

impl Index<CallbackKind> for CallbackCounts {
    type Output = usize;

    fn index(&self, kind: CallbackKind) -> &usize {
        &self.0[kind as usize]
    }
}

impl AddAssign for CallbackCounts {
    fn add_assign(&mut self, more: Self) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count += more);
    }
}

/// Shows only the callbacks that have run.
impl fmt::Debug for CallbackCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = f.debug_struct("CallbackCounts");
        for &kind in CallbackKind::ALL.iter().filter(|&&kind| self[kind] > 0) {
            counts.field(kind.name(), &self[kind]);
        }
        counts.finish()
    }
}

impl CallbackCounts {
    fn count(&mut self, kind: CallbackKind) {
        self.0[kind as usize] += 1;
    }

    /// Returns the violation of the order if a callback of this kind comes now.
    fn fault(&self, kind: CallbackKind) -> Option<&'static str> {
        let comes_again = self[kind] > 0;
        match kind {
            _ if self.connection_lost() > 0 => Some("after connection_lost"),
            CallbackKind::ConnectionMade if !comes_again => None,
            CallbackKind::ConnectionLost => None,
            _ if self.connection_made() == 0 => Some("before connection_made"),
            CallbackKind::DataReceived if self.read_connection_lost() > 0 => {
                Some("after read_connection_lost")
            }
            CallbackKind::ConnectionMade
            | CallbackKind::DrainRequested
            | CallbackKind::ReadConnectionLost
            | CallbackKind::WriteConnectionLost
                if comes_again =>
            {
                Some("a second time")
            }
            _ => None,
        }
    }
}

/// Observations about one connection.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) transport: Transport,
    pub(super) calls: CallbackCounts,
    pub(super) lost: Option<Reason>,
}

/// A connection, with the number of crashes before it: connection ids repeat after a crash, since
/// each reactor counts its own.
pub(super) type Key = (usize, ConnectionId);

/// Observes the reactor of one host, and its successors after crashes.
#[derive(Debug)]
pub(super) struct Observer {
    /// Name of the host.
    host: String,
    panics: Rc<Panics>,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    total: CallbackCounts,
    /// Connections that are open, and those that a test may ask about.
    seen: BTreeMap<Key, Seen>,
    /// Connections with a peer of the test at the other end, by their number on the network.
    linked: BTreeMap<u64, Key>,
    /// Connections that a test may ask about, and how many of its handles may.
    asked: BTreeMap<Key, usize>,
    /// Errors of connections that could not be made.
    failures: BTreeMap<Key, ErrorKind>,
    /// Number of crashes of the host.
    crashes: usize,
    faults: Vec<String>,
}

impl Observer {
    pub(super) fn new(host: &str, panics: Rc<Panics>) -> Self {
        Self { host: host.to_owned(), panics, inner: RefCell::default() }
    }

    pub(super) fn total(&self) -> CallbackCounts {
        self.inner.borrow().total
    }

    /// Returns the connection with a peer of the test, by its number on the network.
    pub(super) fn linked(&self, link: u64) -> Option<Seen> {
        let inner = self.inner.borrow();
        inner.linked.get(&link).and_then(|key| inner.seen.get(key)).cloned()
    }

    /// Forgets the connection with a peer of the test that is dropped, once it is lost.
    pub(super) fn unlink(&self, link: u64) {
        let inner = &mut *self.inner.borrow_mut();
        if let Some(key) = inner.linked.remove(&link) {
            inner.release(key);
        }
    }

    /// Keeps what is seen of a connection of the present reactor, until [`unwatch`](Self::unwatch).
    pub(super) fn watch(&self, connection: ConnectionId) -> Key {
        let inner = &mut *self.inner.borrow_mut();
        let key = (inner.crashes, connection);
        inner.hold(key);
        key
    }

    pub(super) fn unwatch(&self, key: Key) {
        self.inner.borrow_mut().release(key);
    }

    /// Returns a watched connection, once its protocol has been built.
    pub(super) fn watched(&self, key: Key) -> Option<Seen> {
        self.inner.borrow().seen.get(&key).cloned()
    }

    /// Returns a watched connection of the present reactor, once its protocol has been built.
    pub(super) fn watched_now(&self, connection: ConnectionId) -> Option<Seen> {
        let inner = self.inner.borrow();
        inner.seen.get(&(inner.crashes, connection)).cloned()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.inner.borrow().seen.len()
    }

    /// Counts the connections that were made and not lost.
    pub(super) fn open(&self) -> usize {
        let inner = self.inner.borrow();
        let of_now = inner.seen.iter().filter(|((life, _), _)| *life == inner.crashes);
        of_now.filter(|(_, seen)| seen.lost.is_none()).count()
    }

    /// Returns why a connection could not be made, if it could not.
    pub(super) fn failure(&self, connection: ConnectionId) -> Option<ErrorKind> {
        let inner = self.inner.borrow();
        inner.failures.get(&(inner.crashes, connection)).copied()
    }

    /// Records a crash: connections of the old reactor get no more callbacks.
    pub(super) fn crash(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.crashes += 1;
        let asked = &inner.asked;
        inner.seen.retain(|key, _| asked.contains_key(key));
    }

    /// Returns and clears the violations of the order of callbacks.
    pub(super) fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.borrow_mut().faults)
    }
}

impl CallbackObserver for Observer {
    fn observe(&self, connection: ConnectionId, happening: Happening<'_>) {
        let inner = &mut *self.inner.borrow_mut();
        let connection = (inner.crashes, connection);
        match happening {
            Happening::Built(transport) => inner.built(connection, transport.clone()),
            Happening::Called(kind) => inner.called(connection, kind),
            Happening::Lost(reason) => {
                inner.called(connection, CallbackKind::ConnectionLost);
                if let Some(seen) = inner.seen.get_mut(&connection) {
                    seen.lost = Some(reason.clone());
                }
                inner.forget_if_over(connection);
            }
            Happening::NotMade(error) => {
                inner.failures.insert(connection, error);
            }
        }
    }

    fn observe_panic(&self, what: &dyn fmt::Display, message: &str) {
        self.panics.note(format!("{what} (host {}): {message}", self.host));
    }
}

impl Inner {
    fn built(&mut self, connection: Key, transport: Transport) {
        if let Some(link) = transport.connection().simulated_link() {
            self.linked.insert(link, connection);
            self.hold(connection);
        }
        let calls = CallbackCounts::default();
        self.seen.insert(connection, Seen { transport, calls, lost: None });
    }

    fn hold(&mut self, key: Key) {
        *self.asked.entry(key).or_default() += 1;
    }

    fn release(&mut self, key: Key) {
        let Some(count) = self.asked.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            self.asked.remove(&key);
            self.forget_if_over(key);
        }
    }

    /// Forgets a connection that is lost, or whose reactor has crashed, unless a test may ask.
    fn forget_if_over(&mut self, key: Key) {
        let is_over = |seen: &Seen| seen.lost.is_some() || key.0 < self.crashes;
        if !self.asked.contains_key(&key) && self.seen.get(&key).is_some_and(is_over) {
            self.seen.remove(&key);
        }
    }

    fn called(&mut self, connection: Key, kind: CallbackKind) {
        self.total.count(kind);
        let name = kind.name();
        let Some(seen) = self.seen.get_mut(&connection) else {
            return self.faults.push(format!("{name} of an unknown connection"));
        };
        if let Some(fault) = seen.calls.fault(kind) {
            self.faults.push(format!("{name} {fault}, of {:?}", seen.transport));
        }
        seen.calls.count(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(kinds: &[CallbackKind]) -> CallbackCounts {
        let mut counts = CallbackCounts::default();
        kinds.iter().for_each(|&kind| counts.count(kind));
        counts
    }

    #[test]
    fn counts_are_read_by_name_and_by_kind_and_shown_unless_they_are_zero() {
        let mut sum = counts(&[CallbackKind::ConnectionMade, CallbackKind::DataReceived]);
        sum += counts(&[CallbackKind::DataReceived]);
        assert_eq!((sum.data_received(), sum[CallbackKind::TimerFired]), (2, 0));
        let shown = "CallbackCounts { connection_made: 1, data_received: 2 }";
        assert_eq!(format!("{sum:?}"), shown);
        assert_eq!(format!("{:?}", CallbackCounts::default()), "CallbackCounts");
    }

    #[test]
    fn a_callback_out_of_order_is_a_fault() {
        use CallbackKind::*;
        let made = [ConnectionMade];
        for kind in CallbackKind::ALL {
            let is_early = !matches!(kind, ConnectionMade | ConnectionLost);
            assert_eq!(counts(&[]).fault(*kind).is_some(), is_early, "{kind:?}");
            assert_eq!(counts(&made).fault(*kind).is_some(), *kind == ConnectionMade, "{kind:?}");
            let ended = counts(&[ConnectionMade, ConnectionLost]);
            assert_eq!(ended.fault(*kind), Some("after connection_lost"));
            let comes_once =
                [ConnectionMade, DrainRequested, ReadConnectionLost, WriteConnectionLost];
            let fault = counts(&[ConnectionMade, *kind]).fault(*kind);
            let expected = match kind {
                ConnectionLost => Some("after connection_lost"),
                kind if comes_once.contains(kind) => Some("a second time"),
                _ => None,
            };
            assert_eq!(fault, expected, "{kind:?}");
        }
        let half_closed = counts(&[ConnectionMade, ReadConnectionLost]);
        assert_eq!(half_closed.fault(DataReceived), Some("after read_connection_lost"));
    }
}
