//! A client whose waits all end.

use super::encryption::{Decrypted, Encryption};
use super::{SIMULATED_TIMEOUT, Socket, TIMEOUT};
use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
#[cfg(feature = "signals")]
use std::net::TcpStream;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;
use twistor::Address;
use twistor::testing::{End, Peer};

/// Result of a read by a client.
enum Received {
    Data(Vec<u8>),
    /// The server has closed gracefully.
    Closed,
    /// The server has reset the connection.
    Reset,
}

/// A client that reads only on request, and then waits.
pub(crate) struct Client {
    line: Line,
    encryption: Option<RefCell<Box<Encryption>>>,
    received: Vec<u8>,
}

enum Line {
    Socket(Socket),
    /// Shared with the `Sending` that sends meanwhile.
    Simulated(Rc<Peer>, Address),
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: impl Into<Address>) -> Self {
        let address = address.into();
        let socket = Socket::connect(&address);
        Self::on(socket.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    pub(crate) fn on(socket: Socket) -> Self {
        socket.set_timeouts(TIMEOUT);
        if let Socket::Tcp(socket) = &socket {
            socket.set_nodelay(true).unwrap();
        }
        Self { line: Line::Socket(socket), encryption: None, received: Vec::new() }
    }

    /// Creates a client on a simulated network, which reads only on request.
    pub(crate) fn simulated(peer: Peer, address: Address) -> Self {
        let connected = peer.simulation().run_until(SIMULATED_TIMEOUT, || peer.is_connected());
        assert!(connected, "{:?}", peer.close_kind());
        Self {
            line: Line::Simulated(Rc::new(peer), address),
            encryption: None,
            received: Vec::new(),
        }
    }

    /// Returns the socket itself, for the tests of programs.
    #[cfg(feature = "signals")]
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match &mut self.line {
            Line::Socket(Socket::Tcp(socket)) => socket,
            _ => panic!("this client has no socket of TCP"),
        }
    }

    /// Returns the local address.
    pub(crate) fn address(&self) -> Address {
        match &self.line {
            Line::Socket(socket) => socket.local_address(),
            Line::Simulated(_, address) => address.clone(),
        }
    }

    /// Encrypts what is sent from here on. Returns when the handshake is complete, or the server
    /// has ended the connection.
    #[track_caller]
    pub(crate) fn start_tls(&mut self) {
        let encryption = self.encryption.insert(RefCell::new(Box::new(Encryption::new())));
        let encryption = encryption.get_mut();
        self.line.send(&encryption.outgoing());
        while encryption.is_handshaking() {
            let Received::Data(received) = self.line.receive() else { return };
            if let Decrypted::Data(data) = encryption.decrypt(&received) {
                self.received.extend(data);
            }
            self.line.send(&encryption.outgoing());
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        match &mut self.encryption {
            Some(encryption) => self.line.send(&encryption.get_mut().encrypt(data)),
            None => self.line.send(data),
        }
    }

    /// Sends a byte of urgent data.
    #[track_caller]
    pub(crate) fn send_urgent(&mut self) {
        match &mut self.line {
            Line::Socket(socket) => socket.send_urgent().unwrap(),
            Line::Simulated(peer, _) => peer.send_urgent(),
        }
    }

    /// Sends while the test continues, even more than the network holds.
    pub(crate) fn send_meanwhile(&self, data: impl Into<Cow<'static, [u8]>>) -> Sending {
        let data = data.into();
        let data = match &self.encryption {
            Some(encryption) => encryption.borrow_mut().encrypt(&data).into(),
            None => data,
        };
        match &self.line {
            Line::Socket(socket) => {
                let mut socket = socket.try_clone().unwrap();
                Sending::Thread(std::thread::spawn(move || socket.write_all(&data).is_ok()))
            }
            Line::Simulated(peer, _) => {
                peer.send(data);
                Sending::Simulated(Rc::clone(peer))
            }
        }
    }

    /// Closes the sending half.
    pub(crate) fn finish(&self) {
        if let Some(encryption) = &self.encryption {
            return self.line.send(&encryption.borrow_mut().finish());
        }
        match &self.line {
            Line::Socket(socket) => socket.finish(),
            Line::Simulated(peer, _) => peer.close_write(),
        }
    }

    /// Waits until bytes of the server have arrived, and leaves them unread.
    pub(crate) fn wait_for_bytes(&self) {
        match &self.line {
            Line::Socket(socket) => socket.wait_for_bytes(),
            // All that is on the way arrives.
            Line::Simulated(peer, _) => peer.simulation().run_for(Duration::from_secs(1)),
        }
    }

    /// Ends the connection with a reset. Over a Unix socket the server sees one only if bytes of
    /// the server have arrived and are unread.
    pub(crate) fn reset(mut self) {
        self.encryption = None;
        match &self.line {
            Line::Socket(socket) => socket.set_abortive_close(),
            Line::Simulated(peer, _) => peer.reset(),
        }
    }

    /// Waits for the next bytes or the end.
    #[track_caller]
    fn receive(&mut self) -> Received {
        loop {
            let Some(encryption) = &mut self.encryption else { return self.line.receive() };
            let encryption = encryption.get_mut();
            if encryption.is_closed() {
                return Received::Closed;
            }
            let received = self.line.receive();
            match received {
                Received::Data(bytes) => match encryption.decrypt(&bytes) {
                    Decrypted::Nothing => {}
                    Decrypted::Data(data) => return Received::Data(data),
                    Decrypted::Closed => return Received::Closed,
                },
                // Without the end of TLS it may be anybody who ends the connection.
                Received::Closed if !encryption.is_closed() => return Received::Reset,
                end => return end,
            }
        }
    }

    /// Expects these bytes next.
    #[track_caller]
    pub(crate) fn expect(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut got = std::mem::take(&mut self.received);
        while got.len() < data.len() {
            match self.receive() {
                Received::Data(more) => got.extend_from_slice(&more),
                Received::Closed => panic!("closed after {}", beginning(&got)),
                Received::Reset => panic!("reset after {}", beginning(&got)),
            }
        }
        self.received = got.split_off(data.len());
        assert!(got == data, "expected {}, got {}", beginning(data), beginning(&got));
    }

    /// Returns the next line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.received.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(at + 1);
                let line = std::mem::replace(&mut self.received, rest);
                return String::from_utf8_lossy(&line[..at]).trim_end().to_owned();
            }
            match self.receive() {
                Received::Data(more) => self.received.extend(more),
                Received::Closed => panic!("closed after {}", beginning(&self.received)),
                Received::Reset => panic!("reset after {}", beginning(&self.received)),
            }
        }
    }

    /// Returns all bytes up to the server's graceful close.
    #[track_caller]
    pub(crate) fn rest(self) -> Vec<u8> {
        let (rest, in_order) = self.rest_and_end();
        assert!(in_order, "reset after {}", beginning(&rest));
        rest
    }

    /// Returns all bytes up to the server's close, and whether it is graceful.
    #[track_caller]
    pub(crate) fn rest_and_end(mut self) -> (Vec<u8>, bool) {
        let mut rest = std::mem::take(&mut self.received);
        loop {
            match self.receive() {
                Received::Data(more) => rest.extend_from_slice(&more),
                Received::Closed => return (rest, true),
                Received::Reset => return (rest, false),
            }
        }
    }

    /// Expects the server to close gracefully without sending anything before.
    #[track_caller]
    pub(crate) fn expect_close(self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "");
    }

    /// Expects the server to reset the connection.
    #[track_caller]
    pub(crate) fn expect_reset(mut self) {
        loop {
            match self.receive() {
                Received::Data(_) => {}
                Received::Closed => panic!("closed gracefully"),
                Received::Reset => return,
            }
        }
    }
}

