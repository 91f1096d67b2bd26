//! Sends back every byte it receives.
//!
//! `cargo run --example echo [PORT or ENDPOINT]`, then `nc 127.0.0.1 8007`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{Context, Protocol, Reactor, ServerEndpoint};

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let endpoint = env::args().nth(1).unwrap_or("tcp:8007:interface=127.0.0.1".to_owned());
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, || Echo)?;
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use twistor::testing;

    #[test]
    fn received_bytes_are_sent_back() {
        testing::check(|| Echo, "C: hello\n S: hello\n C raw: \\x00\\xff\n S raw: \\x00\\xff");
    }
}
