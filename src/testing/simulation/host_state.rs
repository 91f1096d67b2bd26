//! Host state: a host's reactor, or how to set one up.

use crate::reactor::{Reactor, Settings, ShutdownReport};
use crate::testing::driver::DriverControl;
use crate::testing::network::{EndId, Network};
use crate::testing::observer::Observer;
use crate::transport::ConnectionId;
use std::cell::Cell;
use std::error::Error;
use std::io::ErrorKind;
use std::rc::Rc;

pub(super) type Boot = Box<dyn FnMut(&mut Reactor) -> Result<(), Box<dyn Error>>>;

pub(super) struct HostState {
    pub(super) node: usize,
    pub(super) settings: Settings,
    /// `None` while it is running.
    pub(super) boot: Option<Boot>,
    pub(super) machine: Machine,
    pub(super) observer: Rc<Observer>,
    pub(super) control: Rc<DriverControl>,
    pub(super) attempts: Vec<ConnectAttempt>,
    /// The time of the last turn, and the number of turns at that time.
    turns: (u64, u64),
}

/// It is moved for each turn, so the reactor, which is large, has a place of its own.
pub(super) enum Machine {
    Up(Box<Reactor>),
    /// A turn or a test is using the reactor.
    InUse,
    /// The reactor has stopped, and stays as it is.
    Stopped(Box<Reactor>, ShutdownReport),
    /// The host has no power.
    Down,
}

/// A client of a host's reactor that is not over.
pub(super) struct ConnectAttempt {
    /// Its end; `None` if the system refused it at once, or it was begun by name.
    pub(super) end: Option<EndId>,
    pub(super) connection: ConnectionId,
    pub(super) progress: Rc<Cell<Progress>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Connected,
    Failed(ErrorKind),
    Over,
}

impl HostState {
    pub(super) fn new(node: usize, settings: Settings, boot: Boot, observer: Rc<Observer>) -> Self {
        Self {
            node,
            settings,
            boot: Some(boot),
            machine: Machine::Down,
            observer,
            control: Rc::default(),
            attempts: Vec::new(),
            turns: (0, 0),
        }
    }

    pub(super) fn node(&self) -> usize {
        self.node
    }

    /// Counts a turn at the time `now`, and returns how many there have been at that time.
    pub(super) fn count_turn(&mut self, now: u64) -> u64 {
        let (last, count) = self.turns;
        self.turns = (now, if last == now { count + 1 } else { 1 });
        self.turns.1
    }

    /// Returns when its reactor has something to do, in the network's time.
    pub(super) fn next(&mut self, network: &Network) -> Option<u64> {
        let Machine::Up(reactor) = &mut self.machine else { return None };
        let at = network.when(self.node, reactor.next_own_deadline()?);
        Some(network.after_stall(self.node, at))
    }
}
