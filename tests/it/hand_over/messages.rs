//! What the two processes say to each other, with one of them played by this test: it may break off
//! anywhere, and say anything.

use super::Program;
use super::service::Manager;
use crate::support::{Folder, TIMEOUT};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::fs;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;
use twistor::{Context, Protocol, Reactor};

const LOOPBACK: &str = "tcp:0:interface=127.0.0.1";

/// A successor that this test plays.
struct Successor(UnixStream);

impl Successor {
    fn connect(folder: &Folder) -> Self {
        Self::connect_to(&folder.join("hand-over"))
    }

    fn connect_to(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self(socket)
    }

    /// Connects, and says the first requests. If these are enough for an answer, this waits until
    /// the last successor is gone. That may be a moment after its socket was closed: a program that
    /// another test starts has it, too, until it runs.
    fn begin(folder: &Folder, count: usize) -> Self {
        loop {
            let mut successor = Self::connect(folder);
            REQUESTS.iter().take(count.min(2)).for_each(|request| successor.say(request));
            let (answer, _) = if count < 2 { Default::default() } else { successor.hear() };
            if answer.contains("another process is taking over") {
                continue;
            }
            for request in REQUESTS.iter().take(count).skip(2) {
                successor.say(request);
                successor.hear();
            }
            return successor;
        }
    }

    fn say(&mut self, line: &str) {
        // The predecessor may have closed.
        let _ = self.0.write_all(format!("{line}\n").as_bytes());
    }

    /// Returns the answer, and the descriptors that came with it.
    #[track_caller]
    fn hear(&self) -> (String, Vec<OwnedFd>) {
        let (mut line, mut received) = (Vec::new(), Vec::new());
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let slices = &mut [IoSliceMut::new(&mut byte)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let message = recvmsg(&self.0, slices, &mut control, flags).unwrap();
            assert_eq!(message.bytes, 1, "closed after {}", String::from_utf8_lossy(&line));
            for rights in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = rights {
                    received.extend(descriptors);
                }
            }
            line.extend(byte);
        }
        (String::from_utf8(line).unwrap().trim_end().to_owned(), received)
    }

    #[track_caller]
    fn expect_refused(mut self, why: &str) {
        let (answer, _) = self.hear();
        assert!(answer.starts_with("refused\t") && answer.contains(why), "{answer}");
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

/// What a successor says to take over from a process with one port, and that of the hand-over.
const REQUESTS: [&str; 5] = ["take over\t1", "next", "next", "next", "ready"];

/// Says the first requests, and returns what comes with the answers.
fn say_first(successor: &mut Successor, count: usize) -> Vec<(String, Vec<OwnedFd>)> {
    let mut answers = Vec::new();
    for request in &REQUESTS[..count] {
        successor.say(request);
        if !request.starts_with("take") {
            answers.push(successor.hear());
        }
    }
    answers
}

#[test]
fn ports_are_passed_with_their_names_and_nothing_else_is() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let mut client = old.connect(0);
    old.expect_to_serve(&mut client);
    let mut successor = Successor::connect(&folder);
    let answers = say_first(&mut successor, REQUESTS.len());
    let path = folder.join("hand-over").display().to_string();
    let expected = [
        format!("port\t0\ttcp:127.0.0.1:0\ttcp:{}\tsocket", old.addresses[0]),
        format!("port\t1\tunix:{path}\tunix:{path}\tsocket and lock"),
        "end".to_owned(),
        "go".to_owned(),
    ];
    let (said, passed): (Vec<String>, Vec<Vec<OwnedFd>>) = answers.into_iter().unzip();
    assert_eq!(said, expected);
    assert_eq!(passed.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 0, 0]);
    let socket = TcpListener::from(passed.into_iter().flatten().next().unwrap());
    assert_eq!(twistor::Address::Tcp(socket.local_addr().unwrap()), old.addresses[0]);
    // It takes that port; the predecessor keeps the other, and closes it.
    successor.say("serving\t0");
    client.expect("restarts\r\n");
    client.expect_close();
    old.expect_drained();
    assert!(!folder.join("hand-over").exists());
    // The one queue is this process's own now.
    let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    socket.accept().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn all_shards_know_that_one_is_handed_over_and_none_says_that_the_service_stops() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let mut command = Program::command("reuse-port", &folder, &[LOOPBACK]);
    command.env("NOTIFY_SOCKET", folder.join("notify"));
    command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
    let old = Program::spawn(&mut command, 1);
    assert_eq!(manager.hear(), "READY=1");
    let mut clients: Vec<_> = (0..20).map(|_| old.connect(0)).collect();
    clients.iter_mut().for_each(|client| old.expect_to_serve(client));
    // The first shard, which speaks to the manager, is not the one that is handed over.
    let mut successor = Successor::connect_to(&folder.join("hand-over.1"));
    let _passed = say_first(&mut successor, REQUESTS.len());
    successor.say("serving\t0\t1");
    for mut client in clients {
        client.expect("restarts\r\n");
        client.expect_close();
    }
    assert_eq!(manager.hear(), format!("READY=1\nMAINPID={}", std::process::id()));
    old.expect_drained();
    manager.expect_no_more();
}

