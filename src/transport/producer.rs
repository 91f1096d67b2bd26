//! Producers: what feeds a connection, and the water marks between which it is held back.

use super::state::Action;
use super::{Inner, Transport};
use std::fmt;
use std::io::Read;
use std::rc::{Rc, Weak};

/// High-water mark: a producer is paused at this many unsent bytes, which is more than a peer takes
/// at once, so that sending does not wait for the producer. Twisted's value.
pub(super) const HIGH_MARK: usize = 64 * 1024;

/// Low-water mark: a producer is resumed at this many unsent bytes, a quarter of the high-water
/// mark, so that it is resumed seldom, and before everything is sent.
pub(super) const LOW_MARK: usize = HIGH_MARK / 4;

/// A producer: a source of bytes for a connection, held back when the peer does not keep up.
/// Registered with [`Transport::register_producer`], and paused and resumed at the water marks of
/// [`Transport::set_water_marks`]. `&Transport` converts into one.
///
/// ```
/// use std::fs::File;
/// use twistor::{Context, Producer, Protocol, Transport};
///
/// struct Licence;
///
/// impl<F> Protocol<F> for Licence {
///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
///         match File::open("LICENSE-MIT") {
///             Ok(file) => cx.transport.register_producer(Producer::reader(file)),
///             Err(error) => cx.transport.fail(error),
///         }
///         // Waits until the file has been sent.
///         cx.transport.lose_connection();
///     }
/// }
/// ```
#[must_use = "a producer does nothing until `register_producer` receives it"]
pub struct Producer(pub(super) Source);

pub(super) enum Source {
    /// The connection's own protocol, which writes of its own accord.
    Push,
    /// The connection's own protocol, which writes when it is asked.
    Pull,
    Connection(Weak<Inner>),
    Reader {
        /// `None` while the loop reads from it.
        input: Option<Box<dyn Read>>,
        /// Bytes read so far.
        produced: u64,
    },
}

impl Producer {
    /// Returns a push producer: the connection's own protocol, which writes of its own accord. It
    /// hears [`producing_paused`](crate::Protocol::producing_paused) when it should stop, and
    /// [`producing_resumed`](crate::Protocol::producing_resumed) when it may continue. A protocol
    /// that writes in a loop asks [`Transport::may_produce`]. (`IPushProducer`)
    pub fn push() -> Self {
        Self(Source::Push)
    }

    /// Returns a pull producer: the connection's own protocol, which writes when it is asked. Each
    /// [`producing_resumed`](crate::Protocol::producing_resumed) asks for more. If it writes
    /// nothing then, it is asked again only after other bytes were written to the connection and
    /// sent. (`IPullProducer`)
    pub fn pull() -> Self {
        Self(Source::Pull)
    }

    /// Returns a producer that the event loop reads when there is room, such as a file, and whose
    /// bytes it sends. At its end, or at an error, it is unregistered, and the protocol hears
    /// [`producer_finished`](crate::Protocol::producer_finished). (`FileSender`)
    ///
    /// The event loop reads 64 KiB at a time, and everything else waits meanwhile: this is for
    /// files, and for bytes in memory. What blocks for long belongs to
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread). An error of the kind
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) is an error like any other.
    pub fn reader(input: impl Read + 'static) -> Self {
        Self(Source::Reader { input: Some(Box::new(input)), produced: 0 })
    }
}

/// Makes a producer of another connection: its protocol writes what it receives to the consumer.
impl From<&Transport> for Producer {
    fn from(transport: &Transport) -> Self {
        Self(Source::Connection(Rc::downgrade(&transport.0)))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Producer({:?})", self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push => f.write_str("push"),
            Self::Pull => f.write_str("pull"),
            Self::Connection(producer) => match producer.upgrade() {
                Some(producer) => write!(f, "{}", producer.id),
                None => f.write_str("a lost connection"),
            },
            Self::Reader { .. } => f.write_str("reader"),
        }
    }
}

