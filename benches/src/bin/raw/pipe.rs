//! Joins each two connections: what comes from one goes to the other. Not read unless it can be
//! written, so that no more than one read is ever kept.

use crate::server::{BUFFER_LEN, LISTENER, READS_PER_TURN, listen};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;
use twistor_benches::announce;

struct End {
    socket: TcpStream,
    unsent: Vec<u8>,
    sent: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
}

/// What became of a passing.
enum Passed {
    /// As much as there was, or could be.
    All,
    /// There may be more, in the next turn.
    Some,
    /// One of the ends is gone.
    Over,
}

pub fn serve() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    announce(listener.local_addr()?);
    let mut ends: Vec<Option<End>> = Vec::new();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut events = Events::with_capacity(1024);
    let (mut queue, mut served) = (Vec::new(), Vec::new());
    loop {
        let sleeps = queue.is_empty();
        match poll.poll(&mut events, if sleeps { None } else { Some(Duration::ZERO) }) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        std::mem::swap(&mut queue, &mut served);
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(ends.len()), both)?;
                    ends.push(Some(End::new(socket)));
                }
            } else if let Some(Some(end)) = ends.get_mut(event.token().0) {
                end.readable |= event.is_readable();
                end.writable |= event.is_writable();
                end.read_closed |= event.is_read_closed();
                served.push(event.token().0 & !1);
            }
        }
        served.sort_unstable();
        served.dedup();
        for first in served.drain(..) {
            let Some([one, other]) = ends.get_mut(first..first + 2) else { continue };
            let (Some(left), Some(right)) = (&mut *one, &mut *other) else { continue };
            match (pass(left, right, &mut buffer), pass(right, left, &mut buffer)) {
                (Passed::Over, _) | (_, Passed::Over) => (*one, *other) = (None, None),
                (Passed::All, Passed::All) => {}
                _ => queue.push(first),
            }
        }
    }
}

impl End {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            unsent: Vec::new(),
            sent: 0,
            readable: false,
            writable: true,
            read_closed: false,
        }
    }

    /// How many of these the socket takes; `None` if it is broken.
    fn offer(socket: &mut TcpStream, writable: &mut bool, data: &[u8]) -> Option<usize> {
        match socket.write(data) {
            Ok(count) => {
                // A short write means that the socket is full; its next edge is sure to come.
                *writable = count == data.len();
                Some(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                *writable = false;
                Some(0)
            }
            Err(_) => None,
        }
    }
}

fn pass(from: &mut End, to: &mut End, buffer: &mut [u8]) -> Passed {
    for _ in 0..READS_PER_TURN {
        if to.writable && to.sent < to.unsent.len() {
            let unsent = &to.unsent[to.sent..];
            let Some(count) = End::offer(&mut to.socket, &mut to.writable, unsent) else {
                return Passed::Over;
            };
            to.sent += count;
            if to.sent == to.unsent.len() {
                to.unsent.clear();
                to.sent = 0;
            }
        }
        if !from.readable || !to.writable {
            return Passed::All;
        }
        match from.socket.read(buffer) {
            Ok(0) => return Passed::Over,
            Ok(count) => {
                from.readable = count == buffer.len() || from.read_closed;
                let data = &buffer[..count];
                let Some(sent) = End::offer(&mut to.socket, &mut to.writable, data) else {
                    return Passed::Over;
                };
                to.unsent.extend_from_slice(&data[sent..]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => from.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Passed::Over,
        }
    }
    Passed::Some
}
