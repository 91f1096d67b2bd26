//! `Link`: the connection of a client that counts, and what is awaited on it.

use crate::codec::ClientCommand;
use std::collections::VecDeque;
use twistor::Transport;

/// The connection that counts.
pub(crate) enum Link {
    /// There is none; one is being made, or waited for.
    Down,
    Up(Live),
    /// The client has ended, or ends when its connection is over.
    Closed,
}

/// A connection that is ready.
pub(crate) struct Live {
    pub(crate) transport: Transport,
    /// What each `PONG` that is still to come stands for.
    pub(crate) awaited: VecDeque<Awaited>,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// The server has been told that all subscriptions end. Messages still arrive, and answers to
    /// them may be published.
    DrainingSubscriptions,
    /// The client sends what is still queued.
    DrainingPublishes,
}

/// What a `PONG` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    KeepAlive,
    Flush(u64),
    /// The end of a subscription.
    Unsubscribed(u64),
    /// The end of a phase of draining.
    Drained,
}

impl Link {
    pub(crate) fn live(&self) -> Option<&Live> {
        match self {
            Self::Up(live) => Some(live),
            Self::Down | Self::Closed => None,
        }
    }

    pub(crate) fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Up(live) => Some(live),
            Self::Down | Self::Closed => None,
        }
    }

    /// Sends a command, if there is a connection.
    pub(crate) fn send(&self, command: &ClientCommand<'_>) {
        if let Self::Up(live) = self {
            let mut out = Vec::new();
            command.write_to(&mut out);
            live.transport.write(out);
        }
    }

    /// Sends a `PING`, whose answer stands for something.
    pub(crate) fn ask(&mut self, awaited: Awaited) {
        if let Self::Up(live) = self {
            live.transport.write("PING\r\n");
            live.awaited.push_back(awaited);
        }
    }
}
