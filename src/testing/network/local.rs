//! Unix sockets: connections between programs of one host, by names that only it knows.

use super::link::{EndId, Life, Syn};
use super::node::{PortName, PortOwner, PortState};
use super::{Event, Network};
use crate::address::{Address, UnixAddress};
use crate::arena::Id;
use crate::driver::{Edges, UNIX_CONNECT_RETRY_DELAY};
use crate::endpoint::UnixSocketError;
use std::io::{self, ErrorKind};

impl Network {
    /// Opens a Unix socket. The file of one that was open when the host crashed is replaced.
    pub(in crate::testing) fn listen_unix(
        &mut self,
        node: usize,
        at: &UnixAddress,
        backlog_max: usize,
        id: Id,
    ) -> io::Result<()> {
        let state = &mut self.nodes[node];
        let name = PortName::Unix(at.clone());
        if state.ports.contains_key(&name) {
            return Err(UnixSocketError::InUse.into());
        }
        state.stale.remove(at);
        let port = PortState::new(PortOwner::Reactor(id), backlog_max, false);
        state.ports.insert(name, port);
        self.trace.note(self.now, "host listens on a Unix socket", node as u64, 0);
        self.trace.note_bytes(at.to_string().as_bytes());
        Ok(())
    }

    /// Creates the ends of a connection to a Unix socket, and returns the client's.
    pub(in crate::testing) fn connect_unix(
        &mut self,
        node: usize,
        to: &UnixAddress,
        raw_end: bool,
    ) -> EndId {
        let unnamed = UnixAddress::unnamed().into();
        let id = self.link((node, unnamed), (node, to.clone().into()), raw_end);
        self.note(id, "connects to a Unix socket", 0);
        if raw_end {
            self.schedule(self.now, Event::Syn(id, 0));
        }
        id
    }

    /// As `connect(2)`, which connects at once, or never: false if the backlog is full.
    pub(in crate::testing) fn reach_unix(&mut self, id: EndId) -> Result<bool, ErrorKind> {
        let address = self.end(id.other()).map(|end| (end.node, end.address.clone()));
        let Some((node, Address::Unix(address))) = address else {
            return Err(ErrorKind::NotConnected);
        };
        let state = &mut self.nodes[node];
        let name = PortName::Unix(address.clone());
        let Some(port) = state.port(&name) else {
            let is_found = address.as_path().is_none() || state.stale.contains(&address);
            return Err(if is_found { ErrorKind::ConnectionRefused } else { ErrorKind::NotFound });
        };
        if port.is_of_a_test() {
            self.raw_port_hears(id, &name);
            return Ok(false);
        }
        if port.backlog.len() > port.backlog_max {
            return Ok(false);
        }
        port.backlog.push_back(id.other());
        if !std::mem::replace(&mut port.listed, true) {
            state.ready_ports.push(name);
        }
        if let Some(link) = self.links.get_mut(id.link) {
            (link.syn, link.established) = (Syn::Answered, true);
            link.ends[1].life = Life::Held;
        }
        self.note(id.other(), "waits to be accepted", 0);
        self.wake(node);
        self.edge(id, Edges::WRITABLE);
        Ok(true)
    }

    /// Connects a raw end, or tries again later, like a program that waits.
    pub(super) fn raw_end_reaches(&mut self, id: EndId) {
        let is_answered = self.links.get(id.link).is_some_and(|link| link.syn == Syn::Answered);
        if is_answered || self.end(id).is_none_or(|end| end.life != Life::Held) {
            return;
        }
        match self.reach_unix(id) {
            Ok(true) => {}
            Ok(false) => self.schedule_in(UNIX_CONNECT_RETRY_DELAY, Event::Syn(id, 0)),
            Err(_) => self.fail(id, ErrorKind::ConnectionRefused),
        }
    }

    /// Removes a connection that could not be made.
    pub(in crate::testing) fn remove_unreached(&mut self, id: EndId) {
        self.links.remove(id.link);
    }

    /// True for a connection over a Unix socket.
    pub(in crate::testing) fn is_local(&self, id: EndId) -> bool {
        self.links.get(id.link).is_some_and(|link| link.is_local())
    }

    /// True if a client's end waits for room in a backlog.
    pub(in crate::testing) fn is_backlogged(&self, id: EndId) -> bool {
        let link = self.links.get(id.link);
        link.is_some_and(|link| link.is_local() && !link.established && link.failure.is_none())
    }
}