/// The producer of a connection, if it has one, and its water marks.
#[derive(Debug)]
pub(super) struct Feed {
    high: usize,
    low: usize,
    /// Limit on unsent bytes, which the marks never exceed.
    max_unsent: usize,
    active: Option<ActiveProducer>,
    /// The last producer broke off: the peer has not been sent everything.
    pub(super) broken_off: bool,
    /// Bytes accepted since the connection was last settled, sent or not.
    burst: usize,
    /// Bytes were accepted since this was last cleared.
    pub(super) was_fed: bool,
}

#[derive(Debug)]
struct ActiveProducer {
    source: Source,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The producer may write; a pull producer has been asked to.
    Producing,
    /// The producer may not write; a pull producer waits until it is asked.
    Paused,
}

impl Feed {
    pub(super) fn new(max_unsent: usize) -> Self {
        Self {
            high: HIGH_MARK,
            low: LOW_MARK,
            max_unsent,
            active: None,
            broken_off: false,
            burst: 0,
            was_fed: false,
        }
    }

    pub(super) fn set_marks(&mut self, high: usize, low: usize) {
        (self.high, self.low) = (high, low);
    }

    pub(super) fn max_unsent(&self) -> usize {
        self.max_unsent
    }

    pub(super) fn set_max_unsent(&mut self, max_unsent: usize) {
        self.max_unsent = max_unsent;
    }

    /// Returns the high-water mark, lowered to the limit on unsent bytes: a producer must not
    /// exceed it.
    pub(super) fn high(&self) -> usize {
        self.high.min(self.max_unsent).max(1)
    }

    fn low(&self) -> usize {
        self.low.min(self.high() - 1)
    }

    pub(super) fn has_producer(&self) -> bool {
        self.active.is_some()
    }

    /// Registers `source` as the producer. `unsent` bytes wait already.
    pub(super) fn register(&mut self, source: Source, unsent: usize) {
        // A pull producer and a reader begin when they are asked to.
        let progress = match source {
            Source::Push | Source::Connection(_) => Progress::Producing,
            Source::Pull | Source::Reader { .. } => Progress::Paused,
        };
        self.active = Some(ActiveProducer { source, progress });
        self.broken_off = false;
        self.accepted(0, unsent);
    }

    /// Returns true if the producer has not finished.
    pub(super) fn is_unfinished(&self) -> bool {
        self.broken_off || self.has_producer()
    }

    /// Returns true if the producer should write more now. A push producer that should not is
    /// resumed later.
    pub(super) fn may_produce(&mut self, unsent: usize) -> bool {
        let high = self.high();
        let Some(ActiveProducer { source, progress }) = &mut self.active else {
            return unsent < high;
        };
        let enough = self.burst.max(unsent) >= high;
        if enough && matches!(source, Source::Push) {
            *progress = Progress::Paused;
        }
        !enough
    }

    /// Ends the burst: the connection is being settled.
    pub(super) fn end_burst(&mut self) {
        self.burst = 0;
    }

    /// Returns the connection that is the producer, if one is.
    pub(super) fn connection(&self) -> Option<Rc<Inner>> {
        match &self.active {
            Some(ActiveProducer { source: Source::Connection(producer), .. }) => producer.upgrade(),
            _ => None,
        }
    }

    /// Unregisters a producer that stops when the peer closes: any but a reader, which finishes by
    /// itself.
    pub(super) fn take_endless(&mut self) -> Option<Source> {
        match &self.active {
            Some(ActiveProducer { source: Source::Reader { .. }, .. }) | None => None,
            Some(_) => self.unregister(),
        }
    }

    pub(super) fn unregister(&mut self) -> Option<Source> {
        self.active.take().map(|active| active.source)
    }

