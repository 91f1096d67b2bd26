//! The example `chat` as programs: several of them, and nats-server between them.

use crate::nats_server::{NatsServer, TIMEOUT, cluster, is_installed};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A chat that runs. Dropping it kills it.
struct Chat {
    process: Child,
    address: String,
}

impl Chat {
    fn start(servers: &str) -> Self {
        // This binary is in target/PROFILE/deps, the examples are in target/PROFILE/examples.
        let this = std::env::current_exe().unwrap();
        let path = this.parent().unwrap().parent().unwrap().join("examples/chat");
        let (example, version) = (path.with_file_name("chat"), "twistor-nats");
        assert!(example.exists(), "{path:?} is not built; `cargo test -p {version}` builds it");
        let mut command = Command::new(example);
        command.args(["tcp:0:interface=127.0.0.1", servers]).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address }
    }

    /// Ends it as a service manager would.
    fn terminate(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let until = Instant::now() + TIMEOUT;
        let status = loop {
            match self.process.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < until, "the chat does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct User {
    reader: BufReader<TcpStream>,
    /// The part of a line that has arrived.
    rest: Vec<u8>,
}

impl User {
    fn connect(chat: &Chat) -> Self {
        let stream = TcpStream::connect(&chat.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut user = Self { reader: BufReader::new(stream), rest: Vec::new() };
        user.hears("What's your name?");
        user
    }

    fn join(chat: &Chat, name: &str) -> Self {
        let mut user = Self::connect(chat);
        user.says(name);
        let welcome = format!("Welcome, {name}!");
        if user.next() == "Your name is checked when the other nodes can be reached." {
            user.hears(&welcome);
        }
        user
    }

    fn says(&mut self, line: &str) {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Returns the next line, if there is one within a moment.
    fn try_next(&mut self) -> Option<String> {
        match self.reader.read_until(b'\n', &mut self.rest) {
            Ok(_) if self.rest.ends_with(b"\n") => {
                let line = String::from_utf8(std::mem::take(&mut self.rest)).unwrap();
                Some(line.trim_end().to_owned())
            }
            Ok(_) => panic!("the chat has closed the connection"),
            Err(error) => {
                let kinds = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(kinds.contains(&error.kind()), "{error}");
                None
            }
        }
    }

    #[track_caller]
    fn next(&mut self) -> String {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(line) = self.try_next() {
                return line;
            }
            assert!(Instant::now() < until, "nothing came");
        }
    }

    #[track_caller]
    fn hears(&mut self, line: &str) {
        assert_eq!(self.next(), line);
    }
}

#[test]
fn two_programs_are_one_chat() {
    if !is_installed() {
        return;
    }
    let mut server = NatsServer::start("");
    let (one, two) = (Chat::start(&server.url()), Chat::start(&server.url()));
    let mut alice = User::join(&one, "alice");
    let mut bob = User::connect(&two);
    bob.says("Alice");
    // Until both are connected, the name waits.
    let mut answer = bob.next();
    if answer.starts_with("Your name is checked") {
        answer = bob.next();
    }
    assert_eq!(answer, "Name taken, please choose another.");
    bob.says("bob");
    bob.hears("Welcome, bob!");
    for number in 0..10 {
        bob.says(&format!("hello {number}"));
        alice.hears(&format!("<bob> hello {number}"));
        alice.says(&format!("hi {number}"));
        bob.hears(&format!("<alice> hi {number}"));
    }

    // The bus is gone, and comes back.
    server.kill();
    let lost = "* The other nodes cannot be reached; messages may be missing.";
    alice.hears(lost);
    bob.hears(lost);
    server.run();
    let back = "* The other nodes can be reached again.";
    alice.hears(back);
    bob.hears(back);
    alice.says("again");
    bob.hears("<alice> again");
    bob.says("indeed");
    alice.hears("<bob> indeed");

    two.terminate();
    bob.hears("The chat is closing. Goodbye.");
    one.terminate();
}

#[test]
fn a_chat_alone_needs_no_second_to_welcome() {
    if !is_installed() {
        return;
    }
    let server = NatsServer::start("");
    let chat = Chat::start(&server.url());
    let _alice = User::join(&chat, "alice");
    let begun = Instant::now();
    for number in 0..20 {
        User::join(&chat, &format!("user-{number}"));
    }
    // Silence is waited for only if there is somebody who could object.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_chat_over_a_cluster_whose_servers_are_killed() {
    if !is_installed() {
        return;
    }
    let mut servers = cluster("");
    servers.iter_mut().for_each(NatsServer::run);
    let all = servers.each_ref().map(NatsServer::url).join(",");
    let (one, two) = (Chat::start(&all), Chat::start(&all));
    let (mut alice, mut bob) = (User::join(&one, "alice"), User::join(&two, "bob"));
    let mut said = 0;
    let mut heard = 0;
    // Says lines until the last one is heard; what is missing in between has to be told.
    let mut reach = |alice: &mut User, bob: &mut User, what: &str| {
        let first = said + 1;
        let until = Instant::now() + TIMEOUT;
        let mut told = false;
        while heard < first {
            assert!(Instant::now() < until, "{what}: {heard} of {said}");
            said += 1;
            alice.says(&said.to_string());
            let begun = Instant::now();
            // No faster than a member may speak.
            while begun.elapsed() < Duration::from_millis(150) {
                while alice.try_next().is_some() {}
                let Some(line) = bob.try_next() else { continue };
                if let Some(number) = line.strip_prefix("<alice> ") {
                    let number: u64 = number.parse().unwrap();
                    // What was said before the cluster knew that bob listens is nobody's loss.
                    let follows = number == heard + 1 || heard == 0 || told && number > heard;
                    assert!(follows, "{number} after {heard}");
                    (heard, told) = (number, false);
                } else {
                    assert!(line.starts_with("* "), "{line}");
                    told = true;
                }
            }
        }
    };
    reach(&mut alice, &mut bob, "at first");
    for server in &mut servers {
        server.kill();
        reach(&mut alice, &mut bob, "while a server is down");
        server.run();
        reach(&mut alice, &mut bob, "when it is back");
    }
    let mut other = User::connect(&two);
    other.says("alice");
    other.hears("Name taken, please choose another.");
}
