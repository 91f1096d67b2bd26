//! Commands to servers in memory. `tests/it/redis.rs` has a real one, and lines.

use super::client::Commands;
use super::input::{self, Input, LINE_MAX};
use super::words::words;
use super::{Cli, TIMEOUT, redis};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;
use twistor::testing::{End, Peer, Server};

#[derive(Clone, Default)]
struct Output(Rc<RefCell<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a server that a command has come to, the output, and whether it succeeded.
fn asked() -> (Peer, Output, Rc<Cell<bool>>) {
    let (output, succeeded) = (Output::default(), Rc::new(Cell::new(false)));
    let cli = Cli {
        commands: Some(Commands::One(redis::encode(&["GET", "a"]))),
        output: Box::new(output.clone()),
        succeeded: Rc::clone(&succeeded),
    };
    let server = Server::new(cli).connect();
    assert_eq!(server.take_received(), redis::encode(&["GET", "a"]));
    (server, output, succeeded)
}

#[test]
fn a_reply_is_printed_and_decides() {
    let cases = [
        ("$1\r\n1\r\n", "\"1\"\n", true),
        ("-ERR no\r\n", "(error) ERR no\n", false),
        ("*2\r\n:1\r\n-ERR no\r\n", "1) (integer) 1\n2) (error) ERR no\n", true),
        ("+OK\r\n+and another\r\n", "OK\n", false),
        ("<html>\r\n", "", false),
    ];
    for (bytes, printed, succeeds) in cases {
        let (server, output, succeeded) = asked();
        server.send(bytes);
        assert_eq!(String::from_utf8_lossy(&output.0.take()), printed, "{bytes}");
        assert_eq!(server.close_kind(), Some(End::Closed), "{bytes}");
        assert_eq!(succeeded.get(), succeeds, "{bytes}");
    }
}

#[test]
fn a_reply_that_breaks_off_is_none() {
    let bytes = b"*2\r\n$1\r\n1\r\n:42\r\n";
    for end in 0..=bytes.len() {
        for reset in [false, true] {
            let (server, output, succeeded) = asked();
            server.send(&bytes[..end]);
            if reset {
                server.reset()
            } else {
                server.close_write()
            }
            assert_eq!(succeeded.get(), end == bytes.len(), "{end}");
            assert_eq!(output.0.borrow().is_empty(), end < bytes.len(), "{end}");
            let reason = server.lost_reason().unwrap().to_string();
            assert!(end == bytes.len() || !reason.contains("failed"), "{reason}");
        }
    }
}

#[test]
fn the_reply_has_a_time() {
    let (server, output, succeeded) = asked();
    server.send("$1\r\n");
    server.advance(TIMEOUT - Duration::from_millis(1));
    assert_eq!(server.close_kind(), None);
    server.advance(Duration::from_millis(1));
    assert!(server.close_kind().is_some() && !succeeded.get());
    assert_eq!(server.lost_reason().unwrap().to_string(), "failed: no reply within 5 s");
    assert!(output.0.borrow().is_empty());
    let (server, _, succeeded) = asked();
    server.advance(TIMEOUT - Duration::from_millis(1));
    server.send("+OK\r\n");
    server.advance(TIMEOUT);
    assert!(succeeded.get());
}

#[test]
fn lines_are_split_into_words() {
    let cases: [(&str, Result<&[&str], &str>); 10] = [
        ("", Ok(&[])),
        (" \t\r\n", Ok(&[])),
        ("SET a  1\r\n", Ok(&["SET", "a", "1"])),
        ("SET a \"b c\"", Ok(&["SET", "a", "b c"])),
        ("x '' \"\"", Ok(&["x", "", ""])),
        (r#""a\n\t\r\"\\\x41\q" 'b\'\n'"#, Ok(&["a\n\t\r\"\\Aq", "b'\\n"])),
        (r#""\x4""#, Ok(&["x4"])),
        ("a \"b", Err("a \" that is not closed")),
        ("'b\\'", Err("a ' that is not closed")),
        ("\"a\"b", Err("no space behind a quote that ends a word")),
    ];
    for (line, expected) in cases {
        let expected =
            expected.map(|words| words.iter().map(|it| it.as_bytes().to_vec()).collect());
        assert_eq!(words(line.as_bytes()), expected.map_err(str::to_owned), "{line}");
    }
}

#[test]
fn lines_are_read_as_they_are_permitted() {
    let read = |text: &[u8], permits: usize| {
        let (permit, permitted) = channel();
        (0..permits).for_each(|_| permit.send(()).unwrap());
        drop(permit);
        let mut inputs = Vec::new();
        input::read(text, None, permitted, |input| {
            inputs.push(input);
            true
        });
        inputs
    };
    let command = |word: &str| Input::Command(redis::encode(&[word]));
    assert_eq!(read(b"a\n\n b \nc", 9), [command("a"), command("b"), command("c"), Input::End]);
    assert_eq!(read(b"a\nb\nc", 2), [command("a"), command("b")]);
    let wrong = Input::Wrong("a \" that is not closed".to_owned());
    assert_eq!(read(b"\"a\nb\n", 9), [wrong, command("b"), Input::End]);
    let broken = Input::Broken("a line of more than 1048576 bytes".to_owned());
    assert_eq!(read(&[b'x'; LINE_MAX as usize + 1], 9), [broken]);
}