    /// Returns true if the connection `other` is the producer.
    pub(super) fn is_fed_by(&self, other: &Rc<Inner>) -> bool {
        match &self.active {
            Some(ActiveProducer { source: Source::Connection(producer), .. }) => {
                producer.ptr_eq(&Rc::downgrade(other))
            }
            _ => false,
        }
    }

    /// Records that `count` bytes were accepted. True if the loop has to settle the connection for
    /// the producer.
    pub(super) fn accepted(&mut self, count: usize, unsent: usize) -> bool {
        let high = self.high();
        self.burst = self.burst.saturating_add(count);
        self.was_fed |= count > 0;
        match &mut self.active {
            Some(ActiveProducer { source: Source::Pull, progress }) => {
                *progress = Progress::Paused;
                false
            }
            Some(ActiveProducer { source: Source::Connection(_), progress }) if unsent >= high => {
                *progress = Progress::Paused;
                false
            }
            Some(ActiveProducer { source: Source::Push, progress: Progress::Producing }) => {
                unsent >= high
            }
            _ => false,
        }
    }

    /// Returns how many bytes a connection that is the producer may read.
    pub(super) fn room(&self, unsent: usize) -> usize {
        match &self.active {
            Some(ActiveProducer { source: Source::Connection(_), progress: Progress::Paused }) => 0,
            Some(ActiveProducer { source: Source::Connection(_), .. }) => {
                self.high().saturating_sub(unsent)
            }
            _ => usize::MAX,
        }
    }

    /// Returns the loop's next action for the producer, once unsent bytes were offered to the
    /// socket.
    pub(super) fn action(&self, unsent: usize) -> Option<Action> {
        let Some(ActiveProducer { source, progress }) = &self.active else {
            return None;
        };
        match (source, progress) {
            (Source::Push, Progress::Producing) if unsent >= self.high() => {
                Some(Action::PauseProducer)
            }
            (Source::Reader { input: None, .. }, _) => None,
            (Source::Reader { .. }, _) if unsent <= self.low() => Some(Action::Produce),
            (Source::Push | Source::Pull, Progress::Paused) if unsent <= self.low() => {
                Some(Action::ResumeProducer)
            }
            _ => None,
        }
    }

    /// Pauses the producer: the protocol is hearing `producing_paused`.
    pub(super) fn pause(&mut self) {
        self.set_progress(Progress::Paused);
    }

    /// Resumes the producer: the protocol is hearing `producing_resumed`.
    pub(super) fn resume(&mut self) {
        self.set_progress(Progress::Producing);
    }

    fn set_progress(&mut self, to: Progress) {
        if let Some(ActiveProducer { progress, .. }) = &mut self.active {
            *progress = to;
        }
    }

    /// Resumes a paused connection that is the producer, and returns it, if no more than the
    /// low-water mark is unsent.
    pub(super) fn resume_connection(&mut self, unsent: usize) -> Option<Rc<Inner>> {
        let low = self.low();
        match &mut self.active {
            Some(ActiveProducer { source: Source::Connection(producer), progress })
                if *progress == Progress::Paused && unsent <= low =>
            {
                *progress = Progress::Producing;
                producer.upgrade()
            }
            _ => None,
        }
    }

    /// Takes out the reader, for the loop to read from; [`put_back`](Self::put_back) returns it.
    pub(super) fn take_reader(&mut self) -> Option<Box<dyn Read>> {
        match &mut self.active {
            Some(ActiveProducer { source: Source::Reader { input, .. }, .. }) => input.take(),
            _ => None,
        }
    }

