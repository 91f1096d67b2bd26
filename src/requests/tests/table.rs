//! What the queue does, case by case.

use crate::requests::{Expired, RequestQueue, UnexpectedReply};
use std::fmt::Write;
use std::time::{Duration, Instant};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Carries out a script on a queue with a timeout of ten seconds, and returns what came of it.
///
/// A word is a request that is pushed, `>` sends all that may be sent, `<` is a reply, `!` ends the
/// connection, `?` takes what waits, and a number is a time, in seconds from the beginning.
fn play(queue: RequestQueue<&str>, script: &str) -> String {
    let (mut queue, start) = (queue.timeout(s(10)), Instant::now());
    let (mut now, mut said) = (start, String::new());
    for word in script.split(' ') {
        if let Ok(second) = word.parse() {
            now = start + s(second);
            while let Some(expired) = queue.pop_expired(now) {
                match expired {
                    Expired::Sent(request) => write!(said, "expired:{request} ").unwrap(),
                    Expired::Waiting(request) => write!(said, "unsent:{request} ").unwrap(),
                }
            }
            continue;
        }
        match word {
            ">" => {
                while let Some(request) = queue.start_next() {
                    write!(said, "send:{request} ").unwrap();
                }
            }
            "<" => match queue.pop_answered() {
                Ok(Some(request)) => write!(said, "answer:{request} ").unwrap(),
                Ok(None) => said.push_str("late "),
                Err(UnexpectedReply) => said.push_str("unexpected "),
            },
            "!" => {
                queue.connection_lost().iter().for_each(|it| write!(said, "lost:{it} ").unwrap())
            }
            "?" => queue.take_waiting().iter().for_each(|it| write!(said, "taken:{it} ").unwrap()),
            request => {
                if let Err(full) = queue.push(now, request) {
                    write!(said, "full:{} ", full.into_request()).unwrap();
                }
            }
        }
    }
    let (waiting, under_way) = (queue.waiting(), queue.under_way());
    assert_eq!(queue.is_empty(), waiting + under_way == 0, "{script}");
    write!(said, "| {waiting} {under_way} {}", queue.overdue()).unwrap();
    said
}

#[test]
fn requests_are_sent_answered_and_lost_in_their_order() {
    // The depth, the script, what comes of it; and how many wait, are under way, and are overdue.
    let cases = [
        (1, "a b > > < > < >", "send:a answer:a send:b answer:b | 0 0 0"),
        (1, "> a >", "send:a | 0 1 0"),
        (2, "a b c > < >", "send:a send:b answer:a send:c | 0 2 0"),
        (9, "a b > < < <", "send:a send:b answer:a answer:b unexpected | 0 0 0"),
        (0, "a b >", "send:a | 1 1 0"),
        (1, "<", "unexpected | 0 0 0"),
        // What waits is under no reply.
        (1, "a < >", "unexpected send:a | 0 1 0"),
        // Only four may wait, and those under way do not count.
        (1, "a b c d e > e f", "full:e send:a full:f | 4 1 0"),
        // At most once: what was sent is not sent again, and the others are.
        (
            2,
            "a b c d > ! > < <",
            "send:a send:b lost:a lost:b send:c send:d answer:c answer:d | 0 0 0",
        ),
        (2, "a b c > ! <", "send:a send:b lost:a lost:b unexpected | 1 0 0"),
        (1, "a b > ! ?", "send:a lost:a taken:b | 0 0 0"),
        (2, "a b c > ? <", "send:a send:b taken:c answer:a | 0 1 0"),
        (1, "! ?", "| 0 0 0"),
    ];
    for (depth, script, expected) in cases {
        let queue = RequestQueue::new().depth(depth).max_waiting(4);
        assert_eq!(play(queue, script), expected, "{script}");
    }
}

