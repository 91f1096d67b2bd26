//! Client services: attempts, pauses and ends, and what a user's callbacks may do meanwhile.

mod policies;
mod preparing;
mod states;
mod twisted;
mod waiting_calls;

use super::*;
use crate::client_service::{Backoff, NotConnectedError, ServiceState};
use crate::{ClientEndpoint, ClientService, HostnameEndpoint, ServiceKey, TcpClientEndpoint};

const SECOND: Duration = Duration::from_secs(1);
const DONE: &str = "lost: connection closed gracefully";

fn address() -> ClientEndpoint {
    TcpClientEndpoint::new(([192, 0, 2, 7], 80)).timeout(SECOND * 5).into()
}

/// What a test does when something happens, by the entry of the log.
type Act = fn(&str, &Transport, &mut Reactor);

fn nothing(_: &str, _: &Transport, _: &mut Reactor) {}

/// A factory that logs all that it hears, and then acts as the test says.
struct Dialler {
    log: Log,
    act: Act,
    refuses: bool,
}

impl Dialler {
    fn happened(&self, what: &str, transport: &Transport, reactor: &mut Reactor) {
        self.log.push(what);
        (self.act)(what, transport, reactor);
    }
}

impl Factory for Dialler {
    type Protocol = Session;

    fn build_protocol(&mut self, transport: &Transport, reactor: &mut Reactor) -> Option<Session> {
        self.happened("built", transport, reactor);
        (!self.refuses).then_some(Session)
    }

    fn connection_failed(
        &mut self,
        transport: &Transport,
        error: &io::Error,
        reactor: &mut Reactor,
    ) {
        self.happened(&format!("failed: {}", error.kind()), transport, reactor);
    }

    fn retrying(
        &mut self,
        transport: &Transport,
        delay: Duration,
        failures: u32,
        reactor: &mut Reactor,
    ) {
        self.happened(&format!("retry {failures} in {delay:?}"), transport, reactor);
    }

    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        self.log.push("started");
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        self.log.push("stopped");
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        self.log.push("dropped");
    }
}

struct Session;

impl Protocol<Dialler> for Session {
    fn connection_made(&mut self, cx: &mut Context<'_, Dialler>) {
        cx.factory.happened("made", cx.transport, cx.reactor);
    }

    fn data_received(&mut self, cx: &mut Context<'_, Dialler>, data: &[u8]) {
        let data = String::from_utf8_lossy(data);
        cx.factory.happened(&data, cx.transport, cx.reactor);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Dialler>, reason: &Reason) {
        cx.factory.happened(&format!("lost: {reason}"), cx.transport, cx.reactor);
    }
}

/// A reactor with a client service, whose delays are 1 s, 2 s, 4 s and so on.
struct Client {
    script: Script,
    reactor: Reactor,
    log: Log,
    service: ServiceKey<Dialler>,
}

fn backoff() -> Backoff {
    Backoff::new().factor(2.0).jitter(0.0)
}

impl Client {
    fn new(act: Act) -> Self {
        Self::with(address(), act, |service| service)
    }

    fn with(
        endpoint: ClientEndpoint,
        act: Act,
        set_up: impl FnOnce(ClientService<Dialler>) -> ClientService<Dialler>,
    ) -> Self {
        let (script, log) = (Script::new(), Log::default());
        let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
        let dialler = Dialler { log: log.clone(), act, refuses: false };
        let service = set_up(ClientService::new(endpoint, dialler).retry(backoff()));
        let service = service.start(&mut reactor).unwrap();
        log.expect(&["started"]);
        Self { script, reactor, log, service }
    }

