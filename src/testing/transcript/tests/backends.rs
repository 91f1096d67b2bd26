//! Calls that a backend receives, and events that it may return.

use super::super::{Backend, Received, Transcript, escape::escaped};
use crate::testing::End;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// A backend that returns planned events, and records its calls.
#[derive(Default)]
struct Planned {
    heard: VecDeque<Received>,
    fails: &'static str,
    asked: Vec<String>,
}

impl Planned {
    fn ask(&mut self, what: impl Into<String>) {
        self.asked.push(what.into());
    }

    fn fail(&mut self, act: &str) -> io::Result<()> {
        self.ask(act);
        if self.fails == act { Err(io::Error::other("no")) } else { Ok(()) }
    }
}

impl Backend for Planned {
    fn connect(&mut self, _: &str) -> io::Result<()> {
        self.fail("connect")
    }

    fn send(&mut self, _: &str, data: &[u8]) -> io::Result<()> {
        self.ask(escaped(data));
        self.fail("send")
    }

    fn finish(&mut self, client: &str) {
        self.ask(format!("finish {client}"));
    }

    fn reset(&mut self, client: &str) {
        self.ask(format!("reset {client}"));
    }

    fn stop_reading(&mut self, client: &str) {
        self.ask(format!("stop {client}"));
    }

    fn resume_reading(&mut self, client: &str) {
        self.ask(format!("on {client}"));
    }

    fn pass(&mut self, time: Duration) {
        self.ask(format!("{time:?}"));
    }

    fn next(&mut self, _: &str, awaited: bool) -> Received {
        self.ask(if awaited { "await" } else { "look" });
        self.heard.pop_front().unwrap_or(Received::Nothing)
    }
}

fn planned(heard: impl IntoIterator<Item = Received>, text: &str) -> (Planned, Result<(), String>) {
    let mut backend = Planned { heard: heard.into_iter().collect(), ..Planned::default() };
    let result = Transcript::parse(text).unwrap().play(&mut backend);
    (backend, result.map_err(|difference| difference.to_string()))
}

fn data(text: &str) -> Received {
    Received::Data(text.into())
}

#[test]
fn a_backend_waits_only_for_expected_events() {
    let pieces = [
        data("he"),
        data("llo\r"),
        data("\nyou\r\n"),
        Received::Nothing,
        Received::End(End::Reset),
    ];
    let (backend, result) = planned(pieces, "S: hello\nS: you\nhears nothing\nis reset\n2 s pass");
    assert_eq!(result, Ok(()));
    assert_eq!(backend.asked, ["connect", "await", "await", "await", "look", "await", "2s"]);
    let text = "C: a\nstops reading\nreads on\nfinishes\nresets";
    let (backend, result) = planned([], text);
    assert_eq!(result, Ok(()));
    let expected = ["connect", "a\\r\\n", "send", "stop ", "on ", "finish ", "look", "reset "];
    assert_eq!(backend.asked, expected);
}

#[test]
fn ends_that_no_step_can_expect_are_shown() {
    for (end, words) in [(End::TimedOut, "times out"), (End::Refused, "is refused")] {
        let (_, result) = planned([Received::End(end)], "is closed");
        assert!(result.unwrap_err().ends_with(&format!("\n\n   1 - is closed\n     + {words}")));
    }
}

#[test]
fn failed_calls_of_a_client_are_shown() {
    for (fails, shown) in [
        (
            "connect",
            "   1 - ann connects
   2 - ann C: hi
   3 - ann finishes
     + ann cannot connect: no",
        ),
        (
            "send",
            "   1   ann connects
   2 - ann C: hi
     + ann cannot send: no
   3   ann finishes",
        ),
    ] {
        let mut backend = Planned { fails, ..Planned::default() };
        let text = "ann connects\nann C: hi\nann finishes";
        let difference = Transcript::parse(text).unwrap().play(&mut backend).unwrap_err();
        assert_eq!(difference.to_string().split_once("\n\n").unwrap().1, shown);
        assert_eq!(backend.asked.contains(&"look".to_owned()), fails == "send");
    }
}
