//! Peers that have answered and closed before a write fails.

use crate::support::{Event, Server, TIMEOUT};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;

/// Enough to be written to the socket at once.
const LARGE: usize = 64 * 1024;

#[test]
fn the_answer_of_a_peer_is_delivered_though_a_write_fails_first() {
    let server = Server::new(|event, cx| match event {
        Event::Data(data) => cx.factory.note(String::from_utf8_lossy(data)),
        Event::ReadLost => cx.factory.note("by a FIN"),
        _ => {}
    });
    let mut peer = TcpStream::connect(server.address.socket_addr().unwrap()).unwrap();
    server.expect(&["started", "0 made"]);
    let (port, (answered_in, answered), (held_in, held)) =
        (server.port.key(), channel(), channel());
    // In one turn, before anything is read: the second write meets the reset with which a closed
    // socket answered the first.
    let write = move |reactor: &mut twistor::Reactor| {
        held_in.send(()).unwrap();
        answered.recv_timeout(TIMEOUT).unwrap();
        let transport = reactor.with_factory(port, |probes, _| probes.all[0].clone()).unwrap();
        while transport.accepts_writes() {
            transport.write([0; LARGE]);
        }
    };
    server.remote.call_from_thread(write).unwrap();
    held.recv_timeout(TIMEOUT).unwrap();
    peer.write_all(b"the answer").unwrap();
    peer.shutdown(Shutdown::Both).unwrap();
    drop(peer);
    answered_in.send(()).unwrap();
    server.expect(&["the answer"]);
    let lost = server.next();
    assert!(["0 lost: BrokenPipe", "0 lost: ConnectionReset"].contains(&&*lost), "{lost}");
}
