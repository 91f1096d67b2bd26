//! The chat. What is said in a turn leaves at its end, in one write to each member.

use crate::connection::Connections;
use crate::server::Service;
use mio::net::TcpStream;
use std::io::Write;
use twistor_benches::lines::each_line;

#[derive(Default)]
pub struct Chat {
    message: Vec<u8>,
}

#[derive(Default)]
pub struct Member {
    name: Option<Vec<u8>>,
    /// The beginning of a line whose end has yet to come.
    partial: Vec<u8>,
}

impl Service for Chat {
    type State = Member;

    fn greet(&mut self, socket: &mut TcpStream) -> bool {
        // A new socket takes it whole; reading finds out if the client is gone already.
        let _ = socket.write(b"What's your name?\r\n");
        true
    }

    fn received(&mut self, connections: &mut Connections<Member>, key: usize, data: &[u8]) {
        let mut partial = std::mem::take(&mut connections.open[key].state.partial);
        each_line(&mut partial, data, |line| self.hear(connections, key, line));
        connections.open[key].state.partial = partial;
    }
}

impl Chat {
    fn hear(&mut self, connections: &mut Connections<Member>, key: usize, line: &[u8]) {
        self.message.clear();
        let Some(name) = &connections.open[key].state.name else {
            self.compose(&[b"Welcome, ", line, b"!\r\n"]);
            return connections.change(key, |connection| {
                connection.state.name = Some(line.to_vec());
                connection.say(&self.message);
            });
        };
        self.compose(&[b"<", name, b"> ", line, b"\r\n"]);
        connections.for_each(|other, connection| {
            let hears = other != key && connection.state.name.is_some();
            if hears {
                connection.say(&self.message);
            }
            hears
        });
    }

    fn compose(&mut self, pieces: &[&[u8]]) {
        pieces.iter().for_each(|piece| self.message.extend_from_slice(piece));
    }
}
