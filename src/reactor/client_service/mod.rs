//! Client services: carries out what their machines decide.
//!
//! The machine of a service ([`Machine`](crate::client_service::Machine)) says what is next; this
//! begins attempts, sets the timer of its deadline, and calls the user. Requests of users only move
//! the machine: callbacks that follow from it are called in a later turn.

mod key;
mod requests;
mod slot;

pub use key::ServiceKey;

pub(super) use slot::{ServiceSlot, WaitingCall};

use super::Reactor;
use super::panic::guard;
use super::queues::Overdue;
use super::timers::TimerAction;
use crate::arena::Id;
use crate::client_service::{Action, Backoff, Event, NotConnectedError, RetryPolicy};
use crate::limits::TimeoutKind;
use crate::reason::Reason;
use crate::transport::Transport;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The caller that moves a service. If it may be a user's callback, no other one is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mover {
    Loop,
    User,
}

/// How the connection of a service has ended.
pub(super) enum Ended<'a> {
    /// An attempt that failed.
    Failed(io::Error),
    /// A connection that was lost.
    Lost(&'a Reason),
    /// The factory built no protocol for it.
    Refused,
}

impl Ended<'_> {
    /// Returns the end as an error. Displaying an error that a reason holds is user code.
    fn into_error(self) -> io::Error {
        match self {
            Self::Failed(error) => error,
            Self::Lost(reason) => {
                let error = guard(|| io::Error::from(reason));
                error.unwrap_or_else(|panic| io::Error::other(panic.0.to_string()))
            }
            Self::Refused => io::Error::other("the factory built no protocol"),
        }
    }
}

impl Reactor {
    /// Moves a service, and carries out what follows.
    fn move_service(&mut self, id: Id, event: Event, mover: Mover) {
        let action = self.next_service_action(id, event);
        self.update_service_timer(id);
        match action {
            // `client_service_over` carries this one out.
            Action::Nothing | Action::Retry { .. } => {}
            Action::Connect => self.connect_service(id),
            Action::Announce if mover == Mover::User => self.announce_later(id),
            Action::Announce => self.announce(id),
            Action::Close(transport) => transport.lose_connection(),
            Action::Abort(transport) => transport.abort_connection(),
            Action::TimeOut(transport) => {
                transport.time_out(TimeoutKind::Handshake);
                if let Some(connection) = self.connections.find(transport.slot()) {
                    self.settle(&connection);
                }
            }
            Action::End => self.end_service(id, mover),
        }
    }

    /// Moves the machine of a service, whose policy is the user's.
    fn next_service_action(&mut self, id: Id, event: Event) -> Action<Transport> {
        let now = self.now();
        let Self { services, random, .. } = self;
        let Some(slot) = services.get_mut(id) else { return Action::Nothing };
        let mut panicked = None;
        let policy = &mut slot.policy;
        let action = slot.machine.handle(event, now, |failures| {
            let random = random.fraction();
            guard(|| policy.delay(failures, random)).unwrap_or_else(|panic| {
                panicked = Some(panic);
                Backoff::new().delay(failures, random)
            })
        });
        if let Some(panic) = panicked {
            self.report_panic("the retry policy of a client service panicked", &panic);
        }
        action
    }

    /// Sets the timer of a service's deadline, in place of the one before.
    fn update_service_timer(&mut self, id: Id) {
        let Some(slot) = self.services.get_mut(id) else { return };
        let due = slot.machine.deadline();
        if slot.timer.map(|(_, due)| due) == due {
            return;
        }
        if let Some((timer, _)) = slot.timer.take() {
            self.timers.cancel(timer);
        }
        slot.timer = due.map(|due| (self.timers.set(due, TimerAction::ClientService(id)), due));
    }

    /// Begins the next attempt of a service.
    fn connect_service(&mut self, id: Id) {
        let Some(slot) = self.services.get(id) else { return };
        let (endpoint, factory) = (slot.endpoint.clone(), slot.factory);
        self.change_use_count(factory, 1);
        let attempt = self.insert_attempt(&endpoint, factory, Some(id));
        if let (Some(attempt), Some(slot)) = (attempt, self.services.get_mut(id)) {
            slot.machine.began(attempt);
        }
    }

    /// The timer of a service has fired. A connection that is not prepared in time is read once
    /// more before it is ended: the answer may have come while the loop was late.
    pub(super) fn client_service_due(&mut self, id: Id) {
        let Some(slot) = self.services.get_mut(id) else { return };
        slot.timer = None;
        let Some(connection) = slot.machine.preparing().cloned() else {
            return self.move_service(id, Event::Due, Mover::Loop);
        };
        let id = connection.slot();
        let is_newly_listed = connection.connection().look();
        self.queues.ready.extend(is_newly_listed.then_some(id));
        self.queues.overdue.push(Overdue { id, looks: 1 });
    }

