//! The clients of Redis among the examples: with a real server, and with servers that misbehave.

use crate::support::{Child, Folder, TIMEOUT, has_tool};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

/// A server that ends with the test, or is killed before.
struct Redis {
    _process: Child,
    endpoint: String,
    socket: String,
    _folder: Folder,
}

impl Redis {
    /// Starts a server that writes nothing to the disk; `None` if there is none.
    fn start() -> Option<Self> {
        if !has_tool("redis-server", "redis-server") {
            return None;
        }
        let folder = Folder::new();
        let socket = folder.join("redis.sock").to_str().unwrap().to_owned();
        let (process, addresses) = Child::listening(1, |addresses| {
            let port = addresses[0].port().to_string();
            let mut command = Command::new("redis-server");
            command.args(["--port", &port, "--bind", "127.0.0.1", "--unixsocket", &socket]);
            command.args(["--save", "", "--appendonly", "no"]);
            command
        });
        let endpoint = format!("tcp:127.0.0.1:{}", addresses[0].port());
        Some(Self { _process: process, endpoint, socket, _folder: folder })
    }

    #[track_caller]
    fn ask(&self, words: &[&str]) -> Outcome {
        run("redis_cli", &[&[&*self.endpoint], words].concat())
    }
}

#[derive(Debug)]
struct Outcome {
    succeeded: bool,
    output: String,
    errors: String,
}

impl Outcome {
    #[track_caller]
    fn expect(&self, succeeded: bool, output: &str) {
        assert_eq!((self.succeeded, &*self.output), (succeeded, output), "{}", self.errors);
    }
}

#[track_caller]
fn run(example: &str, arguments: &[&str]) -> Outcome {
    finish(Child::example(example, arguments))
}

#[track_caller]
fn finish(child: Child) -> Outcome {
    let (status, errors, output) = child.wait_and_read();
    assert!(!errors.contains("panicked"), "{errors}");
    Outcome { succeeded: status.success(), output, errors }
}

/// Runs the client with these lines on its standard input.
#[track_caller]
fn run_lines(endpoint: &str, lines: &str) -> Outcome {
    let mut command = Command::new(Child::path("redis_cli"));
    let mut child = Child::spawn_with_stdin(command.arg(endpoint).stdin(Stdio::piped()));
    let (mut stdin, lines) = (child.stdin(), lines.to_owned());
    // It may end before it has read everything.
    let writing = std::thread::spawn(move || drop(stdin.write_all(lines.as_bytes())));
    let outcome = finish(child);
    writing.join().unwrap();
    outcome
}

#[test]
fn commands_and_their_replies() {
    let Some(redis) = Redis::start() else { return };
    redis.ask(&["SET", "a", "1"]).expect(true, "OK\n");
    redis.ask(&["INCRBY", "a", "41"]).expect(true, "(integer) 42\n");
    redis.ask(&["GET", "a"]).expect(true, "\"42\"\n");
    redis.ask(&["GET", "nothing"]).expect(true, "(nil)\n");
    redis.ask(&["LRANGE", "nothing", "0", "-1"]).expect(true, "(empty array)\n");
    redis.ask(&["RPUSH", "l", "it's", "\u{1b}[2J"]).expect(true, "(integer) 2\n");
    redis.ask(&["LRANGE", "l", "0", "-1"]).expect(true, "1) \"it's\"\n2) \"\\x1b[2J\"\n");
    let wrong = redis.ask(&["GET"]);
    assert!(!wrong.succeeded && wrong.output.starts_with("(error) ERR wrong number"), "{wrong:?}");
    let wrong = redis.ask(&["INCR", "l"]);
    assert!(!wrong.succeeded && wrong.output.starts_with("(error) WRONGTYPE"), "{wrong:?}");
    // Two levels, and everything that a server has to say about itself.
    redis
        .ask(&["EVAL", "return {1,{2,'x'}}", "0"])
        .expect(true, "1) (integer) 1\n2) 1) (integer) 2\n   2) \"x\"\n");
    assert!(redis.ask(&["COMMAND"]).succeeded);
    // Much more than a read returns.
    redis.ask(&["SETRANGE", "big", "2999999", "x"]).expect(true, "(integer) 3000000\n");
    let big = redis.ask(&["GET", "big"]);
    assert!(big.succeeded && big.output.len() == 4 * 2_999_999 + 4, "{}", big.output.len());
    let unix = format!("unix:{}", redis.socket);
    run("redis_cli", &[&unix, "PING"]).expect(true, "PONG\n");
}

#[test]
fn lines_of_the_standard_input() {
    let Some(redis) = Redis::start() else { return };
    let lines = "SET a \"1\\n\"\n\n  get a\r\nGET 'b\nGET b";
    let outcome = run_lines(&redis.endpoint, lines);
    outcome.expect(false, "OK\n\"1\\n\"\n(nil)\n");
    assert_eq!(outcome.errors, "a ' that is not closed\n");
    run_lines(&redis.endpoint, "").expect(true, "");
    // Far more than may be under way, and in their order.
    let expected: String = (1..=2000).map(|number| format!("(integer) {number}\n")).collect();
    run_lines(&redis.endpoint, &"INCR n\n".repeat(2000)).expect(true, &expected);
}

