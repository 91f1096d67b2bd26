//! Every example as a program, driven by transcripts.

use crate::support::{Callers, Child, interrupt};
use std::net::SocketAddr;
use twistor::testing::Transcript;

/// An example that runs; a test checks transcripts against it, and ends it with a signal.
pub(crate) struct Example {
    pub(crate) server: Child,
    pub(crate) address: SocketAddr,
}

pub(crate) const ANY: &str = "tcp:0:interface=127.0.0.1";

impl Example {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let server = Child::example(name, &[&[ANY], arguments].concat());
        let address = server.address();
        Self { server, address }
    }

    /// Checks a transcript and returns the clients, so that their connections may stay.
    #[track_caller]
    pub(crate) fn check(&self, transcript: &str) -> Callers {
        self.check_with("\r\n", transcript)
    }

    /// Checks a transcript whose clients end their lines in this way.
    #[track_caller]
    fn check_with(&self, end: &str, transcript: &str) -> Callers {
        let mut callers = Callers::of(self.address);
        let transcript = Transcript::parse(transcript).unwrap().line_end(end);
        match transcript.play(&mut callers) {
            Ok(()) => callers,
            Err(difference) => panic!("{difference}"),
        }
    }

    /// Ends it as Ctrl-C would.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.server.signal(interrupt());
        let (status, said) = self.server.wait();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

#[test]
fn echo() {
    let example = Example::start("echo", &[]);
    example.check(
        "ann connects
         bob connects
         ann C: hello
         bob C: \u{fffd} anything at all
         bob S: \u{fffd} anything at all
         ann S: hello
         ann C: again
         ann finishes
         ann S: again
         ann is closed
         bob resets",
    );
    example.stop();
}

#[test]
fn qotd() {
    let example = Example::start("qotd", &[]);
    example.check(
        "ann connects
         ann S: An apple a day keeps the doctor away
         ann is closed",
    );
    example.stop();
    let example = Example::start("qotd", &["Less is more"]);
    example.check(
        "ann connects
         bob connects
         bob C: a client that talks gets its quote as well
         ann S: Less is more
         ann is closed
         bob S: Less is more
         bob is closed",
    );
    example.stop();
}

#[test]
fn counting_echo() {
    let example = Example::start("counting_echo", &[]);
    // Several ways to leave; each is counted.
    let _open = example.check(
        "ann connects
         ann S raw: Welcome! There are currently 1 open connections.\\n
         ann C raw: hello
         ann S raw: hello
         bob connects
         bob S raw: Welcome! There are currently 2 open connections.\\n
         bob C raw: hello
         bob S raw: hello
         cat connects
         cat S raw: Welcome! There are currently 3 open connections.\\n
         cat C raw: hello
         cat S raw: hello
         ann resets
         bob finishes
         bob is closed",
    );
    loop {
        let mut client = example.server.connect(example.address);
        let mut line = vec![0; "Welcome! There are currently N open connections.\n".len()];
        std::io::Read::read_exact(client.socket(), &mut line).unwrap();
        // The reset and this connection race; in the end the count is correct.
        if line == b"Welcome! There are currently 2 open connections.\n" {
            break;
        }
    }
    example.stop();
}

#[test]
fn answer() {
    let example = Example::start("answer", &[]);
    for end in ["\r\n", "\n"] {
        example.check_with(
            end,
            "ann connects
             ann C: How are you?
             ann S: Fine
             ann C: how are you?
             ann S: I don't know what you mean
             ann C:
             ann S: I don't know what you mean
             ann finishes
             ann is closed",
        );
    }
    // A line without an end is rejected, and the others are still answered.
    example.check(&format!(
        "ann connects
         ann C raw: How are\\x20
         ann C raw: you?\\r\\nHow are you?\\r
         ann S: Fine
         ann C raw: \\n
         ann S: Fine
         ann C raw: {}
         ann is closed",
        "x".repeat(20_000)
    ));
    example.check(
        "bob connects
         bob C: How are you?
         bob S: Fine",
    );
    example.stop();
}

