//! Visits: connect, read to the end, close, and again.

use crate::Workload;
use crate::connection::{self, advice};
use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::phase::Phase;
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
    socket: TcpStream,
    received: usize,
    begun: Instant,
}

pub struct Churn {
    watch: Watch,
    address: SocketAddr,
    /// Empty where nobody is on a visit.
    visits: Vec<Option<Visit>>,
}

impl Churn {
    pub fn new(order: &Order) -> Outcome<Self> {
        let visits = (0..order.connections).map(|_| None).collect();
        Ok(Self { watch: Watch::new()?, address: order.address, visits })
    }
}

impl Workload for Churn {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { watch, address, visits } = self;
        for (at, place) in visits.iter_mut().enumerate() {
            *place = visit(*address, watch, at, phase, Instant::now())?;
        }
        while !phase.is_quiet() {
            watch.wait(true)?;
            for event in &watch.events {
                let at = event.token().0;
                let Some(now) = end_of(&mut visits[at], event, phase)? else {
                    continue;
                };
                // Closed before the next one is opened, so that the number is kept.
                visits[at] = None;
                visits[at] = visit(*address, watch, at, phase, now)?;
            }
        }
        Ok(())
    }
}

/// Begins a visit, unless the phase is over.
fn visit(
    address: SocketAddr,
    watch: &Watch,
    at: usize,
    phase: &mut Phase,
    now: Instant,
) -> Outcome<Option<Visit>> {
    if !phase.begin(1, now) {
        return Ok(None);
    }
    let connected = TcpStream::connect(address);
    let mut socket =
        connected.map_err(|error| Failure::of(at, format!("{error}{}", advice(&error))))?;
    watch.add_for(&mut socket, at, Interest::READABLE)?;
    Ok(Some(Visit { socket, received: 0, begun: now }))
}

/// Reads what a visit is for; the time, if it has come to its end.
fn end_of(place: &mut Option<Visit>, event: &Event, phase: &mut Phase) -> Outcome<Option<Instant>> {
    let at = event.token().0;
    let Some(visit) = place else {
        return Ok(None);
    };
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
