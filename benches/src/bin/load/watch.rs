//! Waiting for events, and not for ever.

use crate::failure::{Failure, Outcome};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::time::Duration;

/// Time without a byte from the server after which it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Watch {
    poll: Poll,
    pub events: Events,
}

impl Watch {
    pub fn new() -> Outcome<Self> {
        let poll = Poll::new().map_err(|error| Failure::new(format!("the poller: {error}")))?;
        Ok(Self { poll, events: Events::with_capacity(1024) })
    }

    /// Both directions, at edges, and once for the life of a socket.
    pub fn add(&self, socket: &mut TcpStream, at: usize) -> Outcome<()> {
        self.add_for(socket, at, Interest::READABLE | Interest::WRITABLE)
    }

    pub fn add_for(&self, socket: &mut TcpStream, at: usize, interest: Interest) -> Outcome<()> {
        let result = self.poll.registry().register(socket, Token(at), interest);
        result.map_err(|error| Failure::of(at, format!("the poller: {error}")))
    }

    /// Fetches the next events: those that there are, or, if it `sleeps`, at least one.
    pub fn wait(&mut self, sleeps: bool) -> Outcome<()> {
        let timeout = if sleeps { PATIENCE } else { Duration::ZERO };
        loop {
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Ok(()) if sleeps && self.events.is_empty() => return Err(stuck()),
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::new(format!("the poller: {error}"))),
            }
        }
    }
}

pub fn stuck() -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::new(format!("no progress for {seconds} s: the server owes an answer, and is silent"))
}
