//! Sends a file to every client, as fast as each of them reads, and closes. With a rate limit, all
//! clients together get at most RATE bytes per second.
//!
//! `cargo run --example send_file [PORT or ENDPOINT [PATH [RATE]]]`, then `nc 127.0.0.1 8007`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use twistor::limits::RateLimits;
use twistor::{Context, Factory, Producer, Protocol, Reactor, ServerEndpoint};

struct Sender;

impl Protocol<Sending> for Sender {
    fn connection_made(&mut self, cx: &mut Context<'_, Sending>) {
        match File::open(&cx.factory.path) {
            Ok(file) => cx.transport.register_producer(Producer::reader(file)),
            Err(error) => return cx.transport.fail(error),
        }
        // Takes effect when the file has been sent.
        cx.transport.lose_connection();
    }

    fn producer_finished(&mut self, cx: &mut Context<'_, Sending>, result: io::Result<u64>) {
        let peer = cx.transport.peer_address();
        match result {
            Ok(count) => {
                // Not `println!`, which panics if the output is closed: that would end the
                // connection, and discard its unsent bytes.
                let _ = writeln!(io::stdout(), "{peer}: {count} bytes");
            }
            Err(error) => cx.transport.fail(error),
        }
    }
}

struct Sending {
    path: PathBuf,
}

impl Factory for Sending {
    twistor::build_protocol!(Sender, |_| Sender);

    /// Reports a missing file at once.
    fn start_factory(&mut self, _: &mut Reactor) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        };
        File::open(&self.path).map(drop).map_err(named)
    }
}

fn rate(given: &OsString) -> Result<u64, String> {
    let rate = given.to_str().and_then(|given| given.parse().ok()).filter(|rate| *rate > 0);
    rate.ok_or_else(|| format!("{given:?} is not a rate in bytes per second, like 1000000"))
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args_os().skip(1);
    let endpoint = match arguments.next() {
        Some(given) => given.into_string().map_err(|_| "an endpoint is text")?,
        None => "tcp:8007:interface=127.0.0.1".to_owned(),
    };
    let path = arguments.next().map_or_else(|| PathBuf::from("README.md"), PathBuf::from);
    let rate = arguments.next().as_ref().map(rate).transpose()?;
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, Sending { path })?;
    if let Some(rate) = rate {
        reactor.set_shared_rate_limits(&port, RateLimits::new().write(rate));
    }
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing::{End, connect};

    #[test]
    fn a_client_gets_the_file_and_a_close() {
        let path = PathBuf::from("README.md");
        let client = connect(Sending { path });
        assert_eq!(client.close_kind(), Some(End::Closed));
        assert!(client.take_received() == std::fs::read("README.md").unwrap());
    }
}
