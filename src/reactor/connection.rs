//! The connections of a reactor: whose they are, and how they end.

use super::backpressure::{CHUNKS_PER_TURN, Overdue};
use super::callback::Callback;
use super::connector::Connecting;
use super::linger::{LingerReason, Lingering};
use super::metrics::EventKind;
use super::panic::guard;
use super::timers::TimerAction;
use super::{Reactor, RunState};
use crate::arena::{Arena, Id};
use crate::callback_kind::CallbackKind;
use crate::limits::{Direction, TimeoutKind};
use crate::reason::Reason;
use crate::transport::{Action, Settled, Transport};
use log::Level;
use std::time::Instant;

/// One slot of the table.
#[derive(Debug)]
pub(super) enum Slot {
    Established(Established),
    /// Is yet to be. Boxed, for there are few of them.
    Connecting(Box<Connecting>),
    /// The protocol has been told that the connection is over. This side has sent its FIN, and
    /// discards what the peer still sends.
    /// Boxed, for there are few of them.
    Lingering(Box<Lingering>),
}

/// A connection with a protocol.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) connection: ConnectionRef,
    /// Most connections have none.
    connection_timers: Option<Box<ConnectionTimers>>,
}

/// Whom a callback is for, and about what.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRef {
    /// Where the protocol is in its host. Half a word, since there is one for each connection.
    protocol_index: u32,
    pub(super) transport: Transport,
}

/// A connection that was reset by [`Transport::abort_connection`] or for a like reason; its
/// `connection_lost` is due.
#[derive(Debug)]
pub(super) struct Aborted {
    pub(super) id: Id,
    pub(super) reason: Reason,
    /// Bytes that were discarded.
    pub(super) unsent: usize,
}

/// The timers of one connection.
#[derive(Debug, Default)]
struct ConnectionTimers {
    /// Set by the protocol. Fired ones are weeded out as the list grows.
    set: Vec<Id>,
    /// Ends a connection that is closing and whose peer takes nothing.
    close: Option<Id>,
    /// Looks at the timeouts.
    timeouts: Option<(Id, Instant)>,
    /// Wakes one that waits for the rate that is set.
    rate: Option<(Id, Instant)>,
}

/// A protocol's list of timers is not weeded before it is this long.
const WEED_MIN: usize = 8;

impl Established {
    /// A connection whose protocol is yet to be built.
    pub(super) fn new(transport: Transport) -> Self {
        let connection = ConnectionRef { protocol_index: u32::MAX, transport };
        Self { connection, connection_timers: None }
    }

    #[cfg(test)]
    pub(super) fn timer_count(&self) -> usize {
        self.connection_timers.as_ref().map_or(0, |connection_timers| connection_timers.set.len())
    }

    /// The timer that looks at the timeouts, and when.
    pub(super) fn timeout_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.connection_timers.get_or_insert_default().timeouts
    }

    /// The timer that wakes a connection that waits for its rate, and when.
    pub(super) fn rate_timer(&mut self) -> &mut Option<(Id, Instant)> {
        &mut self.connection_timers.get_or_insert_default().rate
    }

    /// Notes a timer of the protocol, to be cancelled with the connection.
    pub(super) fn add_timer(&mut self, timer: Id, is_set: impl Fn(Id) -> bool) {
        let set = &mut self.connection_timers.get_or_insert_default().set;
        if set.len() >= WEED_MIN && set.len() == set.capacity() {
            set.retain(|&timer| is_set(timer));
            if set.len() > set.capacity() / 2 {
                // Most are set in truth: not to be looked through again for each.
                set.reserve(set.capacity());
            }
        }
        set.push(timer);
    }
}

impl ConnectionRef {
    pub(super) fn id(&self) -> Id {
        self.transport.slot()
    }

    /// Where its factory and its protocol live.
    pub(super) fn factory(&self) -> Id {
        self.transport.factory()
    }

    pub(super) fn protocol_index(&self) -> usize {
        self.protocol_index as usize
    }

    pub(super) fn set_protocol_index(&mut self, protocol_index: usize) {
        self.protocol_index = u32::try_from(protocol_index).unwrap_or(u32::MAX);
    }
}

impl Arena<Slot> {
    pub(super) fn find(&self, id: Id) -> Option<ConnectionRef> {
        self.established(id).map(|established| established.connection.clone())
    }

