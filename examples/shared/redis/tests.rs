//! Replies in pieces, broken ones, and ones that are too large. `tests/it/redis.rs` has those of a
//! real server.

use super::decoder::{DEPTH_MAX, Decoder, LINE_MAX, REPLY_MAX};
use super::{Reply, Session, encode};
use std::time::Instant;
use twistor::requests::RequestQueue;

const REPLIES: &str = "+OK\r\n-ERR no\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n$7\r\na\r\nb\n\r\0\r\n\
                       *0\r\n*2\r\n*1\r\n+in\r\n$1\r\nx\r\n+\r\n";

fn replies() -> Vec<Reply> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        Reply::Status(text("OK")),
        Reply::Error(text("ERR no")),
        Reply::Integer(-42),
        Reply::Nil,
        Reply::Nil,
        Reply::Bulk(Vec::new()),
        Reply::Bulk(text("a\r\nb\n\r\0")),
        Reply::Array(Vec::new()),
        Reply::Array(vec![Reply::Array(vec![Reply::Status(text("in"))]), Reply::Bulk(text("x"))]),
        Reply::Status(Vec::new()),
    ]
}

/// Decodes pieces, and returns the replies, and the error if there is one.
fn decode(pieces: &[&[u8]]) -> (Vec<Reply>, Option<String>) {
    let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
    for mut piece in pieces.iter().copied() {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error.to_string())),
            }
        }
        assert!(piece.is_empty());
    }
    (replies, None)
}

#[test]
fn replies_are_the_same_however_they_are_cut() {
    let bytes = REPLIES.as_bytes();
    assert_eq!(decode(&[bytes]), (replies(), None));
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(decode(&pieces), (replies(), None), "cut at {first} and {second}");
        }
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&single), (replies(), None));
}

#[test]
fn broken_replies_are_told_in_words() {
    let nested = "*1\r\n".repeat(DEPTH_MAX + 1);
    let long = format!("+{}", "x".repeat(LINE_MAX));
    let cases = [
        ("HTTP/1.1 400 Bad Request\r\n", "not a reply of Redis: \"HTTP/1.1 400 Bad Request\""),
        ("\r\n", "a reply that begins with an empty line"),
        ("+OK\n", "a line that does not end with CR LF"),
        (":1x\r\n", "not a number: \"1x\""),
        (":9223372036854775808\r\n", "not a number: \"9223372036854775808\""),
        ("$\r\n", "not a number: \"\""),
        ("$-2\r\n", "not a length: -2"),
        ("*-7\r\n", "not a length: -7"),
        ("$3\r\nabcde", "a bulk string of 3 bytes does not end there"),
        ("$99999999999\r\n", "a reply of more than 67108864 bytes"),
        ("$9223372036854775807\r\n", "a reply of more than 67108864 bytes"),
        ("*9223372036854775807\r\n", "a reply of more than 67108864 bytes"),
        (&nested, "a reply of more than 32 levels"),
        (&long, "a line of more than 65536 bytes"),
    ];
    for (bytes, expected) in cases {
        let (replies, error) = decode(&[bytes.as_bytes()]);
        assert_eq!((replies.len(), error.as_deref()), (0, Some(expected)), "{bytes:.40}");
        let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(decode(&single).1.as_deref(), Some(expected), "{bytes:.40}");
    }
}

#[test]
fn an_endless_line_and_an_endless_array_take_no_more_than_their_limits() {
    let mut decoder = Decoder::default();
    let mut taken = 0;
    while decoder.decode(&mut &[b'+'; 1000][..]).is_ok() {
        taken += 1000;
        assert!(taken <= LINE_MAX);
    }
    // Each array promises no more than may be, and all together would be too much.
    let many = 1000;
    let header = format!("*{many}\r\n");
    let item = format!("$100000\r\n{}\r\n", "x".repeat(100_000));
    let (mut decoder, mut taken) = (Decoder::default(), 0);
    assert!(decoder.decode(&mut header.as_bytes()).unwrap().is_none());
    let error = loop {
        match decoder.decode(&mut item.as_bytes()) {
            Ok(reply) => assert!(reply.is_none()),
            Err(error) => break error,
        }
        taken += 100_000;
    };
    assert!(taken <= REPLY_MAX && taken + 200_000 > REPLY_MAX, "{taken}: {error}");
    // A limit is that of one reply.
    let mut decoder = Decoder::default();
    for _ in 0..many {
        assert!(decoder.decode(&mut item.as_bytes()).unwrap().is_some());
    }
}

#[test]
fn replies_are_shown_as_redis_cli_shows_them() {
    let text = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    let deep = Reply::Array(vec![text("x"), Reply::Array(vec![text("y"), Reply::Nil])]);
    let mut items = vec![Reply::Integer(1); 9];
    items.push(deep);
    let expected = " 1) (integer) 1\n 2) (integer) 1\n 3) (integer) 1\n 4) (integer) 1\n \
                    5) (integer) 1\n 6) (integer) 1\n 7) (integer) 1\n 8) (integer) 1\n \
                    9) (integer) 1\n10) 1) \"x\"\n    2) 1) \"y\"\n       2) (nil)";
    assert_eq!(Reply::Array(items).to_string(), expected);
    assert_eq!(Reply::Array(Vec::new()).to_string(), "(empty array)");
    assert_eq!(text("it's \"\u{1b}[2J\"\r\n").to_string(), "\"it's \\\"\\x1b[2J\\\"\\r\\n\"");
    let error = Reply::Error(b"ERR unknown 'x\x1b' \"y\"".to_vec());
    assert_eq!(error.to_string(), "(error) ERR unknown 'x\\x1b' \"y\"");
    assert!(error.is_error() && !Reply::Status(b"OK".to_vec()).is_error());
}

#[test]
fn a_command_is_an_array_of_its_words() {
    assert_eq!(encode(&["SET", "a\r\n", ""]), b"*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n");
}

#[test]
fn replies_find_their_requests() {
    let mut session = Session::new(RequestQueue::new().depth(2));
    for name in ["a", "b", "c"] {
        session.requests.push(Instant::now(), name).unwrap();
    }
    while session.requests.start_next().is_some() {}
    let mut answered = Vec::new();
    let received = session.receive(b"+1\r\n:2\r\n+3", |name, reply| {
        answered.push(format!("{name} {reply}"));
    });
    assert!(received.is_ok());
    assert_eq!(answered, ["a 1", "b (integer) 2"]);
    // The third was not sent yet.
    let error = session.receive(b"\r\n", |name, _| panic!("{name}")).unwrap_err();
    assert_eq!(error.to_string(), "a reply has arrived that no request is waiting for");
}
