//! Requests to a scripted server, under virtual time.

use super::client::{Asker, Outcome, Outcomes, TIMEOUT};
use std::time::Duration;
use twistor::testing::{End, Server};

/// The shortest time there is.
const MOMENT: Duration = Duration::from_nanos(1);

/// A client, and what became of its requests.
struct Client {
    /// What its connections belong to; their other ends are the server's.
    connections: Server<Asker>,
    outcomes: Outcomes,
}

impl Client {
    fn new(depth: usize, max_waiting: usize) -> Self {
        let outcomes = Outcomes::default();
        let asker = Asker::new(depth, max_waiting, Outcomes::clone(&outcomes));
        Self { connections: Server::new(asker), outcomes }
    }

    fn ask(&self, numbers: impl IntoIterator<Item = u32>) {
        self.connections.factory(|asker, reactor| {
            numbers.into_iter().for_each(|number| asker.ask(number, reactor));
        });
        self.connections.simulation().settle();
    }

    fn wait(&self, time: Duration) {
        self.connections.simulation().run_for(time);
    }

    fn outcomes(&self) -> Vec<(u32, Outcome)> {
        self.outcomes.take()
    }
}

fn answered(number: u32, answer: &str) -> (u32, Outcome) {
    (number, Outcome::Answered(answer.to_owned()))
}

#[test]
fn replies_answer_the_oldest_request_however_they_are_cut() {
    let replies = b"one\r\ntwo\r\nthree\r\n";
    for first in 0..=replies.len() {
        for second in first..=replies.len() {
            let client = Client::new(2, 9);
            let server = client.connections.connect();
            client.ask([1, 2, 3]);
            assert_eq!(server.take_received(), b"1\r\n2\r\n");
            for piece in [&replies[..first], &replies[first..second], &replies[second..]] {
                server.send(piece);
            }
            assert_eq!(server.take_received(), b"3\r\n");
            let expected = [answered(1, "one"), answered(2, "two"), answered(3, "three")];
            assert_eq!(client.outcomes(), expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn what_waits_without_a_connection_is_sent_when_there_is_one() {
    let client = Client::new(1, 9);
    client.ask([1, 2]);
    client.wait(TIMEOUT - MOMENT);
    let server = client.connections.connect();
    assert_eq!(server.take_received(), b"1\r\n");
    server.send("one\r\n");
    assert_eq!(server.take_received(), b"2\r\n");
    assert_eq!(client.outcomes(), [answered(1, "one")]);
}

#[test]
fn a_full_queue_rejects_and_has_room_again() {
    let client = Client::new(2, 3);
    let server = client.connections.connect();
    client.ask(1..=7);
    assert_eq!(client.outcomes(), [(6, Outcome::Rejected), (7, Outcome::Rejected)]);
    server.send("one\r\n");
    client.ask([8, 9]);
    assert_eq!(client.outcomes(), [answered(1, "one"), (9, Outcome::Rejected)]);
    assert_eq!(server.take_received(), b"1\r\n2\r\n3\r\n");
}

#[test]
fn a_reply_is_in_time_until_the_deadline() {
    let client = Client::new(1, 9);
    let server = client.connections.connect();
    client.ask([1]);
    client.wait(TIMEOUT - MOMENT);
    assert_eq!(client.outcomes(), []);
    server.send("one\r\n");
    assert_eq!(client.outcomes(), [answered(1, "one")]);

    client.ask([2]);
    client.wait(TIMEOUT - MOMENT);
    assert_eq!(client.outcomes(), []);
    client.wait(MOMENT);
    assert_eq!(client.outcomes(), [(2, Outcome::Overdue)]);
    assert_eq!(server.close_kind(), None);
}

#[test]
fn a_late_reply_is_not_taken_for_the_next_one() {
    let client = Client::new(2, 9);
    let server = client.connections.connect();
    client.ask([1]);
    client.wait(TIMEOUT / 2);
    client.ask([2, 3, 4]);
    client.wait(TIMEOUT / 2);
    assert_eq!(client.outcomes(), [(1, Outcome::Overdue)]);
    assert_eq!(server.take_received(), b"1\r\n2\r\n", "its place is not free");
    server.send("one\r\n");
    assert_eq!((client.outcomes(), server.take_received()), (vec![], b"3\r\n".to_vec()));
    server.send("two\r\n");
    assert_eq!(client.outcomes(), [answered(2, "two")]);
}

#[test]
fn a_mute_server_is_sent_no_more_than_the_depth() {
    let client = Client::new(2, 100);
    let server = client.connections.connect();
    client.ask(1..=50);
    client.wait(TIMEOUT);
    let mut expected = vec![(1, Outcome::Overdue), (2, Outcome::Overdue)];
    expected.extend((3..=50).map(|number| (number, Outcome::Unsent)));
    assert_eq!(client.outcomes(), expected);
    client.ask([51]);
    client.wait(TIMEOUT);
    assert_eq!(client.outcomes(), [(51, Outcome::Unsent)]);
    assert_eq!(server.take_received(), b"1\r\n2\r\n");
    // A new connection owes nothing.
    server.reset();
    let server = client.connections.connect();
    client.ask([52]);
    server.send("answer\r\n");
    assert_eq!(client.outcomes(), [answered(52, "answer")]);
}

#[test]
fn a_lost_connection_loses_what_was_sent_and_nothing_else() {
    let reset = |server: &twistor::testing::Peer| server.reset();
    let close = |server: &twistor::testing::Peer| server.close_write();
    for (end, keeps) in [(reset as fn(&_), true), (close, true), (reset, false), (close, false)] {
        let client = Client::new(2, 9);
        let server = client.connections.connect();
        client.ask(1..=5);
        server.send("one\r\ntw");
        end(&server);
        let lost = [answered(1, "one"), (2, Outcome::Lost), (3, Outcome::Lost)];
        assert_eq!(client.outcomes(), lost);
        if keeps {
            let server = client.connections.connect();
            assert_eq!(server.take_received(), b"4\r\n5\r\n", "and not 2 or 3 again");
            server.send("four\r\nfive\r\n");
            assert_eq!(client.outcomes(), [answered(4, "four"), answered(5, "five")]);
        } else {
            client.connections.factory(|asker, _| asker.give_up());
            assert_eq!(client.outcomes(), [(4, Outcome::Unsent), (5, Outcome::Unsent)]);
            assert_eq!(client.connections.connect().take_received(), b"");
        }
        client.wait(2 * TIMEOUT);
        assert_eq!(client.outcomes(), [], "nothing twice");
    }
}

#[test]
fn what_waits_for_the_next_connection_expires_as_well() {
    let client = Client::new(1, 9);
    client.connections.connect().reset();
    client.ask([1]);
    client.wait(TIMEOUT);
    assert_eq!(client.outcomes(), [(1, Outcome::Unsent)]);
    assert_eq!(client.connections.connect().take_received(), b"");
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_connection() {
    let client = Client::new(1, 9);
    let server = client.connections.connect();
    client.ask([1]);
    server.send("one\r\ntwo\r\n");
    assert_eq!(client.outcomes(), [answered(1, "one")]);
    assert_eq!(server.close_kind(), Some(End::Closed));
    let reason = server.lost_reason().unwrap().to_string();
    assert_eq!(reason, "failed: a reply has arrived that no request is waiting for");
}