    /// Ends the connection of a service that is not prepared in time, now that what had arrived is
    /// read.
    pub(super) fn expire_preparation(&mut self, transport: &Transport) {
        if let Some(service) = transport.service() {
            self.move_service(service, Event::Due, Mover::Loop);
        }
    }

    /// The connection of a service is established, and `connection_made` follows.
    pub(super) fn client_service_established(&mut self, id: Id) {
        self.move_service(id, Event::Established, Mover::Loop);
    }

    /// The connection of a service is made.
    pub(super) fn client_service_made(&mut self, id: Id) {
        self.move_service(id, Event::Made, Mover::Loop);
    }

    /// The connection of a service is over, or its attempt has failed, and its protocol or factory
    /// has heard of it.
    pub(super) fn client_service_over(&mut self, id: Id, transport: &Transport, ended: Ended<'_>) {
        let action = self.next_service_action(id, Event::Over);
        self.update_service_timer(id);
        match action {
            Action::Retry { is_failure, failures, delay } => {
                // Calls that are made in `retrying` do not count this one.
                let slot = self.services.get_mut(id).filter(|_| is_failure);
                let failed = slot.map(ServiceSlot::count_failure).unwrap_or_default();
                let error = ended.into_error();
                self.log_retry(transport, delay, &error);
                self.tell_retrying(transport, delay, failures);
                if !failed.is_empty() {
                    self.answer_failed(failed, error);
                }
            }
            Action::Connect => self.connect_service(id),
            Action::End => self.end_service(id, Mover::Loop),
            _ => {}
        }
    }

    /// Tells calls of the last failure that they allow.
    fn answer_failed(&mut self, failed: Vec<WaitingCall>, error: io::Error) {
        let source = Arc::new(error);
        for waiting in failed {
            let (failures, source) = (waiting.failures, Arc::clone(&source));
            self.answer(waiting, Err(NotConnectedError::Failed { failures, source }));
        }
    }

    /// Logs why a service has no connection, and when it tries again. The error may be the user's.
    fn log_retry(&self, transport: &Transport, delay: Duration, error: &io::Error) {
        let (name, peer) = (self.protocol_name(transport.factory()), transport.peer_address());
        let log = || log::info!("{name}: connecting to {peer} again in {delay:?}: {error}");
        if let Err(panic) = guard(log) {
            self.report_panic(format_args!("logging an error of {peer} panicked"), &panic);
        }
    }

    /// Tells the factory that the next attempt of its service begins after a delay.
    fn tell_retrying(&mut self, transport: &Transport, delay: Duration, failures: u32) {
        let factory = transport.factory();
        let name = self.protocol_name(factory);
        let told = self.with_erased(factory, |factory, reactor| {
            factory.retrying(transport, delay, failures, reactor)
        });
        self.record_call();
        if let Some(Err(panic)) = told {
            self.report_panic(format_args!("retrying of the factory of {name} panicked"), &panic);
        }
    }

    /// The reactor drains or stops: services make no further attempts.
    pub(super) fn end_client_services(&mut self) {
        let services: Vec<Id> = self.services.iter().map(|(id, _)| id).collect();
        for id in services {
            self.move_service(id, Event::Leave, Mover::Loop);
        }
    }

    /// Removes a service that has ended. The factory stops, if this was its last use.
    fn end_service(&mut self, id: Id, mover: Mover) {
        let Some(slot) = self.services.remove(id) else { return };
        if let Some((timer, _)) = slot.timer {
            self.timers.cancel(timer);
        }
        self.change_use_count(slot.factory, -1);
        self.queues.unused_factories.push(slot.factory);
        if let Err(panic) = guard(|| drop(slot.policy)) {
            self.report_panic("dropping a retry policy panicked", &panic);
        }
        for waiting in slot.waiting {
            match mover {
                Mover::Loop => self.answer(waiting, Err(NotConnectedError::Stopped)),
                Mover::User => self.answer_stopped_later(waiting),
            }
        }
    }

    /// Calls those that wait for the connection of a service, in the next turn.
    fn announce_later(&mut self, id: Id) {
        if self.services.get(id).is_some_and(|slot| !slot.waiting.is_empty()) {
            self.call_later(Duration::ZERO, move |reactor| reactor.announce(id));
        }
    }

    /// Tells a call that the service has stopped: in the next turn, or before the reactor stops.
    fn answer_stopped_later(&mut self, waiting: WaitingCall) {
        if self.stopped_calls.is_empty() {
            self.call_later(Duration::ZERO, Self::answer_stopped);
        }
        self.stopped_calls.push(waiting);
    }

    /// Tells calls that their services have stopped.
    pub(super) fn answer_stopped(&mut self) {
        for waiting in std::mem::take(&mut self.stopped_calls) {
            self.answer(waiting, Err(NotConnectedError::Stopped));
        }
    }
}
