//! Faulty stream: a connection, one call on which may fail.

use super::call_failure::CallFailure;
use super::driver_faults::DriverFaults;
use super::system_call::SystemCall;
use crate::address::{Address, PeerCredentials};
use crate::arena::Id;
use crate::descriptor::Descriptor;
use crate::driver::{AnyStream, Edges, Stream};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct FaultyStream {
    inner: AnyStream,
    peer: Address,
    faults: DriverFaults,
    registration: Registration,
    health: Health,
    /// The call that fails was one on this stream.
    is_hit: Cell<bool>,
}

#[derive(Debug)]
enum Registration {
    /// The poller reports these edges when the stream is registered, as `epoll_ctl(2)` reports what
    /// is ready.
    Owed(Edges),
    Token(usize),
}

/// Whether the fault has broken the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// Reset, and no call has returned the error yet.
    Reset,
    /// Reset, as a call has reported: what has arrived can still be read, until a read returns
    /// zero, and writes fail with `EPIPE`.
    Dead,
}

impl FaultyStream {
    pub(super) fn new(inner: AnyStream, peer: Address, faults: DriverFaults) -> Self {
        let registration = Registration::Owed(Edges::NONE);
        Self { inner, peer, faults, registration, health: Health::Sound, is_hit: Cell::new(false) }
    }

    pub(super) fn is_registered(&mut self, token: usize) {
        self.faults.events.register(token);
        if let Registration::Owed(edges) = self.registration {
            if edges != Edges::NONE {
                self.faults.events.owe(token, edges);
            }
        }
        self.registration = Registration::Token(token);
    }

    fn count(&self, call: SystemCall) -> Option<CallFailure> {
        let failure = self.faults.count(call, Some(&self.peer));
        self.is_hit.set(self.is_hit.get() || failure.is_some());
        failure
    }

    /// Makes the next wait report these edges.
    fn owe(&mut self, edges: Edges) {
        match &mut self.registration {
            Registration::Owed(owed) => owed.add(edges),
            Registration::Token(token) => self.faults.events.owe(*token, edges),
        }
    }

    /// Breaks the connection at both ends, like a reset that arrives from the network.
    fn break_down(&mut self, health: Health) {
        self.health = health;
        self.inner.set_abortive_close();
        self.owe(Edges::BROKEN);
    }

    /// Returns the error of a read or write, and does to the connection what goes with it.
    fn fail(&mut self, failure: CallFailure, edges: Edges) -> io::Error {
        match failure {
            CallFailure::WouldBlock => self.owe(edges),
            CallFailure::ConnectionReset | CallFailure::BrokenPipe => self.break_down(Health::Dead),
            _ => {}
        }
        failure.error()
    }

