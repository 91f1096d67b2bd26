//! How connections begin, or fail to.

use super::*;
use crate::error::ListenError;
use crate::{ClientService, TcpClientEndpoint, TcpServerEndpoint};

fn inject(simulation: &Simulation, fault: &str) {
    simulation.inject(fault.parse().unwrap());
}

#[test]
fn a_client_of_a_closed_port_is_refused() {
    let (simulation, host, address) = serve(Conditions::ideal().latency(ms(10)), Echo::default());
    let peer = simulation.peer("ann", host.address(PORT + 1));
    simulation.run_for(ms(19));
    assert_eq!(peer.close_kind(), None);
    simulation.run_for(ms(1));
    assert_eq!(peer.close_kind(), Some(End::Refused));
    drop(peer);
    assert_eq!(simulation.connections(), 0);

    let peer = simulation.peer("ann", address);
    host.reactor(crate::Reactor::stop);
    simulation.run_for(s(1));
    assert_eq!(peer.close_kind(), Some(End::Refused), "a port that was closed while it connected");
}

#[test]
fn connecting_to_a_silent_host_takes_two_minutes_to_time_out() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "crash server");
    assert!(!host.is_up());
    let peer = simulation.peer("ann", address);
    simulation.run_for(s(126));
    assert_eq!(peer.close_kind(), None);
    simulation.run_for(s(1));
    assert_eq!(peer.close_kind(), Some(End::TimedOut));

    let peer = simulation.peer("ann", address);
    simulation.run_for(s(10));
    inject(&simulation, "restart server");
    assert!(!peer.is_connected(), "SYNs are sent after 1, 3, 7, 15 seconds");
    simulation.run_for(s(5));
    assert!(peer.is_connected());
    peer.send("hello");
    assert_eq!(peer.take_received(), b"hello");
}

#[test]
fn a_full_backlog_makes_clients_wait() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |reactor| {
        reactor.listen_tcp(TcpServerEndpoint::new(PORT).backlog(2), Echo::default)?;
        Ok(())
    });
    inject(&simulation, "stall server 2s");
    let peers: Vec<_> = (0..7).map(|_| simulation.peer("ann", host.address(PORT))).collect();
    let connected = || peers.iter().filter(|peer| peer.is_connected()).count();
    assert_eq!((connected(), host.open()), (3, 0), "one more, as on Linux");
    simulation.run_for(ms(2500));
    assert_eq!((connected(), host.open()), (3, 3));
    simulation.run_for(ms(500));
    assert_eq!((connected(), host.open()), (6, 6), "all four retry at the same moment");
    simulation.run_for(s(4));
    assert_eq!((connected(), host.open()), (7, 7));
}

#[test]
fn a_server_out_of_descriptors_sheds_clients_and_recovers() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "exhaust-fds server 10s");
    let peer = simulation.peer("ann", address);
    simulation.run_for(s(1));
    assert_eq!((peer.close_kind(), host.open()), (Some(End::Closed), 0));
    simulation.run_for(s(9));
    let peer = simulation.peer("ann", address);
    simulation.run_for(s(1));
    assert_eq!((peer.close_kind(), host.open()), (None, 1));
}

#[test]
fn a_program_out_of_descriptors_can_neither_connect_nor_listen() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let client = simulation.host("client", |_| Ok(()));
    inject(&simulation, "exhaust-fds client 5s");
    assert!(client.connect(address, Echo::default).error().is_some());
    let listening = client.reactor(|reactor| reactor.listen_tcp(PORT, Echo::default));
    let Err(ListenError::Bind { source, .. }) = listening else { panic!("{listening:?}") };
    assert_eq!(source.raw_os_error(), Some(24));
    assert_eq!(client.open_resources().factories, 0);
    // A service tries until it can connect.
    let service = ClientService::new(TcpClientEndpoint::from(address), Echo::default);
    client.reactor(|reactor| service.start(reactor).unwrap());
    simulation.run_for(s(4));
    assert_eq!(client.open(), 0);
    simulation.run_for(s(60));
    assert_eq!(client.open(), 1);
}

