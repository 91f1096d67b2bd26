//! Clients on sockets, for transcripts.

use super::{Client, TIMEOUT};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use twistor::testing::{Backend, End, Received};

/// The clients of a server at some address.
pub(crate) struct Callers {
    address: SocketAddr,
    callers: HashMap<String, Caller>,
    /// Short once an expected event has not come: the test fails, and need not take long.
    timeout: Duration,
}

struct Caller {
    client: Client,
    reads: bool,
}

impl Callers {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self { address, callers: HashMap::new(), timeout: TIMEOUT }
    }

    fn caller(&mut self, name: &str) -> &mut Caller {
        self.callers.get_mut(name).unwrap()
    }
}

impl Backend for Callers {
    fn connect(&mut self, name: &str) -> io::Result<()> {
        let caller = Caller { client: Client::connect(self.address), reads: true };
        self.callers.insert(name.to_owned(), caller);
        Ok(())
    }

    fn send(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.caller(name).client.socket().write_all(data)
    }

    fn finish(&mut self, name: &str) {
        self.caller(name).client.finish();
    }

    fn reset(&mut self, name: &str) {
        self.callers.remove(name).unwrap().client.reset();
    }

    fn stop_reading(&mut self, name: &str) {
        self.caller(name).reads = false;
    }

    fn resume_reading(&mut self, name: &str) {
        self.caller(name).reads = true;
    }

    /// Waits the full time that the transcript says.
    fn pass(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn next(&mut self, name: &str, awaited: bool) -> Received {
        let timeout = self.timeout;
        let caller = self.caller(name);
        if !caller.reads {
            return Received::Nothing;
        }
        let socket = caller.client.socket();
        socket.set_nonblocking(!awaited).unwrap();
        socket.set_read_timeout(Some(timeout)).unwrap();
        let mut buffer = [0; 64 * 1024];
        let result = socket.read(&mut buffer);
        socket.set_nonblocking(false).unwrap();
        match result {
            Ok(0) => Received::End(End::Closed),
            Ok(count) => Received::Data(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Received::End(End::Reset),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if awaited {
                    self.timeout = timeout.min(Duration::from_secs(1));
                }
                Received::Nothing
            }
            Err(error) => panic!("{name} cannot read: {error}"),
        }
    }
}
