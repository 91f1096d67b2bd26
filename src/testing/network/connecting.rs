//! Connecting: SYN, backlog, SYN-ACK or refusal, and accepting.

use super::link::{End, EndId, Life, Link, RawEnd, Syn};
use super::node::{EPHEMERAL_PORTS, PortName, PortOwner, PortState, Power};
use super::{Answer, Event, Network, nanos};
use crate::address::Address;
use crate::arena::Id;
use crate::driver::Edges;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// First delay before a SYN without an answer is retransmitted; it doubles each time.
const SYN_RETRY_DELAY: Duration = Duration::from_secs(1);

/// SYNs that are sent before connecting times out: 127 seconds after the first, as on Linux.
const SYN_ATTEMPTS_MAX: u32 = 7;
const SYN_TIMEOUT: Duration = Duration::from_secs((1 << SYN_ATTEMPTS_MAX) - 1);

/// `EMFILE`: out of descriptors.
const TOO_MANY_FILES: i32 = 24;

/// The server's end of an accepted connection, and the client's address.
pub(in crate::testing) type Accepted = (EndId, Address);

impl Network {
    /// Opens a port. Any interface may be asked for: a host has but one.
    pub(in crate::testing) fn listen(
        &mut self,
        node: usize,
        at: SocketAddr,
        (backlog_max, is_shared): (usize, bool),
        id: Id,
    ) -> io::Result<SocketAddr> {
        let machine = self.nodes[node].machine;
        let number = if at.port() == 0 { self.nodes[machine].ephemeral() } else { at.port() };
        let name = PortName::Tcp(number);
        // Two sockets of one reactor cannot share a port here, as they could on a real machine.
        let may_share =
            |(other, port): (usize, &PortState)| is_shared && port.is_shared && other != node;
        if !self.listening(machine, &name).all(may_share) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let port = PortState::new(PortOwner::Reactor(id), backlog_max, is_shared);
        self.nodes[node].ports.insert(name, port);
        self.trace.note(self.now, "host listens", node as u64, u64::from(number));
        Ok((self.nodes[node].ip(at.ip()), number).into())
    }

    /// Returns the shards of a machine that listen on a port.
    fn listening(
        &self,
        machine: usize,
        name: &PortName,
    ) -> impl Iterator<Item = (usize, &PortState)> {
        let shards = self.nodes.iter().enumerate().filter(move |(_, it)| it.machine == machine);
        shards.filter_map(|(node, state)| Some((node, state.ports.get(name)?)))
    }

    /// Chooses the shard that a client gets whose SYN has arrived, as the system does with the
    /// sockets that share a port: by chance.
    fn choose_shard(&mut self, id: EndId, far: usize, name: &PortName) -> usize {
        let machine = self.nodes[far].machine;
        let shards: Vec<usize> = self.listening(machine, name).map(|(node, _)| node).collect();
        let chosen = match (&*shards, self.end(id)) {
            ([], _) | (_, None) => far,
            ([only], _) => *only,
            (several, Some(client)) => *client.random.pick(several),
        };
        self.end(id.other()).into_iter().for_each(|end| end.node = chosen);
        chosen
    }

    pub(in crate::testing) fn stop_listening(&mut self, node: usize, name: &PortName) {
        let Some(port) = self.nodes[node].ports.remove(name) else { return };
        let is_of_a_test = port.is_of_a_test();
        for end in port.backlog {
            match is_of_a_test {
                true => self.raw_port_refuse(end),
                false => self.break_off(end),
            }
        }
    }

    /// Begins to connect, and returns the client's end.
    pub(in crate::testing) fn connect(
        &mut self,
        from: usize,
        to: SocketAddr,
        raw_end: bool,
    ) -> EndId {
        let far = self.node_at(to.ip()).unwrap_or_else(|| panic!("no host has the address {to}"));
        let address = self.ephemeral(from, to);
        let id = self.link((from, address.into()), (far, to.into()), raw_end);
        self.note(id, "connects", usize::from(to.port()));
        self.schedule_travel(id, Event::Syn(id, 0));
        id
    }

    /// Creates the two ends of a connection to be made, and returns the client's.
    pub(super) fn link(
        &mut self,
        (from, address): (usize, Address),
        (far, to): (usize, Address),
        raw_end: bool,
    ) -> EndId {
        let began = self.now;
        let mut randoms = [self.random.split(), self.random.split()].into_iter();
        let mut end = |node, address| End::new(node, address, randoms.next().expect("two ends"));
        let mut ends = [end(from, address), end(far, to)];
        ends[0].raw_end = raw_end.then(RawEnd::default);
        // Before the SYN arrives, the server knows no connection.
        ends[1].life = Life::Gone;
        let number = self.opened;
        self.opened += 1;
        let link = self.links.insert_with(|_| Link {
            number,
            ends,
            began,
            syn: Syn::Sent,
            established: false,
            failure: None,
            silent: false,
        });
        EndId { link, side: 0 }
    }

