//! Sessions of a connection: whole, cut in pieces, and damaged.

use super::*;
use twistor::testing::{Peer, Random, Simulation, assert_split_invariant_on};

const INFO: &str = "INFO {\"server_id\":\"S\",\"headers\":true,\"max_payload\":1024}\r\n";

/// Everything that a server may say to a client that is well.
fn session() -> Vec<u8> {
    let rest: &[u8] = b"PONG\r\nMSG a.b 1 5\r\nhello\r\nPING\r\n+OK\r\nMSG a.c 1 r.1 0\r\n\r\n\
        MSG a.b 1 9\r\nx\r\nPING\r\n\r\nHMSG a.d 1 r 18 22\r\nNATS/1.0\r\nA: 1\r\n\r\n\
        four\r\nHMSG a.d 1 21 21\r\nNATS/1.0 503 Nope\r\n\r\n\r\nMSG a.\xff 1 1\r\nx\r\n\
        HMSG a.d 1 3 4\r\nabcd\r\nMSG b 99 2\r\nno\r\n-ERR 'Permissions Violation'\r\n";
    let end = "MSG a.z 1 3\r\nend\r\nPING\r\n".as_bytes();
    [INFO.as_bytes(), rest, INFO.as_bytes(), end].concat()
}

/// A port where a client expects a server, and answers each message with its content.
fn boot(reactor: &mut twistor::Reactor) -> Result<Client, Box<dyn std::error::Error>> {
    let client = Client::unconnected(reactor);
    let own = client.clone();
    client.subscribe("a.>", move |_, message| {
        let header = message.header("A").unwrap_or("-").to_owned();
        let reply = message.reply().unwrap_or("none").to_owned();
        let seen = [header.as_bytes(), b" ", reply.as_bytes(), b" ", message.payload()];
        // A mutated session may have a limit, or a subject, that does not allow it.
        let _ = own.publish(format!("seen.{}", message.subject()), seen.concat());
    })?;
    reactor.listen_tcp(4222, ClientFactory { client: client.clone() })?;
    Ok(client)
}

fn connect() -> (Simulation, twistor::testing::Host<Client>, Peer) {
    let simulation = Simulation::new(1);
    let host = simulation.host("client", boot);
    let peer = simulation.peer("server", host.address(4222));
    (simulation, host, peer)
}

#[test]
fn a_session_is_answered() {
    let (_simulation, host, peer) = connect();
    peer.send(INFO);
    let said = String::from_utf8(peer.take_received()).unwrap();
    assert!(said.starts_with("CONNECT {") && said.ends_with("}\r\nPING\r\n"), "{said}");
    peer.send(&session()[INFO.len()..]);
    let expected = "SUB a.> 1\r\n\
        PUB seen.a.b 12\r\n- none hello\r\nPONG\r\nPUB seen.a.c 6\r\n- r.1 \r\n\
        PUB seen.a.b 16\r\n- none x\r\nPING\r\n\r\nPUB seen.a.d 8\r\n1 r four\r\n\
        PUB seen.a.d 7\r\n- none \r\nPUB seen.a.z 10\r\n- none end\r\nPONG\r\n";
    let said = String::from_utf8(peer.take_received()).unwrap();
    assert_eq!(said, expected);
    let statistics = host.state().statistics();
    assert_eq!((statistics.received, statistics.malformed), (6, 2));
}

#[test]
fn a_session_is_the_same_however_its_bytes_arrive() {
    assert_split_invariant_on(boot, 4222, session());
}

#[test]
fn what_a_server_must_not_say_ends_the_connection() {
    for (bytes, why) in [
        ("MSG a 1 1\r\nx\r\n".to_owned(), "does not begin with INFO"),
        ("PING\r\n".to_owned(), "does not begin with INFO"),
        (format!("{INFO}MSG a 1 1\r\nx\r\n"), "a message before its subscription"),
        (format!("{INFO}PONG\r\nMSG a.b 1 1\r\nxyz"), "a payload without its end"),
        (format!("{INFO}PONG\r\nMSG a.b 1 3\r\nx\r\nPING\r\n"), "a payload without its end"),
        (format!("{INFO}HELLO\r\n"), "an unknown command"),
        ("INFO {\r\n".to_owned(), "without a JSON object"),
        ("x".repeat(70_000), "more than 64 KiB"),
        ("INFO {\"tls_required\":true}\r\n".to_owned(), "TLS"),
    ] {
        let (_simulation, _host, peer) = connect();
        peer.send(bytes);
        let reason = peer.lost_reason().map(|reason| reason.to_string()).unwrap_or_default();
        assert!(reason.contains(why), "{reason:?} instead of {why:?}");
    }
}

