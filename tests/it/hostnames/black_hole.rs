//! A host whose first address answers nothing: a port with a full backlog, which Linux lets do so.

use super::system::{call, expect, resolver};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use twistor::HostnameEndpoint;

/// A port that answers no SYN, since its backlog is full.
struct Mute {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

fn mute() -> Mute {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    // Linux keeps one more than the backlog.
    while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(client);
        assert!(waiting.len() < 10, "the backlog is never full");
    }
    Mute { address, _listener: listener, _waiting: waiting }
}

#[test]
fn a_black_hole_costs_a_delay_and_the_winner_works_in_both_directions() {
    let (mute, listener) = (mute(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let server = listener.local_addr().unwrap();
    let delay = Duration::from_millis(50);
    let endpoint = HostnameEndpoint::new("db.test", 80).unwrap().attempt_delay(delay);
    let addresses = vec![mute.address, server];
    let began = Instant::now();
    let heard = call(endpoint, move |reactor| reactor.set_resolver(resolver(addresses)));
    let (mut peer, _) = listener.accept().unwrap();
    // All of it may arrive before the loop has looked at the attempt.
    peer.write_all(b"welcome").unwrap();
    expect(&heard, &format!("made {server}"));
    assert!(began.elapsed() >= delay);
    expect(&heard, "heard welcome");
    let mut hello = [0; 5];
    peer.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    peer.write_all(b"more").unwrap();
    expect(&heard, "heard more");
    drop(peer);
    expect(&heard, "lost: connection closed gracefully");
}
