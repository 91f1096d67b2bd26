//! Descriptors that are passed over Unix sockets.

use super::*;
use crate::support::{Event, Folder, Server};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use twistor::{Context, Descriptor, Factory, FactoryKey, Reason, Remote, Transport};

/// How a connection treats what it receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Echoes,
    Listens,
    /// Pauses at each descriptor.
    Pauses,
    /// Closes at the first byte.
    Leaves,
}

/// Notes what its connections receive, and keeps the descriptors.
struct Keeper {
    manner: Manner,
    notes: Sender<String>,
    kept: Vec<Descriptor>,
    transport: Option<Transport>,
}

struct Keeping;

impl Protocol<Keeper> for Keeping {
    fn connection_made(&mut self, cx: &mut Context<'_, Keeper>) {
        cx.factory.transport = Some(cx.transport.clone());
    }

    fn descriptor_received(&mut self, cx: &mut Context<'_, Keeper>, descriptor: Descriptor) {
        let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        cx.factory.kept.push(descriptor);
        cx.factory.note("descriptor");
        if cx.factory.manner == Manner::Pauses {
            cx.transport.pause_reading();
        }
    }

    fn data_received(&mut self, cx: &mut Context<'_, Keeper>, data: &[u8]) {
        cx.factory.note(String::from_utf8_lossy(data));
        match cx.factory.manner {
            Manner::Leaves => cx.transport.lose_connection(),
            Manner::Echoes => cx.transport.write(data),
            Manner::Listens | Manner::Pauses => {}
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Keeper>, reason: &Reason) {
        cx.factory.note(format!("lost: {reason}"));
    }
}

impl Keeper {
    fn note(&self, note: impl Into<String>) {
        // The test may have ended.
        let _ = self.notes.send(note.into());
    }
}

impl Factory for Keeper {
    type Protocol = Keeping;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Keeping> {
        Some(Keeping)
    }
}

/// A reactor in a thread, with one port of a keeper.
struct Running {
    path: PathBuf,
    key: FactoryKey<Keeper>,
    remote: Remote,
    told: Receiver<String>,
    thread: Option<JoinHandle<()>>,
    _folder: Folder,
}

impl Running {
    fn new(manner: Manner) -> Self {
        let folder = Folder::new();
        let (path, (ready_in, ready), (notes, told)) = (folder.join("s"), channel(), channel());
        let at = path.clone();
        let thread = std::thread::spawn(move || {
            let mut reactor = reactor();
            let keeper = Keeper { manner, notes, kept: Vec::new(), transport: None };
            let port = reactor.listen_unix(&*at, keeper).unwrap();
            ready_in.send((reactor.remote(), port.key())).unwrap();
            reactor.run().unwrap();
        });
        let (remote, key) = ready.recv_timeout(TIMEOUT).unwrap();
        Self { path, key, remote, told, thread: Some(thread), _folder: folder }
    }

    fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(&self.path).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client
    }

    #[track_caller]
    fn next(&self) -> String {
        self.told.recv_timeout(TIMEOUT).expect("nothing is told")
    }

    /// Calls `call` with the keeper.
    fn call<T: Send + 'static>(&self, call: impl FnOnce(&mut Keeper) -> T + Send + 'static) -> T {
        let (key, (result_in, result)) = (self.key, channel());
        let call = move |reactor: &mut Reactor| {
            let result = reactor.with_factory(key, |keeper, _| call(keeper));
            let _ = result_in.send(result.unwrap());
        };
        self.remote.call_from_thread(call).unwrap();
        result.recv_timeout(TIMEOUT).unwrap()
    }

    /// Acts while the reactor does nothing.
    fn while_held_up(&self, act: impl FnOnce()) {
        let (release, gate) = channel::<()>();
        let hold = move |_: &mut Reactor| {
            let _ = gate.recv_timeout(TIMEOUT);
        };
        self.remote.call_from_thread(hold).unwrap();
        act();
        drop(release);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.remote.call_from_thread(Reactor::stop);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

/// Sends bytes with descriptors.
fn send_with(client: &UnixStream, data: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let sent = sendmsg(client, &[IoSlice::new(data)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, data.len());
}

/// Receives up to `most` bytes, and the descriptors that come with them.
fn receive_with(client: &UnixStream, most: usize) -> (Vec<u8>, Vec<OwnedFd>) {
    let (mut buffer, mut received) = (vec![0; most], Vec::new());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(&mut buffer)];
    let message = recvmsg(client, slices, &mut control, RecvFlags::empty()).unwrap();
    for rights in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = rights {
            received.extend(descriptors);
        }
    }
    buffer.truncate(message.bytes);
    (buffer, received)
}

