//! A listening port as the loop sees it. Data only.

use super::distributor::Distributor;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::Listener;
use crate::endpoint::ServerEndpoint;
use crate::limits::WarningThrottle;
use crate::proxy_protocol::TrustedNetworks;
use crate::tls::TlsSide;
use crate::transport::{Hub, ListenerInfo};
use std::collections::VecDeque;
use std::rc::Rc;

/// A listening port as the loop sees it.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub(super) listener: Box<dyn Listener>,
    /// Data that its connections share.
    pub(super) listener_info: Rc<ListenerInfo>,
    pub(super) accepting: Accepting,
    /// Chooses the shard of each client, if the port accepts for several.
    pub(super) distributor: Option<Distributor>,
    /// The networks of the proxies, if each connection begins with a PROXY header.
    pub(super) proxies: Option<TrustedNetworks>,
    /// The server's side of TLS, if connections are encrypted.
    pub(super) tls: Option<TlsSide>,
    /// The name that it was asked for by, unless the program has opened the socket itself.
    pub(super) requested: Option<String>,
    /// Its number among the ports of the predecessor, if it was taken over and the predecessor has
    /// not been told.
    pub(super) taken_over: Option<usize>,
    /// Throttles the warning that the port cannot accept, and counts the clients that it rejected.
    pub(super) warnings: WarningThrottle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// No client waits, as far as the poller has reported.
    Idle,
    /// On the list of ports on which clients may wait.
    Listed,
    /// The port could not accept; this timer retries.
    RetryLater(Id),
    /// In the queue of its factory, waiting for a token.
    Queued,
}

impl OpenPort {
    pub(super) fn new(
        listener: Box<dyn Listener>,
        endpoint: &ServerEndpoint,
        factory: Id,
        hub: Rc<Hub>,
    ) -> Self {
        let listener_info = Rc::new(ListenerInfo {
            hub,
            factory,
            is_outgoing: false,
            service: None,
            address: listener.address(),
        });
        Self {
            listener,
            listener_info,
            accepting: Accepting::Idle,
            distributor: None,
            proxies: endpoint.proxies().cloned(),
            tls: endpoint.tls().cloned(),
            requested: None,
            taken_over: None,
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

/// The ports of a factory that wait for its accept rate.
#[derive(Debug, Default)]
pub(super) struct AcceptQueue {
    /// Waiting ports, the longest waiting first.
    pub(super) ports: VecDeque<Id>,
    /// Timer of the next token. Set while ports wait.
    pub(super) timer: Option<Id>,
}