#[test]
fn logfile() {
    let folder = std::env::temp_dir().join(format!("twistor-logfile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lines.txt");
    std::fs::write(&path, "what was there\n").unwrap();
    let example = Example::start("logfile", &[path.to_str().unwrap()]);
    // The last client's connection is open when Ctrl-C comes.
    let _open = example.check(
        "ann connects
         bob connects
         ann C raw: first\\r\\nsecond\\nthi
         ann C raw: rd\\n
         ann finishes
         ann is closed
         bob C raw: bytes \\xff\\xfe\\nwithout an end
         bob finishes
         bob is closed
         late connects
         late C raw: last\\n
         late finishes
         late is closed
         open connects
         open C raw: open\\n",
    );
    let start = std::time::Instant::now();
    while !std::fs::read(&path).unwrap().ends_with(b"open\n") {
        assert!(start.elapsed() < crate::support::TIMEOUT, "the line is not written");
        std::thread::yield_now();
    }
    example.stop();
    let written = std::fs::read(&path).unwrap();
    let expected = b"what was there\nfirst\nsecond\nthird\nbytes \xff\xfe\nlast\nopen\n";
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(expected));

    // A file that cannot be opened gives a clear error, and no port.
    let nowhere = folder.join("no/such/folder");
    let server = Child::example("logfile", &[ANY, nowhere.to_str().unwrap()]);
    let (status, said) = server.wait();
    assert!(!status.success());
    assert!(said.contains("did not start") && said.contains("no/such/folder"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Operators see this without asking for it.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_is_reported() {
    let mut command = std::process::Command::new(Child::path("logfile"));
    let server = Child::spawn(command.args([ANY, "/dev/full"]).env("RUST_LOG", "warn"));
    let address = server.address();
    let mut client = server.connect(address);
    client.send("lost\n");
    client.expect_close();
    server.signal("TERM");
    let (status, said) = server.wait();
    assert!(status.success());
    assert!(said.contains("Lines<Logger> of 127.0.0.1:"), "{said}");
    assert!(said.contains("failed: ") && said.contains("No space left"), "{said}");
}

#[test]
fn a_bare_port_means_all_interfaces() {
    let server = Child::example("echo", &["0"]);
    let address = server.address();
    assert!(address.ip().is_unspecified());
    let mut client = server.connect((std::net::Ipv4Addr::LOCALHOST, address.port()).into());
    client.send("hello");
    client.expect("hello");
}

#[test]
fn chat() {
    let example = Example::start("chat", &[]);
    example.check(
        "ann connects
         ann S: What's your name?
         ann C: Ann
         ann S: Welcome, Ann!
         bob connects
         bob S: What's your name?
         bob C: Ann
         bob S: Name taken, please choose another.
         bob C: Bob
         bob S: Welcome, Bob!
         ann C: Hi, Bob
         bob S: <Ann> Hi, Bob
         bob C: Hi!
         ann S: <Bob> Hi!
         cat connects
         cat S: What's your name?
         bob C: nobody who has no name hears this
         ann S: <Bob> nobody who has no name hears this
         cat C: Cat
         cat S: Welcome, Cat!
         cat C: hello, all
         ann S: <Cat> hello, all
         bob S: <Cat> hello, all",
    );
    example.stop();
}

#[test]
fn chat_rejects_confusing_text() {
    let example = Example::start("chat", &[]);
    example.check_with(
        "\n",
        "ann connects
         ann S: What's your name?
         ann C:
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: <Bob>
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: An\u{a0}n
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: \u{3164}
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: Zo\u{fe0f}\u{eb}
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: A  nn
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: a name that is longer than names are
         ann S: A name has up to 32 letters or digits, please choose another.
         ann C: \u{1b}[2JAnn
         ann S: Only text, please: without control characters and invisible ones.
         ann C: A\u{202e}nn
         ann S: Only text, please: without control characters and invisible ones.
         ann C raw: zo\\xeb\\n
         ann S: That is not UTF-8, please send text in UTF-8.
         ann C:   Zo\u{eb}\t
         ann S: Welcome, Zo\u{eb}!
         bob connects
         bob S: What's your name?
         bob C: ZO\u{cb}
         bob S: Name taken, please choose another.
         bob C: zoe\u{308}
         bob S: Name taken, please choose another.
         bob C: Bob
         bob S: Welcome, Bob!
         bob C: \u{1b}]0;owned\u{7}
         bob S: Only text, please: without control characters and invisible ones.
         bob C: tabs\tand \u{e4}\u{f6}\u{fc} are text
         ann S: <Bob> tabs\tand \u{e4}\u{f6}\u{fc} are text",
    );
    example.check(&format!(
        "cat connects
         cat S: What's your name?
         cat C raw: \\xff\\xfe\\r\\n
         cat S: That is not UTF-8, please send text in UTF-8.
         cat C raw: {}
         cat S: That line is too long. Goodbye.
         cat is closed",
        "x".repeat(10_000)
    ));
    example.stop();
}

#[test]
fn chat_frees_a_name_after_any_kind_of_loss() {
    let example = Example::start("chat", &[]);
    let join = |name: &str| {
        // The loss of the previous client and this connection race: asked until the name is free.
        let mut client = example.server.connect(example.address);
        client.expect("What's your name?\r\n");
        loop {
            client.send(format!("{name}\r\n"));
            let mut first = [0];
            std::io::Read::read_exact(client.socket(), &mut first).unwrap();
            match &first {
                b"N" => client.expect("ame taken, please choose another.\r\n"),
                _ => {
                    client.expect(format!("elcome, {name}!\r\n"));
                    return client;
                }
            }
        }
    };
    let mut watcher = join("watcher");
    for round in 0..5 {
        let mut client = join("Ann");
        client.send(format!("round {round}\r\n"));
        watcher.expect(format!("<Ann> round {round}\r\n"));
        match round {
            0 => drop(client),
            1 => client.reset(),
            2 => {
                client.finish();
                client.expect_close();
            }
            3 => {
                client.send(vec![b'x'; 10_000]);
                let _ = client.rest();
            }
            _ => {
                client.send("unfinis");
                client.reset();
            }
        }
    }
    join("Ann");
    example.stop();
}

#[test]
fn a_taken_port_and_a_wrong_description_are_explained() {
    let example = Example::start("echo", &[]);
    let port = example.address.port();
    let second = Child::example("echo", &[&format!("tcp:{port}:interface=127.0.0.1")]);
    let (status, said) = second.wait();
    assert!(!status.success());
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}: ")), "{said}");
    let (status, said) = Child::example("echo", &["tcp:80x"]).wait();
    assert!(!status.success());
    assert!(said.contains("port \"80x\" is not a number from 0 to 65535"), "{said}");
    example.stop();
}

#[test]
fn finger() {
    let example = Example::start("finger", &[ANY, ANY]);
    example.check(
        "ann connects
         ann C: ann
         ann S: there is no such user
         ann is closed",
    );
    example.stop();
}

#[test]
fn mail() {
    let example = Example::start("mail", &[]);
    example.check(
        "ann connects
         ann S: 220 mail
         ann C: HELO ann
         ann S: 250 hello
         ann C: MAIL FROM:<ann>
         ann S: 250 sender
         ann C: RCPT TO:<bob>
         ann S: 250 recipient
         ann C: DATA
         ann S: 354 the letter, and a dot
         ann C: Hello
         ann C: .
         ann S: 250 delivered
         ann C: QUIT
         ann S: 221 bye
         ann is closed",
    );
    example.stop();
}