    /// Returns an address of a host that none of its connections has.
    fn ephemeral(&mut self, from: usize, to: SocketAddr) -> SocketAddr {
        let ip = self.nodes[from].ip(to.ip());
        let machine = self.nodes[from].machine;
        for _ in 0..EPHEMERAL_PORTS {
            let address = SocketAddr::new(ip, self.nodes[machine].ephemeral());
            // Until the host has used up its numbers once, none is taken.
            let old = self.nodes[machine].has_used_ephemerals;
            let is_taken = |ends: &[End; 2]| ends[0].address == Address::Tcp(address);
            if !old || !self.links.iter().any(|(_, link)| is_taken(&link.ends)) {
                return address;
            }
        }
        panic!("a host has no port number left: it has {EPHEMERAL_PORTS} connections");
    }

    /// Sends a SYN or its answer from this end to the other.
    pub(super) fn schedule_travel(&mut self, id: EndId, event: Event) {
        let conditions = self.conditions_of(id);
        let (latency, jitter, now) = (conditions.latency, conditions.jitter, self.now);
        let Some(end) = self.end(id) else { return };
        let at = now.saturating_add(nanos(latency.saturating_add(end.random.up_to(jitter))));
        // Later packets do not overtake it.
        end.pipe.last_arrival = end.pipe.last_arrival.max(at);
        self.schedule(at, event);
    }

    /// Handles the arrival of a client's SYN.
    pub(super) fn syn_arrives(&mut self, id: EndId, attempt: u32) {
        let Some((own, far)) = self.nodes_of(id) else { return };
        if self.is_local(id) {
            return self.raw_end_reaches(id);
        }
        if self.end(id).is_none_or(|end| end.life != Life::Held) {
            // The client closed before any answer.
            self.forget(id);
            return self.remove_if_over(id);
        }
        let is_answered = self.links.get(id.link).is_some_and(|link| link.syn == Syn::Answered);
        if is_answered || self.end(id).is_some_and(|end| end.error.is_some()) {
            return;
        }
        if attempt == SYN_ATTEMPTS_MAX {
            return self.fail(id, ErrorKind::TimedOut);
        }
        let silent = self.links.get(id.link).is_some_and(|link| link.silent);
        let unheard = silent || self.is_cut(own, far) || self.nodes[far].power == Power::Off;
        let Some(name) = self.end(id.other()).map(|end| PortName::of(&end.address)) else { return };
        let far = if unheard { far } else { self.choose_shard(id, far, &name) };
        let port = self.nodes[far].port(&name);
        let full = port.as_ref().is_some_and(|port| port.backlog.len() > port.backlog_max);
        let held = port.as_ref().is_some_and(|port| port.is_of_a_test());
        if unheard || full || held {
            if held && !unheard {
                self.raw_port_hears(id, &name);
            }
            let after = SYN_RETRY_DELAY * (1 << attempt);
            return self.schedule_in(after, Event::Syn(id, attempt + 1));
        }
        if let Some(link) = self.links.get_mut(id.link) {
            link.syn = Syn::Answered;
        }
        let Some(port) = self.nodes[far].port(&name) else {
            return self.schedule_travel(id.other(), Event::Answer(id, Answer::Refused));
        };
        port.backlog.push_back(id.other());
        if !std::mem::replace(&mut port.listed, true) {
            self.nodes[far].ready_ports.push(name.clone());
        }
        if let Some(end) = self.end(id.other()) {
            end.life = Life::Held;
        }
        self.note(id.other(), "waits to be accepted", usize::from(name.number()));
        self.wake(far);
        self.schedule_travel(id.other(), Event::Answer(id, Answer::SynAck));
    }

    /// Handles the arrival of the answer to a SYN.
    pub(super) fn answer(&mut self, id: EndId, answer: Answer) {
        let Some((own, far)) = self.nodes_of(id) else { return };
        let (silent, began) = match self.links.get(id.link) {
            Some(link) if link.ends[0].error.is_none() => (link.silent, link.began),
            _ => return,
        };
        if silent || self.is_cut(own, far) || self.nodes[own].power == Power::Off {
            // Retried, as by a client that has received nothing.
            return match self.now >= began.saturating_add(nanos(SYN_TIMEOUT)) {
                true => self.fail(id, ErrorKind::TimedOut),
                false => self.schedule_in(SYN_RETRY_DELAY, Event::Answer(id, answer)),
            };
        }
        let Some(link) = self.links.get_mut(id.link) else { return };
        match answer {
            Answer::Refused => self.fail(id, ErrorKind::ConnectionRefused),
            Answer::SynAck if link.ends[0].life == Life::Gone => {}
            Answer::SynAck => {
                link.established = true;
                self.note(id, "is connected", 0);
                self.edge(id, Edges::WRITABLE);
                self.pump(id);
            }
        }
    }

