//! Connections as all workloads make and use them.

use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::process::Process;
use crate::socket::{Encryption, Socket};
use crate::watch::{PATIENCE, stuck};
use mio::net::TcpStream;
use socket2::{Domain, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Connections from one address of this host. Linux gives connections to one server half of its
/// 28 000 ports, and when most of them are taken it looks at thousands for each.
const SAME_SOURCE: usize = 4096;

/// Connects and waits for it: one at a time, so that no server's backlog overflows while each is
/// also [served](exchange) before the next one comes.
pub fn connect(address: SocketAddr, at: usize) -> Outcome<std::net::TcpStream> {
    let connected = || {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if let SocketAddr::V4(server) = address {
            if server.ip().is_loopback() {
                socket.bind(&SocketAddr::from((source(at), 0)).into())?;
            }
        }
        socket.connect_timeout(&address.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        // BBR, where it is the default, sets a timer for each segment, which is for real networks.
        let _ = socket.set_tcp_congestion(b"reno");
        // Close by reset: thousands of sockets in TIME_WAIT would disturb the next run.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket.into())
    };
    connected().map_err(|error| Failure::of(at, format!("{error}{}", advice(&error))))
}

/// 127.0.0.1 and the addresses after it, which are all this host.
fn source(at: usize) -> Ipv4Addr {
    let first = u32::from(Ipv4Addr::LOCALHOST);
    Ipv4Addr::from(first + (at / SAME_SOURCE) as u32)
}

pub fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        _ if error.raw_os_error() == Some(EMFILE) => {
            "; raise the limit of descriptors with `ulimit -n`, or ask for fewer connections"
        }
        // The second is what binding says of it.
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
            "; the ports of this host are used up: wait a minute and try again"
        }
        _ => "",
    }
}

const EMFILE: i32 = 24;

/// Sends a request and waits for the reply, before anything is measured.
pub fn exchange(
    socket: &mut Socket<std::net::TcpStream>,
    at: usize,
    request: &[u8],
    reply: &[u8],
) -> Outcome<()> {
    let failure = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock => stuck(),
        ErrorKind::UnexpectedEof => closed(at),
        _ => Failure::of(at, error),
    };
    socket.shake_hands().map_err(failure)?;
    socket.write_all(request).map_err(failure)?;
    let mut got = vec![0; reply.len()];
    socket.read_exact(&mut got).map_err(failure)?;
    if got == reply { Ok(()) } else { Err(Failure::wrong_bytes(at, 0, reply, &got)) }
}

pub fn nonblocking(socket: Socket<std::net::TcpStream>, at: usize) -> Outcome<Socket<TcpStream>> {
    socket.try_map(|tcp| {
        tcp.set_nonblocking(true).map_err(|error| Failure::of(at, error))?;
        Ok(TcpStream::from_std(tcp))
    })
}

pub fn closed(at: usize) -> Failure {
    Failure::of(at, "the server closed it")
}

/// Reads what has arrived; `None` if nothing has.
pub fn read(
    socket: &mut Socket<TcpStream>,
    at: usize,
    buffer: &mut [u8],
) -> Outcome<Option<usize>> {
    loop {
        match socket.read(buffer) {
            Ok(0) => return Err(closed(at)),
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::of(at, error)),
        }
    }
}

/// Offers bytes to the socket, and returns how many it took.
pub fn write(socket: &mut Socket<TcpStream>, at: usize, data: &[u8]) -> Outcome<usize> {
    loop {
        match socket.write(data) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::of(at, error)),
        }
    }
}

/// Connects all, where no reply tells whether one is served: then the server's rest does.
pub fn connect_unserved(order: &Order) -> Outcome<Vec<Socket<std::net::TcpStream>>> {
    /// Fewer than the backlog of every server.
    const AT_ONCE: usize = 512;
    let (server, encryption) = (Process(order.pid), Encryption::new(order));
    let mut sockets = Vec::with_capacity(order.connections);
    for at in 0..order.connections {
        let mut socket = encryption.on(connect(order.address, at)?, at)?;
        socket.shake_hands().map_err(|error| Failure::of(at, error))?;
        sockets.push(socket);
        if (at + 1) % AT_ONCE == 0 {
            server.settle()?;
        }
    }
    server.settle()?;
    Ok(sockets)
}
