//! Arrival: the stages of a connection before it has a protocol.

use super::Reactor;
use super::panic::guard;
use super::queues::Overdue;
use super::table::{Arriving, Established, Slot, Stage};
use crate::arena::Id;
use crate::transport::Transport;
use std::io;

/// How an attempt to pass the stages of an arriving connection has ended.
enum Progress {
    /// It waits for an event.
    Blocked,
    Arrived,
}

impl Reactor {
    /// Continues with an arriving connection, after an event of the poller or a request to end it.
    pub(super) fn check_arriving(&mut self, id: Id) {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return };
        let transport = arriving.transport.clone();
        transport.connection().clear_dirty();
        transport.connection().begin_serving();
        let given_up = transport.connection().given_up().filter(|_| !arriving.has_failed());
        if let Some(reason) = given_up {
            self.fail_arriving(id, &io::Error::from(&reason));
            if let Err(panic) = guard(|| drop(reason)) {
                let peer = transport.peer_address();
                self.report_panic(format_args!("dropping an error of {peer} panicked"), &panic);
            }
            return;
        }
        match arriving.advance() {
            Ok(Progress::Blocked) => transport.list_unsent(),
            Ok(Progress::Arrived) => self.arrived(id, &transport),
            Err(error) => self.fail_arriving(id, &error),
        }
    }

    /// Ends the arrival: builds the protocol, and reads what came behind the last stage.
    fn arrived(&mut self, id: Id, transport: &Transport) {
        let Some(slot) = self.connections.get_mut(id) else { return };
        let established = Slot::Established(Established::new(transport.clone()));
        if let Slot::Arriving(arriving) = std::mem::replace(slot, established) {
            self.timers.cancel(arriving.timeout);
        }
        transport.connection().established();
        self.establish(id, transport);
        if let Some(connection) = self.connections.find(id) {
            self.serve_again(&connection);
        }
    }

    /// Queues an arriving connection whose timeout has expired for a last check: the bytes may have
    /// come while the loop was late.
    pub(super) fn arrival_timed_out(&mut self, id: Id) {
        self.queues.ready.push(id);
        self.queues.overdue.push(Overdue { id, looks: 1 });
    }

    /// Fails an arriving connection that still waits after its timeout.
    pub(super) fn fail_overdue_arriving(&mut self, id: Id) {
        self.fail_arriving(id, &io::ErrorKind::TimedOut.into());
    }

    /// Gives an arriving connection up, since the reactor drains or stops.
    pub(super) fn abort_arriving(&mut self, id: Id) {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return };
        self.record_abandoned(arriving.transport.unsent());
        let stopping = "the reactor is stopping";
        self.fail_arriving(id, &io::Error::new(io::ErrorKind::ConnectionAborted, stopping));
    }

    /// Ends an attempt without a connection, and calls `connection_failed`.
    pub(super) fn fail_arriving(&mut self, id: Id, error: &io::Error) {
        let Some(Slot::Arriving(arriving)) = self.connections.get(id) else { return };
        self.timers.cancel(arriving.timeout);
        let transport = arriving.transport.clone();
        let factory = transport.factory();
        self.drop_reader(transport.end_extras());
        // A plain release suffices: no peer was connected that a reset could inform.
        drop(transport.connection().release());
        self.connections.remove(id);
        log::debug!(
            "{} could not connect to {}: {error}",
            self.protocol_name(factory),
            transport.peer_address()
        );
        #[cfg(feature = "testing")]
        self.notify_observer(&transport, super::Happening::NotMade(error.kind()));
        let told =
            self.with_erased(factory, |factory, reactor| factory.fail(&transport, error, reactor));
        self.record_call();
        if let Some(Err(panic)) = told {
            let (name, peer) = (self.protocol_name(factory), transport.peer_address());
            self.report_panic(
                format_args!("connection_failed of the factory of {name} of {peer} panicked"),
                &panic,
            );
        }
        self.release_factory(&transport);
    }
}

impl Arriving {
    fn has_failed(&self) -> bool {
        matches!(self.stage, Stage::Failed(_))
    }

    /// Passes as many stages as possible without waiting.
    fn advance(&mut self) -> io::Result<Progress> {
        match &mut self.stage {
            Stage::Failed(error) => Err(std::mem::replace(error, io::ErrorKind::Other.into())),
            Stage::Connecting if self.transport.connection().is_established()? => {
                Ok(Progress::Arrived)
            }
            Stage::Connecting => Ok(Progress::Blocked),
        }
    }
}