    fn settle(&mut self) {
        for _ in 0..10 {
            if self.reactor.turn(Some(Duration::ZERO)).unwrap().is_break() {
                break;
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, entries: &[&str]) {
        self.settle();
        self.log.expect(entries);
    }

    fn advance(&mut self, by: Duration) {
        self.script.advance(by);
        self.settle();
    }

    fn server(&self) -> Peer {
        self.script.dialled()
    }

    /// Has the server accept the latest attempt.
    #[track_caller]
    fn accept(&mut self) -> Peer {
        self.server().answer();
        self.expect(&["built", "made"]);
        self.server()
    }

    /// Has the server refuse the latest attempt.
    #[track_caller]
    fn refuse(&mut self, failures: u32, delay: u32) {
        self.server().refuse();
        let retry = format!("retry {failures} in {:?}", SECOND * delay);
        self.expect(&["failed: connection refused", &retry]);
    }

    fn state(&self) -> String {
        self.service.state(&self.reactor).to_string()
    }

    /// Asserts that the service has ended, and that nothing is left of it.
    #[track_caller]
    fn expect_ended(&mut self) {
        self.settle();
        assert_eq!(self.state(), "stopped");
        assert_eq!(self.service.transport(&self.reactor), None);
        let reactor = &mut self.reactor;
        assert_eq!((reactor.services.len(), reactor.factories.len()), (0, 0));
        assert_eq!((reactor.connections.len(), reactor.timers.len()), (0, 0));
        assert_eq!(reactor.next_deadline(), None);
        assert!(self.script.asked().is_empty());
        let before = self.script.connections();
        self.script.advance(SECOND * 1000);
        self.expect(&[]);
        assert_eq!(self.script.connections(), before);
        assert!(!self.service.stop(&mut self.reactor) && !self.service.restart(&mut self.reactor));
    }
}

#[test]
fn a_service_connects_again_when_its_connection_is_lost_and_when_an_attempt_fails() {
    let mut client = Client::new(nothing);
    assert_eq!(client.state(), "connecting");
    client.refuse(1, 1);
    assert_eq!(client.state(), "waiting");
    client.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(client.script.connections(), 1);
    client.advance(Duration::from_nanos(1));
    assert_eq!((client.script.connections(), client.state()), (2, "connecting".to_owned()));
    client.refuse(2, 2);
    client.advance(SECOND * 2);
    let server = client.accept();
    assert_eq!(client.state(), "connected");
    assert_eq!(client.service.failures(&client.reactor), 2);
    client.service.transport(&client.reactor).unwrap().write("hello");
    client.settle();
    assert_eq!(server.received(), b"hello");
    // It has lived as long as the delay before it.
    client.advance(SECOND * 2);
    server.close();
    client.expect(&[DONE, "retry 1 in 1s"]);
    assert_eq!(client.service.transport(&client.reactor), None);
    client.advance(SECOND);
    client.accept();
    client.service.stop(&mut client.reactor);
    client.expect(&[DONE, "stopped", "dropped"]);
    client.expect_ended();
}

#[test]
fn a_server_that_accepts_and_closes_at_once_is_asked_ever_more_rarely() {
    let mut client = Client::new(nothing);
    for (failures, delay) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60)] {
        let server = client.server();
        server.answer();
        server.close();
        let retry = format!("retry {failures} in {:?}", SECOND * delay);
        client.expect(&["built", "made", DONE, &retry]);
        client.advance(SECOND * delay);
    }
}

#[test]
fn a_server_that_resets_is_asked_again() {
    let mut client = Client::new(nothing);
    let server = client.accept();
    server.reset();
    client.settle();
    let lost = client.log.0.borrow_mut().remove(0);
    assert!(lost.starts_with("lost: connection lost: "), "{lost}");
    client.log.expect(&["retry 1 in 1s"]);
}

#[test]
fn an_attempt_that_cannot_begin_fails_in_a_later_turn() {
    let mut client = Client::new(nothing);
    client.refuse(1, 1);
    // `EMFILE`.
    client.script.fail_connect(io::Error::from_raw_os_error(24));
    client.advance(SECOND);
    let failed = client.log.0.borrow_mut().remove(0);
    assert!(failed.starts_with("failed: "), "{failed}");
    client.log.expect(&["retry 2 in 2s"]);
    client.advance(SECOND * 2);
    client.accept();
}

