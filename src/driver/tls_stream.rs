//! `TlsStream`: a layer that encrypts, on any socket.

use super::layer::{hand_on, leave_to_socket};
use super::{AnyStream, Layer, Stream};
use crate::tls::{Outgoing, Plaintext, RECORD_MAX, RECORD_OVERHEAD, Session, TlsInfo, to_io_error};
use std::cell::Cell;
use std::io::{self, IoSlice};

/// Ciphertext that the stream holds before it takes no more: four records, as many as one call of a
/// socket takes at best.
const HELD_MAX: usize = 64 * 1024;

/// Plaintext that is decrypted at once, at most: what the loop reads at once.
const READ_MAX: usize = 64 * 1024;

/// Ciphertext read from the socket at once, at least, however little plaintext is wanted: a record,
/// so that it is not read in pieces.
const READ_MIN: usize = RECORD_MAX + 512;

/// Ciphertext that a handshake may take. The engine bounds one message to 64 KiB; a chain of
/// certificates takes a few KiB.
const HANDSHAKE_MAX: usize = 256 * 1024;

/// Ciphertext without a byte of plaintext that is read after a handshake: tickets and new keys are
/// short, and records without content are of no use.
const IDLE_RECORDS_MAX: usize = 64 * 1024;

thread_local! {
    /// Where ciphertext is read and decrypted: shared by all connections of a thread, so that an
    /// idle one has no buffer.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A TLS connection on a socket.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: AnyStream,
    session: Session,
    /// After a `start_tls`: how many of the bytes that are written next were accepted before it,
    /// and leave as they are.
    clear_left: usize,
    /// Held: ciphertext for the socket, behind the bytes in clear.
    outgoing: Outgoing,
    /// How many of the first outgoing bytes are the end of the handshake.
    outgoing_of_handshake: usize,
    /// Ciphertext read from the socket and not decrypted.
    incoming: Incoming,
    /// Plaintext that was not returned; the first `returned` bytes were.
    plaintext: Vec<u8>,
    returned: usize,
    /// Ciphertext read since the last byte of plaintext.
    without_plaintext: usize,
    /// The last read has found the socket empty, and has returned all there was.
    is_drained: bool,
    /// Reads have completed a handshake, and the loop has not been told.
    is_completed: bool,
    /// What has ended the session behind data that was read with it, for the next read.
    failure: Option<Box<rustls::Error>>,
}

/// Ciphertext read from the socket and not decrypted.
#[derive(Debug)]
enum Incoming {
    /// The beginning of a record, or of a message in several records; mostly empty.
    Partial(Vec<u8>),
    /// It begins with a record, for which the last read had no room.
    Whole(Vec<u8>),
}

impl Incoming {
    /// Returns what the session has seen and not consumed. While there may be whole records no
    /// message is unfinished, since nothing may come between its parts, and data has: then it is
    /// `nothing`.
    fn unfinished<'a>(&'a mut self, nothing: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
        match self {
            Self::Partial(kept) => kept,
            Self::Whole(_) => nothing,
        }
    }
}

impl TlsStream {
    /// Returns a layer on `socket` with a session that has just begun. The first `clear` bytes that
    /// are written leave before its handshake and are not encrypted; `received` has come already.
    pub(crate) fn new(
        socket: AnyStream,
        mut session: Session,
        clear: usize,
        received: &[u8],
    ) -> Self {
        let mut outgoing = Outgoing::default();
        session.begin(&mut outgoing);
        Self {
            socket,
            session,
            clear_left: clear,
            outgoing,
            outgoing_of_handshake: 0,
            incoming: match received {
                [] => Incoming::Partial(Vec::new()),
                received => Incoming::Whole(received.to_vec()),
            },
            plaintext: Vec::new(),
            returned: 0,
            without_plaintext: 0,
            is_drained: false,
            is_completed: false,
            failure: None,
        }
    }

    /// Reads and decrypts until the handshake is complete.
    fn read_handshake(&mut self) -> io::Result<usize> {
        loop {
            let filled = self.fill(&mut [])?;
            if !self.session.is_handshaking() {
                self.is_completed = true;
                return Err(io::ErrorKind::Interrupted.into());
            }
            if matches!(filled, Filled::End) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Moves plaintext that an earlier read had no room for.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plaintext[self.returned..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.returned += count;
        if self.returned == self.plaintext.len() {
            (self.plaintext, self.returned) = (Vec::new(), 0);
        }
        count
    }

    /// Reads and decrypts once. Returns how much plaintext is in `buffer`; what it has no room for
    /// is kept. `WouldBlock` means that the socket is empty, and so is the layer.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        if let Some(error) = self.failure.take() {
            return Err(failure(*error));
        }
        let mut scratch = SCRATCH.take();
        let filled = self.fill_with(&mut scratch, buffer);
        SCRATCH.set(scratch);
        filled
    }

