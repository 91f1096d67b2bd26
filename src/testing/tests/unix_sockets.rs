//! Unix sockets of a simulated host.

use super::*;
use crate::error::{ListenError, UnixSocketError};
use crate::limits::ConnectionLimits;
use crate::{Reactor, UnixClientEndpoint, UnixServerEndpoint};
use std::io::ErrorKind;

const PATH: &str = "/run/server";

fn serve_unix(conditions: Conditions, echo: Echo) -> (Simulation, Host) {
    let simulation = Simulation::new(1);
    simulation.set_conditions(conditions);
    let host = simulation.host("server", move |reactor| {
        let echo = echo.clone();
        reactor.listen_unix(PATH, move || echo.clone())?;
        Ok(())
    });
    (simulation, host)
}

#[test]
fn clients_of_the_same_host_are_served_without_delay_and_are_unnamed() {
    let far = Conditions::ideal().latency(s(1)).bandwidth(1);
    let (simulation, host) = serve_unix(far, Echo { greeting: 3, ..Echo::default() });
    let peer = host.unix_peer(PATH);
    peer.send("hello");
    assert_eq!(peer.take_received(), b"...hello");
    let transport = peer.transport().unwrap();
    assert!(transport.peer_address().unix().unwrap().is_unnamed());
    assert_eq!(transport.local_address().to_string(), "unix:/run/server");
    assert_eq!(simulation.now(), Duration::ZERO);
    peer.close_write();
    assert_eq!(peer.close_kind(), Some(End::Closed));
    assert!(peer.lost_reason().unwrap().is_done());
    assert_eq!(peer.calls().data_received(), 1);
    drop(peer);
    assert_eq!((simulation.connections(), host.remembered()), (0, 0));
}

/// Sends a byte, and counts what comes back.
#[derive(Clone, Default)]
struct Counting(Log);

impl<F> Protocol<F> for Counting {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write("x");
    }

    fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
        self.0.received.set(self.0.received.get() + data.len());
    }
}

#[test]
fn a_reactor_connects_to_a_socket_of_its_own_host() {
    let (simulation, host) = serve_unix(Conditions::ideal(), Echo::default());
    let client = Counting::default();
    let log = client.0.clone();
    let attempt = host.connect_unix(PATH, move || client.clone());
    assert!(attempt.is_connected());
    assert_eq!(log.received.get(), 1);
    host.reactor(|_| attempt.transport().unwrap().lose_connection());
    assert!(attempt.is_over() && attempt.lost_reason().unwrap().is_done());
    assert_eq!((simulation.connections(), host.open()), (0, 0));
}

#[test]
fn each_host_has_names_of_its_own() {
    let (simulation, host) = serve_unix(Conditions::ideal(), Echo::default());
    let other = simulation.host("other", |_| Ok(()));
    assert_eq!(other.unix_peer(PATH).close_kind(), Some(End::Refused));
    let attempt = other.connect_unix(PATH, Echo::default);
    assert_eq!(attempt.error(), Some(ErrorKind::NotFound));
    let attempt = other.connect_unix(crate::UnixAddress::abstract_name("x"), Echo::default);
    assert_eq!(attempt.error(), Some(ErrorKind::ConnectionRefused));
    other.reactor(|reactor| reactor.listen_unix(PATH, Echo::default)).unwrap();
    let again = host.reactor(|reactor| reactor.listen_unix(PATH, Echo::default));
    let Err(ListenError::Bind { source, .. }) = again else { panic!("both listen there") };
    let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
    assert_eq!(inner, Some(&UnixSocketError::InUse));
    // Open connections continue when the port is closed, and the name is free.
    let peer = other.unix_peer(PATH);
    other.reactor(Reactor::stop);
    assert_eq!(peer.close_kind(), Some(End::Closed));
    assert_eq!(other.unix_peer(PATH).close_kind(), Some(End::Refused));
}

#[test]
fn a_crash_leaves_a_stale_file_which_the_next_start_replaces() {
    let (simulation, host) = serve_unix(Conditions::ideal(), Echo::default());
    let program = simulation.host("program", |_| Ok(()));
    let peer = host.unix_peer(PATH);
    simulation.inject("crash server".parse().unwrap());
    drop(peer);
    assert_eq!(host.unix_peer(PATH).close_kind(), Some(End::Refused));
    simulation.inject("restart server".parse().unwrap());
    let peer = host.unix_peer(PATH);
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello");
    drop((peer, program));
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn a_client_tries_again_while_the_backlog_is_full() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |reactor| {
        let endpoint = UnixServerEndpoint::new(PATH).backlog(1);
        let port = endpoint.listen(reactor, Echo::default)?;
        // Slower than they come, so that the backlog fills.
        reactor.set_limits(&port, ConnectionLimits::new().accept_rate(1, s(1)));
        Ok(())
    });
    let attempts: Vec<_> = (0..5).map(|_| host.connect_unix(PATH, Counting::default)).collect();
    let hurried = UnixClientEndpoint::new(PATH).timeout(ms(500));
    let hurried = host.connect_unix(hurried, Counting::default);
    let patient = host.reactor(|reactor| reactor.connect_unix(PATH, Counting::default));
    let patient = patient.unwrap().transport().clone();
    let raw = host.unix_peer(PATH);
    let connected = || attempts.iter().filter(|attempt| attempt.is_connected()).count();
    assert_eq!(connected(), 3, "one is accepted, and two wait in the backlog");
    simulation.run_for(ms(400));
    assert!(!hurried.is_over() && !raw.is_connected());
    simulation.run_for(ms(100));
    assert_eq!(hurried.error(), Some(ErrorKind::TimedOut));
    // Two for each of the three that wait, and that of the accept rate. A write is a reason to look
    // at an attempt, which sets no second timer.
    assert_eq!(host.open_resources().timers, 7);
    host.reactor(|_| patient.write("y"));
    assert_eq!(host.open_resources().timers, 7);
    simulation.run_for(s(10));
    assert_eq!(connected(), 5);
    assert!(patient.is_connected() && patient.unsent() == 0 && raw.is_connected());
    drop(raw);
    host.reactor(Reactor::stop);
    assert_eq!(host.open_resources().timers, 0);
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn a_peer_that_is_gone_is_noticed_as_on_a_machine() {
    let log = Log::default();
    let (simulation, host) =
        serve_unix(Conditions::ideal(), Echo { greeting: 5, log: log.clone() });
    // It has read everything: the close is in order. The rest of the echo has nobody to go to.
    let peer = host.unix_peer(PATH);
    drop(peer);
    simulation.run_for(s(1));
    assert_eq!(log.reason(), "Done");
    log.lost.take();
    // It has not: an error.
    let peer = host.unix_late_reader(PATH);
    drop(peer);
    simulation.run_for(s(1));
    assert_eq!(log.reason(), "ConnectionReset");
    log.lost.take();
    // Nor can a client reset.
    let peer = host.unix_peer(PATH);
    peer.reset();
    simulation.run_for(s(1));
    assert_eq!(log.reason(), "Done");
    drop(peer);
    assert_eq!((simulation.connections(), host.open()), (0, 0));
}

#[test]
fn what_was_written_waits_at_a_reader_that_has_stopped() {
    let conditions = Conditions::ideal().send_buffer(1000);
    let (_simulation, host) = serve_unix(conditions, Echo { greeting: 5000, ..Echo::default() });
    let peer = host.unix_late_reader(PATH);
    assert_eq!(peer.transport().unwrap().unsent(), 4000);
    peer.resume_reading();
    assert_eq!(peer.take_received().len(), 5000);
    assert_eq!(peer.transport().unwrap().unsent(), 0);
}
