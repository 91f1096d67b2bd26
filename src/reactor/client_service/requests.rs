//! Requests of users to client services: start, stop, and what they ask about them.

use super::Mover;
use super::key::ServiceKey;
use super::slot::{Outcome, ServiceSlot, WaitingCall};
use crate::arena::Id;
use crate::client_service::{ClientService, Event, NotConnectedError, ServiceState};
use crate::endpoint::ClientEndpoint;
use crate::reactor::Reactor;
use crate::reactor::errors::ConnectError;
use crate::reactor::factories::IntoFactory;
use crate::reactor::key::FactoryKey;
use crate::reactor::panic::guard;
use crate::transport::Transport;
use std::num::NonZeroU32;

impl<S: IntoFactory> ClientService<S> {
    /// Starts the service: begins the first attempt to connect. (`startService`)
    ///
    /// The service is a use of the factory, as an open port is: `start_factory` is called before
    /// this returns, unless the factory is in use already, and `stop_factory` after the service has
    /// ended and its last connection is over. When the reactor drains or stops, the service makes
    /// no further attempt, and ends with its connection.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nothing was begun, and a factory that was moved in is dropped. An attempt
    /// that fails is no error: it is made again.
    pub fn start(self, reactor: &mut Reactor) -> Result<ServiceKey<S::Factory>, ConnectError> {
        let machine = self.machine();
        let Self { endpoint, factory, policy, .. } = self;
        let key = factory.into_key(reactor);
        if let Err(error) = reactor.use_factory(&endpoint, key) {
            reactor.drop_unused_factory(key);
            return Err(error);
        }
        let (factory, timer, waiting) = (key.id, None, Vec::new());
        let id = reactor.services.insert_with(|_| ServiceSlot {
            endpoint,
            factory,
            machine,
            policy,
            timer,
            waiting,
        });
        reactor.connect_service(id);
        Ok(ServiceKey::new(id, key))
    }
}

impl<F> ServiceKey<F> {
    /// Stops the service: closes its connection gracefully, ends an attempt, or ends the wait for
    /// the next one. Returns false if it has ended already. (`stopService`)
    ///
    /// The service has ended when the connection is lost, or the attempt has failed
    /// ([`io::ErrorKind::ConnectionAborted`](std::io::ErrorKind::ConnectionAborted)), of which its
    /// protocol or factory hears as usual; a service that waits has ended when this returns.
    /// `stop_factory` is called in this turn or the next one, never from within this. To stop a
    /// service twice changes nothing.
    ///
    /// An ended service does not start again. To connect again, start another one; with
    /// [`Reactor::add_factory`](crate::Reactor::add_factory) the same factory stays for it.
    pub fn stop(self, reactor: &mut Reactor) -> bool {
        self.request(reactor, Event::Stop)
    }

    /// Stops the service at once: [`stop`](Self::stop), but its connection is aborted.
    pub fn abort(self, reactor: &mut Reactor) -> bool {
        self.request(reactor, Event::Abort)
    }

    /// Connects again: closes the connection gracefully, and begins the next attempt when it is
    /// lost; ends the wait for the next attempt, which begins now. The count of failures begins
    /// again. An attempt that is under way continues. Returns false if the service has ended, or if
    /// the reactor drains or stops.
    ///
    /// A service that is stopping continues: when its connection is lost, it connects again.
    /// (`startService` after `stopService`)
    pub fn restart(self, reactor: &mut Reactor) -> bool {
        !reactor.lifecycle.refuses_new() && self.request(reactor, Event::Restart)
    }

    /// Sets the endpoint that the next attempt connects to, and those after it: another server of a
    /// list, or one that the server has told of. The attempt under way and the connection stay.
    /// Returns false if the service has ended.
    ///
    /// [`Factory::retrying`](crate::Factory::retrying), which comes before each further attempt, is
    /// the place to choose it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::{Factory, Protocol, Reactor, TcpClientEndpoint, Transport, build_protocol};
    ///
    /// /// Tries two servers in turn.
    /// struct Servers([TcpClientEndpoint; 2]);
    /// # struct Quiet;
    /// # impl<F> Protocol<F> for Quiet {}
    ///
    /// impl Factory for Servers {
    ///     build_protocol!(Quiet, |_servers| Quiet);
    ///
    ///     fn retrying(
    ///         &mut self,
    ///         transport: &Transport,
    ///         _delay: Duration,
    ///         _failures: u32,
    ///         reactor: &mut Reactor,
    ///     ) {
    ///         self.0.swap(0, 1);
    ///         if let Some(service) = reactor.service_of(transport) {
    ///             service.set_endpoint(reactor, self.0[0].clone());
    ///         }
    ///     }
    /// }
    /// ```
    pub fn set_endpoint(self, reactor: &mut Reactor, endpoint: impl Into<ClientEndpoint>) -> bool {
        let endpoint = endpoint.into();
        if self.slot(reactor).is_none() {
            return false;
        }
        let slot = reactor.services.get_mut(self.id);
        slot.map(|slot| slot.endpoint = endpoint).is_some()
    }

    fn request(self, reactor: &mut Reactor, event: Event) -> bool {
        let is_there = self.slot(reactor).is_some();
        if is_there {
            reactor.move_service(self.id, event, Mover::User);
        }
        is_there
    }

