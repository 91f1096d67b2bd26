//! A chat over NATS: any number of these programs are one chat.
//!
//! `cargo run -p twistor-nats --example chat -- [ENDPOINT [SERVERS]]`, several times, each on a
//! port of its own; then `nc 127.0.0.1 8123`. `/join ROOM` enters another room than the lobby.

mod bulletin;
mod chat;
#[cfg(test)]
mod crowd;
mod ended_streams;
#[cfg(test)]
mod failure_tests;
mod member;
#[path = "../../../examples/chat/name.rs"]
mod name;
mod names;
mod node_id;
mod nodes;
mod question;
mod room;
mod streams;
#[cfg(test)]
mod tests;

use chat::Chat;
use node_id::NodeId;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{Reactor, ServerEndpoint};

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next().unwrap_or("tcp:8123:interface=127.0.0.1".to_owned());
    let servers = arguments.next().unwrap_or("nats://127.0.0.1:4222".to_owned());
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    let node = NodeId::new(&mut reactor);
    let port = endpoint.listen(&mut reactor, Chat::new(&servers, node))?;
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}
