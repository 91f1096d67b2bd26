//! Owed events: what a poller still has to report after a call that did less than it could.

use crate::arena::Id;
use crate::driver::{Edges, Ready};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What the next wait reports besides what is ready, and what there is that can be reported.
#[derive(Debug, Default)]
pub(super) struct OwedEvents(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    owed: Vec<Ready>,
    ports: BTreeSet<usize>,
    /// Registered streams, each with the conditions that last: once the peer's FIN, urgent data or
    /// an error has been reported, every later event of the stream reports it as well.
    streams: BTreeMap<usize, Edges>,
    /// The stream that was closed last: reports of it are stale.
    gone: Option<usize>,
}

impl OwedEvents {
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().owed.is_empty()
    }

    pub(super) fn take(&self) -> Vec<Ready> {
        std::mem::take(&mut self.0.borrow_mut().owed)
    }

    /// Adds events that a wait has held back.
    pub(super) fn hold_back(&self, events: impl IntoIterator<Item = Ready>) {
        self.0.borrow_mut().owed.extend(events);
    }

    /// Owes an event of a stream: these edges, and all conditions that last.
    pub(super) fn owe(&self, token: usize, mut edges: Edges) {
        let inner = &mut *self.0.borrow_mut();
        edges.add(inner.streams.get(&token).copied().unwrap_or_default());
        inner.owed.push(Ready::Stream { token, edges });
    }

    pub(super) fn owe_port(&self, id: Id) {
        self.0.borrow_mut().owed.push(Ready::Port(id.to_bits()));
    }

    pub(super) fn open_port(&self, id: Id) {
        self.0.borrow_mut().ports.insert(id.to_bits());
    }

    pub(super) fn close_port(&self, id: Id) {
        self.0.borrow_mut().ports.remove(&id.to_bits());
    }

    pub(super) fn register(&self, token: usize) {
        self.0.borrow_mut().streams.insert(token, Edges::NONE);
    }

    pub(super) fn unregister(&self, token: usize) {
        let inner = &mut *self.0.borrow_mut();
        inner.streams.remove(&token);
        inner.gone = Some(token);
    }

    /// Notes the conditions that last among reported events.
    pub(super) fn note(&self, events: &[Ready]) {
        let inner = &mut *self.0.borrow_mut();
        for event in events {
            if let Ready::Stream { token, edges } = event {
                let Edges { read_closed, priority, error, .. } = *edges;
                if let Some(lasting) = inner.streams.get_mut(token) {
                    lasting.add(Edges { read_closed, priority, error, ..Edges::NONE });
                }
            }
        }
    }

    /// Returns an event of every port and stream, and a stale one.
    pub(super) fn spurious(&self) -> Vec<Ready> {
        let inner = self.0.borrow();
        let ports = inner.ports.iter().map(|port| Ready::Port(*port));
        let ready = Edges { writable: true, ..Edges::READABLE };
        let streams = inner.streams.iter().map(|(token, lasting)| (*token, *lasting));
        let gone = inner.gone.map(|token| (token, Edges::NONE));
        let streams = streams.chain(gone).map(|(token, mut edges)| {
            edges.add(ready);
            Ready::Stream { token, edges }
        });
        ports.chain(streams).collect()
    }
}
