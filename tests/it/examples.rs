//! Every example as a program, driven as its users would, by transcripts.
//!
//! A transcript is a line for each thing that happens, in this order:
//!
//! ```text
//! ann connects
//! ann> a line that ann sends
//! ann< a line that ann receives next
//! ann finishes          sends a FIN
//! ann is closed         the server closes in order, and sends nothing before
//! ann is gone           resets the connection
//! ```

use crate::support::{Child, Client};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Starts an example, checks transcripts against it, and ends it with a signal.
struct Example {
    server: Child,
    address: SocketAddr,
}

const ANY: &str = "tcp:0:interface=127.0.0.1";

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let server = Child::example(name, &[&[ANY], arguments].concat());
        let address = server.address();
        Self { server, address }
    }

    #[track_caller]
    fn check(&self, transcript: &str) {
        self.check_with("\r\n", transcript);
    }

    /// With the clients ending their lines in this way.
    #[track_caller]
    fn check_with(&self, end: &str, transcript: &str) {
        let mut clients: HashMap<&str, Client> = HashMap::new();
        for step in transcript.lines().map(str::trim).filter(|step| !step.is_empty()) {
            let name = &step[..step.find([' ', '>', '<']).unwrap()];
            let rest = &step[name.len()..];
            if rest == " connects" {
                clients.insert(name, self.server.connect(self.address));
                continue;
            }
            if rest == " is closed" {
                clients.remove(name).unwrap().expect_close();
                continue;
            }
            if rest == " is gone" {
                clients.remove(name).unwrap().reset();
                continue;
            }
            let client = clients.get_mut(name).unwrap_or_else(|| panic!("{step}"));
            match (rest, &rest[..1]) {
                (" finishes", _) => client.finish(),
                (_, ">") => client.send(format!("{}{end}", text(rest))),
                (_, "<") => client.expect(format!("{}\r\n", text(rest))),
                _ => panic!("{step}"),
            }
        }
    }

    /// Ends it as Ctrl-C would.
    #[track_caller]
    fn stop(self) -> String {
        self.server.signal("INT");
        let (status, said) = self.server.wait();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

/// What stands behind the mark.
fn text(marked: &str) -> &str {
    marked[1..].strip_prefix(' ').unwrap_or(&marked[1..])
}

#[test]
fn echo() {
    let example = Example::start("echo", &[]);
    example.check(
        "ann connects
         bob connects
         ann> hello
         bob> \u{fffd} anything at all
         bob< \u{fffd} anything at all
         ann< hello
         ann> again
         ann finishes
         ann< again
         ann is closed
         bob is gone",
    );
    example.stop();
}

#[test]
fn qotd() {
    let example = Example::start("qotd", &[]);
    example.check(
        "ann connects
         ann< An apple a day keeps the doctor away
         ann is closed",
    );
    example.stop();
    let example = Example::start("qotd", &["Less is more"]);
    example.check(
        "ann connects
         bob connects
         bob> a client that talks gets its quote as well
         ann< Less is more
         ann is closed
         bob< Less is more
         bob is closed",
    );
    example.stop();
}

#[test]
fn counting_echo() {
    let example = Example::start("counting_echo", &[]);
    let mut clients = Vec::new();
    for open in 1..=3 {
        let mut client = example.server.connect(example.address);
        let welcome = format!("Welcome! There are currently {open} open connections.\n");
        client.expect(welcome);
        client.send("hello");
        client.expect("hello");
        clients.push(client);
    }
    // Ways to leave; each is counted.
    clients.remove(0).reset();
    clients[0].finish();
    clients.remove(0).expect_close();
    loop {
        let mut client = example.server.connect(example.address);
        let mut line = vec![0; "Welcome! There are currently N open connections.\n".len()];
        std::io::Read::read_exact(&mut client.socket, &mut line).unwrap();
        // The reset and this connection race; in the end the count is right.
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
             ann> How are you?
             ann< Fine
             ann> how are you?
             ann< I don't know what you mean
             ann>
             ann< I don't know what you mean
             ann finishes
             ann is closed",
        );
    }
    let mut client = example.server.connect(example.address);
    client.send("How are ");
    client.send("you?\r\nHow are you?\r");
    client.expect("Fine\r\n");
    client.send("\n");
    client.expect("Fine\r\n");
    // A line without end is refused, and the others are still answered.
    client.send(vec![b'x'; 20_000]);
    client.expect_close();
    example.check(
        "bob connects
         bob> How are you?
         bob< Fine",
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
    let mut ann = example.server.connect(example.address);
    let mut bob = example.server.connect(example.address);
    ann.send("first\r\nsecond\nthi");
    ann.send("rd\n");
    ann.finish();
    ann.expect_close();
    bob.send(b"bytes \xff\xfe\nwithout an end");
    bob.finish();
    bob.expect_close();
    let mut late = example.server.connect(example.address);
    late.send("last\n");
    late.finish();
    late.expect_close();
    // One whose connection is open when Ctrl-C comes.
    let mut open = example.server.connect(example.address);
    open.send("open\n");
    let start = std::time::Instant::now();
    while !std::fs::read(&path).unwrap().ends_with(b"open\n") {
        assert!(start.elapsed() < crate::support::PATIENCE, "the line is not written");
        std::thread::yield_now();
    }
    example.stop();
    let written = std::fs::read(&path).unwrap();
    let expected = b"what was there\nfirst\nsecond\nthird\nbytes \xff\xfe\nlast\nopen\n";
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(expected));

    // A file that cannot be opened: a clear error, and no port.
    let nowhere = folder.join("no/such/folder");
    let server = Child::example("logfile", &[ANY, nowhere.to_str().unwrap()]);
    let (status, said) = server.wait();
    assert!(!status.success());
    assert!(said.contains("did not start") && said.contains("no/such/folder"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What an operator has to see without asking for it.
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
    assert!(said.contains("given up: ") && said.contains("No space left"), "{said}");
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
         ann< What's your name?
         ann> Ann
         ann< Welcome, Ann!
         bob connects
         bob< What's your name?
         bob> Ann
         bob< Name taken, please choose another.
         bob> Bob
         bob< Welcome, Bob!
         ann> Hi, Bob
         bob< <Ann> Hi, Bob
         bob> Hi!
         ann< <Bob> Hi!
         cat connects
         cat< What's your name?
         bob> nobody who has no name hears this
         ann< <Bob> nobody who has no name hears this
         cat> Cat
         cat< Welcome, Cat!
         cat> hello, all
         ann< <Cat> hello, all
         bob< <Cat> hello, all",
    );
    example.stop();
}

#[test]
fn chat_refuses_what_would_confuse_the_others() {
    let example = Example::start("chat", &[]);
    example.check_with(
        "\n",
        "ann connects
         ann< What's your name?
         ann>
         ann< That is not a name, please choose another.
         ann> <Bob>
         ann< That is not a name, please choose another.
         ann> An\u{a0}n
         ann< That is not a name, please choose another.
         ann> \u{3164}
         ann< That is not a name, please choose another.
         ann> Jos\u{e9}
         ann< That is not a name, please choose another.
         ann> A  nn
         ann< That is not a name, please choose another.
         ann> a name that is longer than names are
         ann< That is not a name, please choose another.
         ann> \u{1b}[2JAnn
         ann< Only text, please: UTF-8, without control characters.
         ann> A\u{202e}nn
         ann< Only text, please: UTF-8, without control characters.
         ann>   Ann\t
         ann< Welcome, Ann!
         bob connects
         bob< What's your name?
         bob> ANN
         bob< Name taken, please choose another.
         bob> Bob
         bob< Welcome, Bob!
         bob> \u{1b}]0;owned\u{7}
         bob< Only text, please: UTF-8, without control characters.
         bob> tabs\tand \u{e4}\u{f6}\u{fc} are text
         ann< <Bob> tabs\tand \u{e4}\u{f6}\u{fc} are text",
    );
    let mut client = example.server.connect(example.address);
    client.expect("What's your name?\r\n");
    client.send(b"\xff\xfe\r\n");
    client.expect("Only text, please: UTF-8, without control characters.\r\n");
    client.send(vec![b'x'; 10_000]);
    assert_eq!(client.rest(), b"That line is too long. Goodbye.\r\n");
    example.stop();
}

#[test]
fn chat_frees_a_name_after_any_kind_of_loss() {
    let example = Example::start("chat", &[]);
    let join = |name: &str| {
        // The loss of the one before and this connection race: asked until the name is free.
        let mut client = example.server.connect(example.address);
        client.expect("What's your name?\r\n");
        loop {
            client.send(format!("{name}\r\n"));
            let mut first = [0];
            std::io::Read::read_exact(&mut client.socket, &mut first).unwrap();
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
