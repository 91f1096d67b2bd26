//! Connections: settles them after callbacks, and ends them.

use super::Reactor;
use super::backpressure::CHUNKS_PER_TURN;
use super::callback::Callback;
use super::client_service::Ended;
use super::lifecycle::RunState;
use super::linger_budget::LingerReason;
use super::panic::guard;
use super::queues::{Aborted, Overdue};
use super::recorder::EventKind;
use super::table::{ConnectionRef, ConnectionTimers, Established, Slot};
use super::timers::TimerAction;
use crate::arena::Id;
use crate::callback_kind::CallbackKind;
use crate::continuation::Continuation;
use crate::limits::{Direction, TimeoutKind};
use crate::reason::Reason;
use crate::transport::{Action, Settled, Transport};
use log::Level;

impl Reactor {
    /// Makes a callback, and settles its connection.
    pub(super) fn call(&mut self, connection: &ConnectionRef, callback: Callback<'_>) {
        self.deliver(connection, callback);
        self.settle(connection);
    }

    /// Calls a continuation of a connection's protocol, unless the connection is over.
    pub(super) fn call_continuation(&mut self, id: Id, continuation: Continuation) {
        let mut continuation = Some(continuation);
        if let Some(connection) = self.connections.find(id) {
            self.call(&connection, Callback::Continued(&mut continuation));
        }
        if let Err(panic) = guard(|| drop(continuation)) {
            self.report_panic("dropping a continuation panicked", &panic);
        }
    }

    /// Settles a connection: carries out what callbacks requested of it, sends, and ends it if
    /// requested. Returns true if the socket took something.
    pub(super) fn settle(&mut self, connection: &ConnectionRef) -> bool {
        let transport = &connection.transport;
        let (mut resumed, mut told, mut produced) = (false, false, 0);
        let mut settled = Settled::default();
        loop {
            match transport.settle(&mut settled) {
                Action::Idle => break,
                Action::AwaitSent => {
                    break self.update_close_timeout(connection.id(), settled.sent);
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
                Action::ShutdownWrite => self.shutdown_write(connection),
                Action::PauseProducer => self.pause_producer(connection),
                // Nor must a protocol that writes whenever it may, or a peer that takes bytes as
                // fast as they are produced.
                Action::ResumeProducer | Action::ReportRejected if told => {
                    break self.take_turns(connection);
                }
                Action::Produce if produced == CHUNKS_PER_TURN => {
                    break self.take_turns(connection);
                }
                Action::ResumeProducer => {
                    told = true;
                    self.resume_producer(connection);
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
                    break self.queues.aborted.push(Aborted {
                        id: connection.id(),
                        reason,
                        unsent,
                    });
                }
                Action::End(reason) => break self.lose(connection.id(), reason),
            }
        }
        if settled.is_behind {
            transport.list_unsent();
        }
        settled.sent
    }

    fn shutdown_write(&mut self, connection: &ConnectionRef) {
        let is_closed = connection.transport.connection().shutdown_write();
        if is_closed {
            self.deliver(connection, Callback::WriteConnectionLost);
        }
    }

    fn pause_producer(&mut self, connection: &ConnectionRef) {
        connection.transport.producer_paused();
        self.deliver(connection, Callback::ProducingPaused);
    }

    fn resume_producer(&mut self, connection: &ConnectionRef) {
        connection.transport.producer_resumed();
        self.deliver(connection, Callback::ProducingResumed);
    }

    /// Sets or restarts the close timeout of a connection that is closing and has bytes left or
    /// waits for a producer: the time for the peer to take the next byte, or the producer to give
    /// it.
    fn update_close_timeout(&mut self, id: Id, sent: bool) {
        let Some(established) = self.connections.established_mut(id) else {
            return;
        };
        let timers = established.timers.get_or_insert_default();
        match timers.close {
            Some(_) if !sent => {}
            Some(timer) => {
                let due = self.due_in(self.settings.close_timeout);
                self.timers.reset(timer, due);
            }
            None => {
                let timer = self
                    .set_timer_action(self.settings.close_timeout, TimerAction::CloseTimeout(id));
                if let Some(established) = self.connections.established_mut(id) {
                    established.timers.get_or_insert_default().close = Some(timer);
                }
            }
        }
    }

    /// Checks a closing connection whose close timeout has fired: the poller has reported no
    /// progress. It reports room late, when a good part of the socket's buffer is free, so the
    /// socket itself is tried.
    pub(super) fn close_timeout_fired(&mut self, id: Id) {
        if let Some(connection) = self.connections.find(id) {
            if let Some(established) = self.connections.established_mut(id) {
                established.timers.get_or_insert_default().close = None;
            }
            connection.transport.connection().try_writing();
            if self.settle(&connection) || connection.transport.is_held_back(Direction::Write) {
                return;
            }
            if !connection.transport.connection().watch_producer() {
                return self.close_timed_out(&connection);
            }
            // The producer's data may have arrived, and the loop may be late.
            let producer =
                connection.transport.producer().filter(|producer| producer.connection().look());
            self.queues.ready.extend(producer.map(|producer| producer.slot()));
            self.queues.overdue.push(Overdue { id, looks: 0 });
        }
    }

    pub(super) fn close_timed_out(&mut self, connection: &ConnectionRef) {
        connection.transport.time_out(TimeoutKind::Close);
        self.settle(connection);
    }

    /// Ends a connection: closes its socket, calls `connection_lost`, and removes it.
    pub(super) fn lose(&mut self, id: Id, reason: Reason) {
        let Some(connection) = self.connections.find(id) else {
            return;
        };
        let (factory, transport) = (connection.factory(), &connection.transport);
        let reason = self.without_tls_panic(transport, reason);
        // A peer that is to blame for the end is not worth a lingering close.
        let in_order = self.lifecycle.state != RunState::Stopping
            && !reason.is_abortive()
            && !reason.blames_peer()
            && !matches!(reason, Reason::Lost(_) | Reason::Stopped);
        if self.out_of_band_connections == 0 || !self.is_out_of_band(factory) {
            self.record_for_report(&reason, transport.unsent());
        }
        let is_cut_short = !reason.is_done() && transport.connection().is_unfinished();
        self.drop_reader(transport.end_extras());
        // An orderly close says that everything was sent. The peer must not take a truncated stream
        // for a complete one.
        if is_cut_short {
            transport.connection().reset();
        }
        let closed = transport.connection().release().filter(|closed| closed.may_send && in_order);
        let lingering =
            closed.and_then(|closed| self.linger(id, closed, transport, LingerReason::Close));
        self.remove_connection(id, lingering);
        // Only now: while it was in the table, a change of the limits would have counted it.
        self.release_admission(transport);
        self.log_lost(&connection, &reason);
        #[cfg(feature = "testing")]
        self.notify_observer(transport, super::Happening::Lost(&reason));
        let told = self.with_erased(factory, |factory, reactor| {
            factory.end(connection.protocol_index(), &reason, transport, reactor)
        });
        self.recorder.totals.lost += 1;
        self.record_callback(EventKind::Callback(CallbackKind::ConnectionLost), transport, 0);
        if let Some(Err(panic)) = told {
            let (protocol, peer) = (self.protocol_name(factory), transport.peer_address());
            self.report_panic(
                format_args!("{protocol} of {peer} panicked in connection_lost"),
                &panic,
            );
            self.record_panic(&format!("a panic in {protocol}"));
        }
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.connections -= 1;
            self.recorder.totals_mut(slot.totals).connections.lost += 1;
            let audience = slot.audience;
            self.count_connections(audience, -1);
        }
        if let Some(service) = transport.service() {
            self.client_service_over(service, transport, Ended::Lost(&reason));
        }
        if let Err(panic) = guard(|| drop(reason)) {
            let protocol = self.protocol_name(factory);
            self.report_panic(format_args!("dropping an error of {protocol} panicked"), &panic);
        }
        self.release_factory(transport);
    }

