//! Network model: hosts, connections between them, and what is in transit.
//!
//! It models what programs see of TCP, not its packets: bytes arrive in order and once, or the
//! connection breaks. A seed decides what the network does within these bounds.

mod chunks;
mod connecting;
mod faults;
mod handoff;
mod link;
mod local;
mod names;
mod node;
mod outages;
mod raw_end;
mod raw_port;
mod resolving;
mod trace;
mod traffic;

pub(super) use faults::HostEvent;
pub(super) use handoff::Abandoned;
pub(super) use link::EndId;
pub(super) use node::PortName;

use super::conditions::Conditions;
use super::fault::Fault;
use super::random::Random;
use crate::arena::Arena;
use crate::driver::{Edges, Ready};
use crate::random::mix;
use link::{End, Link};
use names::Names;
use node::{Node, PortOwner, Power};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use trace::Trace;

/// A network of hosts.
#[derive(Debug)]
pub(super) struct Network {
    /// Reading of the hosts' clocks at the beginning.
    pub(super) beginning: Instant,
    /// Nanoseconds since the beginning.
    pub(super) now: u64,
    queue: BinaryHeap<Reverse<Due>>,
    /// Number of events scheduled so far: events at the same time run in this order.
    scheduled: u64,
    seed: u64,
    random: Random,
    pub(super) nodes: Vec<Node>,
    links: Arena<Link>,
    opened: u64,
    /// Pairs of hosts with a partition between them.
    cuts: BTreeSet<(usize, usize)>,
    conditions: Conditions,
    /// Conditions of connections over Unix sockets.
    within_host: Conditions,
    between: BTreeMap<(usize, usize), Conditions>,
    /// Until when the bandwidth from one host to another is used up.
    busy: BTreeMap<(usize, usize), u64>,
    names: Names,
    /// Events for the owner of the reactors.
    host_events: Vec<HostEvent>,
    pub(super) trace: Trace,
    abandoned: Abandoned,
}

#[derive(Debug)]
struct Due {
    at: u64,
    number: u64,
    event: Event,
}

#[derive(Debug)]
enum Event {
    /// The first segment of the pipe to this end arrives.
    Arrive(EndId),
    /// An acknowledgement for this number of bytes reaches their sender.
    Confirm(EndId, usize),
    /// A window update reaches this end: there may be room at the other.
    Pump(EndId),
    /// Retransmission timeout: an end's segments have not got through for long enough.
    GiveUp(EndId),
    Edge(EndId, Edges),
    /// A slow reader may read again.
    SlowRead(EndId),
    /// The n-th SYN of a client arrives.
    Syn(EndId, u32),
    /// The answer to a SYN arrives.
    Answer(EndId, Answer),
    /// The answer arrives to the question of a host for a name.
    NameAnswer {
        node: usize,
        token: usize,
        number: u64,
    },
    Fault(Box<Fault>),
    /// The outage of a host ends, if it is still that one.
    EndOutage {
        node: usize,
        number: u64,
    },
    /// An event without effect of its own, so that time stops here.
    Wake,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    SynAck,
    Refused,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Network {
    pub(super) fn new(seed: u64, beginning: Instant) -> Self {
        Self {
            beginning,
            now: 0,
            queue: BinaryHeap::new(),
            scheduled: 0,
            seed,
            random: Random::new(seed),
            nodes: Vec::new(),
            links: Arena::new(),
            opened: 0,
            cuts: BTreeSet::new(),
            conditions: Conditions::ideal(),
            within_host: Conditions::ideal().within_host(),
            between: BTreeMap::new(),
            busy: BTreeMap::new(),
            names: Names::default(),
            host_events: Vec::new(),
            trace: Trace::default(),
            abandoned: Abandoned::default(),
        }
    }

    /// Adds a host.
    pub(super) fn add_node(&mut self, name: &str) -> usize {
        let number = u8::try_from(self.nodes.len() + 1).expect("a network has at most 255 hosts");
        self.add(name, number, self.nodes.len())
    }

    /// Adds a shard to the machine of a host: it has the same addresses.
    pub(super) fn add_shard(&mut self, name: &str, machine: usize) -> usize {
        self.add(name, self.nodes[machine].number, machine)
    }

    fn add(&mut self, name: &str, number: u8, machine: usize) -> usize {
        assert!(self.find_node(name).is_none(), "a host with the name {name:?} exists already");
        let word = !name.is_empty() && name != "*" && !name.contains(char::is_whitespace);
        assert!(word, "{name:?} is not a host name: the text of a fault could not contain it");
        self.nodes.push(Node::new(name, number, machine));
        self.nodes.len() - 1
    }

    /// Returns the host with this name, which is added if there is none.
    pub(super) fn node(&mut self, name: &str) -> usize {
        self.find_node(name).unwrap_or_else(|| self.add_node(name))
    }

    pub(super) fn find_node(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Returns the name of a host.
    pub(super) fn name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    pub(super) fn node_at(&self, ip: IpAddr) -> Option<usize> {
        self.nodes.iter().position(|node| node.has(ip))
    }

    pub(super) fn address(&self, node: usize, port: u16) -> SocketAddr {
        (self.nodes[node].ip(std::net::Ipv4Addr::UNSPECIFIED.into()), port).into()
    }

    /// Gives a host an address besides its own.
    pub(super) fn add_address(&mut self, node: usize, ip: IpAddr) {
        self.nodes[node].aliases.push(ip);
    }

    pub(super) fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Describes the connections, one per line.
    pub(super) fn describe_links(&self) -> String {
        self.links.iter().map(|(_, link)| format!("  {link}\n")).collect()
    }

    pub(super) fn set_conditions(&mut self, conditions: Conditions) {
        self.within_host = conditions.within_host();
        self.conditions = conditions;
    }

    pub(super) fn set_conditions_between(&mut self, a: usize, b: usize, conditions: Conditions) {
        self.between.insert(pair(a, b), conditions);
    }

    /// Returns the conditions of the connection of an end.
    fn conditions_of(&self, id: EndId) -> &Conditions {
        match self.links.get(id.link) {
            Some(link) if link.is_local() => &self.within_host,
            Some(link) => {
                let machine = |side: usize| self.nodes[link.ends[side].node].machine;
                let path = pair(machine(0), machine(1));
                self.between.get(&path).unwrap_or(&self.conditions)
            }
            None => &self.conditions,
        }
    }

    /// Returns the reading of a host's clock.
    pub(super) fn clock(&self, node: usize) -> Instant {
        self.beginning + Duration::from_nanos(self.now.saturating_add(self.nodes[node].ahead))
    }

    /// Returns the network's time at which a host's clock shows `instant`.
    pub(super) fn when(&self, node: usize, instant: Instant) -> u64 {
        let shown = nanos(instant.saturating_duration_since(self.beginning));
        shown.saturating_sub(self.nodes[node].ahead)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Due { at: at.max(self.now), number: self.scheduled, event }));
    }

