//! A listening port as the loop sees it. Data only.

use crate::address::Address;
use crate::arena::Id;
use crate::driver::Listener;
use crate::limits::WarningThrottle;
use crate::transport::{Hub, ListenerInfo};
use std::collections::VecDeque;
use std::rc::Rc;

/// A port as the loop sees it.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) listener: Box<dyn Listener>,
    /// Shared by its connections.
    pub(super) listener_info: Rc<ListenerInfo>,
    pub(super) accepting: Accepting,
    /// That it cannot accept, and how many clients it has turned away.
    pub(super) warnings: WarningThrottle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Until the poller says otherwise, nobody waits.
    Idle,
    /// On the list of ports on which somebody may wait.
    Listed,
    /// Could not accept; this timer tries again.
    RetryLater(Id),
    /// In the queue of its factory, for a token.
    Queued,
}

impl OpenPort {
    pub(super) fn new(listener: Box<dyn Listener>, factory: Id, hub: Rc<Hub>) -> Self {
        let listener_info =
            Rc::new(ListenerInfo { hub, factory, is_outgoing: false, address: listener.address() });
        Self {
            listener,
            listener_info,
            accepting: Accepting::Idle,
            warnings: WarningThrottle::default(),
        }
    }

    pub(super) fn factory(&self) -> Id {
        self.listener_info.factory
    }

    pub(super) fn address(&self) -> Address {
        self.listener_info.address.clone()
    }
}

/// The ports of a factory that wait for its rate of accepting.
#[derive(Debug, Default)]
pub(super) struct AcceptQueue {
    /// Those first that have waited longest.
    pub(super) ports: VecDeque<Id>,
    /// Set while any do.
    pub(super) timer: Option<Id>,
}