    pub(super) fn all_established(&self) -> impl Iterator<Item = (Id, &Established)> {
        self.iter().filter_map(|(id, slot)| match slot {
            Slot::Established(established) => Some((id, established)),
            _ => None,
        })
    }

    pub(super) fn all_lingering_mut(&mut self) -> impl Iterator<Item = &mut Lingering> {
        self.iter_mut().filter_map(|slot| match slot {
            Slot::Lingering(lingering) => Some(&mut **lingering),
            _ => None,
        })
    }

    pub(super) fn established(&self, id: Id) -> Option<&Established> {
        match self.get(id) {
            Some(Slot::Established(established)) => Some(established),
            _ => None,
        }
    }

    pub(super) fn established_mut(&mut self, id: Id) -> Option<&mut Established> {
        match self.get_mut(id) {
            Some(Slot::Established(established)) => Some(established),
            _ => None,
        }
    }
}

impl Reactor {
    /// Makes a callback and carries out what it wished for its own connection.
    pub(super) fn call(&mut self, connection: &ConnectionRef, callback: Callback<'_>) {
        self.deliver(connection, callback);
        self.settle(connection);
    }

    /// Carries out what callbacks wished for a connection: sends, and ends what is to end. True if
    /// the socket took something.
    pub(super) fn settle(&mut self, connection: &ConnectionRef) -> bool {
        let transport = &connection.transport;
        let (mut resumed, mut told, mut produced) = (false, false, 0);
        let mut settled = Settled::default();
        loop {
            match transport.settle(&mut settled) {
                Action::Idle => break,
                Action::AwaitSent => {
                    self.update_close_timeout(connection.id(), settled.sent);
                    break;
                }
                // A protocol that pauses whenever it is resumed must not keep the loop here.
                Action::Resume if resumed => break transport.settle_later(),
                Action::Resume => {
                    resumed = true;
                    transport.connection().resumed();
                    self.deliver(connection, Callback::ReadingResumed);
                    // What became readable during the pause will not be reported again.
                    self.serve_again(connection);
                }
                Action::ShutdownWrite => {
                    if transport.connection().shutdown_write() {
                        self.deliver(connection, Callback::WriteConnectionLost);
                    }
                }
                Action::PauseProducer => {
                    transport.producer_paused();
                    self.deliver(connection, Callback::ProducingPaused);
                }
                // Nor must one that writes whenever it may, or reads as fast as it is sent.
                Action::ResumeProducer | Action::ReportRejected if told => {
                    break self.take_turns(connection);
                }
                Action::Produce if produced == CHUNKS_PER_TURN => {
                    break self.take_turns(connection);
                }
                Action::ResumeProducer => {
                    told = true;
                    transport.producer_resumed();
                    self.deliver(connection, Callback::ProducingResumed);
                }
                Action::ReportRejected => {
                    told = true;
                    self.deliver(connection, Callback::WriteRejected(transport.take_rejected()));
                }
                Action::Produce => {
                    produced += 1;
                    self.produce(connection);
                }
                Action::ReadRemaining => break self.serve_again(connection),
                Action::UpdateTimeouts => self.update_timeouts(connection),
                Action::RefillRate => drop(self.refill_rate(connection, Direction::Write)),
                Action::End(reason) if reason.is_abortive() => {
                    let unsent = transport.connection().reset();
                    break self.aborted.push(Aborted { id: connection.id(), reason, unsent });
                }
                Action::End(reason) => break self.lose(connection.id(), reason),
            }
        }
        if settled.is_behind {
            transport.list_unsent();
        }
        settled.sent
    }

    /// The connection is closing, and has bytes left or waits for a producer: gives the peer time
    /// to take the next byte, and the producer to give it.
    fn update_close_timeout(&mut self, id: Id, sent: bool) {
        let Some(established) = self.connections.established_mut(id) else {
            return;
        };
        let connection_timers = established.connection_timers.get_or_insert_default();
        match connection_timers.close {
            Some(_) if !sent => {}
            Some(timer) => {
                let due = self.due_in(self.settings.close_timeout);
                self.timers.reset(timer, due);
            }
            None => {
                let timer = self
                    .set_timer_action(self.settings.close_timeout, TimerAction::CloseTimeout(id));
                if let Some(established) = self.connections.established_mut(id) {
                    established.connection_timers.get_or_insert_default().close = Some(timer);
                }
            }
        }
    }

