//! A service that has several servers.

use std::time::Duration;
use twistor::testing::{Fault, Simulation};
use twistor::{
    ClientService, Factory, HostnameEndpoint, Protocol, Reactor, TcpClientEndpoint, Transport,
    build_protocol,
};

struct Quiet;

impl<F> Protocol<F> for Quiet {}

/// Tries the servers in turn.
struct Servers(Vec<HostnameEndpoint>);

impl Factory for Servers {
    build_protocol!(Quiet, |_servers| Quiet);

    fn retrying(&mut self, to: &Transport, _: Duration, _: u32, reactor: &mut Reactor) {
        self.0.rotate_left(1);
        let service = reactor.service_of(to).unwrap();
        assert!(service.set_endpoint(reactor, self.0[0].clone()));
    }
}

#[test]
fn a_service_moves_to_the_endpoint_that_it_is_given() {
    let simulation = Simulation::new(1);
    let names = ["first", "second"];
    for name in names {
        simulation.host(name, |reactor| Ok(reactor.listen_tcp(7, || Quiet)?));
    }
    let client = simulation.host("client", move |reactor| {
        let endpoint = |name| HostnameEndpoint::new(name, 7).unwrap();
        let service = ClientService::new(endpoint("first"), Servers(names.map(endpoint).into()));
        Ok(service.start(reactor)?)
    });
    let service = *client.state();
    for server in ["first", "second", "first"] {
        simulation.run_for(Duration::from_secs(10));
        let transport = client.reactor(|reactor| service.transport(reactor)).unwrap();
        assert!(transport.is_connected());
        simulation.inject(Fault::Reset { a: "client".into(), b: server.into() });
        assert!(!transport.is_connected(), "it was connected to {server}");
    }
    client.reactor(|reactor| service.abort(reactor));
    simulation.run_for(Duration::from_secs(1));
    let nowhere = TcpClientEndpoint::new(([127, 0, 0, 1], 1));
    assert!(!client.reactor(|reactor| service.set_endpoint(reactor, nowhere)), "it has ended");
}