#[test]
fn a_conversation_that_breaks_off_anywhere_changes_nothing() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    for count in 0..=REQUESTS.len() {
        for cut in ["", "nex", "serving\t0"] {
            let mut successor = Successor::begin(&folder, count);
            let _ = successor.0.write_all(cut.as_bytes());
            drop(successor);
            old.expect_to_serve(&mut old.connect(0));
        }
    }
    drop(Successor::begin(&folder, 2));
    let new = Program::serving(&folder, &[LOOPBACK]);
    old.expect_drained();
    new.expect_to_serve(&mut new.connect(0));
}

#[test]
fn a_successor_that_says_something_else_is_refused() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    for count in 0..=REQUESTS.len() {
        let long = "x".repeat(10_000);
        let mut others = vec!["", "GET / HTTP/1.1", "serving\t99", "serving\t0\t", &*long];
        if count == 0 {
            others.extend(["ready", "next", "serving\t0"]);
        }
        for other in others {
            // Only after an answer it is sure to be refused for what it says.
            let count = if count == 1 { 2 } else { count };
            let mut successor = Successor::begin(&folder, count);
            successor.say(other);
            successor.expect_refused("it");
        }
    }
    let mut successor = Successor::connect(&folder);
    successor.say("take over\t2");
    successor.expect_refused("it speaks version 2, and this one 1");
    old.expect_to_serve(&mut old.connect(0));
}

/// Plays a predecessor: says each of the answers after one more request, with these descriptors,
/// and then closes. Returns what it has heard.
fn play(path: &Path, answers: Vec<(&'static str, Vec<OwnedFd>)>) -> JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut heard = vec![lines.next().unwrap().unwrap()];
        for (answer, descriptors) in answers {
            heard.extend(lines.next().map(Result::unwrap));
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !borrowed.is_empty() {
                assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
            }
            let answer = format!("{answer}\n");
            let slices = [IoSlice::new(answer.as_bytes())];
            sendmsg(&socket, &slices, &mut control, SendFlags::empty()).unwrap();
        }
        drop(listener);
        heard
    })
}

fn socket() -> Vec<OwnedFd> {
    vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]
}

struct Quiet;

