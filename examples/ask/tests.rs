//! Sessions with servers in memory. `tests/it/` has it as a program.

use super::server_endpoint::parse;
use super::{Asker, TIMEOUT};
use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use twistor::testing::{Client, Peers, Transcript};

/// Returns whether the question was answered in the session of a transcript.
#[track_caller]
fn is_answered(transcript: &str) -> bool {
    let answered = Rc::new(Cell::new(false));
    let asker = Asker { question: "How are you?".to_owned(), answered: Rc::clone(&answered) };
    let client = Client::to(parse("example.org:8007", TIMEOUT).unwrap(), asker);
    let played = Transcript::parse(transcript).unwrap().play(&mut Peers::of_client(&client));
    played.unwrap_or_else(|difference| panic!("{difference}"));
    assert!(client.host().has_stopped(), "the program ends");
    answered.get()
}

#[test]
fn a_question_is_answered_within_its_timeout_or_not() {
    assert!(is_answered(include_str!("answered.transcript")));
    assert!(!is_answered(include_str!("unanswered.transcript")));
    assert!(!is_answered("C: How are you?\nis closed"));
    assert!(!is_answered("C: How are you?\nis reset"));
}

#[test]
fn a_server_that_cannot_be_reached_ends_the_program() {
    assert!(!is_answered("is refused"));
    assert!(!is_answered("gets no answer\n5 s pass"));
    let asker = Asker { question: String::new(), answered: Rc::default() };
    let client = Client::to(parse("[::1]:8007", TIMEOUT).unwrap(), asker);
    client.advance(TIMEOUT - Duration::from_millis(1));
    assert_eq!((client.waiting(), client.attempt().error()), (1, None));
    client.advance(Duration::from_millis(1));
    assert_eq!(client.attempt().error(), Some(ErrorKind::TimedOut));
    assert!(client.host().has_stopped());
}

#[test]
fn servers_are_given_by_host_and_port() {
    for server in ["localhost", "localhost:web", ":8007", "a b:8007", "127.1:8007", "tcp:a"] {
        assert!(parse(server, TIMEOUT).is_err(), "{server}");
    }
    for server in ["localhost:8007", "[::1]:8007", "tcp:localhost:8007:timeout=1"] {
        assert!(parse(server, TIMEOUT).is_ok(), "{server}");
    }
}
