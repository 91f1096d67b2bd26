//! A client whose every wait ends.

use super::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a client finds when it reads.
enum Received {
    Data(Vec<u8>),
    /// The server has closed in order.
    Closed,
    /// The server has reset the connection.
    Reset,
}

/// A client on a blocking socket.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, received: Vec::new() }
    }

    /// This side's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, data: impl AsRef<[u8]>) {
        self.socket.write_all(data.as_ref()).unwrap();
    }

    /// Sends while the test goes on, be it for more than the network holds.
    pub(crate) fn send_meanwhile(&self, data: Vec<u8>) -> Sending {
        let mut socket = self.socket.try_clone().unwrap();
        Sending(std::thread::spawn(move || socket.write_all(&data).is_ok()))
    }

    /// No more from this side.
    pub(crate) fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&self.socket).set_linger(linger).unwrap();
    }

    /// Waits for what comes next.
    #[track_caller]
    fn receive(&mut self) -> Received {
        let mut buffer = [0; 64 * 1024];
        match self.socket.read(&mut buffer) {
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
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        loop {
            match self.receive() {
                Received::Data(more) => rest.extend_from_slice(&more),
                Received::Closed => return rest,
                Received::Reset => panic!("reset after {}", beginning(&rest)),
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

/// Enough of it for a message.
fn beginning(data: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&data[..data.len().min(200)]);
    format!("{} bytes, {shown:?}", data.len())
}

/// What is being sent meanwhile.
pub(crate) struct Sending(JoinHandle<bool>);

impl Sending {
    /// Waits for its end; true if all could be sent.
    pub(crate) fn ended(self) -> bool {
        self.0.join().unwrap()
    }
}
