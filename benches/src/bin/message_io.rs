//! The servers on message-io: its network without the node, so that one thread polls and calls.
//!
//! `message-io echo|lines|chat|quote|sink|broadcast`. Three things are the library's and stay:
//! there is no way to set no-delay on what it accepts; `send` has no queue, it tries again until
//! the peer has taken all, and the server stands still, busy, for as long as one does not read;
//! and a connection is read until it is empty, however long that takes.

use message_io::network::{self, Endpoint, NetEvent, NetworkController, Transport};
use std::collections::HashMap;
use twistor_benches::lines::each_line;
use twistor_benches::{ACKNOWLEDGEMENT, BLOCK, QUOTE, SINK_LEN, announce, answer, refuse};

#[derive(Clone, Copy)]
enum Work {
    Echo,
    Lines,
    Chat,
    Quote,
    Sink,
    Broadcast,
}

struct Server {
    work: Work,
    network: NetworkController,
    connections: HashMap<Endpoint, Connection>,
    /// To be written to when all that one poll has brought is dealt with.
    gathered: Vec<Endpoint>,
    answers: Vec<u8>,
}

#[derive(Default)]
struct Connection {
    partial: Vec<u8>,
    received: u64,
    name: Option<Vec<u8>>,
    unsent: Vec<u8>,
}

fn main() {
    let work = match std::env::args().nth(1).as_deref() {
        Some("echo") => Work::Echo,
        Some("lines") => Work::Lines,
        Some("chat") => Work::Chat,
        Some("quote") => Work::Quote,
        Some("sink") => Work::Sink,
        Some("broadcast") => Work::Broadcast,
        Some("timers") => refuse(
            "message-io keeps its timers by the instant that they are due: of two that are due in \
             the same nanosecond it loses one",
        ),
        _ => refuse("message-io echo|lines|chat|quote|sink|broadcast"),
    };
    let (network, mut processor) = network::split();
    let (_, address) = network.listen(Transport::Tcp, "127.0.0.1:0").unwrap();
    announce(address);
    let mut server = Server {
        work,
        network,
        connections: HashMap::new(),
        gathered: Vec::new(),
        answers: Vec::new(),
    };
    loop {
        processor.process_poll_event(None, |event| server.handle(event));
        server.flush();
    }
}

impl Server {
    fn handle(&mut self, event: NetEvent<'_>) {
        match event {
            NetEvent::Connected(..) => unreachable!("a server connects to nobody"),
            NetEvent::Accepted(endpoint, _) => self.accepted(endpoint),
            NetEvent::Message(endpoint, data) => match self.work {
                Work::Echo => {
                    self.network.send(endpoint, data);
                }
                Work::Lines => self.lines(endpoint, data),
                Work::Chat => self.chat(endpoint, data),
                Work::Quote => {}
                Work::Sink => self.sink(endpoint, data),
                Work::Broadcast => self.broadcast(data),
            },
            NetEvent::Disconnected(endpoint) => {
                self.connections.remove(&endpoint);
            }
        }
    }

    fn accepted(&mut self, endpoint: Endpoint) {
        match self.work {
            Work::Quote => {
                self.network.send(endpoint, QUOTE);
                self.network.remove(endpoint.resource_id());
            }
            Work::Echo => {}
            Work::Chat => {
                self.connections.insert(endpoint, Connection::default());
                self.say(endpoint, b"What's your name?\r\n");
            }
            Work::Lines | Work::Sink | Work::Broadcast => {
                self.connections.insert(endpoint, Connection::default());
            }
        }
    }

    fn lines(&mut self, endpoint: Endpoint, data: &[u8]) {
        let Some(connection) = self.connections.get_mut(&endpoint) else { return };
        let answers = &mut self.answers;
        each_line(&mut connection.partial, data, |line| {
            answers.extend_from_slice(answer(line));
            answers.extend_from_slice(b"\r\n");
        });
        if !answers.is_empty() {
            self.network.send(endpoint, answers);
            answers.clear();
        }
    }

    fn chat(&mut self, endpoint: Endpoint, data: &[u8]) {
        let Some(connection) = self.connections.get_mut(&endpoint) else { return };
        let mut partial = std::mem::take(&mut connection.partial);
        let mut name = connection.name.take();
        each_line(&mut partial, data, |line| match &name {
            None => {
                name = Some(line.to_vec());
                self.say(endpoint, &[b"Welcome, ", line, b"!\r\n"].concat());
            }
            Some(name) => {
                let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat();
                for (other, connection) in &mut self.connections {
                    // The speaker's own name is out of its place meanwhile.
                    if connection.name.is_some() {
                        gather(&mut self.gathered, *other, connection, &message);
                    }
                }
            }
        });
        if let Some(connection) = self.connections.get_mut(&endpoint) {
            (connection.partial, connection.name) = (partial, name);
        }
    }

    fn say(&mut self, endpoint: Endpoint, message: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&endpoint) {
            gather(&mut self.gathered, endpoint, connection, message);
        }
    }

    fn flush(&mut self) {
        for endpoint in self.gathered.drain(..) {
            if let Some(connection) = self.connections.get_mut(&endpoint) {
                self.network.send(endpoint, &connection.unsent);
                connection.unsent.clear();
            }
        }
    }

    fn sink(&mut self, endpoint: Endpoint, data: &[u8]) {
        let Some(connection) = self.connections.get_mut(&endpoint) else { return };
        let acknowledged = connection.received / SINK_LEN;
        connection.received += data.len() as u64;
        for _ in acknowledged..connection.received / SINK_LEN {
            self.network.send(endpoint, &[ACKNOWLEDGEMENT]);
        }
    }

    fn broadcast(&mut self, data: &[u8]) {
        for _ in data {
            for endpoint in self.connections.keys() {
                self.network.send(*endpoint, &BLOCK);
            }
        }
    }
}

fn gather(
    gathered: &mut Vec<Endpoint>,
    endpoint: Endpoint,
    connection: &mut Connection,
    message: &[u8],
) {
    if connection.unsent.is_empty() {
        gathered.push(endpoint);
    }
    connection.unsent.extend_from_slice(message);
}
