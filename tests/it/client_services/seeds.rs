//! Services under random faults of names, paths and hosts, and under single faults: once the faults
//! are over, every service is connected again, and after a stop nothing is left of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use twistor::client_service::{Backoff, ServiceState};
use twistor::testing::{
    Conditions, Fault, FaultPlan, Host, Random, Simulation, explore, single_faults,
};
use twistor::{
    ClientEndpoint, ClientService, ConnectionId, Context, Factory, HostnameEndpoint, Protocol,
    Reactor, ServiceKey, TcpClientEndpoint, TimerId, Transport,
};

const PORT: u16 = 7000;

/// Number of seeds that run by default.
const RUNS: u64 = 40;

/// Faults begin and end within this time.
const FAULTY: Duration = Duration::from_secs(60);

const CLIENTS: [&str; 2] = ["ann", "bob"];

/// Maximum delay of the services.
const MAXIMUM: Duration = Duration::from_secs(10);

/// Connect timeout, which covers the name as well. Also the most that an answer takes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Interval of a client's requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time within which every service is connected again: a connection that is dead without a word is
/// noticed, or an attempt that began during the faults fails; then come the longest delay, and an
/// attempt with its first answer.
const HEALED: Duration = Duration::from_secs(5 + 10 + 5 + 5);

/// Answers each byte.
struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// Asks once in each interval, and ends a connection that does not answer.
struct Asking;

impl Protocol<Asker> for Asking {
    fn connection_made(&mut self, cx: &mut Context<'_, Asker>) {
        cx.transport.set_timeout(TIMEOUT);
        cx.transport.write("?");
        cx.set_interval(INTERVAL);
        cx.factory.open(cx.transport, cx.reactor);
    }

    fn timer_fired(&mut self, cx: &mut Context<'_, Asker>, _: TimerId) {
        cx.transport.write("?");
    }

    fn data_received(&mut self, cx: &mut Context<'_, Asker>, _: &[u8]) {
        cx.transport.reset_timeout();
        cx.reactor.set_prepared(cx.transport);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Asker>, _: &twistor::Reason) {
        cx.factory.connections.remove(&cx.transport.id());
    }
}

/// A factory of several services, of which each has one connection at a time.
#[derive(Default)]
struct Asker {
    connections: HashMap<ConnectionId, ServiceKey>,
    started: bool,
}

impl Asker {
    fn open(&mut self, transport: &Transport, reactor: &Reactor) {
        let service = reactor.service_of(transport).unwrap();
        assert!(!self.connections.values().any(|it| *it == service), "a second connection");
        self.connections.insert(transport.id(), service);
    }
}

impl Factory for Asker {
    twistor::build_protocol!(Asking, |_| Asking);

    fn retrying(&mut self, to: &Transport, delay: Duration, _: u32, reactor: &mut Reactor) {
        assert!(delay <= MAXIMUM, "{delay:?}");
        let service = reactor.service_of(to).unwrap();
        assert!(matches!(service.state(reactor), ServiceState::Waiting { .. }));
    }

    fn start_factory(&mut self, _: &mut Reactor) -> std::io::Result<()> {
        assert!(!std::mem::replace(&mut self.started, true), "a second start");
        Ok(())
    }

    fn stop_factory(&mut self, _: &mut Reactor) {
        assert!(std::mem::replace(&mut self.started, false), "a second stop");
        assert!(self.connections.is_empty());
    }
}

type Service = ServiceKey<Asker>;

/// Starts four services of one factory: by address and by name, prepared by their protocol or not.
fn start(
    server: SocketAddr,
    reactor: &mut Reactor,
) -> Result<Vec<Service>, Box<dyn std::error::Error>> {
    let key = reactor.add_factory(Asker::default())?;
    let by_address = ClientEndpoint::from(TcpClientEndpoint::new(server).timeout(TIMEOUT));
    let by_name = ClientEndpoint::from(HostnameEndpoint::new("db", PORT)?.timeout(TIMEOUT));
    let mut services = Vec::new();
    for endpoint in [by_address, by_name] {
        let backoff = Backoff::new().maximum(MAXIMUM);
        let plain = ClientService::new(endpoint.clone(), key).retry(backoff);
        let prepared = ClientService::new(endpoint, key).prepared_by_protocol(TIMEOUT);
        services.push(plain.start(reactor)?);
        services.push(prepared.retry(backoff).start(reactor)?);
    }
    // The services are its only uses.
    reactor.remove_factory(key);
    Ok(services)
}