#[test]
fn a_client_may_be_gone_before_its_accept() {
    let (simulation, host, address) = serve(Conditions::ideal(), Echo::default());
    inject(&simulation, "fail-accept server");
    let (first, second) = (simulation.peer("ann", address), simulation.peer("ann", address));
    assert_eq!((first.close_kind(), second.close_kind(), host.open()), (Some(End::Reset), None, 1));
    assert_eq!(host.calls().connection_made(), 1);
}

#[test]
fn a_host_with_a_reactor_connects_to_another() {
    let (simulation, server, address) =
        serve(Conditions::ideal().latency(ms(10)), Echo { greeting: 3, ..Echo::default() });
    let client = simulation.host("client", |_| Ok(()));
    let log = Log::default();
    let echo = Echo { log: log.clone(), ..Echo::default() };
    let attempt = client.connect(address, move || echo.clone());
    assert_eq!((attempt.is_connected(), attempt.is_over(), client.open()), (false, false, 0));
    assert_eq!(client.open_resources().factories, 1);
    simulation.run_for(ms(20));
    assert_eq!((attempt.is_connected(), client.open(), server.open()), (true, 1, 1));
    simulation.run_for(s(1));
    assert!(log.pieces.get() > 10, "the two echo each other's bytes for ever");
    server.signal("SIGTERM");
    simulation.run_for(s(60));
    assert_eq!((attempt.is_connected(), attempt.is_over(), attempt.error()), (false, true, None));
    assert_eq!(client.calls().connection_lost(), 1);
    let left = client.open_resources();
    assert_eq!((left.ports, left.factories, left.connections), (0, 0, 0), "{left:?}");
}

#[test]
fn a_host_learns_why_it_could_not_connect() {
    let (simulation, server, _) = serve(Conditions::ideal(), Echo::default());
    let client = simulation.host("client", |_| Ok(()));
    let attempt = client.connect(server.address(PORT + 1), Echo::default);
    assert_eq!(attempt.error(), Some(std::io::ErrorKind::ConnectionRefused));
    assert!(attempt.is_over());
    inject(&simulation, "partition client server");
    let attempt = client.connect(server.address(PORT), Echo::default);
    simulation.run_for(s(29));
    assert_eq!((attempt.error(), client.open_resources().factories), (None, 1));
    simulation.run_for(s(2));
    assert_eq!(attempt.error(), Some(std::io::ErrorKind::TimedOut));
    assert_eq!((client.calls().connection_made(), client.open_resources().factories), (0, 0));
}

#[test]
fn a_client_times_out_if_the_syn_ack_is_lost() {
    let (simulation, _, address) = serve(Conditions::ideal().latency(ms(10)), Echo::default());
    let peer = simulation.peer("ann", address);
    simulation.run_for(ms(15));
    inject(&simulation, "partition ann server");
    simulation.run_for(s(126));
    assert_eq!((peer.close_kind(), peer.is_connected()), (None, false));
    simulation.run_for(s(2));
    assert_eq!((peer.close_kind(), peer.is_connected()), (Some(End::TimedOut), false));
}

#[test]
fn a_half_open_connection_attempt_times_out() {
    let (simulation, _, address) = serve(Conditions::ideal().latency(ms(10)), Echo::default());
    let peer = simulation.peer("ann", address);
    inject(&simulation, "half-open ann server");
    simulation.run_for(s(128));
    assert_eq!((peer.close_kind(), peer.is_connected()), (Some(End::TimedOut), false));
}

#[test]
fn a_peer_behind_a_proxy_header_finds_its_protocol() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server", |reactor| {
        Ok(reactor.listen(&format!("haproxy:tcp:{PORT}:trust=10.0.0.0/8"), Echo::default)?)
    });
    let peer = simulation.peer("ann", host.address(PORT));
    peer.send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nhello");
    assert_eq!(peer.take_received(), b"hello");
    let transport = peer.transport().unwrap();
    assert_eq!(transport.peer_address().to_string(), "192.0.2.1:1234");
    assert_eq!(peer.calls().data_received(), 1);
}

