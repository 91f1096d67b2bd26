//! A client whose every wait ends.

use super::{PATIENCE, SIMULATED_PATIENCE};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;
use twistor::testing::{End, Peer};

/// What a client finds when it reads.
enum Received {
    Data(Vec<u8>),
    /// The server has closed in order.
    Closed,
    /// The server has reset the connection.
    Reset,
}

/// A client that reads when it is told to, and then waits.
pub(crate) struct Client {
    line: Line,
    received: Vec<u8>,
}

enum Line {
    Socket(TcpStream),
    /// Shared with what is being sent meanwhile.
    Simulated(Rc<Peer>),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn on(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { line: Line::Socket(socket), received: Vec::new() }
    }

    /// A client on a simulated network, which reads when it is told to.
    pub(crate) fn simulated(peer: Peer) -> Self {
        let connected = peer.simulation().run_until(SIMULATED_PATIENCE, || peer.is_connected());
        assert!(connected, "{:?}", peer.close_kind());
        Self { line: Line::Simulated(Rc::new(peer)), received: Vec::new() }
    }

    /// The socket itself, for the tests of programs.
    #[cfg(feature = "signals")]
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match &mut self.line {
            Line::Socket(socket) => socket,
            Line::Simulated(_) => panic!("a simulated client has no socket"),
        }
    }

    /// This side's address.
    pub(crate) fn address(&self) -> SocketAddr {
        match &self.line {
            Line::Socket(socket) => socket.local_addr().unwrap(),
            Line::Simulated(peer) => peer.address(),
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, data: impl AsRef<[u8]>) {
        match &mut self.line {
            Line::Socket(socket) => socket.write_all(data.as_ref()).unwrap(),
            Line::Simulated(peer) => peer.send(data),
        }
    }

    /// Sends a byte of urgent data.
    #[track_caller]
    pub(crate) fn send_urgent(&mut self) {
        match &mut self.line {
            Line::Socket(socket) => {
                let sent = socket2::SockRef::from(&*socket).send_out_of_band(b"!").unwrap();
                assert_eq!(sent, 1);
            }
            Line::Simulated(peer) => peer.send_urgent(),
        }
    }

    /// Sends while the test goes on, be it for more than the network holds.
    pub(crate) fn send_meanwhile(&self, data: Vec<u8>) -> Sending {
        match &self.line {
            Line::Socket(socket) => {
                let mut socket = socket.try_clone().unwrap();
                Sending::Thread(std::thread::spawn(move || socket.write_all(&data).is_ok()))
            }
            Line::Simulated(peer) => {
                peer.send(data);
                Sending::Simulated(Rc::clone(peer))
            }
        }
    }

    /// No more from this side.
    pub(crate) fn finish(&self) {
        match &self.line {
            Line::Socket(socket) => socket.shutdown(Shutdown::Write).unwrap(),
            Line::Simulated(peer) => peer.close_write(),
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        match &self.line {
            Line::Socket(socket) => {
                let linger = Some(Duration::ZERO);
                socket2::SockRef::from(socket).set_linger(linger).unwrap();
            }
            Line::Simulated(peer) => peer.reset(),
        }
    }

    /// Waits for what comes next.
    #[track_caller]
    fn receive(&mut self) -> Received {
        let mut buffer = [0; 64 * 1024];
        let socket = match &mut self.line {
            Line::Socket(socket) => socket,
            Line::Simulated(peer) => return receive(peer),
        };
        match socket.read(&mut buffer) {
            Ok(0) => Received::Closed,
            Ok(count) => Received::Data(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Received::Reset,
            Err(error) => panic!("nothing comes: {error}"),
        }
    }

    /// The next bytes are these.
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

    /// Everything up to the server's orderly close.
    #[track_caller]
    pub(crate) fn rest(self) -> Vec<u8> {
        let (rest, in_order) = self.rest_and_end();
        assert!(in_order, "reset after {}", beginning(&rest));
        rest
    }

    /// Everything up to the server's close, and whether that is in order.
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

    /// The server closes in order, and sends nothing before that.
    #[track_caller]
    pub(crate) fn expect_close(self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "");
    }

    /// The server resets the connection.
    #[track_caller]
    pub(crate) fn expect_reset(mut self) {
        loop {
            match self.receive() {
                Received::Data(_) => {}
                Received::Closed => panic!("closed in order"),
                Received::Reset => return,
            }
        }
    }
}

#[track_caller]
fn receive(peer: &Peer) -> Received {
    // As much as one call reads from a socket, and no more before it is asked for.
    peer.read_slowly(64 * 1024, Duration::from_millis(1));
    let mut data = Vec::new();
    peer.simulation().run_until(SIMULATED_PATIENCE, || {
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

/// Enough of it for a message.
fn beginning(data: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&data[..data.len().min(200)]);
    format!("{} bytes, {shown:?}", data.len())
}

/// What is being sent meanwhile.
pub(crate) enum Sending {
    Thread(JoinHandle<bool>),
    Simulated(Rc<Peer>),
}

impl Sending {
    /// Waits for its end; true if all could be sent.
    pub(crate) fn ended(self) -> bool {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Simulated(peer) => {
                let sent = || peer.unsent() == 0 || peer.close_kind() == Some(End::Reset);
                assert!(peer.simulation().run_until(SIMULATED_PATIENCE, sent));
                peer.close_kind() != Some(End::Reset)
            }
        }
    }
}
