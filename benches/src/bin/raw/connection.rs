//! One connection: its socket, what is unsent, and what is known of both directions.

use mio::event::Event;
use mio::net::TcpStream;
use slab::Slab;
use std::io::{ErrorKind, Read, Write};

pub struct Connection<S> {
    socket: TcpStream,
    unsent: Vec<u8>,
    /// How many bytes of `unsent` have left.
    sent: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
    ended: bool,
    broken: bool,
    /// Among those that are to be served in the next turn.
    pub queued: bool,
    /// Among those that are to be flushed in this one.
    touched: bool,
    pub state: S,
}

impl<S: Default> Connection<S> {
    pub fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            unsent: Vec::new(),
            sent: 0,
            readable: false,
            writable: true,
            read_closed: false,
            ended: false,
            broken: false,
            queued: false,
            touched: false,
            state: S::default(),
        }
    }
}

impl<S> Connection<S> {
    pub fn notice(&mut self, event: &Event) {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        self.read_closed |= event.is_read_closed();
    }

    /// Returns true if the socket is to be read. A peer that takes nothing is not read: what is
    /// unsent would only grow.
    pub fn wants_reading(&self) -> bool {
        self.readable && self.writable && !self.broken
    }

    /// Nothing more is to come, in either direction.
    pub fn is_over(&self) -> bool {
        self.broken || self.ended && self.unsent.is_empty()
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.wants_reading() {
            return None;
        }
        match self.socket.read(buffer) {
            Ok(0) => {
                self.readable = false;
                self.ended = true;
                None
            }
            Ok(count) => {
                self.readable = count == buffer.len() || self.read_closed;
                Some(count)
            }
            Err(error) => {
                match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.readable = false,
                    _ => self.broken = true,
                }
                None
            }
        }
    }

    /// Sends at once what the socket takes, and keeps the rest.
    pub fn send(&mut self, data: &[u8]) {
        let taken = if self.unsent.is_empty() { self.write(data) } else { 0 };
        self.unsent.extend_from_slice(&data[taken..]);
    }

    /// Keeps what is to leave with all else that this turn has to say.
    pub fn say(&mut self, data: &[u8]) {
        self.unsent.extend_from_slice(data);
    }

    pub fn flush(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.sent += self.write(&unsent[self.sent..]);
        self.unsent = unsent;
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
    }

    /// Offers bytes to the socket, and returns how many it took.
    pub fn write(&mut self, data: &[u8]) -> usize {
        if !self.writable || self.broken {
            return 0;
        }
        match self.socket.write(data) {
            Ok(count) => {
                // A short write means that the socket is full; its next edge is sure to come.
                self.writable = count == data.len();
                count
            }
            Err(error) => {
                match error.kind() {
                    ErrorKind::Interrupted => return self.write(data),
                    ErrorKind::WouldBlock => self.writable = false,
                    _ => self.broken = true,
                }
                0
            }
        }
    }
}

/// All connections, and who of them is to be flushed at the end of the turn.
pub struct Connections<S> {
    pub open: Slab<Connection<S>>,
    pub touched: Vec<usize>,
}

impl<S> Connections<S> {
    pub fn new() -> Self {
        Self { open: Slab::new(), touched: Vec::new() }
    }

    /// Calls `change` for all that it may change, which it tells by `true`.
    pub fn for_each(&mut self, mut change: impl FnMut(usize, &mut Connection<S>) -> bool) {
        for (key, connection) in &mut self.open {
            if change(key, connection) && !connection.touched {
                connection.touched = true;
                self.touched.push(key);
            }
        }
    }

    pub fn change(&mut self, key: usize, change: impl FnOnce(&mut Connection<S>)) {
        let connection = &mut self.open[key];
        change(connection);
        if !std::mem::replace(&mut connection.touched, true) {
            self.touched.push(key);
        }
    }

    /// The next one to be flushed; gone if it has been closed meanwhile.
    pub fn untouch(&mut self, key: usize) -> Option<&mut Connection<S>> {
        let connection = self.open.get_mut(key)?;
        connection.touched = false;
        Some(connection)
    }
}
