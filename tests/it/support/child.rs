//! Programs that a test starts, talks to, and ends.

use super::{Client, Socket, TIMEOUT};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

pub(crate) struct Child {
    process: std::process::Child,
    stdout: Receiver<String>,
    /// What it says on its standard error, read meanwhile: a full pipe would hold it up.
    stderr: Option<JoinHandle<String>>,
}

impl Child {
    /// Starts an example of this crate, as built beside this test.
    pub(crate) fn example(name: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(Self::path(name)).args(arguments))
    }

    pub(crate) fn path(name: &str) -> PathBuf {
        // This binary is in target/PROFILE/deps, the examples are in target/PROFILE/examples.
        let this = std::env::current_exe().unwrap();
        let path = this.parent().unwrap().parent().unwrap().join("examples").join(name);
        assert!(path.exists(), "{} is not built; `cargo test` builds it", path.display());
        path
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::spawn_with_stdin(command.stdin(Stdio::null()))
    }

    /// Starts a program with the standard input that the command has.
    pub(crate) fn spawn_with_stdin(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = lines_of(process.stdout.take().unwrap());
        let stderr = process.stderr.take().map(|stderr| std::thread::spawn(|| text_of(stderr)));
        Self { process, stdout, stderr }
    }

    /// Starts a program with these outputs, which the test does not read.
    pub(crate) fn spawn_unread(command: &mut Command, stdout: Stdio, stderr: Stdio) -> Self {
        let command = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { process, stdout: channel().1, stderr: None }
    }

    /// Starts a program that cannot be told to choose its ports, on ports that were free, and waits
    /// until it listens on all of them. One may be taken by another program meanwhile; then it is
    /// started again.
    pub(crate) fn listening(
        ports: usize,
        command: impl Fn(&[SocketAddr]) -> Command,
    ) -> (Self, Vec<SocketAddr>) {
        for attempt in 0..10 {
            let free: Vec<_> =
                (0..ports).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
            let addresses: Vec<_> = free.iter().map(|it| it.local_addr().unwrap()).collect();
            let mut command = command(&addresses);
            drop(free);
            let mut child = Self::spawn(&mut command);
            let start = Instant::now();
            while start.elapsed() < TIMEOUT && !child.has_ended() {
                if addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
                    return (child, addresses);
                }
                std::thread::yield_now();
            }
            println!("attempt {attempt}: {command:?} does not listen on {addresses:?}");
        }
        panic!("the program does not start");
    }

    /// Connects a client as soon as the program listens, which it does not announce.
    #[track_caller]
    pub(crate) fn reach(&mut self, address: SocketAddr) -> Client {
        let start = Instant::now();
        loop {
            if let Ok(socket) = TcpStream::connect(address) {
                return Client::on(Socket::Tcp(socket));
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the program has ended: {}", ended.unwrap());
            assert!(start.elapsed() < TIMEOUT, "the program does not listen");
            std::thread::yield_now();
        }
    }

    /// Returns its standard input, if that is a pipe.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.process.stdin.take().expect("a pipe that nobody has taken")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(TIMEOUT).expect("a line of output that does not come")
    }

    /// Returns the rest of the next line with this beginning.
    #[track_caller]
    pub(crate) fn line_after(&self, start: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// Returns the address that the program announces.
    #[track_caller]
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.line();
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        address.parse().unwrap()
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Client {
        Client::connect(address)
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits until it ends; returns its status and its standard error.
    #[track_caller]
    pub(crate) fn wait(self) -> (ExitStatus, String) {
        self.wait_doing(|_| {})
    }

    /// Waits until it ends; returns its status, its standard error, and the lines of its standard
    /// output that were not read.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn wait_and_read(mut self) -> (ExitStatus, String, String) {
        let stdout = std::mem::replace(&mut self.stdout, channel().1);
        let (status, said) = self.wait();
        (status, said, stdout.iter().map(|line| line + "\n").collect())
    }

    /// Waits until it ends, sending it a signal again and again; returns its status and its
    /// standard error.
    #[track_caller]
    pub(crate) fn wait_signalling(self, name: &str) -> (ExitStatus, String) {
        self.wait_doing(|child| child.signal(name))
    }

    #[track_caller]
    fn wait_doing(mut self, act: impl Fn(&Self)) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            // A process that has ended remains until it is reaped, and ignores a signal.
            act(&self);
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < TIMEOUT, "the program does not end");
            std::thread::yield_now();
        };
        let mut said = String::new();
        if let Some(stderr) = self.stderr.take() {
            said = stderr.join().unwrap();
        }
        (status, said)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the signal that interrupts a child. If these tests were started with SIGINT ignored, as
/// in the background of a script, their children ignore it as well, and another signal is used.
pub(crate) fn interrupt() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGINT is signal 2.
    if ignored.is_some_and(|mask| mask & 2 != 0) { "TERM" } else { "INT" }
}

fn text_of(mut stderr: ChildStderr) -> String {
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    text
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (lines_in, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines_in.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
