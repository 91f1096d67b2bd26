//! What only some connections have: who feeds them and when that is held back, limits, patience.
//! Pure.

use super::overflow::OverflowPolicy;
use super::throttling::{Direction, RateLimiters};
use super::timeout_tracker::TimeoutTracker;
use super::{ConnectionId, Inner};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::rc::{Rc, Weak};

/// With so much unsent a producer is paused: more than a peer takes in one go, so that sending does
/// not wait for the producer. What Twisted has.
pub(super) const HIGH_MARK: usize = 64 * 1024;

/// And with no more than this it is resumed: a quarter, so that it is told seldom, and before
/// everything is sent.
pub(super) const LOW_MARK: usize = HIGH_MARK / 4;

/// Of a connection that has a producer, is one, or has limits or deadlines of its own; the others
/// have none.
#[derive(Debug)]
pub(super) struct Extras {
    high: usize,
    low: usize,
    producer: Option<ActiveProducer>,
    /// The last producer broke off, and the peer has not been sent all of what it was to give.
    pub(super) broken_off: bool,
    /// Bytes accepted since the connection was settled last, sent or not.
    burst: usize,
    /// Something was accepted since this was last cleared.
    pub(super) fed: bool,
    /// Connections that this one is the producer of. By their ids, since thousands may leave one
    /// after the other.
    pub(super) consumers: BTreeMap<ConnectionId, Weak<Inner>>,
    /// How long its peer is waited for.
    pub(super) patience: Option<Box<TimeoutTracker>>,
    /// How fast it may read and write.
    pub(super) rate_limiters: Option<Box<RateLimiters>>,
    /// The most that may be unsent: the reactor's, or its own.
    pub(super) max_unsent: usize,
    pub(super) overflow: OverflowPolicy,
    /// Writes that were refused since the protocol was last told.
    pub(super) rejected: usize,
    /// Writes that were refused or dropped in all.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct ActiveProducer {
    source: Source,
    phase: Phase,
}

/// Who produces.
pub(super) enum Source {
    /// The connection's own protocol.
    Push,
    /// The same, but it writes when it is asked to.
    Pull,
    Connection(Weak<Inner>),
    Reader {
        /// Away while the loop reads.
        input: Option<Box<dyn Read>>,
        /// Bytes read so far.
        produced: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// May write; a pull producer has been asked to.
    Producing,
    /// May not; a pull producer waits to be asked.
    Paused,
}

/// What a producer is to hear or to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProducerAction {
    Nothing,
    /// The protocol is to stop writing.
    Pause,
    /// The protocol may write, or is asked to.
    Resume,
    /// The loop is to read.
    Produce,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            high: HIGH_MARK,
            low: LOW_MARK,
            producer: None,
            broken_off: false,
            burst: 0,
            fed: false,
            consumers: BTreeMap::new(),
            patience: None,
            rate_limiters: None,
            max_unsent: usize::MAX,
            overflow: OverflowPolicy::Close,
            rejected: 0,
            dropped: 0,
        }
    }
}

impl Extras {
    /// Of a connection that may have so much unsent.
    pub(super) fn new(max_unsent: usize) -> Self {
        Self { max_unsent, ..Self::default() }
    }

    pub(super) fn set_marks(&mut self, high: usize, low: usize) {
        (self.high, self.low) = (high, low);
    }

    /// No more than may be unsent: what a producer has given must not be too much.
    pub(super) fn high(&self) -> usize {
        self.high.min(self.max_unsent).max(1)
    }

    fn low(&self) -> usize {
        self.low.min(self.high() - 1)
    }

    /// Bytes have come from the peer.
    pub(super) fn received(&mut self, count: usize) {
        if let Some(patience) = &mut self.patience {
            patience.received(count);
        }
        self.spend(Direction::Read, count);
    }

    /// The peer's system has taken bytes.
    pub(super) fn sent(&mut self, count: usize) {
        if let Some(patience) = &mut self.patience {
            patience.sent(count);
        }
        self.spend(Direction::Write, count);
    }

    fn spend(&mut self, direction: Direction, count: usize) {
        if let Some(rate_limiters) = &mut self.rate_limiters {
            rate_limiters.limiter_mut(direction).spend(count);
        }
    }

    pub(super) fn has_producer(&self) -> bool {
        self.producer.is_some()
    }

    /// From here on `source` produces; `unsent` bytes wait already.
    pub(super) fn register(&mut self, source: Source, unsent: usize) {
        // A pull producer and a reader begin when they are asked.
        let phase = match source {
            Source::Push | Source::Connection(_) => Phase::Producing,
            Source::Pull | Source::Reader { .. } => Phase::Paused,
        };
        self.producer = Some(ActiveProducer { source, phase });
        self.broken_off = false;
        self.accepted(0, unsent);
    }

