//! The yardstick: servers on bare mio, as an expert would write them for one purpose each.
//!
//! `raw echo|lines|chat|quote|idle`. One registration for both directions and edges for the connection's
//! life, one shared 64 KiB buffer, a short read ends the reading unless the peer has closed, one
//! write for all that a read or a turn has to say, no-delay inherited from the port.

use memchr::memchr;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use twistor_benches::{QUOTE, announce, answer};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    socket: TcpStream,
    unsent: Vec<u8>,
    partial: Vec<u8>,
    name: Option<Vec<u8>>,
    dirty: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Echo,
    Lines,
    Chat,
    Quote,
}

struct Server {
    work: Work,
    connections: Slab<Connection>,
    dirty: Vec<usize>,
    replies: Vec<u8>,
}

fn main() {
    let work = match std::env::args().nth(1).as_deref() {
        Some("echo" | "idle") => Work::Echo,
        Some("lines") => Work::Lines,
        Some("chat") => Work::Chat,
        Some("quote") => Work::Quote,
        _ => panic!("raw echo|lines|chat|quote|idle"),
    };
    let mut poll = Poll::new().unwrap();
    let mut listener = listen();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    announce(listener.local_addr().unwrap());
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut server =
        Server { work, connections: Slab::new(), dirty: Vec::new(), replies: Vec::new() };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.unwrap(),
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    if work == Work::Quote {
                        socket.write_all(QUOTE).unwrap();
                        continue;
                    }
                    let entry = server.connections.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(entry.key()), both).unwrap();
                    let key = entry.key();
                    let (unsent, partial) = (Vec::new(), Vec::new());
                    entry.insert(Connection { socket, unsent, partial, name: None, dirty: false });
                    if work == Work::Chat {
                        server.say(key, b"What's your name?\r\n");
                    }
                }
                continue;
            }
            let key = event.token().0;
            if event.is_readable() || event.is_read_closed() {
                server.read(key, &mut buffer, event.is_read_closed());
            }
            if event.is_writable() {
                server.flush(key);
            }
        }
        let mut dirty = std::mem::take(&mut server.dirty);
        for key in dirty.drain(..) {
            if let Some(connection) = server.connections.get_mut(key) {
                connection.dirty = false;
            }
            server.flush(key);
        }
        server.dirty = dirty;
    }
}

fn listen() -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    TcpListener::from_std(socket.into())
}

impl Server {
    fn read(&mut self, key: usize, buffer: &mut [u8], closed: bool) {
        while let Some(connection) = self.connections.get_mut(key) {
            match connection.socket.read(buffer) {
                Ok(0) => {
                    self.connections.remove(key);
                }
                Ok(count) => {
                    match self.work {
                        Work::Echo => connection.send(&buffer[..count]),
                        Work::Lines => self.lines(key, &buffer[..count]),
                        Work::Chat => self.chat(key, &buffer[..count]),
                        Work::Quote => unreachable!(),
                    }
                    if count < buffer.len() && !closed {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.connections.remove(key);
                }
            }
        }
    }

    fn lines(&mut self, key: usize, data: &[u8]) {
        let connection = &mut self.connections[key];
        let replies = &mut self.replies;
        each_line(&mut connection.partial, data, |line| {
            replies.extend_from_slice(answer(line));
            replies.extend_from_slice(b"\r\n");
        });
        connection.send(replies);
        replies.clear();
    }

    fn chat(&mut self, key: usize, data: &[u8]) {
        let mut partial = std::mem::take(&mut self.connections[key].partial);
        each_line(&mut partial, data, |line| {
            let Some(name) = &self.connections[key].name else {
                self.connections[key].name = Some(line.to_vec());
                self.say(key, &[b"Welcome, ", line, b"!\r\n"].concat());
                return;
            };
            let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat();
            for (other, connection) in &mut self.connections {
                if other != key && connection.name.is_some() {
                    connection.unsent.extend_from_slice(&message);
                    if !connection.dirty {
                        connection.dirty = true;
                        self.dirty.push(other);
                    }
                }
            }
        });
        self.connections[key].partial = partial;
    }

    fn say(&mut self, key: usize, data: &[u8]) {
        let connection = &mut self.connections[key];
        connection.unsent.extend_from_slice(data);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(key);
        }
    }

    fn flush(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            if !connection.unsent.is_empty() {
                let unsent = std::mem::take(&mut connection.unsent);
                connection.send(&unsent);
                if connection.unsent.is_empty() {
                    connection.unsent = unsent;
                    connection.unsent.clear();
                }
            }
        }
    }
}

impl Connection {
    fn send(&mut self, data: &[u8]) {
        let sent = if self.unsent.is_empty() { self.socket.write(data).unwrap_or(0) } else { 0 };
        self.unsent.extend_from_slice(&data[sent..]);
    }
}

fn each_line(partial: &mut Vec<u8>, data: &[u8], mut call: impl FnMut(&[u8])) {
    let mut rest = data;
    while let Some(end) = memchr(b'\n', rest) {
        let mut line = &rest[..end];
        rest = &rest[end + 1..];
        if !partial.is_empty() {
            partial.extend_from_slice(line);
            line = partial;
        }
        call(line.strip_suffix(b"\r").unwrap_or(line));
        partial.clear();
    }
    partial.extend_from_slice(rest);
}
