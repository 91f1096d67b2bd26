//! What a reactor's callbacks were, counted, and held to their order.

use crate::reactor::{Happening, Watch};
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::AddAssign;

/// How often each callback has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallbackCounts {
    /// `connection_made`.
    pub connection_made: usize,
    /// `data_received`.
    pub data_received: usize,
    /// `timer_fired`.
    pub timer_fired: usize,
    /// `reading_resumed`.
    pub reading_resumed: usize,
    /// `timed_out`.
    pub timed_out: usize,
    /// `drain_requested`.
    pub drain_requested: usize,
    /// `producing_paused`.
    pub producing_paused: usize,
    /// `producing_resumed`.
    pub producing_resumed: usize,
    /// `producer_finished`.
    pub producer_finished: usize,
    /// `write_rejected`.
    pub write_rejected: usize,
    /// `read_connection_lost`.
    pub read_connection_lost: usize,
    /// `write_connection_lost`.
    pub write_connection_lost: usize,
    /// `connection_lost`.
    pub connection_lost: usize,
}

impl AddAssign for CallbackCounts {
    fn add_assign(&mut self, more: Self) {
        self.connection_made += more.connection_made;
        self.data_received += more.data_received;
        self.timer_fired += more.timer_fired;
        self.reading_resumed += more.reading_resumed;
        self.timed_out += more.timed_out;
        self.drain_requested += more.drain_requested;
        self.producing_paused += more.producing_paused;
        self.producing_resumed += more.producing_resumed;
        self.producer_finished += more.producer_finished;
        self.write_rejected += more.write_rejected;
        self.read_connection_lost += more.read_connection_lost;
        self.write_connection_lost += more.write_connection_lost;
        self.connection_lost += more.connection_lost;
    }
}

impl CallbackCounts {
    fn count(&mut self, happening: Happening<'_>) {
        let count = match happening {
            Happening::Built(_) | Happening::NotMade(_) => return,
            Happening::Made => &mut self.connection_made,
            Happening::Data => &mut self.data_received,
            Happening::Timer => &mut self.timer_fired,
            Happening::Resumed => &mut self.reading_resumed,
            Happening::TimedOut => &mut self.timed_out,
            Happening::Drain => &mut self.drain_requested,
            Happening::ProducingPaused => &mut self.producing_paused,
            Happening::ProducingResumed => &mut self.producing_resumed,
            Happening::ProducerFinished => &mut self.producer_finished,
            Happening::WriteRejected => &mut self.write_rejected,
            Happening::ReadLost => &mut self.read_connection_lost,
            Happening::WriteLost => &mut self.write_connection_lost,
            Happening::Lost(_) => &mut self.connection_lost,
        };
        *count += 1;
    }

    /// What is wrong if `happening` comes now.
    fn fault(&self, happening: Happening<'_>) -> Option<&'static str> {
        let early = self.connection_made == 0;
        Some(match happening {
            Happening::Built(_) | Happening::NotMade(_) => return None,
            _ if self.connection_lost > 0 => "a callback after connection_lost",
            Happening::Made if !early => "connection_made a second time",
            Happening::Made | Happening::Lost(_) => return None,
            _ if early => "a callback before connection_made",
            Happening::Data if self.read_connection_lost > 0 => {
                "data_received after read_connection_lost"
            }
            Happening::Drain if self.drain_requested > 0 => "drain_requested a second time",
            Happening::ReadLost if self.read_connection_lost > 0 => {
                "read_connection_lost a second time"
            }
            Happening::WriteLost if self.write_connection_lost > 0 => {
                "write_connection_lost a second time"
            }
            _ => return None,
        })
    }
}

/// What is known of one connection.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) transport: Transport,
    pub(super) calls: CallbackCounts,
    pub(super) lost: Option<Reason>,
}

/// A connection, in which of the host's lives: each reactor begins to count anew.
type Key = (usize, ConnectionId);

/// Watches the reactor of one host, and those that it has after crashes.
#[derive(Debug, Default)]
pub(super) struct Observer(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    total: CallbackCounts,
    /// Those that a test may still ask for: the last of each client's address.
    seen: BTreeMap<Key, Seen>,
    latest: BTreeMap<SocketAddr, Key>,
    /// Why connections could not be made.
    failures: BTreeMap<Key, ErrorKind>,
    /// How often the host has crashed.
    crashes: usize,
    faults: Vec<String>,
}

impl Observer {
    pub(super) fn total(&self) -> CallbackCounts {
        self.0.borrow().total
    }

    /// The connection of a client.
    pub(super) fn seen(&self, client: SocketAddr) -> Option<Seen> {
        let inner = self.0.borrow();
        inner.latest.get(&client).and_then(|id| inner.seen.get(id)).cloned()
    }

    /// Connections that were made and not lost.
    pub(super) fn open(&self) -> usize {
        let inner = self.0.borrow();
        let of_now = inner.seen.iter().filter(|((life, _), _)| *life == inner.crashes);
        of_now.filter(|(_, seen)| seen.lost.is_none()).count()
    }

    /// Why a connection could not be made, if it could not.
    pub(super) fn failure(&self, connection: ConnectionId) -> Option<ErrorKind> {
        let inner = self.0.borrow();
        inner.failures.get(&(inner.crashes, connection)).copied()
    }

    /// The host crashes: nobody is told anything any more.
    pub(super) fn crash(&self) {
        self.0.borrow_mut().crashes += 1;
    }

    /// What was out of order.
    pub(super) fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().faults)
    }
}

impl Watch for Observer {
    fn happens(&self, connection: ConnectionId, happening: Happening<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.total.count(happening);
        let connection = (inner.crashes, connection);
        if let Happening::Built(transport) = happening {
            let (transport, calls) = (transport.clone(), CallbackCounts::default());
            if let Some(client) = transport.peer_address().socket_addr() {
                if let Some(former) = inner.latest.insert(client, connection) {
                    // A port number that is used again; a lost one is of no more interest.
                    let lost = |seen: &Seen| seen.lost.is_some();
                    if inner.seen.get(&former).is_some_and(lost) {
                        inner.seen.remove(&former);
                    }
                }
            }
            inner.seen.insert(connection, Seen { transport, calls, lost: None });
            return;
        }
        if let Happening::NotMade(error) = happening {
            inner.failures.insert(connection, error);
            return;
        }
        let Some(seen) = inner.seen.get_mut(&connection) else {
            return inner.faults.push(format!("{happening:?} of a connection that is unknown"));
        };
        if let Some(fault) = seen.calls.fault(happening) {
            inner.faults.push(format!("{fault}: {happening:?} of {:?}", seen.transport));
        }
        seen.calls.count(happening);
        if let Happening::Lost(reason) = happening {
            seen.lost = Some(reason.clone());
        }
    }
}
