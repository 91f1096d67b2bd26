//! A client of the chat that stays connected: sends each line of its input to the server, and
//! prints each line of the server.
//!
//! `cargo run --example chat_client [SERVER [NAME]]`, with `chat` running. The server is a host and
//! a port number, `localhost:8123` by default, or an endpoint, such as `tcp:localhost:8123`. With a
//! name it says that name itself, whenever it has connected.

mod input;
#[path = "../shared/server_endpoint.rs"]
mod server_endpoint;

use std::env;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;
use twistor::client_service::Backoff;
use twistor::{
    ClientService, Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport,
};

/// Connect timeout, and the time for the server to accept the name: short, since a person is
/// waiting.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum delay: a person would not wait much longer, and would begin the program again.
const DELAY_MAX: Duration = Duration::from_secs(15);

struct Member;

impl LineReceiver<Client> for Member {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Client>) {
        say(format_args!("connected to {}", cx.transport.peer_address()));
        match &cx.factory.name {
            Some(name) => cx.transport.write_sequence([name.as_str(), "\r\n"]),
            None => drop(cx.reactor.set_prepared(cx.transport)),
        }
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Client>, line: &[u8]) {
        // Not `println!`, which panics if the output is closed.
        if let Err(error) = writeln!(io::stdout(), "{}", String::from_utf8_lossy(line)) {
            cx.transport.fail(error);
            return cx.reactor.stop();
        }
        let is_welcome = line.starts_with(b"Welcome, ");
        let is_prepared = is_welcome && cx.reactor.set_prepared(cx.transport);
        if !is_prepared && cx.factory.name.is_some() && line.starts_with(b"Name taken") {
            // The server may not have noticed yet that the connection before is gone.
            cx.transport.lose_connection();
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Client>, reason: &Reason) {
        cx.factory.ended = format!("lost {}: {reason}", cx.transport.peer_address());
    }
}

struct Client {
    name: Option<String>,
    /// How the latest connection, or attempt to connect, has ended.
    ended: String,
}

impl Factory for Client {
    twistor::build_protocol!(Lines<Member>, |_| Lines::new(Member));

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, _: &mut Reactor) {
        self.ended = format!("cannot connect to {}: {error}", to.peer_address());
    }

    fn retrying(&mut self, _: &Transport, delay: Duration, _: u32, _: &mut Reactor) {
        say(format_args!("{}; trying again in {:.1} s", self.ended, delay.as_secs_f64()));
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        reactor.stop();
    }
}

/// Tells the user something that is not part of the chat.
fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let server = arguments.next().unwrap_or("localhost:8123".to_owned());
    let client = Client { name: arguments.next(), ended: String::new() };
    let mut reactor = Reactor::new()?;
    let service = ClientService::new(server_endpoint::parse(&server, TIMEOUT)?, client)
        .retry(Backoff::new().maximum(DELAY_MAX))
        .prepared_by_protocol(TIMEOUT)
        .start(&mut reactor)?;
    input::read(service, reactor.remote());
    reactor.run()?;
    Ok(())
}
