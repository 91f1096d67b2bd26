//! `Socket`: a client's TCP, or TLS on it.

use crate::failure::{Failure, Outcome};
use crate::order::Order;
use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use twistor_benches::tls::{Outgoing, RECORD_LEN, client_config, encrypt, process};

/// Ciphertext that is read at once, and plaintext that is encrypted at once.
const CHUNK_LEN: usize = 64 * 1024;

thread_local! {
    /// Where ciphertext is read, of all connections.
    static CIPHERTEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTGOING: RefCell<Outgoing> = RefCell::default();
}

/// How connections are encrypted, if they are.
#[derive(Clone)]
pub struct Encryption(Option<Arc<ClientConfig>>);

impl Encryption {
    pub fn new(order: &Order) -> Self {
        Self((order.tls > 0).then(|| client_config(order.resume > 0)))
    }

    /// Puts the encryption on a socket, TCP's being none.
    pub fn on<S>(&self, tcp: S, at: usize) -> Outcome<Socket<S>> {
        let Some(config) = &self.0 else { return Ok(Socket { tcp, tls: None }) };
        let name = "localhost".try_into().expect("it is a name");
        let engine = UnbufferedClientConnection::new(Arc::clone(config), name)
            .map_err(|error| Failure::of(at, error))?;
        let tls = Tls {
            engine,
            partial: Vec::new(),
            plaintext: Vec::new(),
            returned: 0,
            unsent: Vec::new(),
            withheld: false,
            established: false,
            ended: false,
        };
        Ok(Socket { tcp, tls: Some(Box::new(tls)) })
    }
}

pub struct Socket<S> {
    pub tcp: S,
    tls: Option<Box<Tls>>,
}

struct Tls {
    engine: UnbufferedClientConnection,
    /// The beginning of a record.
    partial: Vec<u8>,
    /// What nobody has asked for yet, from `returned` on.
    plaintext: Vec<u8>,
    returned: usize,
    /// Ciphertext that the socket has not taken.
    unsent: Vec<u8>,
    /// The last byte of a write is encrypted, and reported with the next one, so that the caller
    /// comes back.
    withheld: bool,
    established: bool,
    ended: bool,
}

impl<S> Socket<S> {
    /// Replaces the socket by what `change` makes of it, and keeps its TLS session.
    pub fn try_map<T>(self, change: impl FnOnce(S) -> Outcome<T>) -> Outcome<Socket<T>> {
        Ok(Socket { tcp: change(self.tcp)?, tls: self.tls })
    }

    /// True if it is encrypted, by a handshake that resumed nothing.
    pub fn began_afresh(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.engine.handshake_kind());
        kind.is_some_and(|kind| kind != rustls::HandshakeKind::Resumed)
    }
}

impl<S: Read + Write> Socket<S> {
    /// Sends what encryption itself has to say, such as the beginning of a handshake.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        if !tls.established && tls.unsent.is_empty() {
            tls.decrypt(&mut [])?;
        }
        tls.send(&mut self.tcp)
    }

    /// Shakes hands, if the socket blocks.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        self.flush()?;
        while let Some(tls) = self.tls.as_mut().filter(|tls| !tls.established) {
            tls.receive(&mut self.tcp)?;
            self.flush()?;
        }
        Ok(())
    }
}

impl<S: Read + Write> Read for Socket<S> {
    /// Less than the buffer has room for means that the socket was empty, as with TCP.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.read(buffer) };
        let mut filled = tls.take(buffer);
        while filled < buffer.len() && !tls.ended {
            match tls.receive(&mut self.tcp) {
                Ok(was_short) => {
                    tls.send(&mut self.tcp)?;
                    filled += tls.take(&mut buffer[filled..]);
                    if was_short && filled > 0 {
                        break;
                    }
                }
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl<S: Read + Write> Write for Socket<S> {
    /// Less than was offered means that the socket is full, as with TCP.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.tcp.write(data) };
        tls.send(&mut self.tcp)?;
        if !tls.unsent.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = usize::from(std::mem::take(&mut tls.withheld));
        while taken < data.len() && tls.unsent.is_empty() {
            let end = data.len().min(taken + CHUNK_LEN);
            tls.encrypt(&mut self.tcp, &data[taken..end])?;
            taken = end;
        }
        tls.withheld = !tls.unsent.is_empty();
        Ok(taken - usize::from(tls.withheld))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

impl Tls {
    /// Moves plaintext that has been decrypted.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plaintext[self.returned..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.returned += count;
        if self.returned == self.plaintext.len() {
            (self.plaintext, self.returned) = (Vec::new(), 0);
        }
        count
    }

    /// Reads once and decrypts. True if the socket had less than there was room for.
    fn receive(&mut self, tcp: &mut impl Read) -> io::Result<bool> {
        CIPHERTEXT.with_borrow_mut(|ciphertext| {
            let kept = self.partial.len();
            ciphertext.resize(CHUNK_LEN + 2 * RECORD_LEN, 0);
            let count = match tcp.read(&mut ciphertext[kept..kept + CHUNK_LEN])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => count,
            };
            ciphertext[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            let consumed = self.decrypt(&mut ciphertext[..kept + count])?;
            self.partial = ciphertext[consumed..kept + count].to_vec();
            Ok(count < CHUNK_LEN)
        })
    }

    /// Decrypts all whole records, and returns how many bytes they took.
    fn decrypt(&mut self, ciphertext: &mut [u8]) -> io::Result<usize> {
        OUTGOING.with_borrow_mut(|outgoing| {
            outgoing.clear();
            let plaintext = &mut self.plaintext;
            let progress = process(&mut self.engine, ciphertext, outgoing, |data| {
                plaintext.extend_from_slice(data);
            });
            self.unsent.extend_from_slice(outgoing.data());
            let progress = progress.map_err(invalid)?;
            self.established |= progress.established;
            self.ended |= progress.ended;
            Ok(progress.consumed)
        })
    }

    fn encrypt(&mut self, tcp: &mut impl Write, data: &[u8]) -> io::Result<()> {
        OUTGOING.with_borrow_mut(|outgoing| {
            outgoing.clear();
            encrypt(&mut self.engine, data, false, outgoing).map_err(invalid)?;
            let sent = offer(tcp, outgoing.data())?;
            self.unsent.extend_from_slice(&outgoing.data()[sent..]);
            Ok(())
        })
    }

    fn send(&mut self, tcp: &mut impl Write) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let sent = offer(tcp, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }
}

fn offer(tcp: &mut impl Write, data: &[u8]) -> io::Result<usize> {
    loop {
        match tcp.write(data) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