    /// True if the producer has not come to its end.
    pub(super) fn is_unfinished(&self) -> bool {
        self.broken_off || self.has_producer()
    }

    /// True if the producer should write more now. One that is told no is told when it may.
    pub(super) fn may_produce(&mut self, unsent: usize) -> bool {
        let high = self.high();
        let Some(ActiveProducer { source, phase }) = &mut self.producer else {
            return unsent < high;
        };
        let enough = self.burst.max(unsent) >= high;
        if enough && matches!(source, Source::Push) {
            *phase = Phase::Paused;
        }
        !enough
    }

    /// The connection is being settled.
    pub(super) fn end_burst(&mut self) {
        self.burst = 0;
    }

    /// The connection that produces, if one does.
    pub(super) fn connection(&self) -> Option<Rc<Inner>> {
        match &self.producer {
            Some(ActiveProducer { source: Source::Connection(producer), .. }) => producer.upgrade(),
            _ => None,
        }
    }

    /// Takes out a producer that stops when the peer closes: one that comes to its end by itself
    /// does not.
    pub(super) fn take_endless(&mut self) -> Option<Source> {
        match &self.producer {
            Some(ActiveProducer { source: Source::Reader { .. }, .. }) | None => None,
            Some(_) => self.unregister(),
        }
    }

    pub(super) fn unregister(&mut self) -> Option<Source> {
        self.producer.take().map(|production| production.source)
    }

    /// True if the connection `other` is the producer.
    pub(super) fn is_fed_by(&self, other: &Rc<Inner>) -> bool {
        match &self.producer {
            Some(ActiveProducer { source: Source::Connection(producer), .. }) => {
                producer.ptr_eq(&Rc::downgrade(other))
            }
            _ => false,
        }
    }

    /// So many bytes have been accepted. True if the loop has to look at the producer.
    pub(super) fn accepted(&mut self, count: usize, unsent: usize) -> bool {
        let high = self.high();
        self.burst = self.burst.saturating_add(count);
        self.fed |= count > 0;
        match &mut self.producer {
            Some(ActiveProducer { source: Source::Pull, phase }) => {
                *phase = Phase::Paused;
                false
            }
            Some(ActiveProducer { source: Source::Connection(_), phase }) if unsent >= high => {
                *phase = Phase::Paused;
                false
            }
            Some(ActiveProducer { source: Source::Push, phase: Phase::Producing }) => {
                unsent >= high
            }
            _ => false,
        }
    }

    /// How much a connection that produces may read.
    pub(super) fn room(&self, unsent: usize) -> usize {
        match &self.producer {
            Some(ActiveProducer { source: Source::Connection(_), phase: Phase::Paused }) => 0,
            Some(ActiveProducer { source: Source::Connection(_), .. }) => {
                self.high().saturating_sub(unsent)
            }
            _ => usize::MAX,
        }
    }

    /// What was unsent has been offered to the socket: what the producer is to hear.
    pub(super) fn producer_action(&self, unsent: usize) -> ProducerAction {
        let Some(ActiveProducer { source, phase }) = &self.producer else {
            return ProducerAction::Nothing;
        };
        match (source, phase) {
            (Source::Push, Phase::Producing) if unsent >= self.high() => ProducerAction::Pause,
            (Source::Reader { input: None, .. }, _) => ProducerAction::Nothing,
            (Source::Reader { .. }, _) if unsent <= self.low() => ProducerAction::Produce,
            (Source::Push | Source::Pull, Phase::Paused) if unsent <= self.low() => {
                ProducerAction::Resume
            }
            _ => ProducerAction::Nothing,
        }
    }

    /// The protocol is being told to stop writing.
    pub(super) fn pause(&mut self) {
        self.set_phase(Phase::Paused);
    }

    /// The protocol is being told that it may write.
    pub(super) fn resume(&mut self) {
        self.set_phase(Phase::Producing);
    }

    fn set_phase(&mut self, to: Phase) {
        if let Some(ActiveProducer { phase, .. }) = &mut self.producer {
            *phase = to;
        }
    }

    /// The connection that may read again, now that no more than this is unsent.
    pub(super) fn resume_connection(&mut self, unsent: usize) -> Option<Rc<Inner>> {
        let low = self.low();
        match &mut self.producer {
            Some(ActiveProducer { source: Source::Connection(producer), phase })
                if *phase == Phase::Paused && unsent <= low =>
            {
                *phase = Phase::Producing;
                producer.upgrade()
            }
            _ => None,
        }
    }

