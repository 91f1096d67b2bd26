//! Waiting for peers, and no longer than was said.

use super::Reactor;
use super::callback::Callback;
use super::connections::Party;
use super::delayed::Job;
use super::key::Key;
use crate::arena::Id;
use crate::transport::Deadlines;

impl Reactor {
    /// Sets how long the peers of a factory's connections are waited for: of those that are made
    /// from now on, on all its ports. [`Transport::set_deadlines`](crate::Transport::set_deadlines)
    /// sets it for one. False if the factory is gone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::{Context, Deadlines, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// reactor.set_deadlines(port, Deadlines::new().idle(Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_deadlines<F>(&mut self, key: impl Into<Key<F>>, deadlines: Deadlines) -> bool {
        let key = key.into();
        let shelf = self.hosts.get_mut(key.id).filter(|_| key.reactor == self.number);
        shelf.map(|shelf| shelf.deadlines = Some(deadlines)).is_some()
    }

    /// Reads the clock for a connection, and has a timer look again. One that is set already and
    /// comes sooner is left alone: it will be set for what is left.
    pub(super) fn mind_deadlines(&mut self, party: &Party) {
        let due = party.transport.mind_patience(self.now());
        let (Some(due), Some(live)) = (due, self.connections.live_mut(party.id())) else { return };
        let timer = live.patience();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((id, _)) => {
                self.timers.reset(id, due);
                *timer = Some((id, due));
            }
            None => *timer = Some((self.timers.set(due, Job::LosePatience(party.id())), due)),
        }
    }

    /// The timer of a connection is due.
    pub(super) fn lose_patience(&mut self, id: Id) {
        let Some(party) = self.connections.party(id) else { return };
        if let Some(live) = self.connections.live_mut(id) {
            *live.patience() = None;
        }
        if let Some(deadline) = party.transport.lose_patience(self.now()) {
            self.call(&party, Callback::TimedOut(deadline));
        }
        self.mind_deadlines(&party);
    }
}
