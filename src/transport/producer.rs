//! What feeds a connection.

use super::Transport;
use std::fmt;
use std::io::Read;

/// What feeds a connection, and is held back when the connection's peer does not keep up; see
/// [`Transport::register_producer`].
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
pub struct Producer(pub(super) Source);

pub(super) enum Source {
    Push,
    Pull,
    Connection(Transport),
    Reader(Box<dyn Read>),
}

impl Producer {
    /// The connection's own protocol, which writes of its own accord. It hears `producing_paused`
    /// when it should stop, and `producing_resumed` when it may go on. (`IPushProducer`)
    pub fn push() -> Self {
        Self(Source::Push)
    }

    /// The connection's own protocol, which writes when it is asked to: each `producing_resumed`
    /// asks for more. One that writes nothing then is asked again when something else that was
    /// written to the connection has been sent. (`IPullProducer`)
    pub fn pull() -> Self {
        Self(Source::Pull)
    }

    /// Anything that can be read: the loop reads it when there is room, and sends what it reads.
    /// At its end, or at an error, the producer is unregistered and the protocol hears
    /// `producer_finished`. (`FileSender`)
    ///
    /// It is read on the loop, 64 KiB at a time, and everything else waits meanwhile: for files,
    /// and for what is in memory. What blocks for long belongs to
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread). An error of the kind
    /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) is an error like any other.
    pub fn reader(input: impl Read + 'static) -> Self {
        Self(Source::Reader(Box::new(input)))
    }
}

/// Another connection: what it receives its protocol writes to the consumer.
impl From<&Transport> for Producer {
    fn from(transport: &Transport) -> Self {
        Self(Source::Connection(transport.clone()))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Push => f.write_str("Producer(push)"),
            Source::Pull => f.write_str("Producer(pull)"),
            Source::Connection(transport) => write!(f, "Producer({})", transport.id()),
            Source::Reader(_) => f.write_str("Producer(reader)"),
        }
    }
}
