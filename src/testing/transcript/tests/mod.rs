//! Transcripts that hold, and helpers for the other tests.

mod backends;
mod clients;
mod differing;
mod parsing;
mod ports;

use super::{Peers, Transcript, check};
use crate::testing::Server;
use crate::{Delimiter, LineContext, LineReceiver, Lines, TimerId};
use std::time::Duration;

/// A line protocol that greets, echoes, and obeys a few commands.
struct Parrot;

impl<F> LineReceiver<F> for Parrot {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, F>) {
        cx.send_line("hello");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        match line {
            b"go" => cx.transport.lose_connection(),
            b"leave" => cx.transport.abort_connection(),
            b"break" => panic!("broken"),
            b"wait" => drop(cx.set_timer(Duration::from_millis(1500))),
            b"prompt" => cx.transport.write("login: "),
            b"twice" => cx.transport.write("one\r\ntwo\r\n"),
            b"LF" => cx.transport.write("LF\n"),
            _ => cx.send_line(line),
        }
    }

    fn timer_fired(&mut self, cx: &mut LineContext<'_, F>, _: TimerId) {
        cx.send_line("time");
    }
}

#[track_caller]
fn passes(transcript: &str) {
    check(|| Lines::new(Parrot), transcript);
}

/// Asserts that the transcript fails at `line`, and that `shown` stands below the title.
#[track_caller]
fn differs(transcript: &str, line: usize, shown: &str) {
    let server = Server::new(|| Lines::new(Parrot));
    server.simulation().allow_panics();
    let transcript = Transcript::parse(transcript).unwrap();
    let difference = transcript.play(&mut Peers::of(&server)).unwrap_err();
    let text = difference.to_string();
    let (title, rest) = text.split_once("\n\n").unwrap();
    assert!(rest == shown, "{rest}");
    assert_eq!(difference.line(), line, "{title}");
    let (start, end) =
        ("the session differs from its transcript ", "(- expected, + what happened)");
    assert!(title.starts_with(start) && title.ends_with(end), "{title}");
}

#[test]
fn a_session_that_matches_its_transcript_passes() {
    passes("S: hello\n C: again\n S: again");
    passes(
        "# Two clients, and all that a client can do.

         ann connects
         bob connects
         ann S: hello
         bob S: hello
         bob C raw: \\x61\\\\\\t\\0b\\r\\n
         bob S raw: a\\\\\\x09\\x00
         bob S raw: b\\r\\n
         ann hears nothing
         ann C: prompt
         ann S raw: login:\\x20
         ann stops reading
         ann C: held
         ann hears nothing
         ann reads on
         ann S: held
         ann C: wait
         1499 ms pass
         ann hears nothing
         1 ms pass
         ann S: time
         ann finishes
         ann is closed
         bob C: go
         bob is closed
         ann connects
         ann S: hello
         ann resets
         ann connects
         ann C: leave
         ann is reset
         2 s pass",
    );
}

#[test]
fn the_unnamed_client_connects_before_time_passes() {
    struct Hasty;
    impl<F> crate::Protocol<F> for Hasty {
        fn connection_made(&mut self, cx: &mut crate::Context<'_, F>) {
            cx.set_timer(Duration::from_secs(60));
        }
        fn timer_fired(&mut self, cx: &mut crate::Context<'_, F>, _: TimerId) {
            cx.transport.lose_connection();
        }
    }
    check(|| Hasty, "1 min passes\n is closed\n connects\n hears nothing\n 1 h passes\n is closed");
    check(|| Hasty, "connects\n 59 s pass\n finishes\n 0 ms pass");
}

#[test]
fn clients_may_use_another_line_end() {
    let server = Server::new(|| Lines::new(Parrot).delimiter(b"\0"));
    let transcript: Transcript = "S raw: hello\\0\n C: a\n S raw: a\\0".parse().unwrap();
    transcript.clone().line_end("\0").play(&mut Peers::of(&server)).unwrap();
    assert_eq!(transcript.play(&mut Peers::of(&server)).unwrap_err().line(), 3);
}
