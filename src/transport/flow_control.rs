//! Flow control between connections: whatever looks at a producer and its consumer together.

use super::producer::Source;
use super::write::Settled;
use super::{Action, Inner, Transport};
use crate::limits::Direction;
use crate::transport::extras::Extras;
use std::error::Error;
use std::io::Read;
use std::rc::{Rc, Weak};

/// The error of a connection whose producer was another one, which broke off.
const LOST_PRODUCER: &str = "the connection that fed this one was lost before its end";

impl Transport {
    /// Registers `source`. False, and the source is dropped, if the connection accepts none.
    pub(super) fn register_source(&self, source: Source) -> bool {
        let mut source = Some(source);
        let mut double = false;
        self.request(|connection| {
            double = connection.has_producer();
            if double || !connection.state.accepts_writes() {
                return false;
            }
            let unsent = connection.unsent();
            if let Some(source) = source.take() {
                connection.extras_mut().feed.register(source, unsent);
            }
            true
        });
        if double {
            self.fail("a producer was registered beside another: unregister that first");
        }
        // A reader is the user's, and is dropped here, when the connection is not borrowed.
        source.is_none()
    }

    /// Registers another connection as the producer.
    pub(super) fn register_connection(&self, producer: &Weak<Inner>) {
        let upgraded = producer.upgrade().map(Self);
        if !self.register_source(Source::Connection(Weak::clone(producer))) {
            if let Some(producer) = upgraded.filter(|_| !self.connection().is_open()) {
                producer.lose_connection();
            }
            return;
        }
        // It may be its own producer, whose connection is borrowed below.
        let id = self.id();
        if let Some(producer) = upgraded {
            producer.request(|connection| {
                connection.extras_mut().consumers.insert(id, Rc::downgrade(&self.0));
                // Its input may have ended already.
                true
            });
        }
    }

    /// Unregisters the producer.
    pub(super) fn take_source(&self) -> Option<Source> {
        let mut source = None;
        self.request(|connection| {
            source = connection.extras.as_mut().and_then(|extras| extras.feed.unregister());
            source.is_some()
        });
        source
    }

    /// Returns true if the connection is the producer of another one.
    pub(super) fn feeds_another(&self) -> bool {
        let connection = self.0.connection.borrow();
        connection.extras.as_ref().is_some_and(|extras| !extras.consumers.is_empty())
    }

    pub(super) fn remove_consumer(&self, consumer: &Self) {
        let id = consumer.id();
        if let Some(extras) = &mut self.0.connection.borrow_mut().extras {
            extras.consumers.remove(&id);
        }
    }

    /// Unregisters this connection from those that it feeds, since nothing more comes from it. If
    /// it breaks before its peer's FIN, it has not given them everything.
    fn end_consumers(&self) {
        let (consumers, breaks_off) = {
            let mut connection = self.0.connection.borrow_mut();
            let breaks_off = connection.state.is_breaking() && !connection.readiness.peer.finished;
            let Some(extras) = &mut connection.extras else { return };
            (std::mem::take(&mut extras.consumers), breaks_off)
        };
        for consumer in consumers.values().filter_map(Weak::upgrade).map(Self) {
            let mut is_fed = false;
            consumer.request(|connection| {
                let extras =
                    connection.extras.as_mut().filter(|extras| extras.feed.is_fed_by(&self.0));
                is_fed = extras.is_some_and(|extras| extras.feed.unregister().is_some());
                is_fed
            });
            if is_fed && breaks_off && consumer.break_off() {
                consumer.fail_unfinished(LOST_PRODUCER);
            }
        }
    }

    /// Records that the unregistered producer broke off. True if the connection was closing, and
    /// only waited for it.
    pub(crate) fn break_off(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        if let Some(extras) = &mut connection.extras {
            extras.feed.broken_off = true;
        }
        connection.state.waits_for_producer()
    }

    /// Fails the connection if its producer broke off and it has no other by now: it was closing,
    /// so no protocol decides what to do about that.
    pub(crate) fn fail_unfinished(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let is_broken_off = {
            let connection = self.0.connection.borrow();
            connection.extras.as_ref().is_some_and(|extras| extras.feed.broken_off)
        };
        if is_broken_off {
            self.fail(error);
        }
    }

