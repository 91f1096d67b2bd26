//! The connections and what is done with what they bring.

use calloop::generic::Generic;
use calloop::timer::{TimeoutAction, Timer};
use calloop::{Dispatcher, Interest, LoopHandle, Mode, PostAction, Readiness, RegistrationToken};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use twistor_benches::lines::each_line;
use twistor_benches::{ACKNOWLEDGEMENT, BLOCK, QUOTE, SINK_LEN, answer};

#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    Echo,
    Lines,
    Chat,
    Quote,
    Sink,
    Broadcast,
}

pub struct Server {
    work: Work,
    handle: LoopHandle<'static, Self>,
    port: Option<RegistrationToken>,
    connections: Slab<Connection>,
    buffer: Vec<u8>,
    answers: Vec<u8>,
    /// To be looked at when all events of a turn are dealt with.
    dirty: Vec<usize>,
    /// That all are to be sent then.
    blocks: usize,
}

struct Connection {
    source: Dispatcher<'static, Generic<TcpStream>, Server>,
    token: RegistrationToken,
    dirty: bool,
    blocked: bool,
    unsent: Vec<u8>,
    partial: Vec<u8>,
    received: u64,
    name: Option<Vec<u8>>,
}

impl Server {
    pub fn new(work: Work, handle: LoopHandle<'static, Self>) -> Self {
        Self {
            work,
            handle,
            port: None,
            connections: Slab::new(),
            buffer: vec![0; 64 * 1024],
            answers: Vec::new(),
            dirty: Vec::new(),
            blocks: 0,
        }
    }

    pub fn listen(&mut self) -> io::Result<SocketAddr> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        // What is accepted inherits it, at no call per connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(1024)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let source = Generic::new(listener, Interest::READ, Mode::Level);
        let port =
            Dispatcher::new(source, |_, listener, server: &mut Self| Ok(server.accept(listener)));
        self.port = Some(self.handle.register_dispatcher(port)?);
        Ok(address)
    }

    fn accept(&mut self, listener: &TcpListener) -> PostAction {
        loop {
            match listener.accept() {
                Ok((socket, _)) if self.work == Work::Quote => {
                    let _ = (&socket).write_all(QUOTE);
                }
                Ok((socket, _)) => self.connect(socket).unwrap(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return PostAction::Continue,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => return self.pause(),
            }
        }
    }

    /// Without a descriptor to spare the port would be ready, and fail, until one comes free.
    fn pause(&self) -> PostAction {
        let again = |_, _: &mut (), server: &mut Self| {
            server.handle.enable(&server.port.unwrap()).unwrap();
            TimeoutAction::Drop
        };
        let timer = Timer::from_duration(Duration::from_millis(50));
        self.handle.insert_source(timer, again).unwrap();
        PostAction::Disable
    }

    fn connect(&mut self, socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let source = Dispatcher::new(
            Generic::new(socket, Interest::READ, Mode::Level),
            move |readiness, socket, server: &mut Self| Ok(server.ready(key, readiness, socket)),
        );
        let token = self.handle.register_dispatcher(source.clone())?;
        entry.insert(Connection {
            source,
            token,
            dirty: false,
            blocked: false,
            unsent: Vec::new(),
            partial: Vec::new(),
            received: 0,
            name: None,
        });
        if self.work == Work::Chat {
            self.say(key, b"What's your name?\r\n");
        }
        Ok(())
    }

    fn ready(&mut self, key: usize, readiness: Readiness, socket: &TcpStream) -> PostAction {
        let connection = &mut self.connections[key];
        if readiness.writable {
            match connection.flush(socket) {
                // Whoever waits to be read from is read from again.
                Ok(()) if connection.unsent.is_empty() => connection.mark(key, &mut self.dirty),
                Ok(()) => {}
                Err(_) => return self.end(key),
            }
        }
        if readiness.readable {
            let mut buffer = std::mem::take(&mut self.buffer);
            let result = (&*socket).read(&mut buffer);
            let result = match result {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received(key, &buffer[..count], socket),
                Err(error) if is_passing(&error) => Ok(()),
                Err(error) => Err(error),
            };
            self.buffer = buffer;
            if result.is_err() {
                return self.end(key);
            }
        }
        PostAction::Continue
    }

    fn received(&mut self, key: usize, data: &[u8], socket: &TcpStream) -> io::Result<()> {
        match self.work {
            Work::Echo => self.connections[key].send(key, data, socket, &mut self.dirty),
            Work::Lines => self.lines(key, data, socket),
            Work::Chat => {
                self.chat(key, data);
                Ok(())
            }
            Work::Quote => Ok(()),
            Work::Sink => self.sink(key, data, socket),
            Work::Broadcast => {
                self.blocks += data.len();
                Ok(())
            }
        }
    }

    fn lines(&mut self, key: usize, data: &[u8], socket: &TcpStream) -> io::Result<()> {
        let mut answers = std::mem::take(&mut self.answers);
        each_line(&mut self.connections[key].partial, data, |line| {
            answers.extend_from_slice(answer(line));
            answers.extend_from_slice(b"\r\n");
        });
        let result = self.connections[key].send(key, &answers, socket, &mut self.dirty);
        answers.clear();
        self.answers = answers;
        result
    }

    fn sink(&mut self, key: usize, data: &[u8], socket: &TcpStream) -> io::Result<()> {
        let connection = &mut self.connections[key];
        let acknowledged = connection.received / SINK_LEN;
        connection.received += data.len() as u64;
        for _ in acknowledged..connection.received / SINK_LEN {
            self.connections[key].send(key, &[ACKNOWLEDGEMENT], socket, &mut self.dirty)?;
        }
        Ok(())
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
                    connection.gather(other, &message, &mut self.dirty);
                }
            }
        });
        self.connections[key].partial = partial;
    }

    /// A block goes out from where it is, and is copied as far as a member does not take it.
    fn broadcast(&mut self) {
        for (key, connection) in &mut self.connections {
            let source = connection.source.clone();
            // A failure is left to the event that comes of it.
            let _ = connection.send(key, &BLOCK, source.as_source_ref().get_ref(), &mut self.dirty);
        }
    }

    fn say(&mut self, key: usize, message: &[u8]) {
        self.connections[key].gather(key, message, &mut self.dirty);
    }

    /// Sends what has gathered. Interests change here, as a source is out of reach in its callback.
    pub fn turn_is_over(&mut self) {
        for _ in 0..std::mem::take(&mut self.blocks) {
            self.broadcast();
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.dirty = false;
                let answers = !matches!(self.work, Work::Chat | Work::Broadcast);
                if connection.settle(answers, &self.handle).is_err() {
                    self.handle.remove(connection.token);
                    self.connections.remove(key);
                }
            }
        }
        self.dirty = dirty;
    }

    fn end(&mut self, key: usize) -> PostAction {
        self.connections.remove(key);
        PostAction::Remove
    }
}

