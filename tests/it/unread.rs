//! Programs whose output cannot be written: they still serve.
#![cfg(target_os = "linux")]

use crate::support::{Child, Client, TIMEOUT, interrupt};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

/// Target of a program's output.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Output {
    /// The output is closed: `>&-`.
    Closed,
    /// The reader has gone.
    Gone,
    /// The disk is full.
    Full,
}

const ALL: [Output; 3] = [Output::Closed, Output::Gone, Output::Full];

impl Output {
    fn open(self) -> Stdio {
        match self {
            Self::Closed => Stdio::null(),
            Self::Gone => OwnedFd::from(UnixStream::pair().unwrap().0).into(),
            Self::Full => File::options().write(true).open("/dev/full").unwrap().into(),
        }
    }

    /// Starts an example with this output and error output.
    fn start(self, name: &str, arguments: &[&str]) -> Child {
        let close = if self == Self::Closed { ">&- 2>&-" } else { "" };
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {close}")]);
        command.arg(Child::path(name)).args(arguments).env("RUST_LOG", "debug");
        Child::spawn_unread(&mut command, self.open(), self.open())
    }
}

/// A port that is free and stays free: on a loopback address that no other test uses.
fn free() -> SocketAddr {
    static USED: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high.max(1), low, USED.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn endpoint(address: SocketAddr) -> String {
    format!("tcp:{}:interface={}", address.port(), address.ip())
}

/// An example whose output is lost serves two clients, one after another, and ends with success.
#[track_caller]
fn check(name: &str, arguments: &[&str], served: impl Fn(Client)) {
    for output in ALL {
        let address = free();
        let mut server = output.start(name, &[&[&*endpoint(address)], arguments].concat());
        served(server.reach(address));
        served(server.reach(address));
        server.signal(interrupt());
        let (status, _) = server.wait();
        assert!(status.success(), "{name}, {output:?}: {status}");
    }
}

#[test]
fn servers_that_answer() {
    let echoed = |mut client: Client| {
        client.send("hello");
        client.expect("hello");
    };
    check("echo", &[], echoed);
    let target = Child::example("echo", &["tcp:0:interface=127.0.0.1"]);
    check("proxy", &[&format!("tcp:{}", target.address())], echoed);
    check("qotd", &["Less is more"], |client| assert_eq!(client.rest(), b"Less is more\r\n"));
    check("counting_echo", &[], |mut client| client.expect("Welcome! There are currently "));
    check("answer", &[], |mut client| {
        client.send("How are you?\r\n");
        client.expect("Fine\r\n");
    });
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("twistor-unread-{name}-{}", std::process::id()))
}

#[test]
fn a_server_that_writes_to_a_file() {
    let path = temporary("log");
    check("logfile", &[path.to_str().unwrap()], |mut client| {
        fs::write(&path, "").unwrap();
        client.send("a line\n");
        let start = Instant::now();
        while fs::read(&path).unwrap() != b"a line\n" {
            assert!(start.elapsed() < TIMEOUT, "the line is not written");
            std::thread::yield_now();
        }
    });
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_prints_when_a_file_is_sent() {
    let path = temporary("file");
    // More than the buffers in between hold, so that the end waits for the client.
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &content).unwrap();
    check("send_file", &[path.to_str().unwrap()], |client| assert!(client.rest() == content));
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_server_that_prints_its_metrics_at_a_signal() {
    for output in ALL {
        let address = free();
        let mut server = output.start("chat", &[&endpoint(address)]);
        let mut client = server.reach(address);
        client.expect("What's your name?\r\n");
        server.signal("USR1");
        client.send("Ann\r\n");
        client.expect("Welcome, Ann!\r\n");
        server.signal("TERM");
        assert_eq!(client.rest(), b"The chat is closing. Goodbye.\r\n");
        assert!(server.wait().0.success(), "{output:?}");
    }
}

/// Without a printed answer the exit code is no success, and there is no panic.
#[test]
fn a_client_that_prints_the_answer() {
    let server = Child::example("answer", &["tcp:0:interface=127.0.0.1"]);
    let address = server.address().to_string();
    for (output, code) in [(Output::Closed, 0), (Output::Gone, 1), (Output::Full, 1)] {
        let (status, _) = output.start("ask", &[&address, "How are you?"]).wait();
        assert_eq!(status.code(), Some(code), "{output:?}: {status}");
    }
    let nobody = free().to_string();
    let (status, _) = Output::Gone.start("ask", &[&nobody, "How are you?"]).wait();
    assert_eq!(status.code(), Some(1), "{status}");
}
