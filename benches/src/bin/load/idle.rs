//! Many connections that do nothing, and what each of them costs in memory.

use crate::connection;
use crate::failure::Outcome;
use crate::order::Order;
use crate::phase::{Limit, Phase};
use crate::process::Process;
use crate::socket::{Encryption, Socket};
use std::net::TcpStream;
use std::time::Instant;

/// Opens the connections one by one; an operation is one that is connected and served an echo, so
/// that no buffer is merely yet to come. Returns the growth of the server's memory per connection.
pub fn idle(order: &Order, server: Process) -> Outcome<(Phase, f64)> {
    // It pays for what all share.
    let encryption = Encryption::new(order);
    let _first = served(order, &encryption, 0)?;
    server.settle()?;
    let before = server.resident()?;
    let mut phase = Phase::new(Limit::Operations(order.connections as u64));
    let mut open = Vec::with_capacity(order.connections);
    for number in 1..=order.connections {
        let begun = Instant::now();
        phase.begin(1, begun);
        open.push(served(order, &encryption, number)?);
        phase.end(1, begun, Instant::now());
    }
    server.settle()?;
    let growth = server.resident()? as f64 - before as f64;
    Ok((phase, growth / order.connections as f64))
}

fn served(order: &Order, encryption: &Encryption, number: usize) -> Outcome<Socket<TcpStream>> {
    let mut socket = encryption.on(connection::connect(order.address, number)?, number)?;
    let message = vec![b'x'; order.bytes];
    connection::exchange(&mut socket, number, &message, &message)?;
    Ok(socket)
}
