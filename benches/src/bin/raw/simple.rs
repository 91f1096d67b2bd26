//! The servers that look at no other connection, and at no line.

use crate::connection::Connections;
use crate::server::Service;
use mio::net::TcpStream;
use std::io::Write;
use twistor_benches::{ACKNOWLEDGEMENT, QUOTE, SINK_LEN};

pub struct Echo;

impl Service for Echo {
    type State = ();

    fn received(&mut self, connections: &mut Connections<()>, key: usize, data: &[u8]) {
        connections.open[key].send(data);
    }
}

pub struct Quote;

impl Service for Quote {
    type State = ();

    fn greet(&mut self, socket: &mut TcpStream) -> bool {
        // A new socket takes it whole; a client that is gone already misses nothing.
        let _ = socket.write(QUOTE);
        false
    }

    fn received(&mut self, _: &mut Connections<()>, _: usize, _: &[u8]) {}
}

pub struct Sink;

impl Service for Sink {
    /// Bytes received since the last acknowledgement.
    type State = u64;

    fn received(&mut self, connections: &mut Connections<u64>, key: usize, data: &[u8]) {
        let connection = &mut connections.open[key];
        connection.state += data.len() as u64;
        while connection.state >= SINK_LEN {
            connection.state -= SINK_LEN;
            connection.send(&[ACKNOWLEDGEMENT]);
        }
    }
}