#[test]
fn a_request_expires_at_its_deadline_and_keeps_its_place() {
    let cases = [
        (1, "a > 9 < 10", "send:a answer:a | 0 0 0"),
        (1, "a > 9", "send:a | 0 1 0"),
        (1, "a > 10", "send:a expired:a | 0 1 1"),
        // The time begins with the push, also for what waits; nothing is sent after it.
        (1, "a 5 b > 10 14 15 >", "send:a expired:a unsent:b | 0 1 1"),
        (1, "a b 10 >", "unsent:a unsent:b | 0 0 0"),
        // The late reply is not taken for that of the next request.
        (
            2,
            "a 5 b c > 10 < < > <",
            "send:a send:b expired:a late answer:b send:c answer:c | 0 0 0",
        ),
        (1, "a 5 b > 10 > < > <", "send:a expired:a late send:b answer:b | 0 0 0"),
        (2, "a b > 10 < < <", "send:a send:b expired:a expired:b late late unexpected | 0 0 0"),
        // A place is free for one only.
        (2, "a 5 b c > 10 >", "send:a send:b expired:a | 1 2 1"),
        // With the connection goes what it owed.
        (2, "a 5 b c > 10 ! > <", "send:a send:b expired:a lost:b send:c answer:c | 0 0 0"),
        // What waits for another connection keeps its deadline.
        (1, "a b > 5 ! 10", "send:a lost:a unsent:b | 0 0 0"),
        // After a time without looking at the clock.
        (2, "a 1 b 2 c > 99", "send:a send:b expired:a expired:b unsent:c | 0 2 2"),
    ];
    for (depth, script, expected) in cases {
        assert_eq!(play(RequestQueue::new().depth(depth), script), expected, "{script}");
    }
}

#[test]
fn the_next_deadline_is_that_of_the_oldest_request() {
    let (mut queue, start) = (RequestQueue::new().timeout(s(10)), Instant::now());
    assert_eq!(queue.next_deadline(), None);
    queue.push(start, 1).unwrap();
    queue.push(start + s(3), 2).unwrap();
    // A time that was read earlier moves no deadline before that of an older request.
    queue.push(start + s(2), 3).unwrap();
    assert_eq!(queue.next_deadline(), Some(start + s(10)));
    queue.start_next().unwrap();
    queue.pop_answered().unwrap();
    assert_eq!(queue.next_deadline(), Some(start + s(13)));
    assert_eq!(queue.pop_expired(start + s(13) - Duration::from_nanos(1)), None);
    assert_eq!(queue.pop_expired(start + s(13)), Some(Expired::Waiting(2)));
    assert_eq!(queue.next_deadline(), Some(start + s(13)));
    assert_eq!(queue.pop_expired(start + s(13)), Some(Expired::Waiting(3)));
    assert_eq!((queue.pop_expired(start + s(99)), queue.next_deadline()), (None, None));
}

#[test]
fn a_timeout_may_be_zero_or_endless() {
    let start = Instant::now();
    let mut at_once = RequestQueue::new().timeout(Duration::ZERO);
    at_once.push(start, ()).unwrap();
    assert_eq!(at_once.pop_expired(start), Some(Expired::Waiting(())));
    let mut endless = RequestQueue::new().timeout(Duration::MAX);
    endless.push(start, ()).unwrap();
    assert_eq!(endless.pop_expired(start + s(99 * 365 * 86_400)), None);
}

#[test]
fn the_request_is_lent_to_be_sent() {
    let mut queue = RequestQueue::new();
    queue.push(Instant::now(), (b"bytes".to_vec(), "tag")).unwrap();
    let request = queue.start_next().unwrap();
    // Its bytes are not needed any more.
    assert_eq!(std::mem::take(&mut request.0), b"bytes");
    assert_eq!(queue.pop_answered(), Ok(Some((Vec::new(), "tag"))));
}

#[test]
fn errors_and_queues_are_told_in_words() {
    let mut queue = RequestQueue::new().max_waiting(0);
    // Anything will do for a request: a closure has no `Debug`.
    queue.push(Instant::now(), || ()).unwrap();
    assert_eq!(format!("{queue:?}"), "RequestQueue { waiting: 1, under_way: 0, overdue: 0, .. }");
    let mut full = RequestQueue::new().max_waiting(0);
    full.push(Instant::now(), 1).unwrap();
    let error = full.push(Instant::now(), 2).unwrap_err();
    assert_eq!(error.to_string(), "too many requests are waiting to be sent: 1");
    assert_eq!(format!("{error:?}"), error.to_string());
    let error = full.pop_answered().unwrap_err();
    assert_eq!(error.to_string(), "a reply has arrived that no request is waiting for");
    assert_eq!(format!("{error:?}"), error.to_string());
}