impl Connection {
    fn mark(&mut self, key: usize, dirty: &mut Vec<usize>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(key);
        }
    }

    fn gather(&mut self, key: usize, message: &[u8], dirty: &mut Vec<usize>) {
        self.unsent.extend_from_slice(message);
        self.mark(key, dirty);
    }

    /// Sends at once, as far as the peer takes it.
    fn send(
        &mut self,
        key: usize,
        data: &[u8],
        socket: &TcpStream,
        dirty: &mut Vec<usize>,
    ) -> io::Result<()> {
        let at_once = self.unsent.is_empty() && !data.is_empty();
        let sent = if at_once { write(socket, data)? } else { 0 };
        if sent < data.len() {
            self.unsent.extend_from_slice(&data[sent..]);
            self.mark(key, dirty);
        }
        Ok(())
    }

    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        let sent = write(socket, &self.unsent)?;
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Backpressure: a peer that does not take its answers is not read until it has.
    fn settle(&mut self, answers: bool, handle: &LoopHandle<'static, Server>) -> io::Result<()> {
        let source = self.source.clone();
        if !self.blocked && !self.unsent.is_empty() {
            self.flush(source.as_source_ref().get_ref())?;
        }
        if self.blocked == self.unsent.is_empty() {
            self.blocked = !self.blocked;
            source.as_source_mut().interest = match (self.blocked, answers) {
                (false, _) => Interest::READ,
                (true, false) => Interest::BOTH,
                (true, true) => Interest::WRITE,
            };
            handle.update(&self.token)?;
        }
        Ok(())
    }
}

/// One attempt: the level tells when there is more room.
fn write(mut socket: &TcpStream, data: &[u8]) -> io::Result<usize> {
    match socket.write(data) {
        Err(error) if is_passing(&error) => Ok(0),
        result => result,
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
