//! What a path between two hosts is like.

use std::time::Duration;

/// What Linux gives a socket by default, in round figures.
const BUFFER: usize = 256 * 1024;

/// What the poller of a real reactor hands out at once.
const EVENTS_PER_WAIT: usize = 1024;

/// More than anybody sends, and a number that can be counted with.
const BUFFER_MAX: usize = usize::MAX / 4;

/// How a network treats what is sent through it: [`ideal`](Self::ideal), [`rough`](Self::rough), or
/// one of the two with changes.
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
    /// Everything arrives at once, in one piece, in order.
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

    /// Everything that a network may do without breaking a connection: delays, losses, arbitrary
    /// pieces, full buffers, events in any order and events about nothing.
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

    /// How long a packet travels, one way. With `Duration::MAX` it never arrives.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// By up to how much longer it may take. Packets of one connection stay in order.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Bytes a second in each direction, for all connections between two hosts together. Zero
    /// counts as one.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        Self { bandwidth: Some(bytes_per_second.max(1)), ..self }
    }

    /// How many packets in a thousand are lost, and sent again 200 milliseconds later. More than a
    /// thousand are all.
    #[must_use]
    pub fn loss(self, per_mille: u16) -> Self {
        Self { loss: per_mille, ..self }
    }

    /// How many in a thousand of the calls that read get only a part of what has arrived, and of
    /// the packets carry only a part of what they could. More than a thousand are all.
    #[must_use]
    pub fn short_reads(self, per_mille: u16) -> Self {
        Self { short_reads: per_mille, ..self }
    }

    /// How many in a thousand of the calls that write are taken only in part, or not at all. More
    /// than 999 count as 999, or the last byte would never be sent.
    #[must_use]
    pub fn short_writes(self, per_mille: u16) -> Self {
        Self { short_writes: per_mille.min(999), ..self }
    }

    /// How many events in a thousand report more than is there. More than a thousand are all.
    #[must_use]
    pub fn spurious(self, per_mille: u16) -> Self {
        Self { spurious: per_mille, ..self }
    }

    /// Per mille of the calls of [`Reactor::should_yield`](crate::Reactor::should_yield) that
    /// return true. (No virtual time passes within a callback that could decide it.) More than 999
    /// count as 999.
    #[must_use]
    pub fn yields(self, per_mille: u16) -> Self {
        Self { yields: per_mille.min(999), ..self }
    }

    /// By up to how much later than an event a reactor gets to it. Events that come meanwhile are
    /// reported together.
    #[must_use]
    pub fn wakeup_delay(self, wakeup_delay: Duration) -> Self {
        Self { wakeup_delay, ..self }
    }

    /// How many connections a poller reports at once, at least one. What is left out is fetched by
    /// the next turn, and nobody is woken for it.
    #[must_use]
    pub fn events_per_wait(self, events: usize) -> Self {
        Self { events_per_wait: events.max(1), ..self }
    }

    /// Whether events that are reported together come in any order.
    #[must_use]
    pub fn reorder(self, reorder: bool) -> Self {
        Self { reorder, ..self }
    }

    /// How many bytes a socket holds that its peer has not confirmed. Zero counts as one; with
    /// `usize::MAX` it is never full.
    #[must_use]
    pub fn send_buffer(self, bytes: usize) -> Self {
        Self { send_buffer: bytes.clamp(1, BUFFER_MAX), ..self }
    }

    /// How many bytes a socket holds that have not been read. Zero counts as one; with
    /// `usize::MAX` it is never full.
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
