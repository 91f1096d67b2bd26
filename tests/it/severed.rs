//! Peers that have answered and are gone before a write finds out.

use crate::support::{Event, PATIENCE, Server};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;

/// Enough to go to the system at once.
const LARGE: usize = 64 * 1024;

#[test]
fn what_a_peer_has_answered_is_delivered_though_a_write_fails_first() {
    let server = Server::new(|event, cx| match event {
        Event::Data(data) => cx.factory.note(String::from_utf8_lossy(data)),
        Event::ReadLost => cx.factory.note("by a FIN"),
        _ => {}
    });
    let mut peer = TcpStream::connect(server.address).unwrap();
    server.expect(&["started", "0 made"]);
    let (port, (answered_in, answered), (held_in, held)) =
        (server.port.key(), channel(), channel());
    // In one turn, before anything is read: the second write meets the reset that is the answer of
    // a socket that is closed to the first.
    let write = move |reactor: &mut twistor::Reactor| {
        held_in.send(()).unwrap();
        answered.recv_timeout(PATIENCE).unwrap();
        let transport = reactor.with_factory(port, |probes, _| probes.all[0].clone()).unwrap();
        while transport.accepts_writes() {
            transport.write([0; LARGE]);
        }
    };
    server.remote.call_from_thread(write).unwrap();
    held.recv_timeout(PATIENCE).unwrap();
    peer.write_all(b"the answer").unwrap();
    peer.shutdown(Shutdown::Both).unwrap();
    drop(peer);
    answered_in.send(()).unwrap();
    server.expect(&["the answer"]);
    let lost = server.next();
    assert!(["0 lost: BrokenPipe", "0 lost: ConnectionReset"].contains(&&*lost), "{lost}");
}