#[test]
fn replies_that_no_command_asked_for_end_the_connection() {
    let Some(redis) = Redis::start() else { return };
    let outcome = redis.ask(&["SUBSCRIBE", "a", "b"]);
    assert!(outcome.output.starts_with("1) \"subscribe\"\n2) \"a\"\n"), "{outcome:?}");
    let expected = "failed: a reply has arrived that no request is waiting for";
    assert!(!outcome.succeeded && outcome.errors.contains(expected), "{outcome:?}");
}

#[test]
fn a_load_is_carried_out_and_measured() {
    let Some(redis) = Redis::start() else { return };
    for (depth, connections) in [("depth=1", "connections=50"), ("depth=64", "connections=3")] {
        redis.ask(&["DEL", "n"]);
        let arguments = [&*redis.endpoint, depth, connections, "requests=20001", "INCR", "n"];
        let outcome = run("redis_load", &arguments);
        assert!(outcome.succeeded, "{outcome:?}");
        assert!(outcome.output.starts_with("20001 requests in "), "{outcome:?}");
        assert!(outcome.output.ends_with("\nerrors: 0\n"), "{outcome:?}");
        // Each of them once.
        redis.ask(&["GET", "n"]).expect(true, "\"20001\"\n");
    }
    let outcome = run("redis_load", &[&*redis.endpoint, "requests=100", "GET"]);
    assert!(!outcome.succeeded && outcome.output.ends_with("\nerrors: 100\n"), "{outcome:?}");
    assert_eq!(outcome.errors.lines().count(), 1, "only the first is shown: {outcome:?}");
}

#[test]
fn a_server_that_dies_ends_the_load() {
    let Some(redis) = Redis::start() else { return };
    let load = ["connections=5", "depth=16", "requests=1000000000", "INCR", "n"];
    let load = Child::example("redis_load", &[&[&*redis.endpoint], &load[..]].concat());
    let start = Instant::now();
    while redis.ask(&["GET", "n"]).output.len() < "\"1000\"\n".len() {
        assert!(start.elapsed() < TIMEOUT, "the load does not begin");
    }
    drop(redis);
    let outcome = finish(load);
    assert!(!outcome.succeeded && outcome.output.is_empty(), "{outcome:?}");
    assert!(outcome.errors.contains("requests without a reply"), "{outcome:?}");
    assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
}

/// What a server does to its only client.
type Act = fn(&mut TcpStream);

/// Starts a server that reads a command, and then does this.
fn rogue(act: Act) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client.set_write_timeout(Some(TIMEOUT)).unwrap();
        client.read_exact(&mut [0; "*1\r\n$4\r\nPING\r\n".len()]).unwrap();
        act(&mut client);
    });
    (format!("tcp:127.0.0.1:{}", address.port()), serving)
}

/// Waits for the end that a client makes.
fn wait_for_the_end(client: &mut TcpStream) {
    let mut rest = Vec::new();
    match client.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_server_that_misbehaves_is_told_of_in_words() {
    let cases: [(Act, &str); 4] = [
        (
            |client| {
                client.write_all(b"SSH-2.0-server\r\n").unwrap();
                wait_for_the_end(client);
            },
            "failed: not a reply of Redis: \"SSH-2.0-server\"",
        ),
        (
            // Until the client ends it.
            |client| while client.write_all(&[b'+'; 65_536]).is_ok() {},
            "failed: a line of more than 65536 bytes",
        ),
        (
            |client| {
                client.write_all(b"$67108865\r\n").unwrap();
                wait_for_the_end(client);
            },
            "failed: a reply of more than 67108864 bytes",
        ),
        (|client| client.write_all(b"*2\r\n$9\r\nabc").unwrap(), "connection closed gracefully"),
    ];
    let fails = |act, example, settings: &[&str], expected| {
        let (endpoint, serving) = rogue(act);
        let outcome = run(example, &[&[&*endpoint], settings].concat());
        assert!(!outcome.succeeded && outcome.output.is_empty(), "{outcome:?}");
        assert!(outcome.errors.contains(expected), "{outcome:?}");
        serving.join().unwrap();
    };
    for (act, expected) in cases {
        fails(act, "redis_cli", &["PING"], expected);
        fails(act, "redis_load", &["connections=1"], expected);
    }
    // The other one waits five seconds, which its own tests do in virtual time.
    let within_a_second = ["connections=1", "timeout=1"];
    fails(wait_for_the_end, "redis_load", &within_a_second, "failed: no reply within ");
}

#[test]
fn a_server_that_is_not_there_is_told_of_once() {
    let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let endpoint = format!("tcp:127.0.0.1:{}", nowhere.port());
    for (example, arguments) in
        [("redis_cli", &["PING"][..]), ("redis_cli", &[]), ("redis_load", &[])]
    {
        let outcome = run(example, &[&[&*endpoint], arguments].concat());
        assert!(!outcome.succeeded, "{outcome:?}");
        assert!(outcome.errors.starts_with("cannot connect to 127.0.0.1:"), "{outcome:?}");
        assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
    }
    for arguments in [&[][..], &["nowhere"], &["tcp:127.0.0.1:0x"]] {
        let outcome = run("redis_cli", arguments);
        assert!(!outcome.succeeded && outcome.errors.starts_with("Error: "), "{outcome:?}");
    }
}