    fn slot(self, reactor: &Reactor) -> Option<&ServiceSlot> {
        reactor.services.get(self.id).filter(|_| self.reactor == reactor.id)
    }

    /// Returns what the service is doing; [`ServiceState::Stopped`] if it has ended.
    pub fn state(self, reactor: &Reactor) -> ServiceState {
        self.slot(reactor).map_or(ServiceState::Stopped, |slot| slot.machine.state())
    }

    /// Returns the number of failures and losses since the service was started, was restarted, or
    /// was last connected for long; zero if it has ended. With each of them the delay grows.
    pub fn failures(self, reactor: &Reactor) -> u32 {
        self.slot(reactor).map_or(0, |slot| slot.machine.failures())
    }

    /// Returns the connection; `None` unless it is made, prepared if the service asks for that, and
    /// not ending.
    pub fn transport(self, reactor: &Reactor) -> Option<Transport> {
        self.slot(reactor).and_then(usable).cloned()
    }

    /// Calls `call` with the connection, once the service is connected; never from within this,
    /// even if it is connected now. If it cannot be, `call` is given an error: when the service
    /// ends, and, unless `limit` is `None`, when there were that many failures since this call;
    /// then the service continues to try. (`whenConnected(failAfterFailures)`)
    ///
    /// `call` is called exactly once. When the reactor stops, calls that still wait are given
    /// [`NotConnectedError::Stopped`]; one that such a call asks for is dropped. Calls are made in
    /// the order in which they were asked for. A panic in one is logged, and affects nothing else.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use twistor::{ClientService, Protocol, Reactor, TcpClientEndpoint};
    ///
    /// struct Quiet;
    ///
    /// impl<F> Protocol<F> for Quiet {}
    ///
    /// let mut reactor = Reactor::new()?;
    /// let nobody = TcpClientEndpoint::new(([127, 0, 0, 1], 1));
    /// let service = ClientService::new(nobody, || Quiet).start(&mut reactor)?;
    /// service.when_connected(&mut reactor, NonZeroU32::new(1), |reactor, connected| {
    ///     match connected {
    ///         Ok(transport) => transport.write("hello\r\n"),
    ///         Err(error) => log::error!("{error}"),
    ///     }
    ///     reactor.stop();
    /// });
    /// reactor.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn when_connected(
        self,
        reactor: &mut Reactor,
        limit: Option<NonZeroU32>,
        call: impl FnOnce(&mut Reactor, Result<Transport, NotConnectedError>) + 'static,
    ) {
        let waiting = WaitingCall { limit, failures: 0, call: Box::new(call) };
        let own = self.reactor == reactor.id;
        match reactor.services.get_mut(self.id).filter(|_| own) {
            Some(slot) => slot.waiting.push(waiting),
            None => return reactor.answer_stopped_later(waiting),
        }
        if self.transport(reactor).is_some() {
            reactor.announce_later(self.id);
        }
    }
}

/// Returns the connection of a service, if it can be used.
pub(super) fn usable(slot: &ServiceSlot) -> Option<&Transport> {
    let is_usable = |it: &&Transport| it.is_connected() && !it.is_disconnecting();
    slot.machine.connected().filter(is_usable)
}

impl Reactor {
    /// Returns the client service that a connection is for; `None` if there is none, or if it has
    /// ended. So a protocol can stop its own service:
    ///
    /// ```
    /// use twistor::{LineContext, LineReceiver};
    ///
    /// struct Session;
    ///
    /// impl<F> LineReceiver<F> for Session {
    ///     fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
    ///         let service = cx.reactor.service_of(cx.transport);
    ///         if let Some(service) = service.filter(|_| line == b"go away") {
    ///             service.stop(cx.reactor);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn service_of(&self, transport: &Transport) -> Option<ServiceKey> {
        let id = transport.service().filter(|_| transport.id().reactor == self.id)?;
        self.services.get(id)?;
        Some(ServiceKey::new(id, FactoryKey::new(transport.factory(), self.id)))
    }

    /// Declares the connection of a client service prepared: its protocol has logged in, say. From
    /// now on the service counts as connected. Returns false if the connection is not one of a
    /// service that waits for this;
    /// [`ClientService::prepared_by_protocol`] says more.
    pub fn set_prepared(&mut self, transport: &Transport) -> bool {
        let service = self.service_of(transport);
        let slot = service.and_then(|service| self.services.get(service.id));
        let is_preparing = slot.is_some_and(|slot| slot.machine.preparing().is_some());
        let service = service.filter(|_| is_preparing && transport.is_connected());
        if let Some(service) = service {
            self.move_service(service.id, Event::Prepared, Mover::User);
        }
        service.is_some()
    }

    /// Calls those that wait for the connection of a service with it, if there is one.
    pub(super) fn announce(&mut self, id: Id) {
        let Some(slot) = self.services.get_mut(id) else { return };
        let Some(transport) = usable(slot).cloned() else { return };
        for waiting in std::mem::take(&mut slot.waiting) {
            self.answer(waiting, Ok(transport.clone()));
        }
    }

    pub(super) fn answer(&mut self, waiting: WaitingCall, outcome: Outcome) {
        let called = guard(|| (waiting.call)(self, outcome));
        self.record_call();
        if let Err(panic) = called {
            self.report_panic("a call that waited for a client service panicked", &panic);
            self.record_panic("a panic in a call that waited for a client service");
        }
    }
}