#[test]
fn a_factory_that_refuses_is_asked_again_as_after_a_failure() {
    let mut client = Client::new(nothing);
    client.reactor.with_factory(client.service, |dialler, _| dialler.refuses = true).unwrap();
    client.server().answer();
    client.expect(&["built", "retry 1 in 1s"]);
    client.advance(SECOND);
    client.server().answer();
    client.expect(&["built", "retry 2 in 2s"]);
    client.service.stop(&mut client.reactor);
    client.expect(&["stopped", "dropped"]);
    client.expect_ended();
}

#[test]
fn a_factory_that_a_service_shares_stays_in_use() {
    let mut client = Client::new(nothing);
    let port = client.reactor.listen_tcp(8007, client.service.factory_key()).unwrap();
    client.service.stop(&mut client.reactor);
    client.expect(&["failed: connection aborted"]);
    assert_eq!(client.reactor.services.len(), 0);
    // The factory is there for another one.
    let again = ClientService::new(address(), port.key()).start(&mut client.reactor).unwrap();
    assert_ne!(again, client.service);
    client.reactor.stop_listening(&port);
    client.accept();
    again.abort(&mut client.reactor);
    client.expect(&["lost: connection aborted by this side", "stopped", "dropped"]);
    client.expect_ended();
}

#[test]
fn a_service_whose_factory_does_not_start_is_not_started() {
    let mut reactor = Reactor::with_driver(Script::new().driver(), Settings::default());
    struct Failing;
    impl Factory for Failing {
        crate::build_protocol!(Quiet, |_| Quiet);
        fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
            Err(io::Error::other("no"))
        }
    }
    let error = ClientService::new(address(), Failing).start(&mut reactor).unwrap_err();
    let expected = "cannot connect to 192.0.2.7:80: the factory did not start: no";
    assert_eq!(error.to_string(), expected);
    assert_eq!((reactor.factories.len(), reactor.services.len()), (0, 0));
    let key = reactor.add_factory(|| Quiet).unwrap();
    reactor.remove_factory(key);
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    let error = ClientService::new(address(), key).start(&mut reactor).unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to 192.0.2.7:80: there is no such factory");
    reactor.stop_gracefully(Duration::from_secs(9));
    reactor.add_system_event_trigger(
        crate::system_event::Phase::During,
        crate::system_event::SystemEvent::Shutdown,
        |reactor| {
            let error = ClientService::new(address(), || Quiet).start(reactor).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot connect to 192.0.2.7:80: the reactor is stopping"
            );
        },
    );
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
}

struct Quiet;

impl<F> Protocol<F> for Quiet {}

#[test]
fn a_key_reaches_only_a_service_of_its_own_reactor() {
    let mut client = Client::new(nothing);
    let mut other = Reactor::with_driver(Script::new().driver(), Settings::default());
    let foreign = ClientService::new(address(), || Quiet).start(&mut other).unwrap();
    let service = client.service;
    assert!(!service.stop(&mut other) && !service.abort(&mut other));
    assert!(!service.restart(&mut other));
    assert_eq!(service.state(&other), ServiceState::Stopped);
    assert_eq!((service.failures(&other), service.transport(&other)), (0, None));
    assert_eq!(foreign.state(&other), ServiceState::Connecting);
    client.accept();
    let transport = service.transport(&client.reactor).unwrap();
    assert!(client.reactor.service_of(&transport).unwrap() == service);
    assert_eq!(other.service_of(&transport), None);
    assert!(!other.set_prepared(&transport) && !client.reactor.set_prepared(&transport));
    let told = Log::default();
    let log = told.clone();
    service.when_connected(&mut other, None, move |_, outcome| {
        log.push(outcome.unwrap_err().to_string());
    });
    told.expect(&[]);
    assert!(other.turn(Some(Duration::ZERO)).unwrap().is_continue());
    told.expect(&["the client service has stopped"]);
}
