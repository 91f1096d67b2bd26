//! Unix sockets of the machine: their files, their locks, and their errors.

mod connecting;
mod descriptors;
mod listening;
mod serving;

use crate::support::TIMEOUT;
use socket2::{Domain, SockAddr, Type};
use std::io;
use std::path::Path;
use std::time::Instant;
use twistor::error::{ListenError, UnixSocketError};
use twistor::{Protocol, Reactor, Settings, UnixServerEndpoint};

struct Quiet;

impl<F> Protocol<F> for Quiet {}

fn inner(error: &io::Error) -> Option<UnixSocketError> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
}

/// Returns why a port cannot be opened.
#[track_caller]
fn refusal(reactor: &mut Reactor, at: impl Into<UnixServerEndpoint>) -> io::Error {
    match reactor.listen_unix(at, || Quiet) {
        Err(ListenError::Bind { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Leaves a file at the path where nobody listens, as a program that has crashed.
fn leave_stale(path: &Path) {
    // Nobody ever has: a program that another test starts at this moment would have a copy of the
    // socket until it runs.
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
}

/// Opens a port as soon as its former socket is closed. A program that another test starts has a
/// copy of it until it runs.
fn listen_in_the_end(reactor: &mut Reactor, at: &UnixServerEndpoint) {
    let start = Instant::now();
    while let Err(error) = reactor.listen_unix(at.clone(), || Quiet) {
        assert!(start.elapsed() < TIMEOUT, "{error}");
        std::thread::yield_now();
    }
}

/// Binds a socket that listens, and fills its backlog. Returns it with the clients in it.
fn listener_with_full_backlog(path: &Path) -> (socket2::Socket, Vec<socket2::Socket>) {
    let address = SockAddr::unix(path).unwrap();
    let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(_) => return (listener, waiting),
        }
    }
}

fn reactor() -> Reactor {
    Reactor::with_settings(Settings::default().handle_signals(false)).unwrap()
}