    /// What the loop is to read from; it is put back by [`put_back`](Self::put_back).
    pub(super) fn take_reader(&mut self) -> Option<Box<dyn Read>> {
        match &mut self.producer {
            Some(ActiveProducer { source: Source::Reader { input, .. }, .. }) => input.take(),
            _ => None,
        }
    }

    /// So much more has been read. Hands the reader back if it was unregistered meanwhile.
    pub(super) fn put_back(
        &mut self,
        reader: Box<dyn Read>,
        count: usize,
    ) -> Option<Box<dyn Read>> {
        match &mut self.producer {
            Some(ActiveProducer {
                source: Source::Reader { input: input @ None, produced },
                ..
            }) => {
                *produced += count as u64;
                *input = Some(reader);
                None
            }
            _ => Some(reader),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Push => "Push",
            Self::Pull => "Pull",
            Self::Connection(_) => "Connection",
            Self::Reader { .. } => "Reader",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Source {
        Source::Reader { input: Some(Box::new(&b"abc"[..])), produced: 0 }
    }

    #[test]
    fn a_push_producer_is_paused_at_the_high_mark_and_resumed_at_the_low_one_once_each() {
        let mut extras = Extras::default();
        extras.register(Source::Push, 0);
        assert!(!extras.accepted(0, HIGH_MARK - 1));
        assert_eq!(extras.producer_action(HIGH_MARK - 1), ProducerAction::Nothing);
        assert!(extras.accepted(0, HIGH_MARK), "the loop is to look");
        assert_eq!(extras.producer_action(HIGH_MARK), ProducerAction::Pause);
        assert_eq!(
            extras.producer_action(HIGH_MARK - 1),
            ProducerAction::Nothing,
            "the socket took enough before"
        );
        extras.pause();
        assert!(!extras.accepted(0, HIGH_MARK * 2), "it knows");
        assert_eq!(extras.producer_action(HIGH_MARK * 2), ProducerAction::Nothing);
        assert_eq!(extras.producer_action(LOW_MARK + 1), ProducerAction::Nothing);
        assert_eq!(extras.producer_action(LOW_MARK), ProducerAction::Resume);
        extras.resume();
        assert_eq!(extras.producer_action(0), ProducerAction::Nothing);
    }

    #[test]
    fn a_pull_producer_is_asked_again_only_if_something_was_written() {
        let mut extras = Extras::default();
        extras.register(Source::Pull, 0);
        assert_eq!(extras.producer_action(0), ProducerAction::Resume);
        extras.resume();
        assert_eq!(extras.producer_action(0), ProducerAction::Nothing, "it wrote nothing");
        extras.accepted(0, LOW_MARK + 1);
        assert_eq!(extras.producer_action(LOW_MARK + 1), ProducerAction::Nothing);
        assert_eq!(extras.producer_action(LOW_MARK), ProducerAction::Resume);
    }

    #[test]
    fn a_reader_is_read_up_to_the_low_mark_and_never_while_it_is_away() {
        let mut extras = Extras::default();
        extras.register(reader(), LOW_MARK + 1);
        assert_eq!(extras.producer_action(LOW_MARK + 1), ProducerAction::Nothing);
        assert_eq!(extras.producer_action(LOW_MARK), ProducerAction::Produce);
        let away = extras.take_reader().unwrap();
        assert_eq!(extras.producer_action(0), ProducerAction::Nothing);
        assert!(extras.take_reader().is_none());
        assert!(extras.put_back(away, 3).is_none());
        let Some(Source::Reader { produced: 3, .. }) = extras.unregister() else {
            panic!("three bytes have been read")
        };
        assert!(extras.put_back(Box::new(&b""[..]), 1).is_some(), "it was unregistered");
    }

    #[test]
    fn the_marks_are_no_higher_than_what_may_be_unsent() {
        let mut extras = Extras::new(1000);
        extras.register(reader(), 0);
        assert_eq!(
            (extras.high(), extras.producer_action(1000), extras.producer_action(999)),
            (1000, ProducerAction::Nothing, ProducerAction::Produce)
        );
        extras.set_marks(600, 700);
        assert_eq!(
            (extras.high(), extras.producer_action(600), extras.producer_action(599)),
            (600, ProducerAction::Nothing, ProducerAction::Produce)
        );
        extras.max_unsent = 0;
        assert_eq!(
            (extras.high(), extras.producer_action(1), extras.producer_action(0)),
            (1, ProducerAction::Nothing, ProducerAction::Produce)
        );
    }

    #[test]
    fn whoever_produces_nothing_for_it_may_read_what_he_likes() {
        let mut extras = Extras::default();
        assert_eq!(extras.room(usize::MAX), usize::MAX);
        extras.register(Source::Push, 0);
        assert_eq!(extras.room(HIGH_MARK), usize::MAX);
    }
}
