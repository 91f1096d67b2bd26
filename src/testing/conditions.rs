//! Conditions of the path between two hosts: delays, losses, buffers and events.

use std::time::Duration;

/// Socket buffers: what Linux gives a socket by default, in round figures.
const BUFFER: usize = 256 * 1024;

/// Events that the poller of a real reactor hands out at once.
const EVENTS_PER_WAIT: usize = 1024;

/// Unlimited buffer: more than any program sends, and small enough for sums without overflow.
const BUFFER_MAX: usize = usize::MAX / 4;

/// How a network treats data: [`ideal`](Self::ideal), [`rough`](Self::rough), or one of the two
/// with changes.
///
/// ```
/// use std::time::Duration;
/// use twistor::testing::Conditions;
///
/// let dial_up = Conditions::ideal().latency(Duration::from_millis(150)).bandwidth(7_000);
/// # let _ = dial_up;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conditions {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) bandwidth: Option<u64>,
    pub(super) loss: u16,
    pub(super) short_reads: u16,
    pub(super) short_writes: u16,
    pub(super) spurious: u16,
    pub(super) yields: u16,
    pub(super) wakeup_delay: Duration,
    pub(super) events_per_wait: usize,
    pub(super) reorder: bool,
    pub(super) send_buffer: usize,
    pub(super) receive_buffer: usize,
}

impl Conditions {
    /// Returns the conditions between programs of one host: nothing is on the way, what was written
    /// waits at the reader, and a write takes all that there is room for.
    pub(super) fn within_host(&self) -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bandwidth: None,
            loss: 0,
            short_writes: 0,
            receive_buffer: usize::MAX,
            ..self.clone()
        }
    }

    /// Returns conditions under which everything arrives at once, in one piece, in order.
    #[must_use]
    pub fn ideal() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bandwidth: None,
            loss: 0,
            short_reads: 0,
            short_writes: 0,
            spurious: 0,
            yields: 0,
            wakeup_delay: Duration::ZERO,
            events_per_wait: EVENTS_PER_WAIT,
            reorder: false,
            send_buffer: BUFFER,
            receive_buffer: BUFFER,
        }
    }

    /// Returns conditions with everything that a network may do without breaking a connection:
    /// delays, losses, arbitrary pieces, full buffers, spurious events and events in any order.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            latency: Duration::from_millis(5),
            jitter: Duration::from_millis(10),
            bandwidth: Some(4_000_000),
            loss: 10,
            short_reads: 300,
            short_writes: 300,
            spurious: 50,
            yields: 200,
            wakeup_delay: Duration::from_millis(2),
            events_per_wait: 3,
            reorder: true,
            send_buffer: 16 * 1024,
            receive_buffer: 16 * 1024,
        }
    }

    /// Sets the one-way latency of a packet. With `Duration::MAX` it never arrives.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// Sets the jitter: the longest random delay of a packet in addition to the latency. Packets of
    /// one connection stay in order.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Sets the bandwidth in bytes per second in each direction, shared by all connections between
    /// two hosts. Zero counts as one.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        Self { bandwidth: Some(bytes_per_second.max(1)), ..self }
    }

    /// Sets the loss: how many packets in a thousand are lost once, and sent again 200 milliseconds
    /// later. More than a thousand means all.
    #[must_use]
    pub fn loss(self, per_mille: u16) -> Self {
        Self { loss: per_mille, ..self }
    }

    /// Sets the short reads: how many in a thousand of the read calls get only a part of what has
    /// arrived, and how many in a thousand of the packets carry only a part of what they could.
    /// More than a thousand means all.
    #[must_use]
    pub fn short_reads(self, per_mille: u16) -> Self {
        Self { short_reads: per_mille, ..self }
    }

    /// Sets the short writes: how many in a thousand of the write calls accept only a part, or
    /// nothing. More than 999 counts as 999, or the last byte would never leave.
    #[must_use]
    pub fn short_writes(self, per_mille: u16) -> Self {
        Self { short_writes: per_mille.min(999), ..self }
    }

    /// Sets the spurious events: how many in a thousand report more than is there. More than a
    /// thousand means all.
    #[must_use]
    pub fn spurious(self, per_mille: u16) -> Self {
        Self { spurious: per_mille, ..self }
    }

    /// Sets how many in a thousand of the calls of
    /// [`Reactor::should_yield`](crate::Reactor::should_yield) return true. (No virtual time passes
    /// within a callback that could decide it.) More than 999 counts as 999.
    #[must_use]
    pub fn yields(self, per_mille: u16) -> Self {
        Self { yields: per_mille.min(999), ..self }
    }

    /// Sets the wakeup delay: the most by which a reactor wakes up later than its first event.
    /// Events until then are reported together.
    #[must_use]
    pub fn wakeup_delay(self, wakeup_delay: Duration) -> Self {
        Self { wakeup_delay, ..self }
    }

    /// Sets how many connections a poller reports at once; zero counts as one. The next turn
    /// fetches the rest, and no event wakes the reactor for it.
    #[must_use]
    pub fn events_per_wait(self, events: usize) -> Self {
        Self { events_per_wait: events.max(1), ..self }
    }

    /// Sets whether events that are reported together come in any order.
    #[must_use]
    pub fn reorder(self, reorder: bool) -> Self {
        Self { reorder, ..self }
    }

    /// Sets the send buffer: how many bytes a socket holds that its peer has not acknowledged. Zero
    /// counts as one; with `usize::MAX` it is never full.
    #[must_use]
    pub fn send_buffer(self, bytes: usize) -> Self {
        Self { send_buffer: bytes.clamp(1, BUFFER_MAX), ..self }
    }

    /// Sets the receive buffer: how many bytes a socket holds that the program has not read. Zero
    /// counts as one; with `usize::MAX` it is never full.
    #[must_use]
    pub fn receive_buffer(self, bytes: usize) -> Self {
        Self { receive_buffer: bytes.clamp(1, BUFFER_MAX), ..self }
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self::ideal()
    }
}
