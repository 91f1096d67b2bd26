//! TLS connections, with rustls' unbuffered engine: ciphertext is read into one buffer for all
//! connections and decrypted there, and the answer to a read leaves in one write.

use crate::server::{BUFFER_LEN, LISTENER, READS_PER_TURN, listen};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use twistor_benches::tls::{Outgoing, RECORD_LEN, RECORD_OVERHEAD, encrypt, process};
use twistor_benches::{ACKNOWLEDGEMENT, BLOCK, QUOTE, SINK_LEN, announce};

#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    Echo,
    Sink,
    Quote,
    /// Sends a block for each byte.
    Source,
}

/// How far this side's close is. A peer answers the end of its TLS data in kind, and to a socket that
/// is closed by then that answer is a reset, which can cost the peer what it has not read yet.
#[derive(PartialEq)]
enum Closing {
    Open,
    /// The end is said, and may be unsent.
    Ending,
    /// A FIN has left, and the peer's is waited for.
    Lingering,
}

struct Connection {
    socket: TcpStream,
    engine: UnbufferedServerConnection,
    /// The beginning of a record.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
    /// Nothing more is to come from the peer.
    ended: bool,
    closing: Closing,
    broken: bool,
    queued: bool,
    /// Of a sink: bytes since the last acknowledgement. Of a source: those to be answered.
    received: u64,
}

/// What all connections share.
struct Shared {
    work: Work,
    ciphertext: Vec<u8>,
    plaintext: Vec<u8>,
    outgoing: Outgoing,
}

pub fn serve(config: &Arc<ServerConfig>, work: Work) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?);
    let mut open: Slab<Connection> = Slab::new();
    let mut shared = Shared {
        work,
        ciphertext: vec![0; BUFFER_LEN + RECORD_LEN + RECORD_OVERHEAD],
        plaintext: Vec::with_capacity(BUFFER_LEN + RECORD_LEN),
        outgoing: Outgoing::default(),
    };
    let mut events = Events::with_capacity(1024);
    let (mut queue, mut served) = (Vec::new(), Vec::new());
    loop {
        let sleeps = queue.is_empty();
        match poll.poll(&mut events, if sleeps { None } else { Some(Duration::ZERO) }) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        std::mem::swap(&mut queue, &mut served);
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    let entry = open.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(entry.key()), both)?;
                    entry.insert(Connection::new(socket, config));
                }
            } else if let Some(connection) = open.get_mut(event.token().0) {
                connection.readable |= event.is_readable();
                connection.writable |= event.is_writable();
                connection.read_closed |= event.is_read_closed();
                if event.is_writable() {
                    connection.flush();
                }
                if !std::mem::replace(&mut connection.queued, true) {
                    served.push(event.token().0);
                }
            }
        }
        for key in served.drain(..) {
            let Some(connection) = open.get_mut(key) else { continue };
            connection.queued = connection.serve(&mut shared);
            if connection.is_over() {
                open.remove(key);
            } else if connection.queued {
                queue.push(key);
            }
        }
    }
}

impl Connection {
    fn new(socket: TcpStream, config: &Arc<ServerConfig>) -> Self {
        let engine = UnbufferedServerConnection::new(Arc::clone(config));
        Self {
            socket,
            engine: engine.expect("the configuration is complete"),
            partial: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            readable: false,
            writable: true,
            read_closed: false,
            ended: false,
            closing: Closing::Open,
            broken: false,
            queued: false,
            received: 0,
        }
    }

    /// Returns true if the socket is to be read. A peer that takes nothing is not read: what is
    /// unsent would only grow.
    fn wants_reading(&self) -> bool {
        self.readable && self.writable && !self.broken && !self.ended
    }

    fn is_over(&self) -> bool {
        self.broken || self.ended && self.unsent.is_empty()
    }

    /// True if there is more to read in the next turn.
    fn serve(&mut self, shared: &mut Shared) -> bool {
        for _ in 0..READS_PER_TURN {
            if !self.wants_reading() {
                return false;
            }
            let kept = self.partial.len();
            shared.ciphertext[..kept].copy_from_slice(&self.partial);
            match self.socket.read(&mut shared.ciphertext[kept..kept + BUFFER_LEN]) {
                Ok(0) => {
                    self.ended = true;
                    return false;
                }
                Ok(_) if self.closing != Closing::Open => {}
                Ok(count) => {
                    self.readable = count == BUFFER_LEN || self.read_closed;
                    if self.received(shared, kept + count).is_err() {
                        self.broken = true;
                        return false;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => self.readable = false,
                    _ => self.broken = true,
                },
            }
        }
        self.wants_reading()
    }

    fn received(&mut self, shared: &mut Shared, length: usize) -> Result<(), rustls::Error> {
        let Shared { work, ciphertext, plaintext, outgoing } = shared;
        plaintext.clear();
        outgoing.clear();
        let received = &mut self.received;
        let ciphertext = &mut ciphertext[..length];
        let progress = process(&mut self.engine, ciphertext, outgoing, |data| match work {
            Work::Echo => plaintext.extend_from_slice(data),
            Work::Sink => *received += data.len() as u64,
            Work::Source => *received += data.len() as u64,
            Work::Quote => {}
        })?;
        self.partial.clear();
        self.partial.extend_from_slice(&ciphertext[progress.consumed..]);
        self.ended = progress.ended;
        match work {
            Work::Echo if !plaintext.is_empty() => {
                encrypt(&mut self.engine, plaintext, false, outgoing)?;
            }
            Work::Sink if self.received >= SINK_LEN => {
                let count = self.received / SINK_LEN;
                self.received %= SINK_LEN;
                let answer = vec![ACKNOWLEDGEMENT; count as usize];
                encrypt(&mut self.engine, &answer, false, outgoing)?;
            }
            Work::Source => {
                for _ in 0..std::mem::take(&mut self.received) {
                    encrypt(&mut self.engine, &BLOCK, false, outgoing)?;
                }
            }
            Work::Quote if progress.established => {
                encrypt(&mut self.engine, QUOTE, true, outgoing)?;
                self.closing = Closing::Ending;
            }
            _ => {}
        }
        self.send(outgoing.data());
        self.linger();
        Ok(())
    }

    /// Sends a FIN, once all else is sent that comes before it.
    fn linger(&mut self) {
        if self.closing == Closing::Ending && self.unsent.is_empty() {
            self.closing = Closing::Lingering;
            self.broken |= self.socket.shutdown(Shutdown::Write).is_err();
        }
    }

    /// Sends at once what the socket takes, and keeps the rest.
    fn send(&mut self, data: &[u8]) {
        let taken = if self.unsent.is_empty() { self.write(data) } else { 0 };
        self.unsent.extend_from_slice(&data[taken..]);
    }

    fn flush(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.sent += self.write(&unsent[self.sent..]);
        self.unsent = unsent;
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
            self.linger();
        }
    }

    fn write(&mut self, data: &[u8]) -> usize {
        if data.is_empty() || !self.writable || self.broken {
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