/// Waits until the other end of a pipe is closed everywhere.
#[track_caller]
fn expect_closed(mut reader: UnixStream) {
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

/// Returns two ends that are connected: what one of them writes, the other reads.
fn pipe() -> io::Result<(UnixStream, UnixStream)> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_read_timeout(Some(TIMEOUT))?;
    Ok((reader, writer))
}

#[test]
fn a_descriptor_comes_before_its_bytes_and_works() {
    let server = Running::new(Manner::Echoes);
    let mut client = server.connect();
    let (mut reader, writer) = pipe().unwrap();
    send_with(&client, b"here", &[writer.as_fd()]);
    drop(writer);
    assert_eq!((&*server.next(), &*server.next()), ("descriptor", "here"));
    server.call(|keeper| {
        UnixStream::from(keeper.kept.remove(0)).write_all(b"through the pipe").unwrap();
    });
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "through the pipe");
    let mut echo = [0; 4];
    client.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"here");
}

#[test]
fn bytes_behind_a_descriptor_are_read_without_another_event() {
    // An answer would be an event: the socket can be written to again when it is read.
    let server = Running::new(Manner::Listens);
    let mut client = server.connect();
    let null = File::open("/dev/null").unwrap();
    for _ in 0..20 {
        server.while_held_up(|| {
            send_with(&client, b"A", &[null.as_fd()]);
            send_with(&client, b"B", &[null.as_fd(), null.as_fd()]);
            client.write_all(b"C").unwrap();
        });
        let told = ["descriptor", "A", "descriptor", "descriptor", "B", "C"];
        told.iter().for_each(|told| assert_eq!(server.next(), *told));
    }
}

#[test]
fn a_pause_at_a_descriptor_holds_back_what_comes_after_it() {
    let server = Running::new(Manner::Pauses);
    let client = server.connect();
    let null = File::open("/dev/null").unwrap();
    send_with(&client, b"A", &[null.as_fd(), null.as_fd()]);
    for _ in 0..2 {
        assert_eq!(server.next(), "descriptor");
        assert!(server.told.try_recv().is_err());
        server.call(|keeper| keeper.transport.as_ref().unwrap().resume_reading());
    }
    assert_eq!(server.next(), "A");
}

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    // The protocol takes none.
    let folder = Folder::new();
    let mut reactor = reactor();
    reactor.listen_unix(&*folder.join("s"), || Quiet).unwrap();
    let client = UnixStream::connect(folder.join("s")).unwrap();
    let (reader, writer) = pipe().unwrap();
    send_with(&client, b"x", &[writer.as_fd()]);
    drop(writer);
    let waiting = std::thread::spawn(move || expect_closed(reader));
    let start = Instant::now();
    while !waiting.is_finished() {
        assert!(start.elapsed() < TIMEOUT, "it is still open");
        let _ = reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }
    waiting.join().unwrap();

    // The connection is closed, and only lingers.
    let server = Running::new(Manner::Leaves);
    let client = server.connect();
    let pipes: Vec<(UnixStream, UnixStream)> = (0..3).map(|_| pipe().unwrap()).collect();
    server.while_held_up(|| {
        // A read stops behind it, and the protocol closes.
        send_with(&client, b"goodbye", &[client.as_fd()]);
        for (_, writer) in &pipes {
            send_with(&client, b"x", &[writer.as_fd()]);
        }
    });
    for (reader, writer) in pipes {
        drop(writer);
        expect_closed(reader);
    }
    assert_eq!(server.call(|keeper| keeper.kept.len()), 1);
}

#[test]
fn too_many_descriptors_at_once_end_the_connection() {
    let server = Running::new(Manner::Echoes);
    let null = File::open("/dev/null").unwrap();
    let client = server.connect();
    send_with(&client, b"x", &[null.as_fd(); 16]);
    for _ in 0..16 {
        assert_eq!(server.next(), "descriptor");
    }
    assert_eq!(server.next(), "x");
    for count in [17, 40] {
        let (client, (reader, writer)) = (server.connect(), pipe().unwrap());
        send_with(&client, b"x", &vec![writer.as_fd(); count]);
        drop(writer);
        let end = server.next();
        assert!(end.starts_with("lost: ") && end.contains("descriptors were lost"), "{end}");
        expect_closed(reader);
    }
}

