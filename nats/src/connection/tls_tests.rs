//! The name that the certificate of a server which others tell of must be valid for.

use crate::client::Client;
use crate::options::ConnectOptions;
use crate::tls_trust::TlsTrust;
use std::time::Duration;
use twistor::testing::tls::{LOCALHOST, TestCertificate, WILDCARD, acceptor_builder, connector};
use twistor::testing::{Fault, Host, Simulation};
use twistor::tls::{Certificates, TlsConnector};
use twistor::{
    Factory, LineContext, LineReceiver, Lines, ListeningPort, Reactor, Reason, Transport,
};

/// A server that encrypts. What it says in clear may be the word of somebody on the way.
struct Server {
    certificate: TestCertificate,
    told: &'static str,
    /// What clients have said, encrypted.
    lines: Vec<String>,
}

struct Session;

impl LineReceiver<Server> for Session {
    fn connection_made(&mut self, cx: &mut LineContext<'_, Server>) {
        let told = cx.factory.told;
        cx.send_line(format!("INFO {{\"tls_required\":true,\"connect_urls\":[{told:?}]}}"));
        let certificates = Certificates::new(cx.factory.certificate.identity());
        cx.transport.start_tls(acceptor_builder(&certificates).build()).unwrap();
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Server>, line: &[u8]) {
        cx.factory.lines.push(String::from_utf8_lossy(line).into_owned());
        if line == b"PING" {
            cx.send_line("PONG");
        }
    }

    fn connection_lost(&mut self, _: &mut LineContext<'_, Server>, _: &Reason) {}
}

impl Factory for Server {
    type Protocol = Lines<Session>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Session>> {
        Some(Lines::new(Session))
    }
}

fn serve(
    simulation: &Simulation,
    name: &str,
    certificate: TestCertificate,
    told: &'static str,
) -> Host<ListeningPort<Server>> {
    simulation.host(name, move |reactor| {
        let server = Server { certificate, told, lines: Vec::new() };
        Ok(reactor.listen_tcp(4222, server)?)
    })
}

/// Starts a client of a server that tells of another one, and has it connect to that. Returns what
/// the other one has heard, and whether the client is connected.
fn change(trust: fn(TlsConnector) -> TlsTrust, certificate: TestCertificate) -> (String, bool) {
    let simulation = Simulation::new(1);
    let other = serve(&simulation, "b.wild.test", certificate, "");
    let _given = serve(&simulation, "example.test", LOCALHOST, "b.wild.test:4222");
    let ann: Host<Client> = simulation.host("ann", move |reactor| {
        let mut options = ConnectOptions::new("tls://ann:secret@example.test");
        options.settings.tls = Some(trust(connector()));
        Ok(options.connect(reactor)?)
    });
    simulation.run_for(Duration::from_secs(1));
    assert!(ann.state().is_connected());
    simulation.inject(Fault::Reset { a: "ann".into(), b: "example.test".into() });
    simulation.inject(Fault::Crash { host: "example.test".into() });
    simulation.run_for(Duration::from_secs(60));
    let port = other.state();
    let heard = other.reactor(|reactor| {
        reactor.with_factory(&*port, |server, _| server.lines.concat()).unwrap()
    });
    (heard, ann.state().is_connected())
}

#[test]
fn under_the_systems_authorities_a_name_that_was_told_does_not_stand_for_itself() {
    let (heard, is_connected) = change(TlsTrust::System, WILDCARD);
    assert_eq!((heard.as_str(), is_connected), ("", false));
    let (heard, is_connected) = change(TlsTrust::System, LOCALHOST);
    assert!(heard.contains("secret") && is_connected, "it has one for the name that was given");
}

#[test]
fn under_chosen_authorities_a_name_that_was_told_stands_for_itself() {
    let (heard, is_connected) = change(TlsTrust::Chosen, WILDCARD);
    assert!(heard.contains("secret") && is_connected);
    assert_eq!(change(TlsTrust::Chosen, LOCALHOST), (String::new(), false));
}