/// Ends an encrypted connection as a program does.
impl Drop for Client {
    fn drop(&mut self) {
        let Some(encryption) = &mut self.encryption else { return };
        let last = encryption.get_mut().finish();
        match &self.line {
            Line::Socket(socket) => {
                // The server may be gone.
                let _ = socket.try_clone().and_then(|mut socket| socket.write_all(&last));
            }
            Line::Simulated(peer, _) if peer.close_kind() != Some(End::Reset) => peer.send(last),
            Line::Simulated(..) => {}
        }
    }
}

impl Line {
    #[track_caller]
    fn send(&self, data: &[u8]) {
        match self {
            Self::Socket(socket) => socket.try_clone().unwrap().write_all(data).unwrap(),
            Self::Simulated(peer, _) => peer.send(data),
        }
    }

    /// Waits for the next bytes or the end.
    #[track_caller]
    fn receive(&mut self) -> Received {
        let mut buffer = [0; 64 * 1024];
        let socket = match self {
            Self::Socket(socket) => socket,
            Self::Simulated(peer, _) => return receive(peer),
        };
        match socket.read(&mut buffer) {
            Ok(0) => Received::Closed,
            Ok(count) => Received::Data(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Received::Reset,
            // A process that was stopped for a moment: a read with a timeout does not continue.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.receive(),
            Err(error) => panic!("nothing comes: {error}"),
        }
    }
}

#[track_caller]
fn receive(peer: &Peer) -> Received {
    // No more than one read of a socket returns, and only on request.
    peer.read_slowly(64 * 1024, Duration::from_millis(1));
    let mut data = Vec::new();
    peer.simulation().run_until(SIMULATED_TIMEOUT, || {
        data = peer.take_received();
        !data.is_empty() || peer.close_kind().is_some()
    });
    peer.stop_reading();
    match peer.close_kind() {
        _ if !data.is_empty() => Received::Data(data),
        Some(End::Closed) => Received::Closed,
        Some(End::Reset) => Received::Reset,
        other => panic!("nothing comes: {other:?}"),
    }
}

/// Returns enough of the data for a message.
fn beginning(data: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&data[..data.len().min(200)]);
    format!("{} bytes, {shown:?}", data.len())
}

/// A transmission that runs beside the test.
pub(crate) enum Sending {
    Thread(JoinHandle<bool>),
    Simulated(Rc<Peer>),
}

impl Sending {
    /// Waits for its end; returns true if everything could be sent.
    pub(crate) fn ended(self) -> bool {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Simulated(peer) => {
                let sent = || peer.unsent() == 0 || peer.close_kind() == Some(End::Reset);
                assert!(peer.simulation().run_until(SIMULATED_TIMEOUT, sent));
                peer.close_kind() != Some(End::Reset)
            }
        }
    }
}
