//! Sends Redis a command, or the commands of its standard input, a line each, and prints the
//! replies.
//!
//! `cargo run --example redis_cli ENDPOINT [COMMAND ARGUMENT..]`, such as `tcp:127.0.0.1:6379 SET a
//! 1`, or `unix:/run/redis.sock`. The exit status is zero if every command had a reply that is no
//! error.

mod client;
mod input;
#[path = "../shared/redis/mod.rs"]
mod redis;
#[cfg(test)]
mod tests;
mod words;

use client::{Client, Commands};
use std::cell::Cell;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use twistor::{ClientEndpoint, Factory, Reactor, Transport};

/// Time for a reply: short, since a person may be waiting. So a command that waits for something,
/// such as BLPOP, has to wait for less.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the only protocol, and holds what is left when that is gone.
struct Cli {
    commands: Option<Commands>,
    output: Box<dyn Write>,
    /// Every command had a reply, and none was an error. Read by `main` after the factory is
    /// dropped.
    succeeded: Rc<Cell<bool>>,
}

impl Factory for Cli {
    type Protocol = Client;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Client> {
        self.commands.take().map(Client::new)
    }

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let _ = writeln!(io::stderr(), "cannot connect to {}: {error}", to.peer_address());
        reactor.stop();
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next().ok_or("the endpoint is missing, such as tcp:127.0.0.1:6379")?;
    let endpoint: ClientEndpoint = endpoint.parse()?;
    let words: Vec<String> = arguments.collect();
    let commands =
        if words.is_empty() { Commands::Lines } else { Commands::One(redis::encode(&words)) };
    let succeeded = Rc::new(Cell::new(false));
    let cli = Cli {
        commands: Some(commands),
        output: Box::new(io::stdout()),
        succeeded: Rc::clone(&succeeded),
    };
    let mut reactor = Reactor::new()?;
    endpoint.connect(&mut reactor, cli)?;
    reactor.run()?;
    Ok(if succeeded.get() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
