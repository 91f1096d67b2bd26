//! Faults at work: what each does to the network.

use super::link::EndId;
use super::names::NameFaults;
use super::node::{Node, Power};
use super::{Event, Network, nanos, pair};
use crate::testing::fault::Fault;
use std::io::ErrorKind;
use std::time::Duration;

/// An event for the owner of the reactors: the program of a host ends or starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum HostEvent {
    /// The program of the host with this number has ended, without any callback.
    Crash(usize),
    /// The host with this number starts its program again.
    Restart(usize),
}

impl Network {
    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        a != b && self.cuts.contains(&pair(a, b))
    }

    /// Schedules a fault.
    pub(in crate::testing) fn plan(&mut self, after: Duration, fault: Fault) {
        self.schedule_in(after, Event::Fault(Box::new(fault)));
    }

    /// Panics if the fault names an unknown host: that is a mistake in the test.
    pub(in crate::testing) fn check(&self, fault: &Fault) {
        for name in fault.names() {
            let known = name == "*" || self.find_node(name).is_some();
            assert!(
                known,
                "no host has the name {name:?}, which the fault \"{fault}\" has: \
                 create hosts and peers before their faults"
            );
        }
    }

    /// Returns the hosts with a name, with their shards: all of them for `*`.
    fn named(&self, name: &str) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        match (name, self.find_node(name)) {
            ("*", _) => nodes.collect(),
            (_, Some(node)) => {
                nodes.filter(|&it| it == node || self.nodes[it].machine == node).collect()
            }
            (_, None) => Vec::new(),
        }
    }

    /// Returns the hosts with a name whose programs run.
    fn running(&self, name: &str) -> Vec<usize> {
        let mut nodes = self.named(name);
        nodes.retain(|&node| self.nodes[node].power == Power::On);
        nodes
    }

    fn pairs(&self, a: &str, b: &str) -> Vec<(usize, usize)> {
        let (some, others) = (self.named(a), self.named(b));
        let pairs = some.iter().flat_map(|&a| others.iter().map(move |&b| pair(a, b)));
        let apart = |(a, b): &(usize, usize)| self.nodes[*a].machine != self.nodes[*b].machine;
        let mut pairs: Vec<_> = pairs.filter(apart).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Returns the client's ends of the connections between hosts.
    pub(super) fn links_between(&self, pairs: &[(usize, usize)]) -> Vec<EndId> {
        let ours = self
            .links
            .iter()
            .filter(|(_, link)| pairs.contains(&pair(link.ends[0].node, link.ends[1].node)));
        let mut ends: Vec<(u64, EndId)> =
            ours.map(|(id, link)| (link.number, EndId { link: id, side: 0 })).collect();
        ends.sort_unstable_by_key(|(number, _)| *number);
        ends.into_iter().map(|(_, end)| end).collect()
    }

    pub(super) fn apply_fault(&mut self, fault: &Fault) {
        self.check(fault);
        self.trace.note(self.now, fault.title(), 0, 0);
        self.trace.note_bytes(fault.to_string().as_bytes());
        match fault {
            Fault::Partition { a, b } => {
                let pairs = self.pairs(a, b);
                self.cuts.extend(&pairs);
                self.pump_all(&pairs);
            }
            Fault::Heal { a, b } => {
                let pairs = self.pairs(a, b);
                self.cuts.retain(|cut| !pairs.contains(cut));
                self.retransmit_all(&pairs);
            }
            Fault::Reset { a, b } => self.reset_all(&self.pairs(a, b)),
            Fault::HalfOpen { a, b } => self.silence(&self.pairs(a, b)),
            Fault::Crash { host } => self.begin_outages(&self.named(host), None, Self::crash),
            Fault::Restart { host } => self.named(host).into_iter().for_each(|it| self.restart(it)),
            Fault::ProcessOutage { host, lasting } => {
                self.begin_outages(&self.named(host), Some(*lasting), Self::end_process);
            }
            Fault::MachineOutage { host, lasting } => {
                self.begin_outages(&self.named(host), Some(*lasting), Self::crash);
            }
            Fault::ExhaustFds { host, lasting } => {
                self.extend_fault(host, *lasting, |node| &mut node.exhausted_until);
            }
            Fault::FailAccept { host } => {
                self.running(host).into_iter().for_each(|it| self.nodes[it].failing_accepts += 1);
            }
            Fault::SlowNames { host, by, lasting } => {
                let until = self.time_after(*lasting);
                self.fault_names(host, |faults| faults.slow = (until, *by));
            }
            Fault::FailNames { host, lasting } => {
                let until = self.time_after(*lasting);
                self.fault_names(host, |faults| faults.failing = until.max(faults.failing));
            }
            Fault::MuteNames { host, lasting } => {
                let until = self.time_after(*lasting);
                self.fault_names(host, |faults| faults.mute = until.max(faults.mute));
            }
            Fault::Stall { host, lasting } => {
                self.extend_fault(host, *lasting, |node| &mut node.stalled_until);
                self.schedule_in(*lasting, Event::Wake);
            }
            Fault::ClockJump { host, by } => {
                for node in self.named(host) {
                    let ahead = &mut self.nodes[node].ahead;
                    *ahead = ahead.saturating_add(nanos(*by));
                }
            }
        }
    }

    /// Lets a fault of hosts last until a time from now, unless it lasts longer already.
    fn extend_fault(&mut self, host: &str, lasting: Duration, until: fn(&mut Node) -> &mut u64) {
        let at = self.time_after(lasting);
        for node in self.running(host) {
            let last = until(&mut self.nodes[node]);
            *last = at.max(*last);
        }
    }

    /// Changes what is wrong with the questions of hosts for names.
    fn fault_names(&mut self, host: &str, change: impl Fn(&mut NameFaults)) {
        self.running(host).into_iter().for_each(|it| change(&mut self.nodes[it].name_faults));
    }

    fn reset_all(&mut self, pairs: &[(usize, usize)]) {
        for end in self.links_between(pairs) {
            for end in [end, end.other()] {
                self.break_end(end, ErrorKind::ConnectionReset);
                self.end(end).into_iter().for_each(|end| end.pipe.lose());
            }
            self.remove_if_over(end);
        }
    }

    fn silence(&mut self, pairs: &[(usize, usize)]) {
        for end in self.links_between(pairs) {
            if let Some(link) = self.links.get_mut(end.link) {
                link.silent = true;
            }
        }
        self.pump_all(pairs);
    }

    /// Pumps all these connections, so that ends waiting for room notice that nothing gets through.
    fn pump_all(&mut self, pairs: &[(usize, usize)]) {
        for end in self.links_between(pairs) {
            self.pump(end);
            self.pump(end.other());
        }
    }

    pub(super) fn retransmit_all(&mut self, pairs: &[(usize, usize)]) {
        for end in self.links_between(pairs) {
            self.retransmit(end);
            self.retransmit(end.other());
        }
    }
}
