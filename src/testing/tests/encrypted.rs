//! Peers and transcripts over TLS.

use crate::testing::tls::{acceptor, connector};
use crate::testing::{Client, Conditions, End, Host, Peers, Simulation, Transcript};
use crate::{ClientEndpoint, Context, Protocol};
use std::io::ErrorKind;
use std::time::Duration;

/// Sends back what it receives, and ends as the client says.
struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
        match data {
            b"close\r\n" => cx.transport.lose_connection(),
            b"abort\r\n" => cx.transport.abort_connection(),
            b"half\r\n" => cx.transport.lose_write_connection(),
            _ => {}
        }
    }
}

fn host(simulation: &Simulation) -> Host {
    simulation.host("server", |reactor| {
        reactor.listen_tls(8443, &acceptor(), || Echo)?;
        Ok(())
    })
}

fn side() -> crate::tls::TlsSide {
    connector().to("localhost").unwrap()
}

#[test]
fn a_transcript_is_played_over_tls_as_over_any_other_connection() {
    let transcript = "C: hello\n S: hello\nC: close\n S: close\n is closed";
    for conditions in [Conditions::ideal(), Conditions::rough()] {
        let simulation = Simulation::new(7);
        simulation.set_conditions(conditions);
        let server = host(&simulation);
        let clients = Peers::on(&server, 8443).timeout(Duration::from_secs(60));
        let played = Transcript::parse(transcript).unwrap().play(&mut clients.encrypted(side()));
        played.unwrap_or_else(|difference| panic!("{difference}"));
    }
}

#[test]
fn a_peer_hears_a_close_a_half_close_and_a_reset() {
    for (request, kind) in
        [("close", Some(End::Closed)), ("half", Some(End::Closed)), ("abort", Some(End::Reset))]
    {
        let simulation = Simulation::new(1);
        let server = host(&simulation);
        let peer = simulation.peer("client", server.address(8443));
        peer.start_tls(side()).unwrap();
        assert_eq!(peer.close_kind(), None);
        peer.send(format!("{request}\r\n"));
        assert_eq!(peer.close_kind(), kind, "{request}");
        if request == "half" {
            peer.close_write();
            assert!(peer.lost_reason().unwrap().is_done());
        }
    }
}

#[test]
fn a_dropped_peer_has_closed_its_connection_gracefully() {
    let simulation = Simulation::new(1);
    let server = host(&simulation);
    let peer = simulation.peer("client", server.address(8443));
    peer.start_tls(side()).unwrap();
    let transport = peer.transport().unwrap();
    drop(peer);
    assert!(!transport.is_connected());
    assert_eq!(server.calls().read_connection_lost(), 1);
}

#[test]
fn a_handshake_that_fails_is_an_error_on_both_sides() {
    let simulation = Simulation::new(1);
    let server = host(&simulation);
    let peer = simulation.peer("client", server.address(8443));
    let refused = peer.start_tls(connector().to("elsewhere.test").unwrap()).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(server.reactor(|reactor| reactor.metrics().rejected), 1);
    // A server that is none.
    let silent = simulation.host("silent", |reactor| {
        reactor.listen_tcp(80, || Echo)?;
        Ok(())
    });
    let peer = simulation.peer("client", silent.address(80));
    peer.start_tls(side()).unwrap_err();
}

/// A seed gives the same bytes each time, and so the same trace.
#[test]
fn runs_with_tls_follow_from_the_seed() {
    let run = |seed| {
        let simulation = Simulation::new(seed);
        simulation.set_conditions(Conditions::rough());
        let server = host(&simulation);
        let peer = simulation.peer("client", server.address(8443));
        peer.start_tls(side()).unwrap();
        peer.send(vec![7; 50_000]);
        simulation.run_until(Duration::from_secs(60), || peer.received().len() == 50_000);
        assert_eq!(peer.received().len(), 50_000);
        drop(peer);
        simulation.trace_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// The endpoints of a client that encrypts: by name, and over a Unix socket.
fn endpoints() -> [ClientEndpoint; 2] {
    ["tcp:localhost:8443:timeout=5", "unix:/run/server.sock:timeout=5"].map(|description| {
        let endpoint: ClientEndpoint = description.parse().unwrap();
        endpoint.encrypted(side())
    })
}

#[test]
fn a_client_s_server_encrypts_as_the_client_does() {
    for endpoint in endpoints() {
        let client = Client::to(endpoint.clone(), || Echo);
        let peer = client.listener().clone().encrypted(acceptor()).accept();
        peer.send("hello");
        assert_eq!(peer.take_received(), b"hello");
        assert!(peer.transport().unwrap().tls().is_some());
        peer.send("close\r\n");
        assert_eq!(
            (peer.take_received().as_slice(), peer.close_kind()),
            (&b"close\r\n"[..], Some(End::Closed))
        );
        assert!(peer.lost_reason().unwrap().is_done());

        let transcript = "S: hello\n C: hello\n S: close\n C: close\n finishes";
        let client = Client::to(endpoint, || Echo);
        let mut peers = Peers::of_client(&client).encrypted(acceptor());
        Transcript::parse(transcript).unwrap().play(&mut peers).unwrap();
    }
}

#[test]
fn a_client_that_waits_for_a_handshake_times_out_or_refuses_what_comes() {
    for endpoint in endpoints() {
        let client = Client::to(endpoint.clone(), || Echo);
        let peer = client.accept();
        assert!(!peer.received().is_empty() && peer.transport().is_none(), "a ClientHello");
        client.advance(Duration::from_secs(5));
        assert_eq!(client.attempt().error(), Some(ErrorKind::TimedOut));

        let client = Client::to(endpoint, || Echo);
        let peer = client.accept();
        peer.send("220 this is no TLS\r\n");
        assert_eq!(client.attempt().error(), Some(ErrorKind::InvalidData));
        assert_eq!(peer.calls().connection_made(), 0);
    }
}
