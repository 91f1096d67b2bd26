//! The loop, which is the same for all purposes.

use crate::connection::{Connection, Connections};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use twistor_benches::announce;

pub const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 1024;
pub const BUFFER_LEN: usize = 64 * 1024;

/// Reads of one connection in a turn, so that a bulk sender does not hold up the others.
pub const READS_PER_TURN: usize = 4;
const ACCEPTS_PER_TURN: usize = 256;

/// What a server is for.
pub trait Service {
    /// What a connection has besides its socket.
    type State: Default;

    /// Says what is said first; false if that is all, and the connection is to be closed.
    fn greet(&mut self, _socket: &mut TcpStream) -> bool {
        true
    }

    fn received(&mut self, connections: &mut Connections<Self::State>, key: usize, data: &[u8]);

    fn flush(connection: &mut Connection<Self::State>) {
        connection.flush();
    }
}

struct Server<S: Service> {
    poll: Poll,
    listener: TcpListener,
    /// There may be somebody to accept.
    acceptable: bool,
    /// Nobody could be accepted, for want of descriptors.
    starved: bool,
    service: S,
    connections: Connections<S::State>,
    buffer: Vec<u8>,
    /// Connections that had more to read than one turn allows.
    queue: Vec<usize>,
    /// The queue of the turn that runs.
    served: Vec<usize>,
}

pub fn serve<S: Service>(service: S) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?);
    let mut server = Server {
        poll,
        listener,
        acceptable: false,
        starved: false,
        service,
        connections: Connections::new(),
        buffer: vec![0; BUFFER_LEN],
        queue: Vec::new(),
        served: Vec::new(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        server.turn(&mut events)?;
    }
}

pub fn listen() -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl<S: Service> Server<S> {
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let sleeps = self.queue.is_empty() && !self.acceptable;
        match self.poll.poll(events, if sleeps { None } else { Some(Duration::ZERO) }) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        std::mem::swap(&mut self.queue, &mut self.served);
        for event in &*events {
            match event.token() {
                LISTENER => self.acceptable = true,
                Token(key) => self.heed(key, event),
            }
        }
        let mut served = std::mem::take(&mut self.served);
        for key in served.drain(..) {
            if let Some(connection) = self.connections.open.get_mut(key) {
                connection.queued = false;
                self.serve(key);
            }
        }
        self.served = served;
        if self.acceptable {
            self.accept()?;
        }
        self.flush();
        Ok(())
    }

    fn heed(&mut self, key: usize, event: &Event) {
        let Some(connection) = self.connections.open.get_mut(key) else {
            return;
        };
        connection.notice(event);
        if event.is_writable() {
            S::flush(connection);
        }
        if !connection.queued {
            self.serve(key);
        }
    }

    fn serve(&mut self, key: usize) {
        for _ in 0..READS_PER_TURN {
            let Some(count) = self.connections.open[key].read(&mut self.buffer) else {
                break;
            };
            self.service.received(&mut self.connections, key, &self.buffer[..count]);
        }
        let connection = &mut self.connections.open[key];
        if connection.is_over() {
            self.close(key);
        } else if connection.wants_reading() {
            connection.queued = true;
            self.queue.push(key);
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((socket, _)) => self.welcome(socket)?,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    ErrorKind::WouldBlock => {
                        self.acceptable = false;
                        return Ok(());
                    }
                    _ => {
                        if !std::mem::replace(&mut self.starved, true) {
                            let why = "nobody can be accepted until somebody leaves";
                            // Not `eprintln!`, which panics where nobody can be written to.
                            let _ = writeln!(io::stderr(), "{why}: {error}");
                        }
                        self.acceptable = false;
                        return Ok(());
                    }
                },
            }
        }
        Ok(())
    }

    fn welcome(&mut self, mut socket: TcpStream) -> io::Result<()> {
        if !self.service.greet(&mut socket) {
            return Ok(());
        }
        let entry = self.connections.open.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(entry.key()), both)?;
        entry.insert(Connection::new(socket));
        Ok(())
    }

    fn flush(&mut self) {
        let mut touched = std::mem::take(&mut self.connections.touched);
        for key in touched.drain(..) {
            if let Some(connection) = self.connections.untouch(key) {
                S::flush(connection);
                if connection.is_over() {
                    self.close(key);
                }
            }
        }
        self.connections.touched = touched;
    }

    fn close(&mut self, key: usize) {
        self.connections.open.remove(key);
        self.acceptable |= std::mem::take(&mut self.starved);
    }
}