    /// Puts the reader back after `count` more bytes were read. Returns it if it was unregistered
    /// meanwhile.
    pub(super) fn put_back(
        &mut self,
        reader: Box<dyn Read>,
        count: usize,
    ) -> Option<Box<dyn Read>> {
        match &mut self.active {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "nothing";
    const PAUSE: &str = "pause";
    const RESUME: &str = "resume";
    const PRODUCE: &str = "produce";

    fn action(feed: &Feed, unsent: usize) -> &'static str {
        match feed.action(unsent) {
            None => NOTHING,
            Some(Action::PauseProducer) => PAUSE,
            Some(Action::ResumeProducer) => RESUME,
            Some(Action::Produce) => PRODUCE,
            Some(other) => panic!("{other:?} is not about a producer"),
        }
    }

    fn reader() -> Source {
        Source::Reader { input: Some(Box::new(&b"abc"[..])), produced: 0 }
    }

    #[test]
    fn a_push_producer_is_paused_at_the_high_mark_and_resumed_at_the_low_one_once_each() {
        let mut feed = Feed::new(usize::MAX);
        feed.register(Source::Push, 0);
        assert!(!feed.accepted(0, HIGH_MARK - 1));
        assert_eq!(action(&feed, HIGH_MARK - 1), NOTHING);
        assert!(feed.accepted(0, HIGH_MARK), "the loop is to look");
        assert_eq!(action(&feed, HIGH_MARK), PAUSE);
        assert_eq!(action(&feed, HIGH_MARK - 1), NOTHING, "the socket took enough before");
        feed.pause();
        assert!(!feed.accepted(0, HIGH_MARK * 2), "it knows");
        assert_eq!(action(&feed, HIGH_MARK * 2), NOTHING);
        assert_eq!(action(&feed, LOW_MARK + 1), NOTHING);
        assert_eq!(action(&feed, LOW_MARK), RESUME);
        feed.resume();
        assert_eq!(action(&feed, 0), NOTHING);
    }

    #[test]
    fn a_pull_producer_is_asked_again_only_after_a_write() {
        let mut feed = Feed::new(usize::MAX);
        feed.register(Source::Pull, 0);
        assert_eq!(action(&feed, 0), RESUME);
        feed.resume();
        assert_eq!(action(&feed, 0), NOTHING, "it wrote nothing");
        feed.accepted(0, LOW_MARK + 1);
        assert_eq!(action(&feed, LOW_MARK + 1), NOTHING);
        assert_eq!(action(&feed, LOW_MARK), RESUME);
    }

    #[test]
    fn a_reader_is_read_up_to_the_low_mark_and_never_while_it_is_away() {
        let mut feed = Feed::new(usize::MAX);
        feed.register(reader(), LOW_MARK + 1);
        assert_eq!(action(&feed, LOW_MARK + 1), NOTHING);
        assert_eq!(action(&feed, LOW_MARK), PRODUCE);
        let away = feed.take_reader().unwrap();
        assert_eq!(action(&feed, 0), NOTHING);
        assert!(feed.take_reader().is_none());
        assert!(feed.put_back(away, 3).is_none());
        let Some(Source::Reader { produced: 3, .. }) = feed.unregister() else {
            panic!("three bytes have been read")
        };
        assert!(feed.put_back(Box::new(&b""[..]), 1).is_some(), "it was unregistered");
    }

    #[test]
    fn the_marks_are_no_higher_than_the_limit_on_unsent_bytes() {
        let mut feed = Feed::new(1000);
        feed.register(reader(), 0);
        assert_eq!(
            (feed.high(), action(&feed, 1000), action(&feed, 999)),
            (1000, NOTHING, PRODUCE)
        );
        feed.set_marks(600, 700);
        assert_eq!((feed.high(), action(&feed, 600), action(&feed, 599)), (600, NOTHING, PRODUCE));
        feed.set_max_unsent(0);
        assert_eq!((feed.high(), action(&feed, 1), action(&feed, 0)), (1, NOTHING, PRODUCE));
    }

    #[test]
    fn without_a_producing_connection_reading_is_unlimited() {
        let mut feed = Feed::new(usize::MAX);
        assert_eq!(feed.room(usize::MAX), usize::MAX);
        feed.register(Source::Push, 0);
        assert_eq!(feed.room(HIGH_MARK), usize::MAX);
    }
}
