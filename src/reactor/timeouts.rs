//! Waiting for peers, and no longer than was said.

use super::Reactor;
use super::callback::Callback;
use super::connection::ConnectionRef;
use super::key::FactoryKey;
use super::timers::TimerAction;
use crate::arena::Id;
use crate::limits::Timeouts;
use std::time::Duration;

/// How often a connection is read before one of its timeouts is held against it: each time by the
/// budget of a turn, a quarter of a megabyte, which together is more than the six megabytes that
/// Linux lets a socket hold by default. More than that has come since.
const LOOKS_MAX: u8 = 32;

/// Time in a turn for such looks.
const LOOKS_TIME: Duration = Duration::from_millis(2);

/// A connection, or an attempt to make one, for which a timeout is over.
#[derive(Debug)]
pub(super) struct Overdue {
    pub(super) id: Id,
    /// How often it was looked at; zero if it is a close that waits for a producer.
    pub(super) looks: u8,
}

impl Reactor {
    /// Sets how long the peers of a factory's connections are waited for: of those that are made
    /// from now on, on all its ports. [`Transport::set_timeouts`](crate::Transport::set_timeouts)
    /// sets it for one. False if the factory is gone.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::limits::Timeouts;
    /// use twistor::{Context, Protocol, Reactor};
    /// # struct Echo;
    /// # impl<F> Protocol<F> for Echo {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", || Echo)?;
    /// reactor.set_timeouts(&port, Timeouts::new().idle(Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_timeouts<F>(&mut self, key: impl Into<FactoryKey<F>>, timeouts: Timeouts) -> bool {
        self.slot_mut(key).map(|slot| slot.timeouts = Some(timeouts)).is_some()
    }

    /// Reads the clock for a connection, and has a timer look again. One that is set already and
    /// comes sooner is left alone: it will be set for what is left.
    pub(super) fn update_timeouts(&mut self, connection: &ConnectionRef) {
        let due = connection.transport.update_timeouts(self.now());
        let (Some(due), Some(established)) =
            (due, self.connections.established_mut(connection.id()))
        else {
            return;
        };
        let timer = established.patience();
        match *timer {
            Some((_, at)) if at <= due => {}
            Some((id, _)) => {
                self.timers.reset(id, due);
                *timer = Some((id, due));
            }
            None => {
                *timer =
                    Some((self.timers.set(due, TimerAction::CheckTimeouts(connection.id())), due))
            }
        }
    }

    /// The timer of a connection is due. If something is over, the connection is read first: it
    /// may be the loop that is late, and not the peer.
    pub(super) fn check_timeouts(&mut self, id: Id) {
        let Some(connection) = self.connections.find(id) else { return };
        if let Some(established) = self.connections.established_mut(id) {
            *established.patience() = None;
        }
        if connection.transport.is_overdue(self.now()) {
            if connection.transport.connection().look() {
                self.ready_connections.push(id);
            }
            self.overdue.push(Overdue { id, looks: 1 });
        } else {
            self.update_timeouts(&connection);
        }
    }

    /// What was found to be over before everything that had arrived was read: the verdict.
    pub(super) fn expire_overdue(&mut self) {
        if self.overdue.is_empty() {
            return;
        }
        let until = self.due_in(LOOKS_TIME);
        for Overdue { id, looks } in std::mem::take(&mut self.overdue) {
            self.fail_overdue_connecting(id);
            let Some(connection) = self.connections.find(id) else { continue };
            if looks == 0 {
                // What the producer gives may have arrived, and stand in the bulk queue.
                let producer = connection.transport.producer().map(|producer| producer.slot());
                if let Some(producer) = producer.and_then(|id| self.connections.find(id)) {
                    self.serve_at_once(&producer);
                }
                if !connection.transport.connection().was_fed() {
                    self.close_timed_out(&connection);
                }
                continue;
            }
            if looks < LOOKS_MAX && connection.transport.connection().has_more() {
                // If there is no time for it now, it is looked at as often later.
                let in_time = self.now() < until;
                if in_time {
                    self.serve_at_once(&connection);
                }
                self.overdue.push(Overdue { id, looks: looks + u8::from(in_time) });
                continue;
            }
            if let Some(kind) = connection.transport.expired_timeout(self.now()) {
                self.call(&connection, Callback::TimedOut(kind));
            }
            self.update_timeouts(&connection);
        }
    }
}
