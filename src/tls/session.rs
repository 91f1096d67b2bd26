//! `Session`: the TLS of one connection, bytes in and bytes out. No socket.

use super::record::{RECORD_MAX, RECORD_OVERHEAD};
use super::{Outgoing, TlsAcceptor, TlsConnector, TlsInfo};
use crate::panic::{Panic, guard};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error, OtherError};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Room for an alert and its record, for a first try: an alert takes less in every version.
const ALERT_ROOM: usize = 64;

/// The TLS of one connection.
pub(crate) struct Session {
    engine: Engine,
    /// The name that the client has asked for.
    server_name: Option<Box<str>>,
    progress: Progress,
    accepts_truncation: bool,
}

/// How far the two directions have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    received_close: bool,
    sent_close: bool,
}

enum Engine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// Where received plaintext goes.
pub(crate) struct Plaintext<'a> {
    /// The buffer that is filled first.
    pub(crate) buffer: &'a mut [u8],
    pub(crate) filled: usize,
    /// Plaintext that the buffer has no room for: at most the rest of one call's record.
    pub(crate) rest: &'a mut Vec<u8>,
}

/// What a call has done with the ciphertext that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes of it that are not needed any more.
    pub(crate) consumed: usize,
    /// It ended because the buffer is full: what is left may have whole records.
    pub(crate) may_have_more: bool,
}

impl Plaintext<'_> {
    fn push(&mut self, payload: &[u8]) {
        let room = &mut self.buffer[self.filled..];
        let (now, later) = payload.split_at(payload.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.rest.extend_from_slice(later);
    }

    fn is_full(&self) -> bool {
        self.filled == self.buffer.len()
    }
}

impl Session {
    /// Begins the session of a server.
    pub(crate) fn server(acceptor: &TlsAcceptor) -> Result<Self, Error> {
        let config = Arc::clone(acceptor.config());
        let engine = contain(|| UnbufferedServerConnection::new(config))?;
        Ok(Self::new(Engine::Server(engine), None, acceptor.accepts_truncation()))
    }

    /// Begins the session of a client that connects to the server with this name.
    pub(crate) fn client(
        connector: &TlsConnector,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        let text = name.to_str().into();
        let config = Arc::clone(connector.config());
        let engine = contain(|| UnbufferedClientConnection::new(config, name))?;
        Ok(Self::new(Engine::Client(engine), Some(text), connector.accepts_truncation()))
    }

    fn new(engine: Engine, server_name: Option<Box<str>>, accepts_truncation: bool) -> Self {
        Self { engine, server_name, progress: Progress::default(), accepts_truncation }
    }

    /// Returns true if the peer may end its stream without saying so.
    pub(crate) fn accepts_truncation(&self) -> bool {
        self.accepts_truncation
    }

    /// Begins the handshake: the hello of a client is appended to `outgoing`.
    pub(crate) fn begin(&mut self, outgoing: &mut Outgoing) {
        let mut plaintext = Plaintext { buffer: &mut [], filled: 0, rest: &mut Vec::new() };
        // It is ready, and nothing was received that could be wrong.
        let _ = self.receive(&mut [], &mut plaintext, outgoing);
    }

    /// Returns true until both sides may send data.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Returns true if the peer has said that it sends nothing more.
    pub(crate) fn has_received_close(&self) -> bool {
        self.progress.received_close
    }

    /// Returns what the handshake has negotiated; `None` before it is complete.
    pub(crate) fn info(&self) -> Option<TlsInfo> {
        TlsInfo::new(self.state(), self.server_name.as_deref())
    }

    fn state(&self) -> &CommonState {
        match &self.engine {
            Engine::Client(engine) => engine,
            Engine::Server(engine) => engine,
        }
    }

    /// Decrypts `ciphertext` until the buffer for the plaintext is full, or more is needed. Answers
    /// are appended to `outgoing`, and after an error the alert.
    pub(crate) fn receive(
        &mut self,
        ciphertext: &mut [u8],
        plaintext: &mut Plaintext<'_>,
        outgoing: &mut Outgoing,
    ) -> Result<Received, Error> {
        let progress = &mut self.progress;
        match &mut self.engine {
            Engine::Client(engine) => {
                contain(|| receive(engine, ciphertext, plaintext, outgoing, progress))
            }
            Engine::Server(engine) => {
                let may_note = engine.is_handshaking();
                let received =
                    contain(|| receive(engine, ciphertext, plaintext, outgoing, progress));
                // Also after a panic, and after the second hello of a client that was asked for
                // one: the next connection must not find the name.
                if let Some(name) = may_note.then(super::noted_name::take).flatten() {
                    self.server_name = Some(name);
                }
                received
            }
        }
    }

    /// Encrypts `plaintext` and appends it to `outgoing`. The handshake is complete. `unread` is
    /// the ciphertext that [`receive`](Self::receive) has left.
    pub(crate) fn send(
        &mut self,
        plaintext: &[u8],
        unread: &mut Vec<u8>,
        outgoing: &mut Outgoing,
    ) -> Result<(), Error> {
        let room = plaintext.len() + plaintext.len().div_ceil(RECORD_MAX) * RECORD_OVERHEAD;
        self.write(unread, outgoing, room, Traffic::Data(plaintext))
    }

    /// Says that nothing more is sent, by an alert that is appended to `outgoing`; once. Does
    /// nothing while the handshake is not complete.
    pub(crate) fn close(
        &mut self,
        unread: &mut Vec<u8>,
        outgoing: &mut Outgoing,
    ) -> Result<(), Error> {
        if self.progress.sent_close || self.is_handshaking() {
            return Ok(());
        }
        self.progress.sent_close = true;
        self.write(unread, outgoing, ALERT_ROOM, Traffic::Close)
    }

