//! A single fault harms the connection that it hits, and no other: each client gets every byte.

use std::cell::Cell;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use twistor::limits::RateLimits;
use twistor::testing::{
    Attempt, Conditions, End, Host, Peer, Simulation, SystemCall, single_faults,
};
use twistor::{Context, Factory, Producer, Protocol, Reactor, Transport, broadcast};

const ECHO: u16 = 7;
const TICKS: u16 = 8;
const FILE: u16 = 9;

/// Number of faults that are tried by default on each network.
const RUNS: usize = 150;

/// Sends everything back, and its FIN after the client's.
struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// Sends all clients the same ticks, and then closes.
#[derive(Default)]
struct Ticker {
    members: Vec<Transport>,
    sent: usize,
}

const TICK: [u8; 3000] = [b't'; 3000];
const TICKS_MAX: usize = 10;

struct Member;

impl Protocol<Ticker> for Member {}

impl Factory for Ticker {
    type Protocol = Member;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<Member> {
        self.members.push(transport.clone());
        Some(Member)
    }
}

impl Ticker {
    fn tick(&mut self) {
        self.sent += 1;
        broadcast(&self.members, &TICK[..]);
        if self.sent == TICKS_MAX {
            self.members.iter().for_each(Transport::lose_connection);
        }
    }
}

const FILE_LEN: usize = 300_000;

/// Sends a long file, and closes.
struct Sender;

impl<F> Protocol<F> for Sender {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        let file = std::io::repeat(b'f').take(FILE_LEN as u64);
        cx.transport.register_producer(Producer::reader(file));
        cx.transport.lose_connection();
    }
}

/// A client with a reactor: it sends a request, closes its half, and counts the answer.
struct Caller {
    answer: Rc<Cell<usize>>,
}

static REQUEST: [u8; 20_000] = [b'r'; 20_000];

impl<F> Protocol<F> for Caller {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(&REQUEST[..]);
        cx.transport.lose_write_connection();
    }

    fn data_received(&mut self, _: &mut Context<'_, F>, data: &[u8]) {
        self.answer.set(self.answer.get() + data.len());
    }
}

fn server(simulation: &Simulation) -> Host {
    simulation.host("server", |reactor| {
        let echo = reactor.listen_tcp(ECHO, || Echo)?;
        // Some waiting for a rate.
        reactor.set_shared_rate_limits(&echo, RateLimits::new().read(2_000_000).write(2_000_000));
        reactor.listen_tcp(FILE, || Sender)?;
        let ticks = reactor.listen_tcp(TICKS, Ticker::default())?;
        for number in 1..=TICKS_MAX as u32 {
            let ticks = ticks.clone();
            reactor.call_later(Duration::from_millis(2000) + PERIOD * number, move |reactor| {
                let _ = reactor.with_factory(&ticks, |ticker, _| ticker.tick());
            });
        }
        Ok(())
    })
}

const PERIOD: Duration = Duration::from_millis(20);

/// What a client of the test has got, and how its connection has ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    received: Vec<u8>,
    end: Option<End>,
}

impl Outcome {
    fn of(peer: &Peer) -> Self {
        Self { received: peer.received(), end: peer.close_kind() }
    }

    fn whole(received: Vec<u8>) -> Self {
        Self { received, end: Some(End::Closed) }
    }
}

fn neighbours(simulation: &Simulation) {
    let server = server(simulation);
    let caller = simulation.host("caller", |_| Ok(()));
    let ask = |number: usize| {
        let name = format!("client-{number}");
        let peer = simulation.late_reader(&name, server.address(ECHO));
        let request = vec![number as u8; 1 + number * number * 5000];
        peer.send(&request);
        (peer, Outcome::whole(request))
    };
    let mut clients: Vec<(Peer, Outcome)> = (0..4).map(ask).collect();
    for (port, length) in
        [(TICKS, TICKS_MAX * TICK.len()), (TICKS, TICKS_MAX * TICK.len()), (FILE, FILE_LEN)]
    {
        let byte = if port == TICKS { b't' } else { b'f' };
        let name = format!("client-{}", clients.len());
        let peer = simulation.late_reader(&name, server.address(port));
        clients.push((peer, Outcome::whole(vec![byte; length])));
    }
    let answers = [(); 2].map(|()| Rc::new(Cell::new(0)));
    let attempts = answers.clone().map(|answer| {
        caller.connect(server.address(ECHO), move || Caller { answer: Rc::clone(&answer) })
    });
    simulation.run_for(Duration::from_secs(1));
    clients.iter().for_each(|(peer, _)| peer.resume_reading());
    // Those of the echo: the others would not get the rest.
    clients.iter().take(4).for_each(|(peer, _)| peer.close_write());
    simulation.run_for(Duration::from_secs(60));
    check(simulation, &server, &caller, &clients, &attempts, &answers);
    drop(clients);
    for host in [&server, &caller] {
        host.reactor(Reactor::stop);
    }
    simulation.run_for(Duration::from_secs(3600));
    assert_eq!((server.open(), caller.open(), simulation.connections()), (0, 0, 0));
}

fn check(
    simulation: &Simulation,
    server: &Host,
    caller: &Host,
    clients: &[(Peer, Outcome)],
    attempts: &[Attempt],
    answers: &[Rc<Cell<usize>>],
) {
    let is_whole = |(attempt, answer): (&Attempt, &Rc<Cell<usize>>)| {
        answer.get() == REQUEST.len() && attempt.lost_reason().is_some_and(|it| it.is_done())
    };
    let harmed: Vec<SocketAddr> = clients
        .iter()
        .filter(|(peer, expected)| Outcome::of(peer) != *expected)
        .map(|(peer, _)| peer.address())
        .collect();
    let cut = attempts.iter().zip(answers).filter(|pair| !is_whole(*pair)).count();
    let faulted = simulation.faulted_call().filter(|it| !it.fault.failure.is_transient());
    match faulted {
        None => assert_eq!((harmed, cut), (vec![], 0)),
        // Clients that wait to be accepted are closed when descriptors run out.
        Some(call) if call.call == SystemCall::Accept => {
            assert!(harmed.len() + cut <= 1, "{harmed:?}");
        }
        Some(call) => {
            let harmed: Vec<_> = harmed.into_iter().filter(|it| Some(*it) != call.peer).collect();
            assert_eq!(harmed, vec![], "the fault hit {:?}", call.peer);
            // A client with a reactor is hit at its own end or at that of the server.
            let is_callers = call.peer.is_some_and(|peer| {
                peer == server.address(ECHO) || peer.ip() == caller.address(0).ip()
            });
            assert!(cut <= usize::from(is_callers));
        }
    }
    let left = server.open_resources();
    assert_eq!((left.connections, left.timers, left.ports, left.factories), (0, 0, 3, 3));
}

#[test]
fn a_single_fault_harms_no_other_connection_on_an_ideal_network() {
    println!("{}", single_faults(1, RUNS, neighbours));
}

#[test]
fn a_single_fault_harms_no_other_connection_on_a_rough_network() {
    let report = single_faults(1, RUNS, |simulation| {
        simulation.set_conditions(Conditions::rough());
        neighbours(simulation);
    });
    println!("{report}");
}
