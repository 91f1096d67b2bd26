//! Answers one question, line by line.
//!
//! `cargo run --example answer [PORT or ENDPOINT]`, then `nc 127.0.0.1 8007` or `telnet`.

#[path = "shared/certificates.rs"]
mod certificates;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use twistor::{Delimiter, LineContext, LineReceiver, Lines, Reactor, ServerEndpoint};

struct Answer;

impl<F> LineReceiver<F> for Answer {
    // `telnet` ends its lines with CR LF, `nc` with LF.
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line(match line {
            b"How are you?" => "Fine",
            _ => "I don't know what you mean",
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let endpoint = env::args().nth(1).unwrap_or("tcp:8007:interface=127.0.0.1".to_owned());
    let endpoint: ServerEndpoint = endpoint.parse()?;
    let mut reactor = Reactor::new()?;
    certificates::renew_those_of(&endpoint, &mut reactor);
    let port = endpoint.listen(&mut reactor, || Lines::new(Answer))?;
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
    fn a_known_question_is_answered() {
        testing::check(
            || Lines::new(Answer),
            "C: How are you?
             S: Fine
             C raw: How are you?\\nAnd you?\\n
             S: Fine
             S: I don't know what you mean
             finishes",
        );
    }

    #[test]
    fn answers_do_not_depend_on_how_the_bytes_arrive() {
        testing::assert_split_invariant(|| Lines::new(Answer), "How are you?\nHow?\r\n\nHow");
    }
}
