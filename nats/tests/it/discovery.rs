//! Servers that a client was not given, but has been told of.

use crate::simulated::{Heard, SECOND, client, serve_as, take};
use crate::simulated_server::SimulatedServer;
use std::cell::Cell;
use std::time::Duration;
use twistor::testing::{Fault, Host, Simulation};
use twistor_nats::{Client, ConnectOptions};

/// A server that tells of a thousand others which do not answer.
fn misleading() -> SimulatedServer {
    let mut server = SimulatedServer::new();
    server.info.connect_urls = (1..=1000).map(|port| format!("silent:{port}")).collect();
    server
}

/// Starts a client whose server is `first` at first, and `honest` after a restart.
fn start(
    simulation: &Simulation,
    first: fn() -> SimulatedServer,
    honest: fn() -> SimulatedServer,
    options: fn(ConnectOptions) -> ConnectOptions,
) -> (impl Sized, Host<Client>, Heard) {
    let starts = Cell::new(0);
    let server = serve_as(simulation, "server", move || {
        starts.set(starts.get() + 1);
        if starts.get() == 1 { first() } else { honest() }
    });
    let silent = simulation.host("silent", |_| Ok(()));
    let (ann, events) = client(simulation, "ann", options);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "silent".into() });
    ((server, silent), ann, events)
}

/// Restarts the server, and returns how long the client takes to be connected again.
fn time_to_return(simulation: &Simulation, ann: &Host<Client>) -> Duration {
    simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
    simulation.inject(Fault::Crash { host: "server".into() });
    simulation.run_for(SECOND);
    simulation.inject(Fault::Restart { host: "server".into() });
    let mut time = Duration::ZERO;
    while !ann.state().is_connected() && time < 300 * SECOND {
        simulation.run_for(SECOND);
        time += SECOND;
    }
    time
}

#[test]
fn a_server_that_does_not_accept_the_client_tells_of_no_others() {
    let simulation = Simulation::new(1);
    let without_login = || {
        let mut server = misleading();
        server.password = Some("secret");
        server
    };
    let (_server, ann, events) = start(&simulation, without_login, SimulatedServer::new, |it| it);
    simulation.run_for(SECOND);
    assert!(take(&events)[1].ends_with("Authorization Violation"));
    assert_eq!(ann.state().server_info(), None);
    assert!(time_to_return(&simulation, &ann) <= 10 * SECOND);
}

#[test]
fn the_servers_that_were_given_are_tried_in_each_round() {
    let simulation = Simulation::new(1);
    let (_server, ann, _) = start(&simulation, misleading, SimulatedServer::new, |it| it);
    simulation.run_for(SECOND);
    assert!(ann.state().is_connected());
    assert_eq!(ann.state().server_info().unwrap().connect_urls.len(), 1000);
    assert!(time_to_return(&simulation, &ann) <= 10 * SECOND);
    // The honest one has told of no others, which leaves them known.
    assert!(time_to_return(&simulation, &ann) <= 10 * SECOND);
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::simulated::ServerHost;
    use twistor::testing::tls::{
        LOCALHOST, TestCertificate, WILDCARD, acceptor, acceptor_builder, connector,
    };
    use twistor::tls::Certificates;

    #[test]
    fn a_server_that_does_not_encrypt_tells_of_no_others() {
        let simulation = Simulation::new(1);
        let encrypted = || {
            let mut server = SimulatedServer::new();
            (server.info.tls_required, server.acceptor) = (true, Some(acceptor()));
            server
        };
        let (_server, ann, events) = start(&simulation, misleading, encrypted, |options| {
            options.tls(connector().server_name("localhost").unwrap()).require_tls()
        });
        simulation.run_for(SECOND);
        assert!(take(&events)[0].ends_with("does not offer TLS"));
        assert!(time_to_return(&simulation, &ann) <= 10 * SECOND);
    }

    fn serve(
        simulation: &Simulation,
        name: &str,
        certificate: TestCertificate,
        told: String,
    ) -> ServerHost {
        serve_as(simulation, name, move || {
            let mut server = SimulatedServer::new();
            let certificates = Certificates::new(certificate.identity());
            server.acceptor = Some(acceptor_builder(&certificates).build());
            (server.info.tls_required, server.info.connect_urls) = (true, vec![told.clone()]);
            server
        })
    }

    #[test]
    fn a_server_that_was_told_of_by_name_has_a_certificate_for_that_name() {
        for is_by_name in [true, false] {
            let simulation = Simulation::new(1);
            let certificate = if is_by_name { WILDCARD } else { LOCALHOST };
            let other = serve(&simulation, "b.wild.test", certificate, String::new());
            let told = match is_by_name {
                true => "b.wild.test:4222".to_owned(),
                // An address is in no certificate; its server is of the cluster that was given.
                false => other.address(4222).to_string(),
            };
            let _given = serve(&simulation, "example.test", LOCALHOST, told.clone());
            let ann = simulation.host("ann", |reactor| {
                let options = ConnectOptions::new("tls://example.test").tls(connector());
                Ok(options.connect(reactor)?)
            });
            simulation.run_for(SECOND);
            assert!(ann.state().is_connected());
            simulation.inject(Fault::Reset { a: "ann".into(), b: "example.test".into() });
            simulation.inject(Fault::Crash { host: "example.test".into() });
            simulation.run_for(60 * SECOND);
            assert!(ann.state().is_connected(), "{told}");
        }
    }
}
