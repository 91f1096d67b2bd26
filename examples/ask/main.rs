//! Sends a server one line, prints the answer, and ends.
//!
//! `cargo run --example ask HOST:PORT QUESTION`, such as `localhost:8007 "How are you?"`, with
//! `answer` or `echo` running. The server may also be an endpoint, such as `unix:/tmp/answer` or
//! `tcp:localhost:8007:timeout=1`.

#[path = "../shared/server_endpoint.rs"]
mod server_endpoint;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use twistor::{Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport};

/// Connect timeout, and the longest wait for the answer: short, since a person is waiting.
const TIMEOUT: Duration = Duration::from_secs(5);

struct Asking;

impl LineReceiver<Asker> for Asking {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Asker>) {
        cx.transport.write_sequence([cx.factory.question.as_str(), "\r\n"]);
        cx.transport.set_timeout(TIMEOUT);
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Asker>, line: &[u8]) {
        // Not `println!`, which panics if the output is closed.
        match writeln!(io::stdout(), "{}", String::from_utf8_lossy(line)) {
            Ok(()) => cx.factory.answered.set(true),
            Err(error) => cx.transport.fail(error),
        }
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Asker>, reason: &Reason) {
        if !cx.factory.answered.get() {
            let _ = writeln!(io::stderr(), "{}: {reason}", cx.transport.peer_address());
        }
        cx.reactor.stop();
    }
}

struct Asker {
    question: String,
    /// Read by `main` after the factory is dropped.
    answered: Rc<Cell<bool>>,
}

impl Factory for Asker {
    twistor::build_protocol!(Lines<Asking>, |_| Lines::new(Asking));

    fn connection_failed(&mut self, to: &Transport, error: &io::Error, reactor: &mut Reactor) {
        let _ = writeln!(io::stderr(), "cannot connect to {}: {error}", to.peer_address());
        reactor.stop();
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    env_logger::init();
    let mut arguments = env::args().skip(1);
    let (Some(server), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("two arguments: the host and port of a server, and a question".into());
    };
    let mut reactor = Reactor::new()?;
    let answered = Rc::new(Cell::new(false));
    let asker = Asker { question, answered: Rc::clone(&answered) };
    server_endpoint::parse(&server, TIMEOUT)?.connect(&mut reactor, asker)?;
    reactor.run()?;
    Ok(if answered.get() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