#[test]
fn no_two_connections_have_the_same_address() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let first = simulation.peer("ann", address);
    for _ in 0..20_000 {
        assert_ne!(simulation.peer("ann", address).address(), first.address());
    }
    first.send("hello");
    assert_eq!(
        (first.take_received().as_slice(), first.calls().data_received()),
        (&b"hello"[..], 1)
    );
}

#[test]
fn a_client_of_a_reactor_that_has_stopped_is_over() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let client = simulation.host("client", |_| Ok(()));
    let attempt = client.connect(address, Echo::default);
    client.reactor(crate::Reactor::stop);
    assert!(client.has_stopped());
    simulation.run_for(s(60));
    assert!(attempt.is_over() && !attempt.is_connected());
}

/// Says goodbye with an RST.
struct Rude;

impl<F> Protocol<F> for Rude {
    fn data_received(&mut self, cx: &mut Context<'_, F>, _: &[u8]) {
        cx.transport.abort_connection();
    }
}

#[test]
fn a_test_learns_how_a_clients_protocol_ended() {
    let (simulation, server, address) = serve(Conditions::ideal(), Echo::default());
    let client = simulation.host("client", |_| Ok(()));
    let rude = simulation.host("rude", |reactor| Ok(reactor.listen_tcp(PORT, || Rude)?));
    let greeter = || Echo { greeting: 3, ..Echo::default() };

    let reset = client.connect(rude.address(PORT), greeter);
    // A later connection to the same server does not replace it.
    assert!(client.connect(rude.address(PORT), greeter).is_over());
    assert!(matches!(reset.lost_reason(), Some(Reason::Lost(_))), "{:?}", reset.lost_reason());
    assert_eq!((reset.calls().connection_made(), reset.calls().data_received()), (1, 0));

    let first = client.connect(address, Echo::default);
    let second = client.connect(address, Echo::default);
    assert!(first.lost_reason().is_none() && first.calls().connection_lost() == 0);
    first.transport().unwrap().lose_connection();
    server.reactor(|_| ());
    simulation.run_for(s(1));
    let third = client.connect(address, Echo::default);
    assert!(first.lost_reason().unwrap().is_done());
    assert_eq!((first.calls().connection_lost(), second.calls().connection_lost()), (1, 0));
    inject(&simulation, "crash client");
    assert!(second.lost_reason().is_none(), "no callback reports it");
    assert_eq!((first.is_over(), second.is_over(), third.is_over()), (true, true, true));

    inject(&simulation, "restart client");
    let next = client.connect(address, Echo::default);
    server.signal("SIGTERM");
    simulation.run_for(s(60));
    assert!(next.lost_reason().unwrap().is_done());
    assert_eq!((next.calls().connection_lost(), second.calls().connection_lost()), (1, 0));
    let refused = client.connect(address, Echo::default);
    assert_eq!(refused.error(), Some(std::io::ErrorKind::ConnectionRefused));
    assert!(refused.lost_reason().is_none() && refused.transport().is_none());
    assert_eq!(refused.calls(), CallbackCounts::default());
}

#[test]
fn a_dropped_attempt_is_forgotten_once_its_connection_is_lost() {
    let (simulation, _, address) = serve(Conditions::ideal(), Echo::default());
    let client = simulation.host("client", |_| Ok(()));
    let kept = client.connect(address, Echo::default);
    let lost = || {
        let attempt = client.connect(address, Echo::default);
        attempt.transport().unwrap().abort_connection();
        // A turn, which reports it.
        client.reactor(|reactor| reactor.call_later(Duration::ZERO, |_| ()));
        assert!(attempt.lost_reason().is_some());
        attempt
    };
    (0..10).for_each(|_| drop(lost()));
    assert_eq!(client.remembered(), 1, "the one that is open");
    let attempts: Vec<_> = (0..10).map(|_| lost()).collect();
    assert_eq!(client.remembered(), 11, "those that the test may ask about");
    drop(attempts);
    assert_eq!(client.remembered(), 1);
    drop(kept);
    assert_eq!((client.remembered(), client.open()), (1, 1), "it is still open");
}
