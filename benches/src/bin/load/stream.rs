//! Bytes without pause: the workloads `sink`, whose server counts them, `stream`, whose server sends
//! them back, and `pipe`, whose server passes them on to another connection.

use crate::Workload;
use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::order::Order;
use crate::phase::Phase;
use crate::socket::Socket;
use crate::watch::Watch;
use mio::net::TcpStream;
use std::time::Instant;
use twistor_benches::{ACKNOWLEDGEMENT, BLOCK, BLOCK_LEN, SINK_LEN};

/// What is offered to the socket at once, and read from it.
const CHUNK_LEN: usize = 256 * 1024;

/// Bytes of an operation: sent, and acknowledged or sent back.
const UNIT: u64 = SINK_LEN;

/// What a connection has under way at the most, in units.
const SINK_WINDOW: u64 = 16;
const STREAM_WINDOW: u64 = 4;

/// What is the same for all connections.
struct Course {
    /// Bytes come back, and not acknowledgements.
    echoes: bool,
    /// Sockets of a flow.
    ends: usize,
    window: u64,
    /// The block again and again: any `CHUNK_LEN` bytes that begin within the first block.
    source: Vec<u8>,
}

struct Flow {
    socket: Socket<TcpStream>,
    /// Where the bytes come out, if that is elsewhere.
    outlet: Option<Socket<TcpStream>>,
    number: usize,
    /// Bytes that may be sent: whole units, which have begun.
    granted: u64,
    sent: u64,
    /// Bytes that have come back, or are acknowledged.
    returned: u64,
    /// When each unit that is under way has begun.
    begun: [Instant; SINK_WINDOW as usize],
    writable: bool,
    readable: bool,
    read_closed: bool,
    /// Among those to be served.
    queued: bool,
}

pub struct Stream {
    watch: Watch,
    course: Course,
    flows: Vec<Flow>,
    buffer: Vec<u8>,
    /// To be served now, and next.
    queues: [Vec<usize>; 2],
}

impl Stream {
    pub fn sink(order: &Order) -> Outcome<Self> {
        Self::connect(order, false, SINK_WINDOW)
    }

    pub fn echo(order: &Order) -> Outcome<Self> {
        Self::connect(order, true, STREAM_WINDOW)
    }

    /// The server joins the first connection to the second, the third to the fourth, and so on.
    pub fn pipe(order: &Order) -> Outcome<Self> {
        let ends = Order { connections: 2 * order.connections, ..order.clone() };
        Self::connect(&ends, true, STREAM_WINDOW)?.joined()
    }

    /// Of each two flows one, which comes out at the end of the other.
    fn joined(mut self) -> Outcome<Self> {
        let mut ends = std::mem::take(&mut self.flows).into_iter();
        while let (Some(mut inlet), Some(outlet)) = (ends.next(), ends.next()) {
            inlet.number = self.flows.len();
            inlet.outlet = Some(outlet.socket);
            self.flows.push(inlet);
        }
        self.course.ends = 2;
        Ok(self)
    }

    fn connect(order: &Order, echoes: bool, window: u64) -> Outcome<Self> {
        let watch = Watch::new()?;
        let now = Instant::now();
        let mut flows = Vec::with_capacity(order.connections);
        for (number, socket) in connection::connect_unserved(order)?.into_iter().enumerate() {
            let mut socket = connection::nonblocking(socket, number)?;
            watch.add(&mut socket.tcp, number)?;
            flows.push(Flow {
                socket,
                outlet: None,
                number,
                granted: 0,
                sent: 0,
                returned: 0,
                begun: [now; SINK_WINDOW as usize],
                writable: true,
                readable: false,
                read_closed: false,
                queued: false,
            });
        }
        let source = BLOCK.repeat(CHUNK_LEN / BLOCK_LEN + 1);
        let queues = [(); 2].map(|()| Vec::with_capacity(order.connections));
        let course = Course { echoes, ends: 1, window, source };
        Ok(Self { watch, course, flows, buffer: vec![0; CHUNK_LEN], queues })
    }
}