    fn schedule_in(&mut self, after: Duration, event: Event) {
        self.schedule(self.time_after(after), event);
    }

    /// Returns the time `time` from now; the end of time if that is sooner.
    fn time_after(&self, time: Duration) -> u64 {
        self.now.saturating_add(nanos(time))
    }

    /// Returns when the next event happens.
    pub(super) fn next(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse(due)| due.at)
    }

    /// Runs all events that are due; true if there were any.
    pub(super) fn run_due_events(&mut self) -> bool {
        let mut any = self.reset_abandoned();
        while let Some(Reverse(due)) = self
            .queue
            .peek()
            .filter(|it| it.0.at <= self.now)
            .is_some()
            .then(|| self.queue.pop())
            .flatten()
        {
            any = true;
            match due.event {
                Event::Arrive(end) => self.arrive(end),
                Event::Confirm(end, count) => self.confirm(end, count),
                Event::Pump(end) => self.pump(end),
                Event::GiveUp(end) => self.give_up(end),
                Event::Edge(end, edges) => self.edge(end, edges),
                Event::SlowRead(end) => self.resume_slow_read(end),
                Event::Syn(end, attempt) => self.syn_arrives(end, attempt),
                Event::Answer(end, answer) => self.answer(end, answer),
                Event::NameAnswer { node, token, number } => self.name_answer(node, token, number),
                Event::Fault(fault) => self.apply_fault(&fault),
                Event::EndOutage { node, number } => self.end_outage(node, number),
                Event::Wake => {}
            }
        }
        any
    }

    pub(super) fn take_host_events(&mut self) -> Vec<HostEvent> {
        std::mem::take(&mut self.host_events)
    }

    fn end(&mut self, id: EndId) -> Option<&mut End> {
        self.links.get_mut(id.link).map(|link| &mut link.ends[id.side])
    }

    fn number(&self, id: EndId) -> u64 {
        self.links.get(id.link).map_or(u64::MAX, |link| link.number * 2 + id.side as u64)
    }

    fn note(&mut self, id: EndId, what: &'static str, amount: usize) {
        let number = self.number(id);
        self.trace.note(self.now, what, number, amount as u64);
    }

    /// Records edges of an end, for the poller's next report.
    fn edge(&mut self, id: EndId, edges: Edges) {
        let Some(end) = self.end(id) else { return };
        if end.raw_end.is_some() {
            return self.serve_raw_end(id);
        }
        if end.life != link::Life::Held {
            return;
        }
        end.edges.add(edges);
        self.list(id);
    }

    fn list(&mut self, id: EndId) {
        let Some(end) = self.end(id) else { return };
        if end.watched.is_none() || end.listed || end.edges == Edges::NONE {
            return;
        }
        end.listed = true;
        let node = end.node;
        self.nodes[node].ready.push(id);
        self.wake(node);
    }

    /// Schedules a host's reactor to wake up, after the wakeup delay.
    fn wake(&mut self, node: usize) {
        if self.nodes[node].wakes_at.is_none() {
            let lag = self.random.up_to(self.conditions.wakeup_delay);
            let at = self.time_after(lag);
            self.nodes[node].wakes_at = Some(at);
            if at > self.now {
                self.schedule(at, Event::Wake);
            }
        }
    }

    /// Wakes a host's reactor, which another one has called.
    pub(super) fn call(&mut self, node: usize) {
        if self.nodes[node].power == Power::On {
            self.nodes[node].called = true;
            self.wake(node);
        }
    }

    /// Returns the first node of the machine of a node.
    pub(super) fn machine(&self, node: usize) -> usize {
        self.nodes[node].machine
    }

    /// Returns the seed of a host's next reactor: another one for each host and after each restart.
    /// It is derived, not drawn, so that the network's own numbers are the same however many
    /// reactors there are.
    pub(super) fn seed_of_reactor(&mut self, node: usize) -> u64 {
        let state = &mut self.nodes[node];
        state.reactors += 1;
        // Zero, but for the second shard of a machine and those after it.
        let shard = (node - state.machine) as u64;
        mix(mix(mix(self.seed) ^ u64::from(state.number) ^ shard << 8) ^ state.reactors)
    }

    /// Draws whether a call of `should_yield` returns true.
    pub(super) fn draws_yield(&mut self) -> bool {
        self.random.happens(self.conditions.yields)
    }

    /// True if the poller of a host would wake its reactor now.
    pub(super) fn is_ready(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        // Events that the last report left out wake no reactor, as the edges of a poller that is
        // itself polled.
        state.has_news() && state.wakes_at.is_some_and(|at| at <= self.now)
    }

    /// True if the last report to a host left something out.
    pub(super) fn has_unreported(&self, node: usize) -> bool {
        self.nodes[node].unreported
    }

    /// Returns when a host can take a turn that is due at `at`.
    pub(super) fn after_stall(&self, node: usize, at: u64) -> u64 {
        at.max(self.nodes[node].stalled_until)
    }

    /// True while a host takes no turn.
    pub(super) fn is_stalled(&self, node: usize) -> bool {
        self.nodes[node].stalled_until > self.now
    }

    /// Appends the poller's report for a host.
    pub(super) fn report(&mut self, node: usize, ready: &mut Vec<Ready>) {
        let before = ready.len();
        let state = &mut self.nodes[node];
        (state.wakes_at, state.called) = (None, false);
        ready.extend(state.signals.drain(..).map(Ready::Signal));
        ready.extend(state.ready_answers.drain(..).map(Ready::Resolved));
        for name in std::mem::take(&mut state.ready_ports) {
            let Some(port) = state.ports.get_mut(&name) else { continue };
            port.listed = false;
            if let PortOwner::Reactor(id) = port.owner {
                ready.push(Ready::Port(id.to_bits()));
            }
        }
        let events = state.ready.len().min(self.conditions.events_per_wait);
        let later = state.ready.split_off(events);
        state.unreported = !later.is_empty();
        for id in std::mem::replace(&mut state.ready, later) {
            let spurious = self.conditions.spurious;
            let Some(end) = self.end(id) else { continue };
            end.listed = false;
            let mut edges = std::mem::take(&mut end.edges);
            if end.random.happens(spurious) {
                edges.add(Edges { writable: true, ..Edges::READABLE });
            }
            if let Some(token) = end.watched {
                ready.push(Ready::Stream { token, edges });
            }
        }
        if self.conditions.reorder {
            self.random.shuffle(&mut ready[before..]);
        }
        let count = ready.len() - before;
        self.trace.note(self.now, "turn of host", node as u64, count as u64);
    }

    pub(super) fn signal(&mut self, node: usize, name: &'static str) {
        let state = &mut self.nodes[node];
        if state.power == Power::On {
            if !state.signals.contains(&name) {
                state.signals.push(name);
            }
            self.wake(node);
        }
    }
}
