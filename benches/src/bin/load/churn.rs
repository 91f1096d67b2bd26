//! Visits: connect, read to the end, close, and again.

use crate::Workload;
use crate::connection::{self, advice};
use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::phase::Phase;
use crate::socket::{Encryption, Socket};
use crate::watch::Watch;
use mio::Interest;
use mio::event::Event;
use mio::net::TcpStream;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Instant;
use twistor_benches::QUOTE;

const BUFFER_LEN: usize = 1024;

struct Visit {
    socket: Socket<TcpStream>,
    received: usize,
    begun: Instant,
}

/// What all visits have in common.
struct Course {
    watch: Watch,
    address: SocketAddr,
    encryption: Encryption,
    interest: Interest,
    resumes: bool,
}

pub struct Churn {
    course: Course,
    /// Empty where nobody is on a visit.
    visits: Vec<Option<Visit>>,
}

impl Churn {
    pub fn new(order: &Order) -> Outcome<Self> {
        let visits = (0..order.connections).map(|_| None).collect();
        let interest = match order.tls {
            0 => Interest::READABLE,
            _ => Interest::READABLE | Interest::WRITABLE,
        };
        let course = Course {
            watch: Watch::new()?,
            address: order.address,
            encryption: Encryption::new(order),
            interest,
            resumes: order.resume > 0,
        };
        Ok(Self { course, visits })
    }
}

impl Workload for Churn {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { course, visits } = self;
        // By place. The first visits begin at once, and there are not as many tickets.
        let mut visited = vec![false; visits.len()];
        for (at, place) in visits.iter_mut().enumerate() {
            *place = course.visit(at, phase, Instant::now())?;
        }
        while !phase.is_quiet() {
            course.watch.wait(true)?;
            for event in &course.watch.events {
                let at = event.token().0;
                let Some(now) = end_of(&mut visits[at], event, phase)? else {
                    continue;
                };
                let visit = visits[at].take();
                let was_visited = std::mem::replace(&mut visited[at], true);
                if course.resumes && was_visited && visit.is_some_and(|it| it.socket.began_afresh())
                {
                    return Err(Failure::of(at, "the server did not resume the session"));
                }
                // Closed before the next one is opened, so that the number is kept.
                visits[at] = course.visit(at, phase, now)?;
            }
        }
        Ok(())
    }
}

impl Course {
    /// Begins a visit, unless the phase is over.
    fn visit(&self, at: usize, phase: &mut Phase, now: Instant) -> Outcome<Option<Visit>> {
        if !phase.begin(1, now) {
            return Ok(None);
        }
        let connected = TcpStream::connect(self.address);
        let mut socket =
            connected.map_err(|error| Failure::of(at, format!("{error}{}", advice(&error))))?;
        self.watch.add_for(&mut socket, at, self.interest)?;
        let socket = self.encryption.on(socket, at)?;
        Ok(Some(Visit { socket, received: 0, begun: now }))
    }
}

/// Reads what a visit is for; the time, if it has come to its end.
fn end_of(place: &mut Option<Visit>, event: &Event, phase: &mut Phase) -> Outcome<Option<Instant>> {
    let at = event.token().0;
    let Some(visit) = place else {
        return Ok(None);
    };
    if event.is_writable() {
        visit.socket.flush().map_err(|error| Failure::of(at, error))?;
    }
    let mut buffer = [0; BUFFER_LEN];
    loop {
        let count = match visit.socket.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            result => result.map_err(|error| Failure::of(at, error))?,
        };
        let (before, data) = (visit.received, &buffer[..count]);
        if QUOTE.get(before..before + count) != Some(data) {
            return Err(Failure::wrong_bytes(at, before as u64, &QUOTE[before..], data));
        }
        visit.received += count;
        // The end had come before what was read, and nothing is behind that: no need to read it.
        let ended = count == 0 || event.is_read_closed() && !event.is_error();
        if !ended {
            return Ok(None);
        }
        if visit.received < QUOTE.len() {
            return Err(connection::closed(at));
        }
        let now = Instant::now();
        phase.end(1, visit.begun, now);
        return Ok(Some(now));
    }
}