    /// Returns the error of a connection that the fault has broken. A read of one whose error is
    /// known has none.
    fn check_health(&mut self) -> io::Result<()> {
        match self.health {
            Health::Sound => Ok(()),
            Health::Reset => {
                self.health = Health::Dead;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Health::Dead => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        if let Registration::Token(token) = self.registration {
            self.faults.events.unregister(token);
        }
        if self.is_hit.get() {
            self.faults.note_closed();
        }
    }
}

impl Stream for FaultyStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.count(SystemCall::Read) {
            Some(CallFailure::ShortCount) if buffer.len() > 1 => {
                let count = self.inner.read(&mut buffer[..1])?;
                self.owe(Edges::READABLE);
                return Ok(count);
            }
            Some(CallFailure::ShortCount) | None => {}
            Some(failure) => return Err(self.fail(failure, Edges::READABLE)),
        }
        if self.health == Health::Dead {
            return match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                result => result,
            };
        }
        self.check_health()?;
        self.inner.read(buffer)
    }

    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.count(SystemCall::Peek) {
            Some(failure) => Err(self.fail(failure, Edges::READABLE)),
            None => self.inner.peek(buffer),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut data = data;
        match self.count(SystemCall::Write) {
            Some(CallFailure::ShortCount) if data.len() > 1 => {
                data = &data[..1];
                self.owe(Edges::WRITABLE);
            }
            Some(CallFailure::ShortCount) | None => {}
            Some(failure) => return Err(self.fail(failure, Edges::WRITABLE)),
        }
        self.check_health()?;
        self.inner.write(data)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.count(SystemCall::WriteVectored) {
            Some(CallFailure::ShortCount) => {
                if let Some(piece) = pieces.iter().find(|piece| !piece.is_empty()) {
                    self.owe(Edges::WRITABLE);
                    return self.inner.write(&piece[..1]);
                }
            }
            None => {}
            Some(failure) => return Err(self.fail(failure, Edges::WRITABLE)),
        }
        self.check_health()?;
        self.inner.write_vectored(pieces)
    }

    fn short_read_is_final(&self) -> bool {
        self.inner.short_read_is_final()
    }

    fn short_write_is_final(&self) -> bool {
        self.inner.short_write_is_final()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if let Some(failure) = self.count(SystemCall::ShutdownWrite) {
            let is_told = failure == CallFailure::ConnectionReset;
            self.break_down(if is_told { Health::Dead } else { Health::Reset });
            return Err(failure.error());
        }
        if self.health != Health::Sound {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.inner.shutdown_write()
    }

    fn set_abortive_close(&mut self) {
        self.inner.set_abortive_close();
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        if let Some(failure) = self.count(SystemCall::TakeError) {
            self.break_down(Health::Dead);
            return Ok(Some(failure.error()));
        }
        match self.health {
            Health::Sound => self.inner.take_error(),
            Health::Reset => Ok(self.check_health().err()),
            Health::Dead => Ok(None),
        }
    }

    fn is_established(&mut self) -> io::Result<bool> {
        match self.count(SystemCall::IsEstablished) {
            Some(CallFailure::WouldBlock) => {
                self.owe(Edges::WRITABLE);
                Ok(false)
            }
            Some(failure) => {
                self.break_down(Health::Dead);
                Err(failure.error())
            }
            None => self.inner.is_established(),
        }
    }

    fn connect_retry_delay(&self) -> Option<Duration> {
        self.inner.connect_retry_delay()
    }

    fn peer_credentials(&self) -> io::Result<Option<PeerCredentials>> {
        self.inner.peer_credentials()
    }

    fn carries_descriptors(&self) -> bool {
        self.inner.carries_descriptors()
    }

    fn attach(&mut self, descriptor: Descriptor) {
        self.inner.attach(descriptor);
    }

    fn has_descriptor(&self) -> bool {
        self.inner.has_descriptor()
    }

    fn take_descriptor(&mut self) -> Option<Descriptor> {
        self.inner.take_descriptor()
    }

    fn simulated_link(&self) -> Option<u64> {
        self.inner.simulated_link()
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        if let Some(failure) = self.count(SystemCall::Register) {
            return Err(failure.error());
        }
        self.inner.register(id)?;
        self.is_registered(id.to_bits());
        Ok(())
    }

    fn reregister(&mut self, id: Id) -> io::Result<()> {
        if let Some(failure) = self.count(SystemCall::Register) {
            return Err(failure.error());
        }
        self.inner.reregister(id)?;
        if let Registration::Token(token) = self.registration {
            self.faults.events.unregister(token);
        }
        self.is_registered(id.to_bits());
        Ok(())
    }

    fn local_addr(&self) -> io::Result<Address> {
        match self.count(SystemCall::LocalAddress) {
            Some(failure) => Err(failure.error()),
            None => self.inner.local_addr(),
        }
    }

    fn set_no_delay(&self, on: bool) -> io::Result<()> {
        match self.count(SystemCall::SetOption) {
            Some(failure) => Err(failure.error()),
            None => self.inner.set_no_delay(on),
        }
    }

    fn set_keep_alive(&self, on: bool) -> io::Result<()> {
        match self.count(SystemCall::SetOption) {
            Some(failure) => Err(failure.error()),
            None => self.inner.set_keep_alive(on),
        }
    }
}