/// Adds the server, and returns its address.
fn server(simulation: &Simulation) -> SocketAddr {
    let server =
        simulation.host("server", |reactor| Ok(reactor.listen_tcp(PORT, || Echo).map(drop)?));
    simulation.name("db", server.ips());
    server.address(PORT)
}

/// Returns a plan of faults of all kinds, also of names; all are over after [`FAULTY`].
fn faults(random: &mut Random) -> FaultPlan {
    let mut plan = FaultPlan::random(random, &["ann", "bob", "server"], FAULTY, 12);
    for _ in 0..6 {
        let (at, lasting) = (random.up_to(FAULTY), random.up_to(FAULTY / 6));
        let (host, lasting) = ((*random.pick(&CLIENTS)).to_owned(), lasting.min(FAULTY - at));
        let fault = match random.below(3) {
            0 => Fault::SlowNames { host, by: random.up_to(TIMEOUT * 2), lasting },
            1 => Fault::FailNames { host, lasting },
            _ => Fault::MuteNames { host, lasting },
        };
        plan = plan.at(at, fault);
    }
    plan
}

fn is_connected(host: &Host<Vec<Service>>) -> bool {
    let services = host.state();
    host.reactor(|reactor| services.iter().all(|it| it.transport(reactor).is_some()))
}

fn states(hosts: &[Host<Vec<Service>>]) -> Vec<String> {
    let state = |host: &Host<Vec<Service>>| {
        let services = host.state();
        host.reactor(|reactor| {
            format!("{:?}", services.iter().map(|it| it.state(reactor)).collect::<Vec<_>>())
        })
    };
    hosts.iter().map(state).collect()
}

fn every_service_is_connected_again(simulation: &Simulation) {
    simulation.set_conditions(Conditions::rough());
    let mut random = simulation.random();
    let server = server(simulation);
    let hosts = CLIENTS.map(|name| simulation.host(name, move |reactor| start(server, reactor)));
    simulation.follow(&faults(&mut random));
    simulation.run_for(FAULTY);
    simulation.run_for(HEALED);
    assert!(hosts.iter().all(is_connected), "{:?}", states(&hosts));
    // And they stay so.
    simulation.run_for(Duration::from_secs(30));
    assert!(hosts.iter().all(is_connected), "{:?}", states(&hosts));
    let [ann, bob] = &hosts;
    let services = ann.state();
    ann.reactor(|reactor| services.iter().for_each(|it| assert!(it.stop(reactor))));
    bob.reactor(|reactor| reactor.stop_gracefully(Duration::from_secs(60)));
    simulation.run_for(Duration::from_secs(200));
    let left = ann.open_resources();
    assert_eq!((left.connections, left.factories, left.timers), (0, 0, 0), "{left:?}");
    assert_eq!((ann.open(), bob.open()), (0, 0));
    assert!(bob.has_stopped());
    assert_eq!(bob.report().unwrap().aborted, 0, "its connections have closed");
}

#[test]
fn under_random_faults_every_service_is_connected_again() {
    println!("{}", explore(RUNS, every_service_is_connected_again));
}

fn a_service_survives(simulation: &Simulation) {
    let server = server(simulation);
    let told = Rc::new(RefCell::new(0));
    let host = simulation.host("ann", move |reactor| start(server, reactor));
    let services = host.state();
    for service in services.iter() {
        let told = Rc::clone(&told);
        host.reactor(|reactor| {
            service.when_connected(reactor, None, move |_, outcome| {
                assert!(outcome.unwrap().is_connected());
                *told.borrow_mut() += 1;
            });
        });
    }
    simulation.run_for(TIMEOUT);
    // The fault may also come with the last calls of these.
    simulation.run_until(HEALED, || is_connected(&host));
    let fault = simulation.single_fault().map(|fault| fault.failure);
    assert!(is_connected(&host), "{fault:?}: {:?}", states(&[host]));
    assert_eq!(*told.borrow(), 4);
    host.reactor(|reactor| services.iter().for_each(|it| assert!(it.stop(reactor))));
    simulation.run_for(Duration::from_secs(200));
    let left = host.open_resources();
    assert_eq!((left.connections, left.factories, left.timers), (0, 0, 0), "{left:?}");
    assert_eq!(simulation.connections(), 0, "also on the network");
}

#[test]
fn any_single_fault_is_survived_by_a_service() {
    println!("{}", single_faults(1, 150, a_service_survives));
}