    fn write(
        &mut self,
        unread: &mut Vec<u8>,
        outgoing: &mut Outgoing,
        room: usize,
        traffic: Traffic<'_>,
    ) -> Result<(), Error> {
        let progress = &mut self.progress;
        contain(|| match &mut self.engine {
            Engine::Client(it) => write(it, unread, outgoing, room, traffic, progress),
            Engine::Server(it) => write(it, unread, outgoing, room, traffic, progress),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("server_name", &self.server_name)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// Calls the engine. A panic of what its configuration names, such as a resolver of certificates,
/// becomes an error: any peer may be able to cause it.
fn contain<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    guard(call).unwrap_or_else(|panic| Err(Error::Other(OtherError(Arc::new(panic)))))
}

/// Returns an error of the engine as that of a stream, which holds the panic if it was one.
pub(crate) fn to_io_error(kind: io::ErrorKind, error: Error) -> io::Error {
    let panic = match &error {
        Error::Other(OtherError(other)) => other.downcast_ref::<Panic>().cloned(),
        _ => None,
    };
    match panic {
        Some(panic) => io::Error::new(kind, panic),
        None => io::Error::new(kind, error),
    }
}

/// What is encrypted.
#[derive(Clone, Copy)]
enum Traffic<'a> {
    Data(&'a [u8]),
    Close,
}

impl Traffic<'_> {
    fn encrypt<D>(
        self,
        writer: &mut WriteTraffic<'_, D>,
        room: &mut [u8],
    ) -> Result<usize, EncryptError> {
        match self {
            Self::Data(plaintext) => writer.encrypt(plaintext, room),
            Self::Close => writer.queue_close_notify(room),
        }
    }
}

/// One of the two engines. They have these methods in common, and no trait for them.
///
/// An engine remembers where the parts of a message lie that has not come in full. So it has to see
/// the bytes that it has not consumed in each call, whatever the call is for, or it panics.
trait Process<D> {
    fn state(&self) -> &CommonState;

    fn process<'c, 'i>(&'c mut self, ciphertext: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, D>;
}

impl Process<rustls::client::ClientConnectionData> for UnbufferedClientConnection {
    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, rustls::client::ClientConnectionData> {
        self.process_tls_records(ciphertext)
    }
}

impl Process<rustls::server::ServerConnectionData> for UnbufferedServerConnection {
    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, rustls::server::ServerConnectionData> {
        self.process_tls_records(ciphertext)
    }
}

fn receive<D>(
    engine: &mut impl Process<D>,
    ciphertext: &mut [u8],
    plaintext: &mut Plaintext<'_>,
    outgoing: &mut Outgoing,
    progress: &mut Progress,
) -> Result<Received, Error> {
    let mut consumed = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = engine.process(&mut ciphertext[consumed..]);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                append_alert(engine, &mut ciphertext[consumed + discard..], outgoing);
                return Err(error);
            }
        };
        let may_have_more = match state {
            ConnectionState::ReadTraffic(mut records) => {
                while let Some(record) = records.next_record() {
                    let record = record?;
                    plaintext.push(record.payload);
                    discard += record.discard;
                }
                plaintext.is_full().then_some(true)
            }
            ConnectionState::EncodeTlsData(encoder) => {
                encode(encoder, outgoing)?;
                None
            }
            ConnectionState::TransmitTlsData(transmission) => {
                transmission.done();
                None
            }
            ConnectionState::PeerClosed => {
                progress.received_close = true;
                None
            }
            // Early data is never among them: an acceptor takes none.
            _ => Some(false),
        };
        consumed += discard;
        if let Some(may_have_more) = may_have_more {
            return Ok(Received { consumed, may_have_more });
        }
    }
}

/// Appends the alert that an engine has ready after an error, if it has one.
fn append_alert<D>(engine: &mut impl Process<D>, ciphertext: &mut [u8], outgoing: &mut Outgoing) {
    while engine.state().wants_write() {
        let Ok(ConnectionState::EncodeTlsData(encoder)) = engine.process(ciphertext).state else {
            return;
        };
        if encode(encoder, outgoing).is_err() {
            return;
        }
    }
}

fn write<D>(
    engine: &mut impl Process<D>,
    unread: &mut Vec<u8>,
    outgoing: &mut Outgoing,
    room: usize,
    traffic: Traffic<'_>,
    progress: &mut Progress,
) -> Result<(), Error> {
    loop {
        let UnbufferedStatus { discard, state } = engine.process(unread);
        let is_done = match state? {
            ConnectionState::WriteTraffic(mut writer) => {
                outgoing.append(room, |room| {
                    traffic.encrypt(&mut writer, room).map_err(|error| match error {
                        EncryptError::InsufficientSize(needed) => Ok(needed),
                        EncryptError::EncryptExhausted => Err(Error::EncryptError),
                    })
                })?;
                true
            }
            ConnectionState::EncodeTlsData(encoder) => {
                encode(encoder, outgoing)?;
                false
            }
            ConnectionState::TransmitTlsData(transmission) => {
                transmission.done();
                false
            }
            ConnectionState::PeerClosed => {
                progress.received_close = true;
                false
            }
            ConnectionState::Closed => return Err(Error::EncryptError),
            _ => return Err(Error::HandshakeNotComplete),
        };
        unread.drain(..discard);
        if is_done {
            return Ok(());
        }
    }
}

fn encode<D>(mut encoder: EncodeTlsData<'_, D>, outgoing: &mut Outgoing) -> Result<(), Error> {
    // The engine has the record ready, and says how long it is.
    outgoing.append(0, |room| {
        encoder.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(needed) => Ok(needed),
            error @ EncodeError::AlreadyEncoded => Err(Error::General(error.to_string())),
        })
    })
}
