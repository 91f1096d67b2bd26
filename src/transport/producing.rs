//! Producers and consumers: what feeds a connection waits for its peer.

use super::extras::{self, Extras, ProducerAction};
use super::producer::{Producer, Source};
use super::write::Settled;
use super::{Action, Direction, Inner, Transport};
use std::error::Error;
use std::io::Read;
use std::rc::{Rc, Weak};

/// Why a connection fails whose producer was another one, and broke off.
const LOST_PRODUCER: &str = "the connection that fed this one was lost before its end";

impl Transport {
    /// Lets something feed this connection only as fast as the peer takes it: it is paused when
    /// so much is unsent as the high-water mark says, and resumed when no more is than the
    /// low-water mark says; once each. (`registerProducer`)
    ///
    /// The producer is one of:
    ///
    /// - another connection, `&Transport`, whose protocol writes here what it receives. It is not
    ///   read while it is paused, and never more of it at once than there is room for, so that a
    ///   proxy which passes bytes on as they are never holds more than the high-water mark. When
    ///   its input has ended, or it is lost, it is unregistered. A connection may feed several
    ///   others, and reads as fast as the slowest of them; it may also feed itself.
    /// - this connection's own protocol, [`Producer::push`] or [`Producer::pull`].
    /// - something to be read, [`Producer::reader`].
    ///
    /// While a producer is registered, [`lose_connection`](Self::lose_connection) and
    /// [`lose_write_connection`](Self::lose_write_connection) wait for it to be unregistered, and
    /// what is written meanwhile is accepted. A connection that is closing waits for its next bytes
    /// no longer than the [`close_timeout`](crate::Settings::close_timeout).
    ///
    /// When the peer closes, and the protocol keeps the default
    /// [`read_connection_lost`](crate::Protocol::read_connection_lost), only a reader is waited
    /// for: other producers are stopped, since they might never come to an end.
    ///
    /// A connection that ends otherwise than by a close, and one whose producer has broken off (a
    /// reader that failed, a connection that was lost before its peer's FIN), is reset if its peer
    /// has not been sent everything, so that the peer does not take a part for the whole.
    ///
    /// When this connection is lost or aborted first, the producer is stopped: a connection loses
    /// its connection, in order; a reader is dropped; a protocol hears `connection_lost` in any
    /// case. So is a producer that is registered with a connection which is lost or closing.
    /// (`stopProducing`)
    ///
    /// A connection has one producer. A second one is a mistake, and fails the connection: see
    /// [`fail`](Self::fail).
    ///
    /// ```
    /// use twistor::{Context, Protocol, Transport};
    ///
    /// /// One half of a proxy.
    /// struct Passing {
    ///     other: Transport,
    /// }
    ///
    /// impl<F> Protocol<F> for Passing {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         self.other.register_producer(cx.transport);
    ///     }
    ///
    ///     fn data_received(&mut self, _cx: &mut Context<'_, F>, data: &[u8]) {
    ///         self.other.write(data);
    ///     }
    ///
    ///     fn read_connection_lost(&mut self, _cx: &mut Context<'_, F>) {
    ///         self.other.lose_write_connection();
    ///     }
    /// }
    /// ```
    pub fn register_producer(&self, producer: impl Into<Producer>) {
        let Producer(source) = producer.into();
        let source = match source {
            Source::Push => extras::Source::Push,
            Source::Pull => extras::Source::Pull,
            Source::Reader(input) => extras::Source::Reader { input: Some(input), produced: 0 },
            Source::Connection(producer) => return self.register_connection(&producer),
        };
        self.register(source);
    }

    fn register_connection(&self, producer: &Self) {
        if !self.register(extras::Source::Connection(Rc::downgrade(&producer.0))) {
            if !self.is_open() {
                producer.lose_connection();
            }
            return;
        }
        // It may be its own producer, whose wire is held below.
        let id = self.id();
        producer.wish(|connection| {
            connection.extras_mut().consumers.insert(id, Rc::downgrade(&self.0));
            // Its input may have ended already.
            true
        });
    }

