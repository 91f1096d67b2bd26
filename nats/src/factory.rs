//! `ClientFactory`: builds the connections of a client.

use crate::client::Client;
use crate::connection::Connection;
use crate::event::Event;
use std::io;
use std::time::Duration;
use twistor::{Factory, Lines, Reactor, Transport};

/// Builds the connections of a client, one after the other.
pub(crate) struct ClientFactory {
    pub(crate) client: Client,
}

impl Factory for ClientFactory {
    type Protocol = Lines<Connection>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Connection>> {
        Some(Lines::new(Connection::new(self.client.clone())))
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, reactor: &mut Reactor) {
        if !self.client.is_closed() {
            let (server, error) = (self.client.server_name(), error.to_string());
            self.client.emit(Event::ConnectFailed { server, error }, reactor);
        }
    }

    /// Chooses the server of the next attempt.
    fn retrying(&mut self, to: &Transport, _: Duration, _: u32, reactor: &mut Reactor) {
        let service = reactor.service_of(to);
        if let (Some(service), Some(endpoint)) = (service, self.client.next_server()) {
            service.set_endpoint(reactor, endpoint);
        }
    }

    /// The client is closed, or the reactor has stopped.
    fn stop_factory(&mut self, reactor: &mut Reactor) {
        self.client.end(reactor);
    }
}