    /// Stops the producer, unless it is a reader, which comes to an end by itself.
    pub(super) fn stop_endless_producer(&self) {
        let mut endless = None;
        self.request(|connection| {
            endless = connection.extras.as_mut().and_then(|extras| extras.feed.take_endless());
            endless.is_some()
        });
        if let Some(Source::Connection(producer)) = endless {
            self.stop_connection(&producer);
        }
    }

    /// Closes the connection that feeds this one. If this one fed it as well, and broke off, that
    /// one's peer must not see a graceful close.
    fn stop_connection(&self, producer: &Weak<Inner>) {
        if let Some(producer) = producer.upgrade().map(Self) {
            producer.remove_consumer(self);
            producer.fail_unfinished(LOST_PRODUCER);
            producer.lose_connection();
        }
    }

    /// Ends flow control, since the connection is over: its producer stops, and its consumers are
    /// released. Returns a reader, whose drop is user code.
    pub(crate) fn end_extras(&self) -> Option<Box<dyn Read>> {
        self.0.connection.borrow().extras.as_ref()?;
        self.end_consumers();
        let source = self.take_source();
        self.0.connection.borrow_mut().extras = None;
        match source? {
            Source::Push | Source::Pull => None,
            Source::Reader { input, .. } => input,
            Source::Connection(producer) => {
                self.stop_connection(&producer);
                None
            }
        }
    }

    /// Returns how many bytes may be read at once so that no consumer exceeds its high-water mark.
    pub(super) fn room(&self) -> usize {
        let connection = self.0.connection.borrow();
        let Some(extras) = &connection.extras else { return usize::MAX };
        let consumers = extras.consumers.values().filter_map(Weak::upgrade);
        consumers.map(|it| it.connection.borrow().room()).min().unwrap_or(usize::MAX)
    }

    /// Offers unsent bytes to the socket, wakes a producer that may continue, and returns the
    /// loop's next action.
    pub(super) fn settle_extras(&self, settled: &mut Settled) -> Action {
        if !self.connection().state.will_read() {
            self.end_consumers();
        }
        let mut connection = self.connection();
        if let Some(extras) = &mut connection.extras {
            extras.feed.end_burst();
        }
        connection.send_unsent(settled);
        let unsent = connection.unsent();
        if unsent == 0 || !connection.readiness.socket.writable {
            connection.give_back(Direction::Write);
        }
        let resumed = connection.extras.as_mut().and_then(|it| it.feed.resume_connection(unsent));
        if let Some(producer) = resumed.map(Self) {
            // The producer may be this connection.
            drop(connection);
            producer.connection().restart_idleness();
            producer.serve_later();
            connection = self.connection();
        }
        connection.next_action()
    }

    /// Pauses the producer: the protocol is hearing `producing_paused`.
    pub(crate) fn producer_paused(&self) {
        self.on_extras(|extras| extras.feed.pause());
    }

    /// Resumes the producer: the protocol is hearing `producing_resumed`.
    pub(crate) fn producer_resumed(&self) {
        self.on_extras(|extras| extras.feed.resume());
    }

    /// Returns how many writes were rejected since the last call.
    pub(crate) fn take_rejected(&self) -> usize {
        self.on_extras(|extras| std::mem::take(&mut extras.rejected)).unwrap_or(0)
    }

    /// Takes out the reader that the loop reads from, and returns how much it may read at most.
    pub(crate) fn take_reader(&self) -> Option<(Box<dyn Read>, usize)> {
        let mut connection = self.0.connection.borrow_mut();
        let unsent = connection.unsent();
        let extras = connection.extras.as_mut()?;
        let room = extras.feed.high().saturating_sub(unsent);
        extras.feed.take_reader().map(|reader| (reader, room))
    }

    /// Sends bytes that a reader has given, and puts it back. Returns it if it was unregistered
    /// meanwhile.
    pub(crate) fn send_produced(
        &self,
        reader: Box<dyn Read>,
        bytes: &[u8],
    ) -> Option<Box<dyn Read>> {
        self.write(bytes);
        self.on_extras(|extras| extras.feed.put_back(reader, bytes.len())).flatten()
    }

    /// Unregisters a reader that has ended. Returns how many bytes it has given.
    pub(crate) fn end_production(&self) -> Option<u64> {
        match self.take_source()? {
            Source::Reader { produced, .. } => Some(produced),
            _ => None,
        }
    }

    pub(super) fn on_extras<R>(&self, call: impl FnOnce(&mut Extras) -> R) -> Option<R> {
        self.0.connection.borrow_mut().extras.as_mut().map(|extras| call(extras))
    }
}
