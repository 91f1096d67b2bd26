//! Sessions with an inspection port, over a simulated network.

use crate::inspection::Inspector;
use crate::limits::ConnectionLimits;
use crate::testing::{End, Fault, Host, Peer, Simulation};
use crate::{Context, ListeningPort, Protocol, Reactor, Settings, UnixAddress};
use std::time::Duration;

pub(super) const PATH: &str = "/run/inspect";

pub(super) struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

/// A server on port 8007, with an inspection port.
pub(super) fn serve(settings: Settings) -> (Simulation, Host<ListeningPort<Inspector>>) {
    let simulation = Simulation::new(1);
    let host = simulation.host_with("server", settings, |reactor: &mut Reactor| {
        reactor.listen_tcp(8007, || Echo)?;
        Ok(Inspector::listen(reactor, PATH)?)
    });
    (simulation, host)
}

/// Sends a command; returns the lines of the answer, and its last one.
#[track_caller]
pub(super) fn ask(peer: &Peer, command: &str) -> (Vec<String>, String) {
    peer.send(format!("{command}\n"));
    let text = String::from_utf8(peer.take_received()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.pop().unwrap_or_default();
    assert!(text.ends_with('\n') && (last == "ok" || last.starts_with("error: ")), "{text}");
    (lines, last)
}

#[track_caller]
fn lines(peer: &Peer, command: &str) -> Vec<String> {
    let (lines, last) = ask(peer, command);
    assert_eq!(last, "ok", "{lines:?}");
    lines
}

/// Returns the ids of the connections whose protocol's name contains this.
#[track_caller]
fn ids(peer: &Peer, name: &str) -> Vec<String> {
    let word = |line: &String| line.split(' ').next().unwrap().to_owned();
    lines(peer, &format!("connections {name}")).iter().map(word).collect()
}

#[test]
fn each_command_shows_what_it_says() {
    let (simulation, host) = serve(Settings::default());
    let (client, inspector) = (simulation.peer("ann", host.address(8007)), host.unix_peer(PATH));
    client.stop_reading();
    client.send("x".repeat(1_000_000));
    let connections = lines(&inspector, "connections");
    let [echo, session] = &connections[..] else { panic!("{connections:?}") };
    let unsent = host.reactor(|reactor| reactor.metrics().unsent);
    assert!(unsent > 0 && echo.contains(&format!(" unsent={unsent} peer=10.")), "{echo}");
    assert!(echo.contains(" side=accepted state=open reading=active "), "{echo}");
    assert!(echo.ends_with(" protocol=Echo"), "{echo}");
    assert!(session.contains(" reading=paused "), "it waits for the end of its listing: {session}");
    assert_eq!(&lines(&inspector, "connections Echo")[..], &connections[..1]);
    assert_eq!(lines(&inspector, "connections nothing"), [""; 0]);

    let factories = lines(&inspector, "factories");
    assert_eq!(factories[0], "connections=1 uses=1 started=true rejected=0 protocol=Echo");
    assert_eq!(factories.len(), 2);
    let ports = lines(&inspector, "ports");
    assert!(ports[0].contains(":8007 accepting=active protocol=Echo"), "{ports:?}");
    assert!(ports[1].starts_with("unix:/run/inspect accepting=active "), "{ports:?}");
    assert!(
        lines(&inspector, "timers")[0].starts_with("timers=1 next=600.000s"),
        "its idle timeout"
    );
    host.reactor(|reactor| reactor.call_later(Duration::from_millis(1500), |_| {}));
    assert_eq!(lines(&inspector, "timers"), ["timers=2 next=1.500s"]);
    let events = lines(&inspector, "events");
    assert!(events.iter().any(|it| it.contains("data_received")), "{events:?}");
    let metrics = lines(&inspector, "metrics");
    assert!(metrics.iter().any(|it| it.contains("2 open, 2 accepted")), "{metrics:?}");
    assert_eq!(lines(&inspector, "help").len(), 11);
    for (command, error) in [
        ("connection", "error: unknown command \"connection\"; help lists them"),
        ("close 7.7", "error: there is no connection \"7.7\", or it is over"),
        ("close x", "error: there is no connection \"x\", or it is over"),
    ] {
        assert_eq!(ask(&inspector, command), (vec![], error.to_owned()));
    }
    assert_eq!(ask(&inspector, "quit").1, "ok");
    assert_eq!(inspector.close_kind(), Some(End::Closed));
}

#[test]
fn connections_are_closed_by_an_id_that_no_other_ever_has() {
    let (simulation, host) = serve(Settings::default());
    let client = || simulation.peer("ann", host.address(8007));
    let (closed, aborted, inspector) = (client(), client(), host.unix_peer(PATH));
    let of_both = ids(&inspector, "Echo");
    assert_eq!(ask(&inspector, &format!("close {}", of_both[0])).1, "ok");
    assert_eq!(ask(&inspector, &format!("abort {}", of_both[1])).1, "ok");
    assert_eq!((closed.close_kind(), aborted.close_kind()), (Some(End::Closed), Some(End::Reset)));
    // Its slot is used again, its id is not.
    drop((closed, aborted));
    simulation.run_for(Duration::from_secs(60));
    let next = (client(), client());
    let slot = |id: &String| id.split('.').next().unwrap().to_owned();
    let now = ids(&inspector, "Echo");
    assert!(now.iter().any(|id| of_both.iter().map(slot).any(|it| it == slot(id))), "{now:?}");
    for id in &of_both {
        let (_, error) = ask(&inspector, &format!("abort {id}"));
        assert!(error.starts_with("error: there is no connection"), "{error}");
    }
    assert!(next.0.is_connected() && next.1.is_connected());
}

#[test]
fn a_session_answers_before_it_closes_itself_and_does_not_abort_itself() {
    let (_, host) = serve(Settings::default());
    let inspector = host.unix_peer(PATH);
    let own = ids(&inspector, "InspectionSession").remove(0);
    let (_, error) = ask(&inspector, &format!("abort {own}"));
    assert_eq!(error, "error: this is your own session; quit ends it");
    assert_eq!(ask(&inspector, &format!("close {own}")).1, "ok");
    assert_eq!(inspector.close_kind(), Some(End::Closed));
}

#[test]
fn no_name_of_a_socket_adds_a_field_to_a_line() {
    let (_, host) = serve(Settings::default());
    let (forged, odd) = ("x protocol=Admin\\ y", "/run/a\u{a0}b c");
    host.reactor(|reactor| {
        for name in [UnixAddress::abstract_name(forged), UnixAddress::path(odd)] {
            reactor.listen_unix(name, || Echo).unwrap();
        }
        let to = UnixAddress::abstract_name(forged);
        reactor.connect_unix(to, || Echo).unwrap();
    });
    let inspector = host.unix_peer(PATH);
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ports: Vec<_> = lines(&inspector, "ports").iter().map(words).collect();
    assert!(ports.iter().all(|it| it.len() == 3), "{ports:?}");
    let connections: Vec<_> = lines(&inspector, "connections Echo").iter().map(words).collect();
    assert!(connections.iter().all(|it| it.len() == 7), "{connections:?}");
    let peer = "peer=unix:@x\\u{20}protocol=Admin\\\\\\u{20}y";
    assert!(connections.iter().any(|it| it[5] == peer), "{connections:?}");
}

#[test]
fn a_script_that_closes_its_half_gets_all_answers() {
    let (simulation, host) = serve(Settings::default());
    let clients: Vec<Peer> =
        (0..1000).map(|_| simulation.peer("ann", host.address(8007))).collect();
    let script = host.unix_peer(PATH);
    script.send("connections Echo\r\nconnections Echo\ntimers\n");
    script.close_write();
    let text = String::from_utf8(script.take_received()).unwrap();
    assert_eq!(script.close_kind(), Some(End::Closed));
    let count = |line: &str| text.lines().filter(|it| it.ends_with(line)).count();
    assert_eq!((count("protocol=Echo"), count("ok")), (2000, 3));
    assert_eq!(clients.len(), 1000);
}

#[test]
fn a_command_without_an_end_ends_the_session() {
    let (_, host) = serve(Settings::default());
    let inspector = host.unix_peer(PATH);
    inspector.send("x".repeat(300));
    assert_eq!(inspector.take_received(), b"error: a command has at most 256 bytes\n");
    assert_eq!(inspector.close_kind(), Some(End::Closed));
}

#[test]
fn the_port_works_at_the_limit_of_the_reactor_within_a_limit_of_its_own() {
    let (simulation, host) = serve(Settings::default().max_connections(1));
    let client = || simulation.peer("ann", host.address(8007));
    let first = client();
    let sessions: Vec<Peer> = (0..4).map(|_| host.unix_peer(PATH)).collect();
    assert_eq!(client().close_kind(), Some(End::Closed), "the reactor is full");
    let fifth = host.unix_peer(PATH);
    assert_eq!(fifth.take_received(), b"error: too many sessions\n");
    let id = &ids(&sessions[3], "Echo")[0];
    assert_eq!(ask(&sessions[3], &format!("close {id}")).1, "ok");
    assert_eq!(first.close_kind(), Some(End::Closed));
    // Sessions take no place of a client.
    simulation.run_for(Duration::from_secs(60));
    assert!(client().is_connected());
    // One that is forgotten keeps its place for ten minutes.
    simulation.run_for(Duration::from_secs(600));
    assert!(sessions.iter().all(|session| session.close_kind().is_some()));
    assert_eq!(lines(&host.unix_peer(PATH), "quit"), [""; 0]);
}

#[test]
fn a_drain_is_seen_and_shortened_and_does_not_wait_for_those_who_see_it() {
    let (simulation, host) = serve(Settings::default());
    let client = simulation.peer("ann", host.address(8007));
    client.stop_reading();
    client.send("x".repeat(1_000_000));
    let inspector = host.unix_peer(PATH);
    assert_eq!(lines(&inspector, "drain 600"), ["draining connections=1 left=600.000s"]);
    let refused = simulation.peer("bob", host.address(8007));
    assert_eq!(refused.close_kind(), Some(End::Refused));
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(lines(&inspector, "drain"), ["draining connections=1 left=590.000s"]);
    // A second operator arrives in the middle of it, and has less time.
    let second = host.unix_peer(PATH);
    assert_eq!(lines(&second, "drain 30"), ["draining connections=1 left=30.000s"]);
    assert_eq!(ids(&second, "Echo").len(), 1);
    assert!(!host.has_stopped());
    client.resume_reading();
    simulation.run_for(Duration::from_secs(5));
    assert!(host.has_stopped(), "only operators were left");
    let report = host.report().unwrap();
    assert_eq!((report.drained, report.lost, report.aborted, report.bytes_lost), (1, 0, 0, 0));
    assert!(inspector.close_kind().is_some() && second.close_kind().is_some());
}

#[test]
fn an_operator_gets_in_when_there_are_no_descriptors() {
    let (simulation, host) = serve(Settings::default());
    let lasting = Duration::from_secs(60);
    simulation.inject(Fault::ExhaustFds { host: "server".to_owned(), lasting });
    let client = simulation.peer("ann", host.address(8007));
    simulation.run_for(Duration::from_secs(1));
    assert!(client.close_kind().is_some(), "it is shed");
    let inspector = host.unix_peer(PATH);
    let factories = lines(&inspector, "factories");
    assert!(factories[0].contains(" rejected=1 "), "{factories:?}");
    // It has the reserve, so all others wait.
    let (second, client) = (host.unix_peer(PATH), simulation.peer("ann", host.address(8007)));
    second.send("timers\n");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!((second.take_received(), client.close_kind()), (vec![], None));
    for operator in [inspector, second] {
        operator.send("quit\n");
        simulation.run_for(Duration::from_secs(1));
        let answers = String::from_utf8(operator.take_received()).unwrap();
        assert!(answers.ends_with("ok\n"), "{answers}");
        assert_eq!(operator.close_kind(), Some(End::Closed));
    }
    assert!(client.close_kind().is_some(), "it is shed when there is a reserve");
    simulation.run_for(lasting);
    client_is_served(&simulation, &host);
}

fn client_is_served(simulation: &Simulation, host: &Host<ListeningPort<Inspector>>) {
    let client = simulation.peer("ann", host.address(8007));
    client.send("hello");
    assert_eq!(client.take_received(), b"hello");
}

#[test]
fn over_tcp_nobody_is_served() {
    let (simulation, host) = serve(Settings::default());
    let port = host.state();
    host.reactor(|reactor| reactor.listen_tcp(8008, &*port).unwrap());
    let peer = simulation.peer("ann", host.address(8008));
    peer.send("connections\n");
    assert_eq!(peer.take_received(), b"error: only over a Unix socket\n");
    assert_eq!(peer.close_kind(), Some(End::Closed));
    peer.send("connections\n");
    simulation.run_for(Duration::from_secs(5));
    assert_eq!((peer.take_received(), host.open()), (vec![], 0), "it is not waited for");
}

#[test]
fn limits_can_be_replaced_once_it_listens() {
    let (_, host) = serve(Settings::default());
    let port = host.state();
    host.reactor(|reactor| reactor.set_limits(&*port, ConnectionLimits::new().max_connections(1)));
    let _first = host.unix_peer(PATH);
    assert!(host.unix_peer(PATH).close_kind().is_some());
}

/// Stays when it is asked to drain.
struct Stubborn;

impl<F> Protocol<F> for Stubborn {
    fn drain_requested(&mut self, _: &mut Context<'_, F>) {}
}

#[test]
fn a_listing_that_ends_in_a_drain_is_not_in_the_report() {
    let (simulation, host) = serve(Settings::default());
    host.reactor(|reactor| reactor.listen_tcp(8008, || Stubborn).unwrap());
    let client = || simulation.peer("ann", host.address(8007));
    let _clients: Vec<Peer> = (0..2000).map(|_| client()).collect();
    let stalled = host.unix_late_reader(PATH);
    stalled.send("connections\n");
    let stubborn = simulation.peer("ann", host.address(8008));
    let operator = host.unix_peer(PATH);
    let id = ids(&operator, "InspectionSession").remove(0);
    assert_eq!(ask(&operator, "drain 600").1, "ok");
    assert_eq!(ask(&operator, &format!("abort {id}")).1, "ok");
    stubborn.close_write();
    simulation.run_for(Duration::from_secs(1));
    let report = host.report().expect("only the listing was left");
    assert_eq!((report.drained, report.aborted, report.bytes_lost), (2001, 0, 0), "{report}");
}
