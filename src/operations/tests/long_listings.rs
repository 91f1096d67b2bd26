//! Listings of very many connections.

use super::inspecting::{Echo, PATH, ask, serve};
use crate::driver::scripted::Script;
use crate::inspection::InspectionCursor;
use crate::{ConnectionId, Reactor, Settings};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Connections that take many turns to list.
const MANY: usize = 20_000;

/// Connections in a test that reads all lines of a listing.
const SOME: usize = 5_000;

/// Lines that one turn of a listing sends at most, and the most bytes of a line.
const LINES_PER_TURN: usize = 256;
const LINE_MAX: u64 = 120;

/// Parts of a listing between turns: each turn costs the scripted driver time for all connections.
const TURNS_APART: usize = 4;

fn turn(reactor: &mut Reactor) {
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
}

#[test]
fn a_listing_of_twenty_thousand_looks_at_a_part_at_a_time_and_misses_none_that_stays() {
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    reactor.listen_tcp(8007, || Echo).unwrap();
    let mut peers: Vec<_> = (0..MANY).map(|_| Some(script.connect())).collect();
    while reactor.connection_count() < MANY {
        turn(&mut reactor);
    }
    let mut cursor = InspectionCursor::default();
    let mut before = BTreeSet::new();
    let mut listed = BTreeMap::<ConnectionId, usize>::new();
    let mut calls = 0;
    while let Some(part) = reactor.next_connections(&mut cursor) {
        assert!(part.len() <= LINES_PER_TURN);
        for connection in part {
            *listed.entry(connection.id).or_default() += 1;
        }
        // The table changes: some that were listed and some that were not end, and others begin.
        for peer in [calls * 80, MANY - 1 - calls * 70] {
            if let Some(peer) = peers[peer].take() {
                peer.reset();
            }
        }
        peers.push(Some(script.connect()));
        if calls % TURNS_APART == 0 {
            turn(&mut reactor);
        }
        calls += 1;
    }
    assert!((MANY / LINES_PER_TURN..4 * MANY / LINES_PER_TURN).contains(&calls), "{calls}");
    assert!(listed.values().all(|count| *count == 1), "no connection is listed twice");
    let mut all = InspectionCursor::default();
    while let Some(part) = reactor.next_connections(&mut all) {
        before.extend(part.into_iter().map(|it| it.id));
    }
    // Those that were there all the time are those that came first and are still there.
    let stayed = before.iter().filter(|id| id.slot.generation() < MANY as u32);
    assert!(stayed.clone().count() > MANY - 2 * calls - 1);
    assert!(stayed.into_iter().all(|id| listed.contains_key(id)));
}

#[test]
fn a_session_sends_a_part_of_its_listing_in_a_turn_and_delays_nobody() {
    let (simulation, host) = serve(Settings::default());
    let clients: Vec<_> = (0..SOME).map(|_| simulation.peer("ann", host.address(8007))).collect();
    let inspector = host.unix_late_reader(PATH);
    let seen = |reactor: &mut Reactor| {
        let metrics = reactor.metrics();
        (metrics.turns, metrics.bytes_sent)
    };
    let last = Cell::new(host.reactor(seen));
    let most = Cell::new(0);
    inspector.send("connections Echo\n");
    let question = || {
        let (before, now) = (last.get(), host.reactor(seen));
        most.set(most.get().max((now.1 - before.1) / (now.0 - before.0).max(1)));
        last.set(now);
        false
    };
    simulation.run_until(Duration::from_secs(1), question);
    assert!(most.get() <= LINES_PER_TURN as u64 * LINE_MAX, "{} bytes", most.get());
    let sent = host.reactor(|reactor| reactor.metrics().bytes_sent);
    // It reads nothing yet: what was sent is a socket's buffer, and a little more waits.
    let unsent = host.reactor(|reactor| reactor.metrics().unsent) as u64;
    assert!(unsent < 64 * 1024 + LINES_PER_TURN as u64 * LINE_MAX, "{unsent} bytes wait");
    // Meanwhile others are served, and the listing continues when it is read.
    clients[0].send("hello");
    assert_eq!(clients[0].take_received(), b"hello");
    assert!(host.reactor(|reactor| reactor.metrics().bytes_sent) > sent);
    inspector.resume_reading();
    simulation.run_for(Duration::from_secs(1));
    let text = String::from_utf8(inspector.take_received()).unwrap();
    assert_eq!(text.lines().filter(|it| it.ends_with("protocol=Echo")).count(), SOME);
    assert!(text.ends_with("\nok\n"));
    assert_eq!(ask(&inspector, "timers").1, "ok");
}

#[test]
fn an_operator_that_stops_reading_is_lost() {
    let (simulation, host) = serve(Settings::default());
    let _clients: Vec<_> = (0..SOME).map(|_| simulation.peer("ann", host.address(8007))).collect();
    let inspector = host.unix_late_reader(PATH);
    inspector.send("connections\n");
    let open = |reactor: &mut Reactor| reactor.connection_count();
    assert_eq!(host.reactor(open), SOME + 1);
    simulation.run_for(Duration::from_secs(130));
    assert_eq!(host.reactor(open), SOME);
}