    fn fill_with(&mut self, scratch: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<Filled> {
        let (kept, is_whole) = match &self.incoming {
            Incoming::Partial(kept) => (kept, false),
            Incoming::Whole(kept) => (kept, true),
        };
        let kept_len = kept.len();
        let wanted = if is_whole { 0 } else { wanted(buffer.len(), kept_len) };
        if scratch.len() < kept_len + wanted {
            scratch.resize(kept_len + wanted, 0);
        }
        scratch[..kept_len].copy_from_slice(kept);
        let mut is_empty = false;
        let mut length = kept_len;
        if wanted > 0 {
            let count = self.socket.read(&mut scratch[kept_len..kept_len + wanted])?;
            if count == 0 {
                return self.end_of_socket();
            }
            is_empty = count < wanted && self.socket.short_read_is_final();
            length += count;
            self.without_plaintext += count;
        }
        let was_handshaking = self.session.is_handshaking();
        let mut plaintext = Plaintext { buffer, filled: 0, rest: &mut self.plaintext };
        let received =
            self.session.receive(&mut scratch[..length], &mut plaintext, &mut self.outgoing);
        let filled = plaintext.filled;
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                // The alert that says why. The connection ends whether or not there is room for it.
                let _ = self.flush();
                if filled == 0 && self.plaintext.is_empty() {
                    return Err(failure(error));
                }
                self.failure = Some(Box::new(error));
                return Ok(Filled::Data { count: filled, is_drained: false });
            }
        };
        let left = &scratch[received.consumed..length];
        let may_have_more = received.may_have_more && !left.is_empty();
        self.incoming = match may_have_more {
            true => Incoming::Whole(left.to_vec()),
            false => Incoming::Partial(left.to_vec()),
        };
        self.bound_overhead(was_handshaking, filled)?;
        if filled == 0 && self.session.has_received_close() {
            return Ok(Filled::End);
        }
        let is_open = !self.session.has_received_close();
        let is_drained = is_empty && !may_have_more && self.plaintext.is_empty() && is_open;
        Ok(Filled::Data { count: filled, is_drained })
    }

    /// Fails if the peer sends records that bring nothing.
    fn bound_overhead(&mut self, was_handshaking: bool, filled: usize) -> io::Result<()> {
        let is_handshaking = self.session.is_handshaking();
        if filled > 0 || !self.plaintext.is_empty() || was_handshaking != is_handshaking {
            self.without_plaintext = 0;
        }
        let (most, what) = match is_handshaking {
            true => (HANDSHAKE_MAX, "a TLS handshake that does not end"),
            false => (IDLE_RECORDS_MAX, "TLS records without data that do not end"),
        };
        if self.without_plaintext <= most {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the peer sends {what}")))
    }

    /// Judges the end of the socket's bytes, which anyone on the way can bring about.
    fn end_of_socket(&self) -> io::Result<Filled> {
        let is_between = matches!(&self.incoming, Incoming::Partial(kept) if kept.is_empty());
        if self.session.accepts_truncation() && is_between && !self.session.is_handshaking() {
            return Ok(Filled::End);
        }
        let what = match self.session.is_handshaking() {
            true => "the peer closed the connection in the TLS handshake",
            false => "the peer closed the connection without the end of its TLS data",
        };
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// Returns true if what is held leaves room for a record.
    fn has_room(&self) -> bool {
        self.outgoing.len() + RECORD_MAX <= HELD_MAX
    }
}

/// The outcome of reading and decrypting once.
#[derive(Clone, Copy, Debug)]
enum Filled {
    Data {
        count: usize,
        /// The socket is empty, and so is the layer.
        is_drained: bool,
    },
    /// The peer has said that it sends nothing more.
    End,
}

/// Returns how much ciphertext to read for that plaintext, behind `kept` bytes: as much as its
/// records take if they are full, so that a stream of full records is read at their ends, and the
/// beginning of the next one, which has to be kept, is short.
fn wanted(plaintext: usize, kept: usize) -> usize {
    let plaintext = plaintext.min(READ_MAX);
    let ciphertext = plaintext + (plaintext / RECORD_MAX + 1) * RECORD_OVERHEAD;
    ciphertext.saturating_sub(kept).max(READ_MIN)
}

fn failure(error: rustls::Error) -> io::Error {
    to_io_error(io::ErrorKind::InvalidData, error)
}

impl Stream for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_drained = false;
        if self.session.is_handshaking() {
            return self.read_handshake();
        }
        if !self.plaintext.is_empty() {
            return Ok(self.take_plaintext(buffer));
        }
        while !self.session.has_received_close() {
            match self.fill(buffer)? {
                Filled::End => break,
                // `WouldBlock` has to be the socket's: a short read may have stopped at the mark of
                // urgent data.
                Filled::Data { count: 0, .. } => {}
                Filled::Data { count, is_drained } => {
                    self.is_drained = is_drained;
                    return Ok(count);
                }
            }
        }
        Ok(0)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.clear_left > 0 {
            let count = self.socket.write(&data[..data.len().min(self.clear_left)])?;
            self.clear_left -= count;
            return Ok(count);
        }
        if !self.has_room() {
            match self.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.has_room() => {}
                flushed => flushed?,
            }
        }
        let count = data.len().min(HELD_MAX - self.outgoing.len());
        let mut nothing = Vec::new();
        let unread = self.incoming.unfinished(&mut nothing);
        self.session.send(&data[..count], unread, &mut self.outgoing).map_err(failure)?;
        Ok(count)
    }

    /// Writes pieces in one record, if that has room for them: a record for each would cost the
    /// peer more than the copy costs here.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pieces = pieces.iter().filter(|piece| !piece.is_empty()).peekable();
        if let Some(large) = pieces.next_if(|piece| piece.len() >= RECORD_MAX) {
            return self.write(large);
        }
        let mut record = Vec::with_capacity(RECORD_MAX);
        for piece in pieces {
            let room = RECORD_MAX - record.len();
            record.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.write(&record)
    }

    fn short_read_is_final(&self) -> bool {
        self.is_drained
    }

    /// A short write is the end of the room for records: the next one tells. In clear it is the
    /// socket's.
    fn short_write_is_final(&self) -> bool {
        self.clear_left > 0 && self.socket.short_write_is_final()
    }

    /// Says that this side sends nothing more, as far as TLS goes. The socket sends no FIN before
    /// the connection is over: it would end an answer to what the peer still sends, such as new
    /// keys.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.finish()?;
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }

    leave_to_socket!();
}