impl Workload for Stream {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { watch, course, flows, buffer, queues: [queue, next] } = self;
        queue.clear();
        queue.extend(0..flows.len());
        flows.iter_mut().for_each(|flow| flow.queued = true);
        loop {
            for at in queue.drain(..) {
                let flow = &mut flows[at];
                flow.queued = flow.serve(course, buffer, phase)?;
                if flow.queued {
                    next.push(at);
                }
            }
            std::mem::swap(queue, next);
            let over = queue.is_empty() && phase.is_quiet();
            watch.wait(queue.is_empty() && !over)?;
            for event in &watch.events {
                let end = event.token().0;
                let flow = &mut flows[end / course.ends];
                flow.writable |= event.is_writable() && end % course.ends == 0;
                flow.readable |= event.is_readable();
                flow.read_closed |= event.is_read_closed();
                if !std::mem::replace(&mut flow.queued, true) {
                    queue.push(flow.number);
                }
            }
            if over && queue.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Flow {
    /// One read and one write, so that all connections have their turn. True if there is more to
    /// do without an event.
    fn serve(&mut self, course: &Course, buffer: &mut [u8], phase: &mut Phase) -> Outcome<bool> {
        if self.readable {
            self.read(course, buffer, phase)?;
        }
        self.grant(course, phase);
        if self.writable && self.sent < self.granted {
            let left = usize::try_from(self.granted - self.sent).unwrap_or(CHUNK_LEN);
            let from = self.sent as usize % BLOCK_LEN;
            let data = &course.source[from..from + left.min(CHUNK_LEN)];
            let count = connection::write(&mut self.socket, self.number, data)?;
            self.sent += count as u64;
            // A short write means that the socket is full; its next edge is sure to come.
            self.writable = count == data.len();
        }
        Ok(self.readable || self.writable && self.sent < self.granted)
    }

    /// Begins units as long as the window has room for them and less than a chunk is left to send.
    fn grant(&mut self, course: &Course, phase: &mut Phase) {
        while self.granted - self.sent < CHUNK_LEN as u64
            && self.granted - self.returned / UNIT * UNIT < course.window * UNIT
        {
            let now = Instant::now();
            if !phase.begin(1, now) {
                return;
            }
            self.begun[(self.granted / UNIT % SINK_WINDOW) as usize] = now;
            self.granted += UNIT;
        }
    }

    fn read(&mut self, course: &Course, buffer: &mut [u8], phase: &mut Phase) -> Outcome<()> {
        let socket = self.outlet.as_mut().unwrap_or(&mut self.socket);
        let Some(count) = connection::read(socket, self.number, buffer)? else {
            self.readable = false;
            return Ok(());
        };
        self.readable = count == buffer.len() || self.read_closed;
        let (data, before) = (&buffer[..count], self.returned);
        if course.echoes {
            let from = before as usize % BLOCK_LEN;
            let expected = &course.source[from..from + count];
            if data != expected {
                return Err(Failure::wrong_bytes(self.number, before, expected, data));
            }
            self.returned += count as u64;
        } else {
            if data.iter().any(|byte| *byte != ACKNOWLEDGEMENT) {
                let expected = vec![ACKNOWLEDGEMENT; count];
                return Err(Failure::wrong_bytes(self.number, before / UNIT, &expected, data));
            }
            self.returned += count as u64 * UNIT;
        }
        if self.returned > self.sent {
            let what = "more came back, or was acknowledged, than was sent";
            return Err(Failure::of(self.number, what));
        }
        if before / UNIT < self.returned / UNIT {
            let now = Instant::now();
            for unit in before / UNIT..self.returned / UNIT {
                phase.end(1, self.begun[(unit % SINK_WINDOW) as usize], now);
            }
        }
        Ok(())
    }
}
