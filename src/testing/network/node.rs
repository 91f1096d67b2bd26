//! Node: a host as the network sees it.

use super::link::EndId;
use super::names::NameFaults;
use crate::address::{Address, UnixAddress};
use crate::arena::Id;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first ephemeral port number: for ports and clients that do not ask for one.
const FIRST_EPHEMERAL: u16 = 49_152;

/// Ephemeral port numbers of a host.
pub(super) const EPHEMERAL_PORTS: u16 = u16::MAX - FIRST_EPHEMERAL + 1;

#[derive(Debug)]
pub(in crate::testing) struct Node {
    pub(super) name: String,
    /// Number of the machine, which its addresses have.
    pub(super) number: u8,
    /// The first node of its machine: itself, unless it is a further shard there.
    pub(super) machine: usize,
    pub(super) power: Power,
    /// Number of times that its power has changed: it tells one outage from the next.
    pub(super) power_changes: u64,
    /// Number of reactors that it has had.
    pub(super) reactors: u64,
    pub(super) ports: BTreeMap<PortName, PortState>,
    /// Unix sockets whose files a crash has left behind.
    pub(super) stale: BTreeSet<UnixAddress>,
    /// Addresses that a test has given it besides its own.
    pub(super) aliases: Vec<IpAddr>,
    next_ephemeral: u16,
    /// It has given each ephemeral port number once.
    pub(super) has_used_ephemerals: bool,
    /// Ends with edges that the poller has not reported.
    pub(super) ready: Vec<EndId>,
    /// The last report left some of the ready ends out.
    pub(super) unreported: bool,
    /// Ports at which a client has arrived since the last report.
    pub(super) ready_ports: Vec<PortName>,
    /// Questions for names that have been answered since the last report.
    pub(super) ready_answers: Vec<usize>,
    /// Signals that the last report did not have, each once.
    pub(super) signals: Vec<&'static str>,
    /// A call from another thread has woken its reactor since the last report.
    pub(super) called: bool,
    /// When its reactor wakes up.
    pub(super) wakes_at: Option<u64>,
    /// Stalled until then: no turn before.
    pub(super) stalled_until: u64,
    /// Out of descriptors until then.
    pub(super) exhausted_until: u64,
    /// The connection that has the descriptor which the program held in reserve.
    pub(super) reserve_user: Option<EndId>,
    pub(super) name_faults: NameFaults,
    /// Clients that will be gone when the host accepts them.
    pub(super) failing_accepts: usize,
    /// How far its clock is ahead.
    pub(super) ahead: u64,
}

/// What runs on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// The machine, and its program.
    On,
    /// The machine without its program: its operating system answers.
    ProcessDown,
    /// Nothing.
    Off,
}

/// What tells a port from the others of its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::testing) enum PortName {
    Tcp(u16),
    Unix(UnixAddress),
}

impl PortName {
    pub(in crate::testing) fn of(address: &Address) -> Self {
        match address {
            Address::Tcp(address) => Self::Tcp(address.port()),
            Address::Host(address) => Self::Tcp(address.port()),
            Address::Unix(address) => Self::Unix(address.clone()),
        }
    }

    /// Returns the number for the trace.
    pub(super) fn number(&self) -> u16 {
        match self {
            Self::Tcp(number) => *number,
            Self::Unix(_) => 0,
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(number) => write!(f, "port {number}"),
            Self::Unix(address) => write!(f, "{address}"),
        }
    }
}

/// The program that takes the connections of a port.
#[derive(Debug)]
pub(super) enum PortOwner {
    /// A reactor, whose poller reports the port under this id.
    Reactor(Id),
    /// A test, which answers each attempt to connect itself.
    Test {
        /// When each attempt arrived.
        attempts: Vec<u64>,
    },
}

#[derive(Debug)]
pub(in crate::testing) struct PortState {
    pub(super) owner: PortOwner,
    /// Server's ends of connections: those that the system has made, or the attempts that a test
    /// has not answered.
    pub(super) backlog: VecDeque<EndId>,
    pub(super) backlog_max: usize,
    /// Other shards of the machine may listen on the same port.
    pub(super) is_shared: bool,
    pub(super) listed: bool,
}

impl PortState {
    pub(super) fn new(owner: PortOwner, backlog_max: usize, is_shared: bool) -> Self {
        Self { owner, backlog: VecDeque::new(), backlog_max, is_shared, listed: false }
    }

    pub(super) fn is_of_a_test(&self) -> bool {
        matches!(self.owner, PortOwner::Test { .. })
    }
}

impl Node {
    pub(super) fn new(name: &str, number: u8, machine: usize) -> Self {
        Self {
            name: name.to_owned(),
            number,
            machine,
            power: Power::On,
            power_changes: 0,
            aliases: Vec::new(),
            reactors: 0,
            ports: BTreeMap::new(),
            stale: BTreeSet::new(),
            next_ephemeral: FIRST_EPHEMERAL,
            has_used_ephemerals: false,
            ready: Vec::new(),
            unreported: false,
            ready_ports: Vec::new(),
            ready_answers: Vec::new(),
            signals: Vec::new(),
            called: false,
            wakes_at: None,
            stalled_until: 0,
            exhausted_until: 0,
            reserve_user: None,
            name_faults: NameFaults::default(),
            failing_accepts: 0,
            ahead: 0,
        }
    }

    pub(super) fn ip(&self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => Ipv4Addr::new(10, 0, 0, self.number).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, self.number.into()).into(),
        }
    }

    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.ip(ip) == ip || self.aliases.contains(&ip)
    }

    /// Returns the open port of this name. Those of a test belong to the program of a host that has
    /// no reactor.
    pub(super) fn port(&mut self, name: &PortName) -> Option<&mut PortState> {
        let is_down = self.power == Power::ProcessDown && self.reactors == 0;
        self.ports.get_mut(name).filter(|_| !is_down)
    }

    /// Returns its addresses, in the order in which a resolver prefers them.
    pub(in crate::testing) fn ips(&self) -> [IpAddr; 2] {
        [self.ip(Ipv6Addr::UNSPECIFIED.into()), self.ip(Ipv4Addr::UNSPECIFIED.into())]
    }

    /// Returns a number that no port of this host has.
    pub(super) fn ephemeral(&mut self) -> u16 {
        loop {
            let port = self.next_ephemeral;
            let next = port.checked_add(1);
            self.has_used_ephemerals |= next.is_none();
            self.next_ephemeral = next.unwrap_or(FIRST_EPHEMERAL);
            if !self.ports.contains_key(&PortName::Tcp(port)) {
                return port;
            }
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.ready.is_empty()
            || !self.ready_ports.is_empty()
            || !self.ready_answers.is_empty()
            || !self.signals.is_empty()
            || self.called
    }
}
