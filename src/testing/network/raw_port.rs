//! Raw ports: ports whose attempts to connect a test answers.

use super::link::{EndId, Life, RawEnd, Syn};
use super::node::{PortName, PortOwner, PortState};
use super::{Answer, Event, Network};
use crate::driver::Edges;
use std::io::ErrorKind;
use std::time::Duration;

impl Network {
    /// Opens a port; false if there is one of this name.
    pub(in crate::testing) fn open_raw_port(&mut self, node: usize, name: &PortName) -> bool {
        if self.nodes[node].ports.contains_key(name) {
            return false;
        }
        let port = PortState::new(PortOwner::Test { attempts: Vec::new() }, usize::MAX, false);
        self.nodes[node].ports.insert(name.clone(), port);
        self.trace.note(self.now, "test listens", node as u64, u64::from(name.number()));
        true
    }

    /// Holds an attempt of a client until the test answers it. It may arrive several times.
    pub(super) fn raw_port_hears(&mut self, id: EndId, name: &PortName) {
        let now = self.now;
        let Some(node) = self.nodes_of(id).map(|(_, far)| far) else { return };
        let Some(link) = self.links.get_mut(id.link).filter(|link| link.syn == Syn::Sent) else {
            return;
        };
        let Some(port) = self.nodes[node].port(name) else { return };
        link.syn = Syn::Held;
        port.backlog.push_back(id.other());
        if let PortOwner::Test { attempts } = &mut port.owner {
            attempts.push(now);
        }
        self.note(id.other(), "waits for an answer", usize::from(name.number()));
    }

    /// Returns when each attempt arrived.
    pub(in crate::testing) fn raw_port_attempts(
        &self,
        node: usize,
        name: &PortName,
    ) -> Vec<Duration> {
        match self.nodes[node].ports.get(name).map(|port| &port.owner) {
            Some(PortOwner::Test { attempts }) => {
                attempts.iter().map(|at| Duration::from_nanos(*at)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the attempts that wait for an answer, whose clients have not given up.
    pub(in crate::testing) fn raw_port_waiting(&self, node: usize, name: &PortName) -> Vec<EndId> {
        let waits = |id: &EndId| {
            let link = self.links.get(id.link);
            link.is_some_and(|link| link.ends[0].life == Life::Held && link.ends[0].error.is_none())
        };
        let port = self.nodes[node].ports.get(name);
        port.map_or(Vec::new(), |port| port.backlog.iter().copied().filter(waits).collect())
    }

    /// Removes and returns the first attempt that waits.
    pub(in crate::testing) fn raw_port_take(
        &mut self,
        node: usize,
        name: &PortName,
    ) -> Option<EndId> {
        let first = *self.raw_port_waiting(node, name).first()?;
        let port = self.nodes[node].ports.get_mut(name)?;
        while port.backlog.pop_front()? != first {}
        Some(first)
    }

    /// Accepts an attempt: its server's end is a raw one, which reads.
    pub(in crate::testing) fn raw_port_accept(&mut self, id: EndId) {
        let client = id.other();
        let is_local = self.is_local(id);
        let Some(link) = self.links.get_mut(id.link) else { return };
        link.syn = Syn::Answered;
        link.ends[1].life = Life::Held;
        link.ends[1].raw_end = Some(RawEnd::default());
        link.established |= is_local;
        self.note(id, "is accepted", 0);
        match is_local {
            true => self.edge(client, Edges::WRITABLE),
            false => self.schedule_travel(id, Event::Answer(client, Answer::SynAck)),
        }
    }

    /// Refuses an attempt.
    pub(in crate::testing) fn raw_port_refuse(&mut self, id: EndId) {
        let client = id.other();
        let Some(link) = self.links.get_mut(id.link) else { return };
        link.syn = Syn::Answered;
        match self.is_local(id) {
            true => self.fail(client, ErrorKind::ConnectionRefused),
            false => self.schedule_travel(id, Event::Answer(client, Answer::Refused)),
        }
    }

    /// Removes and returns all attempts that wait at the ports of a host.
    pub(super) fn take_raw_port_attempts(&mut self, node: usize) -> Vec<EndId> {
        let ports = self.nodes[node].ports.values_mut();
        ports.filter(|port| port.is_of_a_test()).flat_map(|port| port.backlog.drain(..)).collect()
    }

    /// Forgets the attempts that wait at the ports of a host whose power has failed: they arrive
    /// again when it is back.
    pub(super) fn raw_port_attempts_fail(&mut self, node: usize) {
        for id in self.take_raw_port_attempts(node) {
            if let Some(link) = self.links.get_mut(id.link) {
                link.syn = Syn::Sent;
            }
        }
    }
}
