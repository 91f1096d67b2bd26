//! Sessions with clients in memory. `tests/it/tls/` has them with clients of others.

use super::letter::{LETTER_MAX, Letter, RECIPIENTS_MAX};
use super::session::IDLE;
use super::{Mail, Maildir};
use std::fs;
use std::time::Duration;
use twistor::testing::{Server, assert_split_invariant, check, connect};

const LETTER: &str = "EHLO me\r\nMAIL FROM:<ann> BODY=8BITMIME\r\nRCPT TO:<bob>\r\nDATA\r\n\
                      Hello, Bob\r\n..\r\n.\r\nQUIT\r\n";

#[test]
fn commands_come_in_their_order() {
    check(
        Mail::default(),
        "S: 220 mail
         C: MAIL FROM:<ann>
         S: 503 EHLO first
         C: EHLO me
         S: 250-hello
         S: 250-8BITMIME
         S: 250 SIZE 1048576
         C: RCPT TO:<bob>
         S: 503 MAIL first
         C: MAIL ann
         S: 501 not like FROM:<ann>
         C: mail from:<ann> size=1048577
         S: 552 the letter is too large
         C: mail from:<ann> size=1048576
         S: 250 sender
         C: DATA
         S: 503 RCPT first
         C: TURN
         S: 500 unknown
         C: RSET
         S: 250 forgotten
         C: DATA
         S: 503 MAIL first
         C: STARTTLS
         S: 502 there is no certificate
         C: quit
         S: 221 bye
         is closed",
    );
}

#[test]
fn a_letter_is_delivered_with_its_dots() {
    let server = Server::new(Mail::default());
    let client = server.connect();
    client.send(LETTER);
    assert!(client.take_received().ends_with(b"250 delivered\r\n221 bye\r\n"));
    let expected = Letter {
        from: "ann".to_owned(),
        to: vec!["bob".to_owned()],
        text: b"Hello, Bob\n.\n".to_vec(),
    };
    server.factory(|mail, _| assert_eq!(mail.last.take(), Some(expected)));
}

#[test]
fn letters_are_kept_in_a_folder() {
    let folder = std::env::temp_dir().join(format!("twistor-letters-{}", std::process::id()));
    let maildir = Maildir::create(folder.clone()).unwrap();
    let client = connect(Mail { folder: Some(maildir.clone()), ..Mail::default() });
    // The client does not wait for answers, and what follows a letter waits for it.
    client.send([LETTER.trim_end_matches("QUIT\r\n"), LETTER].concat());
    let answers = String::from_utf8(client.take_received()).unwrap();
    assert!(answers.ends_with("354 the letter, and a dot\r\n250 delivered\r\n221 bye\r\n"));
    assert_eq!(answers.matches("250 delivered").count(), 2);
    let letters: Vec<_> = fs::read_dir(folder.join("new")).unwrap().collect();
    assert_eq!(letters.len(), 2);
    for letter in letters {
        let text = fs::read_to_string(letter.unwrap().path()).unwrap();
        assert_eq!(text, "Return-Path: <ann>\nDelivered-To: bob\nHello, Bob\n.\n");
    }
    assert_eq!(fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
    // A folder that is gone costs the letter, and not the connection.
    fs::remove_dir_all(&folder).unwrap();
    let client = connect(Mail { folder: Some(maildir), ..Mail::default() });
    client.send(LETTER);
    assert!(client.take_received().ends_with(b"451 the letter cannot be kept\r\n221 bye\r\n"));
}

#[test]
fn limits_end_large_letters_and_silent_clients() {
    let client = connect(Mail::default());
    client.send("EHLO me\r\nMAIL FROM:<ann>\r\n");
    client.send("RCPT TO:<bob>\r\n".repeat(RECIPIENTS_MAX + 1));
    assert!(client.take_received().ends_with(b"250 recipient\r\n452 too many recipients\r\n"));
    client.send("DATA\r\n");
    let line = format!("{}\r\n", "x".repeat(900));
    for _ in 0..=LETTER_MAX / line.len() + 2 {
        client.send(&line);
    }
    assert!(client.take_received().ends_with(b"552 the letter is too large\r\n"));
    let silent = connect(Mail::default());
    silent.advance(IDLE + Duration::from_secs(1));
    assert_eq!(silent.lost_reason().unwrap().to_string(), "idle timeout");
}

#[test]
fn letters_do_not_depend_on_how_the_bytes_arrive() {
    assert_split_invariant(Mail::default(), LETTER);
}
