//! The stages of a connection before it has a protocol: PROXY headers, on either side.

use super::*;
use crate::driver::scripted::Closed;
use crate::limits::{ConnectionLimits, RejectionStats};
use crate::proxy_protocol::{ProxyHeader, Tlv};
use crate::{ClientEndpoint, Connector};
use std::net::SocketAddr;

/// A header of a client, and the addresses in it.
const LINE: &str = "PROXY TCP4 203.0.113.9 192.0.2.80 40001 443\r\n";
const CLIENT: &str = "203.0.113.9:40001";
const ASKED_FOR: &str = "192.0.2.80:443";

/// A health check of haproxy, as recorded.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn client_header() -> ProxyHeader {
    let [client, server] = [CLIENT, ASKED_FOR].map(|it| it.parse::<SocketAddr>().unwrap());
    ProxyHeader::new(client, server)
}

/// Returns a fixture whose port is for proxies in the network of the scripted peers.
fn behind_proxies(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Fixture {
    listening("haproxy:tcp:8007:trust=192.0.2.0/24", act)
}

fn listening(description: &str, act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Fixture {
    listening_with(Settings::default(), description, act)
}

fn listening_with(
    settings: Settings,
    description: &str,
    act: fn(Event<'_>, &mut Context<'_, Probes>),
) -> Fixture {
    let (script, log) = (Script::new(), Log::default());
    let mut reactor = Reactor::with_driver(script.driver(), settings);
    let probes = Probes { log: log.clone(), act, all: Vec::new(), key: Rc::default() };
    let port = reactor.listen(description, probes).unwrap();
    Fixture { script, reactor, port, log }
}

fn rejections(fixture: &Fixture) -> RejectionStats {
    fixture.reactor.rejections(&fixture.port).unwrap()
}

/// Asserts that no client is counted, in all or for its peer.
#[track_caller]
fn expect_none_counted(fixture: &mut Fixture) {
    let slot = fixture.reactor.slot(fixture.port.key()).unwrap();
    assert_eq!((slot.admission.open(), slot.admission.peers()), (0, 0));
    fixture.expect_empty();
}

/// Notes the addresses when the connection is made, then echoes.
fn report(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    if event == Event::Made {
        let transport = cx.transport;
        let (peer, local) = (transport.peer_address(), transport.local_address());
        let proxy = transport.proxy_address().unwrap();
        cx.factory.log.push(format!("{peer} to {local} by {proxy}"));
    }
    echo(event, cx);
}

#[test]
fn a_protocol_is_built_for_the_client_of_the_header_and_gets_the_bytes_behind_it() {
    let mut fixture = behind_proxies(report);
    let peer = fixture.script.connect();
    peer.send(format!("{LINE}hello"));
    fixture.settle();
    let proxy = format!("{CLIENT} to {ASKED_FOR} by 192.0.2.1:0");
    fixture.log.expect(&["0 made", &proxy, "0 data hello"]);
    assert_eq!(peer.received(), b"hello");
    peer.close();
    fixture.settle();
    fixture.log.expect(&["0 read lost", "0 lost: connection closed gracefully"]);
    expect_none_counted(&mut fixture);
}

#[test]
fn a_header_that_comes_a_byte_at_a_time_is_read_to_its_end() {
    let mut binary = Vec::new();
    let header = client_header();
    let header = header.with_tlv(Tlv::AUTHORITY, b"example.org").unwrap();
    header.with_checksum().unwrap().encode(&mut binary);
    for header in [LINE.as_bytes(), &binary] {
        let mut fixture = behind_proxies(report);
        let peer = fixture.connect();
        for byte in header {
            fixture.log.expect(&[]);
            assert_eq!(fixture.reactor.connection_count(), 0);
            peer.send([*byte]);
            fixture.settle();
        }
        assert_eq!(fixture.log.count("0 made"), 1);
        assert_eq!(fixture.reactor.timers.len(), 0, "the handshake timeout is over");
        let transport = fixture.transport(0);
        let header = transport.proxy_header().unwrap();
        assert!(matches!(header.authority(), None | Some("example.org")));
        peer.send("hello");
        fixture.settle();
        assert_eq!(peer.received(), b"hello");
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_is_rejected_whatever_it_sends() {
    let mut fixture = listening("haproxy:tcp:8007", report);
    let stranger = fixture.script.connect();
    stranger.send(LINE);
    let proxy = fixture.script.connect_from([127, 0, 0, 1]);
    proxy.send(LINE);
    fixture.settle();
    assert_eq!(stranger.closed(), Closed::InOrder);
    assert_eq!((fixture.log.count("0 made"), rejections(&fixture).handshake), (1, 1));
    assert_eq!(fixture.reactor.metrics().rejected, 1);
}

#[test]
fn a_wrong_header_ends_the_connection_at_its_first_wrong_byte() {
    for wrong in
        ["G", "PROXX", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "\r\n\r\n\0\r\nQUIT\n\x11"]
    {
        let mut fixture = behind_proxies(report);
        let peer = fixture.script.connect();
        peer.send(wrong);
        fixture.settle();
        assert_eq!(peer.closed(), Closed::InOrder, "{wrong:?}");
        fixture.log.expect(&[]);
        assert_eq!(rejections(&fixture).handshake, 1);
        expect_none_counted(&mut fixture);
    }
}

#[test]
fn a_client_that_leaves_before_its_header_is_complete_is_no_rejection() {
    for (sent, reset) in [("", false), ("PROXY TCP4", false), ("PROXY", true)] {
        let mut fixture = behind_proxies(report);
        let peer = fixture.connect();
        peer.send(sent);
        fixture.settle();
        if reset {
            peer.reset();
        } else {
            peer.close();
        }
        fixture.settle();
        fixture.log.expect(&[]);
        assert_ne!(peer.closed(), Closed::No);
        assert_eq!(rejections(&fixture), RejectionStats::default());
        expect_none_counted(&mut fixture);
    }
}

#[test]
fn a_health_check_that_leaves_has_no_protocol_and_one_that_stays_has_its_own_address() {
    let mut fixture = behind_proxies(report);
    let check = fixture.script.connect();
    check.send(LOCAL);
    check.close();
    fixture.settle();
    fixture.log.expect(&[]);
    assert_eq!(check.closed(), Closed::InOrder);
    assert_eq!(rejections(&fixture), RejectionStats::default());
    let reset = fixture.script.connect();
    reset.send(LOCAL);
    reset.reset_in_line();
    fixture.settle();
    fixture.log.expect(&[]);
    assert_ne!(reset.closed(), Closed::No, "no error is swallowed");
    for header in [LOCAL, b"PROXY UNKNOWN\r\n"] {
        let mut fixture = behind_proxies(report);
        let check = fixture.script.connect();
        check.send([header, b"ping"].concat());
        fixture.settle();
        assert_eq!(check.received(), b"ping");
        let own = "192.0.2.1:0 to 127.0.0.1:8007 by 192.0.2.1:0";
        fixture.log.expect(&["0 made", own, "0 data ping"]);
    }
}

#[test]
fn the_handshake_timeout_covers_the_whole_header_and_looks_before_it_ends_a_connection() {
    let mut fixture = behind_proxies(report);
    let (slow, late) = (fixture.script.connect(), fixture.script.connect());
    fixture.settle();
    let header = LINE.as_bytes();
    for second in 0..9 {
        slow.send(&header[second..=second]);
        fixture.script.advance(Duration::from_secs(1));
        fixture.settle();
    }
    assert_eq!(slow.closed(), Closed::No);
    // The loop is late, and the header has come meanwhile.
    late.send(LINE);
    fixture.script.advance(Duration::from_secs(5));
    fixture.settle();
    assert_eq!((slow.closed(), late.closed()), (Closed::InOrder, Closed::No));
    assert_eq!((fixture.log.count("0 made"), rejections(&fixture).handshake), (1, 1));
    assert_eq!(fixture.reactor.timers.len(), 0);
    late.close();
    fixture.settle();
    expect_none_counted(&mut fixture);
}

#[test]
fn limits_for_each_peer_count_the_clients_of_a_proxy() {
    let mut fixture = behind_proxies(echo);
    let limits = ConnectionLimits::new().max_per_peer(1).reject_message("too many");
    assert!(fixture.reactor.set_limits(&fixture.port, limits.clone()));
    let send = |fixture: &mut Fixture, client: &str| {
        let peer = fixture.script.connect();
        peer.send(format!("PROXY TCP4 {client} 192.0.2.80 40001 443\r\n"));
        fixture.settle();
        peer
    };
    let first = send(&mut fixture, "203.0.113.1");
    let other = send(&mut fixture, "203.0.113.2");
    let second = send(&mut fixture, "203.0.113.1");
    assert_eq!((first.closed(), other.closed()), (Closed::No, Closed::No));
    assert_eq!((second.received(), second.output_finished()), (b"too many".to_vec(), true));
    assert_eq!((fixture.log.count("1 made"), rejections(&fixture).per_peer), (1, 1));
    first.close();
    second.close();
    fixture.settle();
    let third = send(&mut fixture, "203.0.113.1");
    assert_eq!(third.closed(), Closed::No);
    // The clients are counted again while one is arriving: that one counts for no peer yet.
    let late = fixture.connect();
    assert!(fixture.reactor.set_limits(&fixture.port, limits));
    late.send(LINE);
    fixture.settle();
    for peer in [other, third, late] {
        peer.close();
    }
    fixture.settle();
    expect_none_counted(&mut fixture);
}

#[test]
fn a_connection_that_does_not_arrive_takes_no_place_of_its_proxy() {
    let mut fixture = behind_proxies(echo);
    fixture.reactor.set_limits(&fixture.port, ConnectionLimits::new().max_per_peer(1));
    let local = |fixture: &mut Fixture| {
        let peer = fixture.script.connect();
        peer.send(LOCAL);
        fixture.settle();
        peer
    };
    let own = local(&mut fixture);
    for header in ["", "no header", "PROXY"] {
        let arriving = fixture.script.connect();
        arriving.send(header);
        fixture.settle();
        arriving.close();
        fixture.settle();
        let second = local(&mut fixture);
        assert_ne!(second.closed(), Closed::No, "after {header:?} the first still counts");
    }
    own.close();
    fixture.settle();
    assert_eq!(local(&mut fixture).closed(), Closed::No);
}

#[test]
fn a_connection_counts_for_the_total_limit_from_the_moment_it_is_accepted() {
    let mut fixture = behind_proxies(echo);
    fixture.reactor.set_limits(&fixture.port, ConnectionLimits::new().max_connections(1));
    let arriving = fixture.connect();
    let surplus = fixture.connect();
    assert_eq!((arriving.closed(), surplus.closed()), (Closed::No, Closed::InOrder));
    assert_eq!(rejections(&fixture).connections, 1);
    arriving.send("no header");
    fixture.settle();
    let next = fixture.connect();
    assert_eq!(next.closed(), Closed::No);
    next.close();
    fixture.settle();
    expect_none_counted(&mut fixture);
}

#[test]
fn a_stop_and_a_drain_end_arriving_connections_without_a_callback() {
    for drain in [None, Some(Duration::from_secs(5))] {
        let mut fixture = behind_proxies(echo);
        let (arriving, arrived) = (fixture.connect(), fixture.connect());
        arriving.send("PROXY");
        // This header has come before the stop.
        arrived.send(LINE);
        fixture.turn();
        match drain {
            Some(deadline) => fixture.reactor.stop_gracefully(deadline),
            None => fixture.reactor.stop(),
        }
        let stopped = (0..20).any(|_| {
            fixture.script.advance(Duration::from_secs(1));
            fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_break()
        });
        assert!(stopped);
        assert_ne!(arriving.closed(), Closed::No);
        let log = fixture.log.0.borrow().clone();
        assert_eq!(log.iter().filter(|entry| entry.ends_with(" made")).count(), 1, "{log:?}");
        assert_eq!(fixture.reactor.connections.len(), fixture.reactor.lingerers.len());
    }
}

/// Begins to connect with a PROXY header. Returns its bytes, too.
fn dial(fixture: &mut Fixture) -> (Connector<Probes>, Peer, Vec<u8>) {
    let header = client_header();
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    let endpoint: ClientEndpoint = "tcp:192.0.2.7:80:timeout=5".parse().unwrap();
    let endpoint = endpoint.proxy_header(header);
    let connector = endpoint.connect(&mut fixture.reactor, &fixture.port).unwrap();
    (connector, fixture.script.dialled(), bytes)
}

#[test]
fn a_header_is_sent_before_everything_else_however_little_room_there_is() {
    let mut fixture = behind_proxies(echo);
    let (connector, peer, header) = dial(&mut fixture);
    connector.transport().write("early ");
    peer.set_room(0);
    peer.answer();
    fixture.settle();
    for count in 0..header.len() {
        fixture.log.expect(&[]);
        assert_eq!(connector.transport().unsent(), 6);
        assert_eq!(peer.received(), &header[count.saturating_sub(1)..count]);
        peer.set_room(1);
        fixture.settle();
    }
    fixture.log.expect(&["0 made"]);
    assert_eq!(peer.received(), &header[header.len() - 1..]);
    peer.set_room(1000);
    fixture.settle();
    connector.transport().write("bytes");
    fixture.settle();
    assert_eq!(peer.received(), b"early bytes");
    assert_eq!(fixture.reactor.timers.len(), 0);
}

#[cfg(feature = "testing")]
#[test]
fn layers_come_after_the_header_on_either_side() {
    // A record is longer than a header: a layer would hold this back.
    let settings = Settings::default().record_layer(1000);
    let description = "haproxy:tcp:8007:trust=192.0.2.0/24";
    let mut fixture = listening_with(settings, description, echo);
    let peer = fixture.script.connect();
    peer.send(LINE);
    fixture.settle();
    fixture.log.expect(&["0 made"]);
    peer.send("hello");
    fixture.settle();
    fixture.log.expect(&["0 data hello"]);
    assert_eq!(peer.received(), b"hello");
    let (_, server, header) = dial(&mut fixture);
    server.set_room(header.len() - 1);
    server.answer();
    fixture.settle();
    assert_eq!(server.received(), &header[..header.len() - 1]);
    server.set_room(1000);
    fixture.settle();
    fixture.log.expect(&["1 made"]);
    server.send("hello");
    fixture.settle();
    assert_eq!(server.received(), [&header[header.len() - 1..], b"hello"].concat());
}

#[test]
fn an_attempt_that_cannot_send_its_header_fails() {
    let mut fixture = behind_proxies(echo);
    let (_, peer, _) = dial(&mut fixture);
    peer.set_room(3);
    peer.answer();
    fixture.settle();
    fixture.script.advance(Duration::from_secs(5));
    fixture.settle();
    fixture.log.expect(&["failed: timed out"]);
    let (connector, peer, _) = dial(&mut fixture);
    peer.set_room(3);
    peer.answer();
    fixture.settle();
    connector.transport().abort_connection();
    fixture.settle();
    fixture.log.expect(&["failed: connection aborted"]);
    let (_, peer, _) = dial(&mut fixture);
    peer.set_room(3);
    peer.answer();
    fixture.settle();
    peer.reset();
    fixture.settle();
    fixture.log.expect(&["failed: broken pipe"]);
    fixture.expect_empty();
}

#[test]
fn an_own_connection_is_announced_as_such() {
    for (description, header) in [
        ("haproxy:tcp:192.0.2.7:80", LOCAL),
        ("haproxy:tcp:192.0.2.7:80:version=1", b"PROXY UNKNOWN\r\n"),
    ] {
        let mut fixture = behind_proxies(quiet);
        let port = fixture.port.clone();
        fixture.reactor.connect(description, &port).unwrap();
        let peer = fixture.script.dialled();
        peer.answer();
        fixture.settle();
        assert_eq!(peer.received(), header);
        fixture.log.expect(&["0 made"]);
    }
}
