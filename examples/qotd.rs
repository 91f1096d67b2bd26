//! Sends a quote and closes: the quote of the day, kept in the factory.
//!
//! `cargo run --example qotd [PORT or ENDPOINT [QUOTE]]`, then `nc 127.0.0.1 8007`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{Context, Factory, Protocol, Reactor, ServerEndpoint};

struct Qotd;

impl Protocol<QotdFactory> for Qotd {
    fn connection_made(&mut self, cx: &mut Context<'_, QotdFactory>) {
        cx.transport.write_sequence([cx.factory.quote.as_str(), "\r\n"]);
        cx.transport.lose_connection();
    }
}

struct QotdFactory {
    quote: String,
}

impl Factory for QotdFactory {
    twistor::build_protocol!(Qotd, |_| Qotd);
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next().unwrap_or("tcp:8007:interface=127.0.0.1".to_owned());
    let quote = arguments.next().unwrap_or("An apple a day keeps the doctor away".to_owned());
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, QotdFactory { quote })?;
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
    fn a_client_gets_the_quote_and_a_close() {
        let quote = "Less is more".to_owned();
        testing::check(QotdFactory { quote }, "S: Less is more\n is closed");
    }
}