impl<F> Protocol<F> for Quiet {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

#[test]
fn a_predecessor_that_fails_while_it_passes_ports_is_an_error() {
    let folder = Folder::new();
    let path = folder.join("hand-over");
    let port = "port\t0\ttcp:127.0.0.1:80\ttcp:127.0.0.1:80\tsocket";
    let no_predecessor = "what listens there is no predecessor";
    for (answers, why) in [
        (vec![], "the predecessor has ended meanwhile"),
        (vec![(port, socket())], "the predecessor has ended meanwhile"),
        (vec![("refused\tit is Monday", vec![])], "the predecessor refuses: it is Monday"),
        (vec![("220 mail.example.org", vec![])], no_predecessor),
        (vec![("go", vec![])], no_predecessor),
        (vec![(port, vec![])], "a descriptor is missing"),
        (vec![(port, [socket(), socket(), socket()].into_iter().flatten().collect())], "too many"),
        (vec![("port\t0\ta\tb\tsocket and lock", socket())], "a descriptor is missing"),
    ] {
        let played = play(&path, answers);
        let mut reactor = Reactor::new().unwrap();
        let error = reactor.take_over(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot take over by /"), "{error}");
        assert!(error.contains(why), "{error} has no {why}");
        assert_eq!(played.join().unwrap()[0], "take over\t1");
        fs::remove_file(&path).unwrap();
    }
    let not_a_socket = folder.join("file");
    fs::write(&not_a_socket, "").unwrap();
    let mut reactor = Reactor::new().unwrap();
    // As what a crash has left: the system says the same of both.
    assert!(!reactor.take_over(&not_a_socket).unwrap());
    assert!(!reactor.take_over(folder.join("nothing")).unwrap());
}

#[test]
fn how_the_predecessor_ends_decides_whether_a_ready_successor_serves() {
    let end = || ("end", vec![]);
    for (answers, serves, said) in [
        // It dies, before or after its last word.
        (vec![end()], true, &["take over\t1", "next"][..]),
        (vec![end(), ("go", vec![])], true, &["take over\t1", "next", "ready"]),
        (vec![end(), ("refused\tit is late", vec![])], false, &["take over\t1", "next", "ready"]),
        (vec![end(), ("end", vec![])], false, &["take over\t1", "next", "ready"]),
    ] {
        let folder = Folder::new();
        let path = folder.join("hand-over");
        let played = play(&path, answers);
        let mut reactor = Reactor::new().unwrap();
        assert!(reactor.take_over(&path).unwrap());
        assert!(reactor.take_over(&path).is_err(), "once");
        // After the hand-over: a successor that is to stop before takes nothing over.
        reactor.call_when_running(|reactor| {
            reactor.call_later(Duration::ZERO, Reactor::stop);
        });
        match reactor.run() {
            Ok(_) => assert!(serves),
            Err(error) => assert!(!serves, "{error}"),
        }
        let heard = played.join().unwrap();
        assert_eq!(heard, said);
    }
}

#[test]
fn after_a_refusal_this_process_has_nothing_that_is_the_predecessors() {
    let folder = Folder::new();
    let path = folder.join("hand-over");
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    passed.set_nonblocking(true).unwrap();
    let port = "port\t0\ttcp:127.0.0.1:80\ttcp:127.0.0.1:80\tsocket";
    let socket = vec![passed.try_clone().unwrap().into()];
    let answers = vec![(port, socket), ("end", vec![]), ("refused\tit is late", vec![])];
    let played = play(&path, answers);
    let mut reactor = Reactor::new().unwrap();
    assert!(reactor.take_over(&path).unwrap());
    let port = reactor.listen("tcp:80:interface=127.0.0.1", || Quiet).unwrap();
    let error = reactor.run().unwrap_err().to_string();
    assert!(error.contains("it is late"), "{error}");
    played.join().unwrap();
    assert!(!reactor.is_running() && !reactor.stop_listening(&port));
    let _client = TcpStream::connect(passed.local_addr().unwrap()).unwrap();
    reactor.stop_gracefully(TIMEOUT);
    assert_eq!(reactor.run().unwrap().drained, 0);
    passed.accept().expect("a client that nobody has taken");
}

#[test]
fn a_passed_descriptor_that_does_not_listen_is_an_error_of_listen() {
    let folder = Folder::new();
    let path = folder.join("hand-over");
    let (one, _other) = UnixStream::pair().unwrap();
    let port = "port\t0\tunix:/nowhere\tunix:/nowhere\tsocket";
    let played = play(&path, vec![(port, vec![one.into()]), ("end", vec![])]);
    let mut reactor = Reactor::new().unwrap();
    assert!(reactor.take_over(&path).unwrap());
    let error = reactor.listen_unix("/nowhere", || Quiet).unwrap_err().to_string();
    assert!(error.contains("the descriptor from the predecessor does not listen"), "{error}");
    drop(reactor);
    played.join().unwrap();
}

/// Returns the sockets that a process has, and asserts that its children inherit no descriptor.
fn sockets_of(process: u32) -> Vec<String> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Ok(leads_to) = fs::read_link(format!("/proc/{process}/fd/{name}")) else { continue };
        let leads_to = leads_to.to_str().unwrap().to_owned();
        if leads_to.starts_with("socket:") {
            let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{name}")).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
            let flags = u32::from_str_radix(flags, 8).unwrap();
            assert_ne!(flags & 0o2_000_000, 0, "{leads_to} is inherited by children");
            sockets.push(leads_to);
        }
    }
    sockets
}

#[test]
fn connections_are_not_handed_over_and_children_inherit_nothing() {
    let folder = Folder::new();
    let old = Program::serving(&folder, &[LOOPBACK]);
    let mut clients: Vec<_> = (0..5).map(|_| old.connect(0)).collect();
    clients.iter_mut().for_each(|client| old.expect_to_serve(client));
    let mut new = Program::start("waits", &folder, &[LOOPBACK]);
    new.expect_waiting();
    let before = sockets_of(old.child.id());
    let shared = sockets_of(new.child.id()).into_iter().filter(|it| before.contains(it)).count();
    assert_eq!(shared, 2, "the port and that of the hand-over");
    new.go_on();
    new.expect_running();
    for mut client in clients {
        client.expect("restarts\r\n");
        client.expect_close();
    }
    old.expect_drained();
    assert_eq!(sockets_of(new.child.id()).iter().filter(|it| before.contains(it)).count(), 2);
}
