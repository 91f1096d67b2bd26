//! Port forwarder: passes everything that arrives at a port on to another server, and back.
//!
//! `cargo run --example proxy LISTEN TARGET`, such as `tcp:8080:interface=127.0.0.1
//! tcp:localhost:8007:timeout=5`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{
    ClientEndpoint, Context, Factory, Protocol, Reactor, Reason, ServerEndpoint, Transport,
};

/// One side of a pair. It writes received bytes to the other side, and is read no faster than the
/// other side sends (backpressure).
struct Side {
    other: Transport,
}

impl<F> Protocol<F> for Side {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        self.other.register_producer(cx.transport);
    }

    fn data_received(&mut self, _cx: &mut Context<'_, F>, data: &[u8]) {
        self.other.write(data);
    }

    /// A half-close passes through; when both halves are closed, the connections end.
    fn read_connection_lost(&mut self, _cx: &mut Context<'_, F>) {
        self.other.lose_write_connection();
    }

    fn connection_lost(&mut self, _cx: &mut Context<'_, F>, reason: &Reason) {
        if reason.is_done() {
            self.other.lose_connection();
        } else {
            self.other.abort_connection();
        }
    }
}

/// Accepts clients, and connects each of them to the target.
struct Proxy {
    target: ClientEndpoint,
}

impl Factory for Proxy {
    type Protocol = Side;

    fn build_protocol(&mut self, client: &Transport, reactor: &mut Reactor) -> Option<Side> {
        let dialling = TargetFactory { client: client.clone() };
        match self.target.clone().connect(reactor, dialling) {
            // Bytes that the client sends meanwhile wait, up to the high-water mark.
            Ok(connector) => Some(Side { other: connector.transport().clone() }),
            Err(error) => {
                log::error!("{error}");
                client.abort_connection();
                None
            }
        }
    }
}

/// Factory of one connection to the target.
struct TargetFactory {
    client: Transport,
}

impl Factory for TargetFactory {
    twistor::build_protocol!(Side, |dialling| Side { other: dialling.client.clone() });

    fn connection_failed(&mut self, target: &Transport, error: &io::Error, _: &mut Reactor) {
        log::warn!("{} for {}: {error}", target.peer_address(), self.client.peer_address());
        // A graceful close would mean that the target had nothing to answer.
        self.client.abort_connection();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let (Some(listen), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("two arguments: an endpoint to listen on, and one to connect to".into());
    };
    let listen: ServerEndpoint = listen.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&listen, &mut reactor);
    let port = listen.listen(&mut reactor, Proxy { target: target.parse()? })?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}
