//! Outages: hosts that lose their power or their program, and get it back.

use super::faults::HostEvent;
use super::link::{EndId, Life};
use super::node::{PortName, Power};
use super::{Event, Network, pair};
use std::time::Duration;

impl Network {
    /// Power failure: the host forgets everything, and no peer is notified. False if it was off.
    pub(super) fn crash(&mut self, node: usize) -> bool {
        let before = self.set_power(node, Power::Off);
        if before == Power::Off {
            return false;
        }
        self.drop_program(node);
        self.raw_port_attempts_fail(node);
        for id in self.ends_of(node) {
            if self.end(id).is_some_and(|end| end.life != Life::Gone) {
                self.forget(id);
            }
            self.remove_if_over(id);
        }
        if before == Power::On {
            self.host_events.push(HostEvent::Crash(node));
        }
        true
    }

    /// End of the host's program, as by SIGKILL: its operating system closes what it held, and
    /// answers for it from then on. False if it did not run.
    pub(super) fn end_process(&mut self, node: usize) -> bool {
        if self.nodes[node].power != Power::On {
            return false;
        }
        self.set_power(node, Power::ProcessDown);
        let has_reactor = self.nodes[node].reactors > 0;
        for id in self.drop_program(node) {
            self.break_off(id);
        }
        if !has_reactor {
            for id in self.take_raw_port_attempts(node) {
                self.raw_port_refuse(id);
            }
        }
        for id in self.ends_of(node) {
            // On a host with a reactor, the peers of a test are other programs.
            if self.end(id).is_some_and(|end| !has_reactor || end.raw_end.is_none()) {
                self.close(id);
            }
        }
        self.host_events.push(HostEvent::Crash(node));
        true
    }

    /// Lets hosts fail, and restarts those that have failed after the time `lasting`, unless
    /// something else ends the outage or another one takes its place before.
    pub(super) fn begin_outages(
        &mut self,
        nodes: &[usize],
        lasting: Option<Duration>,
        fail: fn(&mut Self, usize) -> bool,
    ) {
        for &node in nodes {
            let number = self.nodes[node].power_changes + 1;
            if let (true, Some(lasting)) = (fail(self, node), lasting) {
                self.schedule_in(lasting, Event::EndOutage { node, number });
            }
        }
    }

    pub(super) fn end_outage(&mut self, node: usize, number: u64) {
        if self.nodes[node].power_changes == number {
            self.trace.note(self.now, "end of an outage", node as u64, 0);
            self.restart(node);
        }
    }

    /// Changes the power of a host, and returns what it was.
    fn set_power(&mut self, node: usize, power: Power) -> Power {
        let state = &mut self.nodes[node];
        state.power_changes += u64::from(state.power != power);
        std::mem::replace(&mut state.power, power)
    }

    /// Starts the program of a host again.
    pub(super) fn restart(&mut self, node: usize) {
        let before = self.set_power(node, Power::On);
        if before == Power::On {
            return;
        }
        self.host_events.push(HostEvent::Restart(node));
        if before == Power::Off {
            let all: Vec<_> = (0..self.nodes.len()).map(|it| pair(node, it)).collect();
            self.retransmit_all(&all);
        }
    }

    /// Drops what a host's reactor had but its connections; returns those that it had not accepted.
    fn drop_program(&mut self, node: usize) -> Vec<EndId> {
        let state = &mut self.nodes[node];
        let mut unaccepted = Vec::new();
        for (name, port) in std::mem::take(&mut state.ports) {
            if port.is_of_a_test() {
                state.ports.insert(name, port);
                continue;
            }
            unaccepted.extend(port.backlog);
            if let PortName::Unix(address) = name {
                state.stale.extend(address.as_path().is_some().then_some(address));
            }
        }
        state.ready.clear();
        state.ready_ports.clear();
        state.signals.clear();
        (state.wakes_at, state.unreported, state.called) = (None, false, false);
        (state.exhausted_until, state.failing_accepts, state.stalled_until) = (0, 0, 0);
        state.reserve_user = None;
        self.forget_questions(node);
        unaccepted
    }

    /// Returns the ends of connections that are on a host, in the order of the connections.
    fn ends_of(&self, node: usize) -> Vec<EndId> {
        let pairs: Vec<_> = (0..self.nodes.len()).map(|it| pair(node, it)).collect();
        let ends = self.links_between(&pairs).into_iter().flat_map(|id| [id, id.other()]);
        ends.filter(|id| self.nodes_of(*id).is_some_and(|(own, _)| own == node)).collect()
    }
}