#[test]
fn a_payload_above_the_limit_is_skipped() {
    let (_simulation, host, peer) = connect();
    peer.send([INFO, "PONG\r\n"].concat());
    for head in ["MSG a.b 1", "HMSG a.b 1 r 5"] {
        peer.send(format!("{head} {}\r\n", MAX_PAYLOAD + 1));
        let piece = vec![b'\n'; MAX_PAYLOAD / 16];
        (0..16).for_each(|_| peer.send(&piece));
        peer.send("x\r\nMSG a.b 1 1\r\nx\r\n");
    }
    let statistics = host.state().statistics();
    assert_eq!((statistics.received, statistics.malformed), (2, 2));
    // Nothing after its end can be trusted.
    peer.send(format!("MSG a.b 1 {}\r\n", MAX_PAYLOAD + 1));
    let piece = vec![b'\n'; MAX_PAYLOAD / 16 + 1];
    (0..16).for_each(|_| peer.send(&piece));
    let reason = peer.lost_reason().map(|reason| reason.to_string()).unwrap_or_default();
    assert!(reason.contains("a payload without its end"), "{reason}");
}

#[test]
fn a_message_with_too_many_headers_is_skipped() {
    let (_simulation, host, peer) = connect();
    peer.send([INFO, "PONG\r\n"].concat());
    let headers = format!("NATS/1.0\r\n{}\r\n", "A:\r\n".repeat(200_000));
    peer.send(format!("HMSG a.b 1 {} {0}\r\n{headers}\r\nMSG a.b 1 1\r\nx\r\n", headers.len()));
    let statistics = host.state().statistics();
    assert_eq!((statistics.received, statistics.malformed), (1, 1));
}

#[test]
fn a_server_that_sends_pings_and_takes_no_answers_does_not_fill_memory() {
    let (simulation, host, peer) = connect();
    peer.send([INFO, "PONG\r\n"].concat());
    let _ = peer.take_received();
    peer.stop_reading();
    let pings = "PING\r\n".repeat(100_000);
    let mut most = 0;
    for _ in 0..5 {
        peer.send(&pings);
        simulation.run_for(std::time::Duration::from_secs(1));
        let client = host.state();
        let state = client.state().borrow();
        most = most.max(state.link.live().unwrap().transport.unsent());
    }
    assert!((HIGH_WATER..2 * HIGH_WATER).contains(&most), "{most} bytes");
    // An answer that could not be sent follows.
    peer.resume_reading();
    simulation.run_for(std::time::Duration::from_secs(60));
    let pongs = peer.take_received().len() / "PONG\r\n".len();
    assert!((HIGH_WATER / 6..500_000).contains(&pongs), "{pongs}");
    peer.send("PING\r\n");
    assert_eq!(peer.take_received(), b"PONG\r\n");
}

#[test]
fn whatever_a_server_says_the_client_survives() {
    let good = session();
    let mut random = Random::new(11);
    let mut ended = 0;
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.next() as u8,
                1 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
                2 => bytes.insert(at, *random.pick(b"\r\n 09'\"{}\xffMP")),
                _ => bytes.extend_from_within(at..(at + 40).min(bytes.len())),
            }
            bytes.push(b'\n');
        }
        let (simulation, host, peer) = connect();
        for piece in bytes.chunks(1 + random.below(60)) {
            peer.send(piece);
        }
        simulation.run_for(std::time::Duration::from_secs(10));
        ended += usize::from(peer.lost_reason().is_some());
        assert!(host.state().statistics().received < 100);
    }
    // Some mutations hit a payload or a text, and most of them the protocol.
    assert!((100..400).contains(&ended), "{ended}");
}