    /// False, and the source is dropped, if the connection takes none.
    fn register(&self, source: extras::Source) -> bool {
        let mut source = Some(source);
        let mut double = false;
        self.wish(|connection| {
            double = connection.has_producer();
            if double || !connection.state.accepts_writes() {
                return false;
            }
            let unsent = connection.unsent();
            if let Some(source) = source.take() {
                connection.extras_mut().register(source, unsent);
            }
            true
        });
        if double {
            self.fail("a producer was registered beside another: unregister that first");
        }
        // The rest of it is the user's, and dropped here, when the wire is not held.
        source.is_none()
    }

    /// Takes the producer's promise that nothing more will come. A connection that is being lost
    /// goes on with that. Does nothing if there is none. (`unregisterProducer`)
    ///
    /// Connections and readers that have come to their end are unregistered without being asked. A
    /// protocol that has told its peer of a reader's error, and keeps the connection, calls this to
    /// say that nothing is missing any more.
    pub fn unregister_producer(&self) {
        let source = self.take_source();
        // Whatever a former one has left out, the protocol has taken care of it.
        self.on_extras(|extras| extras.broken_off = false);
        if let Some(extras::Source::Connection(producer)) = &source {
            if let Some(producer) = producer.upgrade().map(Self) {
                producer.remove_consumer(self);
                producer.serve_later();
            }
        }
    }

    fn take_source(&self) -> Option<extras::Source> {
        let mut source = None;
        self.wish(|connection| {
            source = connection.extras.as_mut().and_then(|extras| extras.unregister());
            source.is_some()
        });
        source
    }

    /// What [`drain_requested`](crate::Protocol::drain_requested) does by default.
    pub(crate) fn drain(&self) {
        let feeds = {
            let connection = self.0.connection.borrow();
            connection.extras.as_ref().is_some_and(|extras| !extras.consumers.is_empty())
        };
        if !feeds {
            self.lose_connection();
        }
    }

    fn remove_consumer(&self, consumer: &Self) {
        let id = consumer.id();
        if let Some(extras) = &mut self.0.connection.borrow_mut().extras {
            extras.consumers.remove(&id);
        }
    }

    /// Nothing more comes from this connection: those that it feeds need not wait for it. If it
    /// breaks before its peer's FIN, it has not given them everything.
    fn end_consumers(&self) {
        let (consumers, breaks_off) = {
            let mut connection = self.0.connection.borrow_mut();
            let breaks_off = connection.state.is_breaking() && !connection.readiness.ended;
            let Some(extras) = &mut connection.extras else { return };
            (std::mem::take(&mut extras.consumers), breaks_off)
        };
        for consumer in consumers.values().filter_map(Weak::upgrade).map(Self) {
            let mut is_fed = false;
            consumer.wish(|connection| {
                let extras = connection.extras.as_mut().filter(|extras| extras.is_fed_by(&self.0));
                is_fed = extras.is_some_and(|extras| extras.unregister().is_some());
                is_fed
            });
            if is_fed && breaks_off && consumer.break_off() {
                consumer.fail_unfinished(LOST_PRODUCER);
            }
        }
    }

    /// The producer, which is unregistered, has not given everything. True if the connection only
    /// waited for it to close.
    pub(crate) fn break_off(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        if let Some(extras) = &mut connection.extras {
            extras.broken_off = true;
        }
        connection.state.waits_for_producer()
    }

    /// A connection that only waited for the producer which broke off has nobody left to decide
    /// what to do about that, and fails; unless it has another by now.
    pub(crate) fn fail_unfinished(&self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let is_broken_off = {
            let connection = self.0.connection.borrow();
            connection.extras.as_ref().is_some_and(|extras| extras.broken_off)
        };
        if is_broken_off {
            self.fail(error);
        }
    }