    /// Returns the reason of an end. The error that a panic of code that TLS calls has become is
    /// reported, and makes way for the panic.
    fn without_tls_panic(&mut self, transport: &Transport, reason: Reason) -> Reason {
        let Reason::Lost(error) = &reason else { return reason };
        match self.report_tls_panic(transport, error) {
            Some(panic) => Reason::Panicked(panic.0),
            None => reason,
        }
    }

    /// Logs the end of a connection. Displaying an error that the reason holds is user code, and
    /// may panic.
    fn log_lost(&self, connection: &ConnectionRef, reason: &Reason) {
        // The address is looked up only if the line is logged: every close pays for it.
        let peer = || connection.transport.peer_address();
        let level = if matches!(reason, Reason::Failed(_)) { Level::Warn } else { Level::Debug };
        let logged = guard(|| {
            let name = || self.protocol_name(connection.factory());
            log::log!(level, "{} of {}: {reason}", name(), peer());
        });
        if let Err(panic) = logged {
            self.report_panic(format_args!("displaying an error of {} panicked", peer()), &panic);
        }
    }

    /// Removes an established connection and its timers from the table; `lingering` takes its slot
    /// if its socket lingers.
    pub(super) fn remove_connection(&mut self, id: Id, lingering: Option<Slot>) {
        let vacated = match lingering {
            Some(lingering) => {
                self.connections.get_mut(id).map(|slot| std::mem::replace(slot, lingering))
            }
            None => self.connections.remove(id),
        };
        if let Some(Slot::Established(Established { timers: Some(timers), .. })) = vacated {
            let ConnectionTimers { set, close, timeouts, rate } = *timers;
            let noted = timeouts.into_iter().chain(rate).map(|(id, _)| id);
            for timer in set.into_iter().chain(close).chain(noted) {
                // Only a continuation holds values of the user.
                if let Some(action @ TimerAction::Call(_)) = self.timers.cancel(timer) {
                    self.drop_action(Some(action));
                }
            }
        }
    }
}