    pub(super) fn fail(&mut self, id: EndId, error: ErrorKind) {
        if let Some(link) = self.links.get_mut(id.link) {
            link.failure = Some(error);
        }
        self.break_end(id, error);
        self.remove_if_over(id);
    }

    /// True if no program holds a client's end any more.
    pub(in crate::testing) fn is_released(&self, id: EndId) -> bool {
        self.links.get(id.link).is_none_or(|link| link.ends[id.side].life != Life::Held)
    }

    /// Returns the outcome of connecting: a connection, an error, or `None` while it is pending.
    pub(in crate::testing) fn outcome(&self, id: EndId) -> Option<Result<(), ErrorKind>> {
        let link = self.links.get(id.link)?;
        match (link.failure, link.established) {
            (Some(error), _) => Some(Err(error)),
            (None, true) => Some(Ok(())),
            (None, false) => link.ends[0].error.map(Err),
        }
    }

    /// As `accept(2)`. Like Linux, it checks for a free descriptor before it looks into the
    /// backlog.
    pub(in crate::testing) fn accept(
        &mut self,
        node: usize,
        name: &PortName,
    ) -> io::Result<Accepted> {
        self.check_descriptors(node)?;
        self.take_client(node, name)
    }

    /// Accepts with the descriptor held in reserve, whatever the shortage. If there is one, this
    /// uses it up.
    pub(in crate::testing) fn accept_with_reserve(
        &mut self,
        node: usize,
        name: &PortName,
    ) -> io::Result<Accepted> {
        if self.nodes[node].reserve_user.is_some() {
            self.check_descriptors(node)?;
        }
        let accepted = self.take_client(node, name)?;
        if self.is_exhausted(node) {
            self.nodes[node].reserve_user = Some(accepted.0);
        }
        Ok(accepted)
    }

    /// Opens the descriptor held in reserve, if it is free. (Something else in the program takes
    /// all others that become free during a shortage.)
    pub(in crate::testing) fn refill_reserve(&mut self, node: usize) {
        let user = self.nodes[node].reserve_user;
        if user.is_some_and(|user| !self.is_exhausted(node) || self.is_released(user)) {
            self.nodes[node].reserve_user = None;
        }
    }

    /// Fails with EMFILE if a program is out of descriptors.
    pub(in crate::testing) fn check_descriptors(&mut self, node: usize) -> io::Result<()> {
        if !self.is_exhausted(node) {
            return Ok(());
        }
        self.trace.note(self.now, "host is out of descriptors", node as u64, 0);
        Err(io::Error::from_raw_os_error(TOO_MANY_FILES))
    }

    fn is_exhausted(&self, node: usize) -> bool {
        self.nodes[node].exhausted_until > self.now
    }

    /// Takes a client out of a backlog.
    fn take_client(&mut self, node: usize, name: &PortName) -> io::Result<Accepted> {
        let state = &mut self.nodes[node];
        let Some(port) = state.ports.get_mut(name) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        if port.backlog.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let end = port.backlog.pop_front().ok_or(ErrorKind::WouldBlock)?;
        if state.failing_accepts > 0 {
            state.failing_accepts -= 1;
            self.break_off(end);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.note(end, "is accepted", 0);
        let peer = self.end(end.other()).map(|peer| peer.address.clone());
        peer.map(|peer| (end, peer)).ok_or(ErrorKind::ConnectionAborted.into())
    }

    /// Sheds up to `limit` connections of the backlog: closes them unaccepted.
    pub(in crate::testing) fn shed(&mut self, node: usize, name: &PortName, limit: usize) -> usize {
        let Some(port) = self.nodes[node].ports.get_mut(name) else { return 0 };
        let count = port.backlog.len().min(limit);
        let ends: Vec<EndId> = port.backlog.drain(..count).collect();
        ends.iter().for_each(|&end| self.close(end));
        count
    }

    /// Registers an end with the poller.
    pub(in crate::testing) fn watch(&mut self, id: EndId, token: usize) {
        let established = self.links.get(id.link).is_some_and(|link| link.established);
        let Some(end) = self.end(id) else { return };
        end.watched = Some(token);
        let error = end.error.is_some();
        let read_closed = end.ended || error;
        let readable = !end.inbox.is_empty() || read_closed;
        // As epoll: a socket that has room is reported when it is registered.
        let writable = established && !end.pipe.blocked;
        end.edges = Edges { readable, writable, read_closed, error, ..Edges::NONE };
        self.list(id);
    }

    pub(in crate::testing) fn error_of(&mut self, id: EndId) -> Option<ErrorKind> {
        self.end(id).and_then(|end| end.error)
    }

    pub(in crate::testing) fn address_of(&mut self, id: EndId) -> Option<Address> {
        self.end(id).map(|end| end.address.clone())
    }
}