    /// The peer has closed, and the protocol has nothing to add: sends what was written, and then
    /// closes. A reader is sent to its end; any other producer is stopped.
    pub(crate) fn follow_peer(&self) {
        self.lose_connection();
        let mut endless = None;
        self.wish(|connection| {
            endless = connection.extras.as_mut().and_then(|extras| extras.take_endless());
            endless.is_some()
        });
        if let Some(extras::Source::Connection(producer)) = endless {
            self.stop_connection(&producer);
        }
    }

    /// A connection that feeds this one is to stop. If this one fed it as well, and broke off, its
    /// peer must not see an orderly close.
    fn stop_connection(&self, producer: &Weak<Inner>) {
        if let Some(producer) = producer.upgrade().map(Self) {
            producer.remove_consumer(self);
            producer.fail_unfinished(LOST_PRODUCER);
            producer.lose_connection();
        }
    }

    /// Whether a registered producer should write more now: false once as much was written since
    /// the callback began, or is unsent, as the high-water mark says, and when nothing is accepted
    /// any more. Without a producer it only tells whether less is unsent than the mark says.
    ///
    /// This is how a producer that writes in a loop knows when to stop:
    /// [`unsent`](Self::unsent) does not tell, since large writes may go to the operating system at
    /// once. A producer that was registered with [`Producer::push`] and is told no hears
    /// `producing_resumed` as soon as there is room, without `producing_paused` before; so it can
    /// rely on being called again. For one that was registered with [`Producer::pull`] the next
    /// `producing_resumed` follows anyway. (Netty's `Channel.isWritable`.)
    ///
    /// ```
    /// use twistor::{Context, Producer, Protocol};
    ///
    /// /// Sends the numbers up to a million, a line each.
    /// struct Numbers(u32);
    ///
    /// impl Numbers {
    ///     fn produce<F>(&mut self, cx: &mut Context<'_, F>) {
    ///         while self.0 < 1_000_000 {
    ///             if !cx.transport.may_produce() {
    ///                 return; // Until `producing_resumed`.
    ///             }
    ///             self.0 += 1;
    ///             cx.transport.write(format!("{}\r\n", self.0));
    ///         }
    ///         cx.transport.unregister_producer();
    ///         cx.transport.lose_connection();
    ///     }
    /// }
    ///
    /// impl<F> Protocol<F> for Numbers {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, F>) {
    ///         cx.transport.register_producer(Producer::push());
    ///         self.produce(cx);
    ///     }
    ///
    ///     fn producing_resumed(&mut self, cx: &mut Context<'_, F>) {
    ///         self.produce(cx);
    ///     }
    /// }
    /// ```
    pub fn may_produce(&self) -> bool {
        let mut connection = self.0.connection.borrow_mut();
        let unsent = connection.unsent();
        connection.takes_writes()
            && match &mut connection.extras {
                Some(extras) => extras.may_produce(unsent),
                None => unsent < extras::HIGH_MARK,
            }
    }

    /// The connection is over: whoever feeds it stops, and those that it feeds know. Returns what
    /// is left to be dropped, which is the user's.
    pub(crate) fn end_extras(&self) -> Option<Box<dyn Read>> {
        self.0.connection.borrow().extras.as_ref()?;
        self.end_consumers();
        let source = self.take_source();
        self.0.connection.borrow_mut().extras = None;
        match source? {
            extras::Source::Push | extras::Source::Pull => None,
            extras::Source::Reader { input, .. } => input,
            extras::Source::Connection(producer) => {
                self.stop_connection(&producer);
                None
            }
        }
    }

    /// How much may be read at once without those whom it goes to having too much.
    pub(super) fn room(&self) -> usize {
        let connection = self.0.connection.borrow();
        let Some(extras) = &connection.extras else { return usize::MAX };
        let consumers = extras.consumers.values().filter_map(Weak::upgrade);
        consumers.map(|it| it.connection.borrow().room()).min().unwrap_or(usize::MAX)
    }