#[test]
fn a_descriptor_is_sent_with_the_byte_that_is_written_next() {
    const LARGE: usize = 1_000_000;
    let server = Running::new(Manner::Echoes);
    let mut client = server.connect();
    client.write_all(b"?").unwrap();
    assert_eq!(server.next(), "?");
    assert_eq!(client.read(&mut [0]).unwrap(), 1);
    let pipes: Vec<(UnixStream, UnixStream)> = (0..3).map(|_| pipe().unwrap()).collect();
    let (readers, writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
    server.call(move |keeper| {
        let transport = keeper.transport.as_ref().unwrap();
        let mut writers = writers.into_iter().map(OwnedFd::from);
        let mut send = || transport.send_descriptor(writers.next().unwrap()).unwrap();
        transport.write("before");
        send();
        // The client reads none of it for now: the rest waits here, with its descriptors.
        transport.write(vec![b'x'; LARGE]);
        send();
        send();
        transport.write("end");
    });
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    while bytes.len() < 6 + LARGE + 3 {
        let (more, received) = receive_with(&client, 50_000);
        assert!(!more.is_empty());
        for descriptor in received {
            // Not after its byte.
            places.push(bytes.len());
            let number = u8::try_from(places.len()).unwrap();
            UnixStream::from(descriptor).write_all(&[number]).unwrap();
        }
        bytes.extend(more);
    }
    assert!(bytes.starts_with(b"beforex") && bytes.ends_with(b"xend"));
    assert!(places[0] <= 6 && places[1] == places[2], "{places:?}");
    // Linux joins bytes of before to the same read, which is no longer than one read of the client.
    assert!((LARGE + 6 - 50_000..=LARGE + 6).contains(&places[1]), "{places:?}");
    for (number, mut reader) in (1..).zip(readers) {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [number]);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_or_closed() {
    let server = Running::new(Manner::Echoes);
    let mut client = server.connect();
    client.write_all(b"?").unwrap();
    assert_eq!(server.next(), "?");
    let (reader, writer) = pipe().unwrap();
    server.call(move |keeper| {
        let transport = keeper.transport.as_ref().unwrap();
        let send = || transport.send_descriptor(writer.try_clone().unwrap());
        for _ in 0..16 {
            send().unwrap();
        }
        assert_eq!(send().unwrap_err().kind(), ErrorKind::QuotaExceeded);
        // Without a byte they do not leave.
        transport.lose_connection();
        assert_eq!(send().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
    expect_closed(reader);

    let over_tcp = Server::new(|event, cx| {
        if event == Event::Made {
            let sent = cx.transport.send_descriptor(File::open("/dev/null").unwrap());
            cx.transport.write(format!("{:?}", sent.unwrap_err().kind()));
            cx.transport.lose_connection();
        }
    });
    assert_eq!(over_tcp.connect().rest(), b"Unsupported");
}

#[test]
fn a_descriptor_with_a_proxy_header_is_closed_and_the_header_is_read() {
    let folder = Folder::new();
    let mut reactor = reactor();
    let description = format!("haproxy:unix:{}", folder.join("s").display());
    reactor.listen(&description, || Quiet).unwrap();
    let client = UnixStream::connect(folder.join("s")).unwrap();
    let (reader, writer) = pipe().unwrap();
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.80 40001 443\r\n";
    send_with(&client, &header[..3], &[writer.as_fd(), writer.as_fd()]);
    send_with(&client, &header[3..], &[writer.as_fd()]);
    drop(writer);
    let start = Instant::now();
    while reactor.connection_count() == 0 {
        assert!(start.elapsed() < TIMEOUT, "the header is not read");
        let _ = reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }
    expect_closed(reader);
}

/// A client in Python, which sends the writing end of a pipe and prints what comes through it.
#[cfg(feature = "signals")]
const PYTHON: &str = "
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(60)
client.connect(sys.argv[1])
reader, writer = os.pipe()
assert socket.send_fds(client, [b'hello'], [writer]) == 5
os.close(writer)
assert client.recv(5) == b'hello'
print(os.read(reader, 100).decode())
";

#[cfg(feature = "signals")]
#[test]
fn a_descriptor_from_another_language_works() {
    use std::process::{Command, Stdio};
    if !crate::support::has_tool("python3", "python3") {
        return;
    }
    let server = Running::new(Manner::Echoes);
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON]).arg(&server.path).stdin(Stdio::null()).stdout(Stdio::piped());
    let client = command.spawn().unwrap();
    assert_eq!((&*server.next(), &*server.next()), ("descriptor", "hello"));
    server.call(|keeper| {
        File::from(keeper.kept.remove(0)).write_all(b"through the pipe").unwrap();
    });
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"through the pipe\n");
}
