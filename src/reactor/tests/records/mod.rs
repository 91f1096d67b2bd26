//! Streams that hold bytes: a record layer on scripted sockets, and scripted streams with records
//! of their own.

mod ends;
mod reading;
mod writing;

use super::*;

/// Length of a record. The layer holds four.
const RECORD: usize = 100;

const SECOND: Duration = Duration::from_secs(1);
const DONE: &str = "0 lost: connection closed gracefully";
const ANY_ROOM: usize = usize::MAX / 2;

fn layered(act: fn(Event<'_>, &mut Context<'_, Probes>)) -> Fixture {
    Fixture::with(settings(), act)
}

fn settings() -> Settings {
    Settings::default().close_timeout(10 * SECOND).record_layer(RECORD)
}

/// Returns bytes in which a missing or doubled piece shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256 * 13) as u8).collect()
}

/// Connects a peer whose socket is full, and writes less than the layer holds: the write buffer is
/// empty then.
fn hold(fixture: &mut Fixture, data: &[u8]) -> (Peer, Transport) {
    let peer = fixture.connect();
    peer.set_room(0);
    let transport = fixture.transport(0);
    transport.write(data);
    fixture.settle();
    assert_eq!((transport.unsent(), peer.received().len()), (data.len(), 0));
    (peer, transport)
}

/// Returns how many bytes were delivered to the first connection.
fn delivered(fixture: &Fixture) -> usize {
    let log = fixture.log.0.borrow();
    let lengths = log.iter().filter_map(|it| it.strip_prefix("0 data ")?.strip_suffix(" bytes"));
    lengths.map(|length| length.parse::<usize>().unwrap()).sum()
}