    /// The poller has not said for the whole close timeout that the peer took anything. It says so
    /// late, when a good part of the socket's buffer is free; so the socket itself is asked.
    pub(super) fn close_timeout_fired(&mut self, id: Id) {
        if let Some(connection) = self.connections.find(id) {
            if let Some(established) = self.connections.established_mut(id) {
                established.connection_timers.get_or_insert_default().close = None;
            }
            connection.transport.connection().try_writing();
            if self.settle(&connection) || connection.transport.is_held_back(Direction::Write) {
                return;
            }
            if !connection.transport.connection().watch_producer() {
                return self.close_timed_out(&connection);
            }
            // What the producer gives may be there, and the loop late.
            let producer =
                connection.transport.producer().filter(|producer| producer.connection().look());
            self.ready_connections.extend(producer.map(|producer| producer.slot()));
            self.overdue.push(Overdue { id, looks: 0 });
        }
    }

    pub(super) fn close_timed_out(&mut self, connection: &ConnectionRef) {
        connection.transport.time_out(TimeoutKind::Close);
        self.settle(connection);
    }

    /// Ends a connection: closes its socket, tells its protocol, and forgets it.
    pub(super) fn lose(&mut self, id: Id, reason: Reason) {
        let Some(connection) = self.connections.find(id) else {
            return;
        };
        let (factory, transport) = (connection.factory(), &connection.transport);
        // To linger is a courtesy, which a peer that was to blame does not get.
        let in_order = self.run_state != RunState::Stopping
            && !reason.is_abortive()
            && !reason.blames_peer()
            && !matches!(reason, Reason::Lost(_) | Reason::Stopped);
        self.record_for_report(&reason, transport.unsent());
        let is_cut_short = !reason.is_done() && transport.connection().is_unfinished();
        self.drop_reader(transport.end_extras());
        // An orderly close says that everything was sent. Its peer must not take what has come for
        // all there was.
        if is_cut_short {
            transport.connection().reset();
        }
        let closed = transport.connection().release().filter(|closed| closed.may_send && in_order);
        let lingering = closed.and_then(|closed| {
            self.linger(id, closed, transport.peer_address().network(), LingerReason::Close)
        });
        self.remove_connection(id, lingering);
        // It is in no table any more, where a change of the limits would count it.
        self.release_admission(transport);
        // The reason may hold an error of the user's, and to display it is the user's code.
        let level = if matches!(reason, Reason::Failed(_)) { Level::Warn } else { Level::Debug };
        let logged = guard(|| {
            log::log!(
                level,
                "{} of {}: {reason}",
                self.protocol_name(factory),
                transport.peer_address()
            );
        });
        if let Err(panic) = logged {
            log::error!(
                "displaying an error of {} panicked: {}",
                transport.peer_address(),
                panic.0
            );
        }
        #[cfg(feature = "testing")]
        self.notify_observer(transport, super::Happening::Lost(&reason));
        let told = self.with_erased(factory, |factory, reactor| {
            factory.end(connection.protocol_index(), &reason, transport, reactor)
        });
        self.recorder.totals.lost += 1;
        self.record_callback(EventKind::Callback(CallbackKind::ConnectionLost), transport, 0);
        if let Some(Err(panic)) = told {
            let (protocol, peer) = (self.protocol_name(factory), transport.peer_address());
            log::error!("{protocol} of {peer} panicked in connection_lost: {}", panic.0);
            self.record_panic(&format!("a panic in {protocol}"));
        }
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.connections -= 1;
        }
        if guard(|| drop(reason)).is_err() {
            log::error!("dropping an error of {} panicked", self.protocol_name(factory));
        }
        self.release_factory(transport);
    }

    /// Takes a live connection and its timers out of the table; its socket may stay a while.
    pub(super) fn remove_connection(&mut self, id: Id, lingering: Option<Slot>) {
        let vacated = match lingering {
            Some(lingering) => {
                self.connections.get_mut(id).map(|slot| std::mem::replace(slot, lingering))
            }
            None => self.connections.remove(id),
        };
        if let Some(Slot::Established(Established {
            connection_timers: Some(connection_timers),
            ..
        })) = vacated
        {
            let ConnectionTimers { set, close, timeouts, rate } = *connection_timers;
            let noted = timeouts.into_iter().chain(rate).map(|(id, _)| id);
            for timer in set.into_iter().chain(close).chain(noted) {
                self.timers.cancel(timer);
            }
        }
    }
}