    /// What is next for a connection that feeds, or is fed.
    pub(super) fn settle_extras(&self, settled: &mut Settled) -> Action {
        if !self.0.connection.borrow().state.will_read() {
            self.end_consumers();
        }
        let mut connection = self.0.connection.borrow_mut();
        if let Some(extras) = &mut connection.extras {
            extras.end_burst();
        }
        let next = connection.settle(settled);
        let unsent = connection.unsent();
        if unsent == 0 || !connection.readiness.writable {
            connection.give_back(Direction::Write);
        }
        let Some(extras) = &mut connection.extras else { return next };
        if let Some(producer) = extras.resume_connection(unsent).map(Self) {
            // Which may be this one.
            drop(connection);
            producer.restart_idleness();
            producer.serve_later();
            connection = self.0.connection.borrow_mut();
        }
        let Some(extras) = &connection.extras else { return next };
        if !matches!(next, Action::Idle | Action::AwaitSent) {
            return next;
        }
        let (producer_action, rejected) = (extras.producer_action(unsent), extras.rejected);
        match producer_action {
            _ if connection.needs_write_refill() => Action::RefillRate,
            _ if connection.needs_update() => Action::UpdateTimeouts,
            ProducerAction::Nothing if rejected > 0 => Action::ReportRejected,
            ProducerAction::Nothing => next,
            ProducerAction::Pause => Action::PauseProducer,
            ProducerAction::Resume => Action::ResumeProducer,
            ProducerAction::Produce => Action::Produce,
        }
    }

    /// The protocol is being told to stop writing.
    pub(crate) fn producer_paused(&self) {
        self.on_extras(Extras::pause);
    }

    /// The protocol is being told that it may write.
    pub(crate) fn producer_resumed(&self) {
        self.on_extras(Extras::resume);
    }

    /// How many writes were refused since this was last asked.
    pub(crate) fn take_rejected(&self) -> usize {
        self.on_extras(|extras| std::mem::take(&mut extras.rejected)).unwrap_or(0)
    }

    /// What the loop is to read from, and how much at most.
    pub(crate) fn take_reader(&self) -> Option<(Box<dyn Read>, usize)> {
        let mut connection = self.0.connection.borrow_mut();
        let unsent = connection.unsent();
        let extras = connection.extras.as_mut()?;
        let room = extras.high().saturating_sub(unsent);
        extras.take_reader().map(|reader| (reader, room))
    }

    /// Puts a reader back that has given some bytes, and sends them. Hands it back if it is not
    /// wanted any more.
    pub(crate) fn send_produced(
        &self,
        reader: Box<dyn Read>,
        bytes: &[u8],
    ) -> Option<Box<dyn Read>> {
        self.write(bytes);
        self.on_extras(|extras| extras.put_back(reader, bytes.len())).flatten()
    }

    /// The reader has come to its end, and is unregistered. Returns how many bytes it has given.
    pub(crate) fn end_production(&self) -> Option<u64> {
        match self.take_source()? {
            extras::Source::Reader { produced, .. } => Some(produced),
            _ => None,
        }
    }

    fn on_extras<R>(&self, call: impl FnOnce(&mut Extras) -> R) -> Option<R> {
        self.0.connection.borrow_mut().extras.as_mut().map(|extras| call(extras))
    }

    /// Sets the marks between which a producer is paused and resumed: with at least `high` bytes
    /// unsent it is paused, with at most `low` bytes it is resumed. Default: 64 KiB, and a quarter
    /// of it. A `low` that is not below `high` is brought there, and so is a `high` that is above
    /// what may be unsent ([`set_max_unsent`](Self::set_max_unsent)), such as `usize::MAX`. A
    /// `high` of zero counts as one.
    pub fn set_water_marks(&self, high: usize, low: usize) {
        self.wish(|connection| {
            let unsent = connection.unsent();
            let extras = connection.extras_mut();
            extras.set_marks(high, low);
            extras.accepted(0, unsent);
            true
        });
    }
}
