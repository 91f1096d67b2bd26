//! An echo that tells each client how many clients there are: the count is in the factory.
//!
//! `cargo run --example counting_echo [PORT or ENDPOINT]`, then `nc 127.0.0.1 8007`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{Context, Factory, Protocol, Reactor, Reason, ServerEndpoint};

struct Echo;

impl Protocol<EchoFactory> for Echo {
    fn connection_made(&mut self, cx: &mut Context<'_, EchoFactory>) {
        cx.factory.open += 1;
        let open = cx.factory.open;
        cx.transport.write(format!("Welcome! There are currently {open} open connections.\n"));
    }

    fn data_received(&mut self, cx: &mut Context<'_, EchoFactory>, data: &[u8]) {
        cx.transport.write(data);
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, EchoFactory>, _reason: &Reason) {
        cx.factory.open -= 1;
    }
}

#[derive(Default)]
struct EchoFactory {
    open: usize,
}

impl Factory for EchoFactory {
    twistor::build_protocol!(Echo, |_counting| Echo);
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let endpoint = env::args().nth(1).unwrap_or("tcp:8007:interface=127.0.0.1".to_owned());
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, EchoFactory::default())?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing::Server;

    #[test]
    fn closed_connections_are_not_counted() {
        let server = Server::new(EchoFactory::default());
        let (ann, bob) = (server.connect(), server.connect());
        assert_eq!(bob.take_received(), b"Welcome! There are currently 2 open connections.\n");
        ann.reset();
        drop(bob);
        assert_eq!(server.factory(|factory, _| factory.open), 0);
    }
}