impl Layer for TlsStream {
    fn held(&self) -> usize {
        self.outgoing.len()
    }

    fn held_of_handshake(&self) -> usize {
        self.outgoing_of_handshake
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.clear_left > 0 {
            return Ok(());
        }
        let (sent, handed) = hand_on(&mut self.socket, self.outgoing.as_slice());
        self.outgoing.consume(sent);
        self.outgoing_of_handshake = self.outgoing_of_handshake.saturating_sub(sent);
        handed
    }

    fn clear_left(&self) -> usize {
        self.clear_left
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn handshake(&mut self, more_behind: bool) -> io::Result<bool> {
        self.is_drained = false;
        loop {
            // A server's tickets leave with its answer to what the client says first, or with its
            // greeting, since each call of the socket costs as much as a twentieth of a handshake.
            if !self.session.is_handshaking() {
                self.outgoing_of_handshake = self.outgoing.len();
                return Ok(true);
            }
            let flushed = match self.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                flushed => flushed,
            };
            // An edge announces the peer's next flight.
            if self.is_drained && !more_behind {
                return flushed.map(|()| false);
            }
            self.is_drained = false;
            match self.fill(&mut []) {
                Ok(Filled::Data { is_drained, .. }) => self.is_drained = is_drained,
                // The peer may have said all it has to say with the end of the handshake.
                Ok(Filled::End) if !self.session.is_handshaking() => {}
                Ok(Filled::End) => return self.end_of_socket().map(|_| false),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return flushed.map(|()| false),
                    // Or a descriptor came before these bytes: there is no protocol yet to take it.
                    io::ErrorKind::Interrupted => drop(self.socket.take_descriptor()),
                    // The alert that says why the peer has closed counts more than a failed write.
                    io::ErrorKind::InvalidData => return Err(error),
                    _ => return flushed.and(Err(error)),
                },
            }
        }
    }

    fn take_completion(&mut self) -> bool {
        std::mem::take(&mut self.is_completed)
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut nothing = Vec::new();
        let unread = self.incoming.unfinished(&mut nothing);
        self.session.close(unread, &mut self.outgoing).map_err(failure)
    }

    fn tls_info(&self) -> Option<TlsInfo> {
        self.session.info()
    }

    fn into_socket(self: Box<Self>) -> AnyStream {
        self.socket.into_socket()
    }

    fn as_stream(&self) -> &(dyn Stream + 'static) {
        self
    }

    fn as_stream_mut(&mut self) -> &mut (dyn Stream + 'static) {
        self
    }
}
