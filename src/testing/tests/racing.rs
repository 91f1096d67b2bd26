//! Connecting to hosts by name, on the network.

use super::*;
use crate::endpoint::tests::race_cases::{self, Act, Case, DELAY, Ending, Family, Outcome};
use crate::{Factory, HostnameEndpoint, Reactor, Transport};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that has answered or the error, and when.
type Ended = (Result<SocketAddr, io::ErrorKind>, Duration);

/// Notes how an attempt ends, and when.
#[derive(Clone)]
struct Racer {
    simulation: Simulation,
    outcomes: Rc<RefCell<Vec<Ended>>>,
}

struct Connected;

impl Protocol<Racer> for Connected {
    fn connection_made(&mut self, cx: &mut Context<'_, Racer>) {
        let peer = cx.transport.peer_address().socket_addr().expect("an address by now");
        cx.factory.note(Ok(peer));
    }
}

impl Racer {
    fn new(simulation: &Simulation) -> Self {
        Self { simulation: simulation.clone(), outcomes: Rc::default() }
    }

    fn note(&self, outcome: Result<SocketAddr, io::ErrorKind>) {
        self.outcomes.borrow_mut().push((outcome, self.simulation.now()));
    }
}

impl Factory for Racer {
    crate::build_protocol!(Connected, |_| Connected);

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, _: &mut Reactor) {
        assert_eq!(to.peer_address().to_string(), "db:8007");
        self.note(Err(error.kind()));
    }
}

/// Adds the host behind an address, and returns the address.
fn add_server(simulation: &Simulation, number: usize, case: &Case) -> IpAddr {
    let server = case.addresses[number];
    let side = usize::from(server.family == Family::V4);
    if server.act == Act::Unreachable {
        // Addresses that no host has.
        let number = 200 + number as u8;
        let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into());
        return [v6.into(), Ipv4Addr::new(10, 0, 0, number).into()][side];
    }
    let name = format!("server{number}");
    let answers = matches!(server.act, Act::Answer(_));
    let host = simulation.host(&name, move |reactor| {
        if answers {
            reactor.listen_tcp(PORT, Echo::default)?;
        }
        Ok(())
    });
    if let Act::Answer(after) | Act::Refuse(after) = server.act {
        let there = Duration::from_micros(after * 500);
        simulation.set_conditions_between("client", &name, Conditions::ideal().latency(there));
    } else {
        simulation.inject(format!("crash {name}").parse().unwrap());
    }
    host.ips()[side]
}

/// Plays a case, and returns its outcome.
fn play(case: &Case) -> (Outcome, u64) {
    let simulation = Simulation::new(1);
    let client = simulation.host("client", |_| Ok(()));
    let ips: Vec<IpAddr> =
        (0..case.addresses.len()).map(|number| add_server(&simulation, number, case)).collect();
    simulation.name("db", ips.iter().copied());
    let endpoint = HostnameEndpoint::new("db", PORT).unwrap().attempt_delay(DELAY);
    let (ending, end) = case.end;
    let timeout = if ending == Ending::Timeout { end } else { race_cases::TIMEOUT };
    let mut endpoint = endpoint.timeout(ms(timeout));
    if let Some(family) = case.bind {
        let [v6, v4] = client.ips();
        endpoint = endpoint.bind((if family == Family::V4 { v4 } else { v6 }, 0));
    }
    let racer = Racer::new(&simulation);
    let outcomes = Rc::clone(&racer.outcomes);
    let transport =
        client.reactor(|reactor| endpoint.connect(reactor, racer).unwrap().transport().clone());
    simulation.run_for(ms(end));
    match ending {
        Ending::Timeout => {}
        Ending::Cancel => client.reactor(|_| transport.abort_connection()),
        Ending::Stop => client.reactor(Reactor::stop),
    }
    simulation.run_for(s(1));
    let outcome = match outcomes.borrow()[..] {
        [(outcome, at)] => {
            let number = |address: SocketAddr| ips.iter().position(|ip| *ip == address.ip());
            let outcome = match outcome {
                Ok(peer) => Outcome::Won(number(peer).expect("one of the addresses")),
                Err(kind) => Outcome::Failed(kind),
            };
            (outcome, at.as_millis() as u64)
        }
        ref other => panic!("{}: {other:?}", case.text),
    };
    // The winner keeps its connection, and the losers have left nothing.
    let left = client.open_resources();
    let won = usize::from(matches!(outcome.0, Outcome::Won(_)));
    assert_eq!((left.connections, left.factories, left.timers), (won, won, 0), "{}", case.text);
    assert_eq!(client.open(), won, "{}", case.text);
    transport.abort_connection();
    client.reactor(|reactor| reactor.call_later(Duration::ZERO, |_| ()));
    // The answer to a first SYN may be under way for long; a mute host is sent no second one.
    simulation.run_for(s(300));
    assert_eq!(simulation.connections(), 0, "{}", case.text);
    assert_eq!(outcomes.borrow().len(), 1, "{}", case.text);
    assert_eq!(simulation.0.network.borrow().question_count(), 0);
    outcome
}

#[test]
fn all_races_have_the_outcome_of_the_table() {
    for case in race_cases::all() {
        assert_eq!(play(&case), case.outcome, "{}", case.text);
    }
}
