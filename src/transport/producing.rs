//! Producers and consumers: what feeds a connection waits for its peer.

use super::flow::{self, Flow, Step};
use super::producer::{Producer, Source};
use super::{Next, Transport, Way};
use std::io::Read;
use std::rc::{Rc, Weak};

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
    /// what is written meanwhile is accepted.
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
            Source::Push => flow::Source::Push,
            Source::Pull => flow::Source::Pull,
            Source::Reader(input) => flow::Source::Reader { input: Some(input), produced: 0 },
            Source::Connection(producer) => return self.register_connection(&producer),
        };
        self.register(source);
    }

    fn register_connection(&self, producer: &Self) {
        if !self.register(flow::Source::Connection(Rc::downgrade(&producer.0))) {
            if !self.is_open() {
                producer.lose_connection();
            }
            return;
        }
        producer.wish(|wire| {
            wire.flow_to_fill().consumers.push(Rc::downgrade(&self.0));
            // Its input may have ended already.
            true
        });
    }

    /// False, and the source is dropped, if the connection takes none.
    fn register(&self, source: flow::Source) -> bool {
        let mut source = Some(source);
        let mut double = false;
        self.wish(|wire| {
            double = wire.has_producer();
            if double || !wire.state.accepts_writes() {
                return false;
            }
            let unsent = wire.unsent();
            if let Some(source) = source.take() {
                wire.flow_to_fill().register(source, unsent);
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
    /// Connections and readers that have come to their end are unregistered without being asked.
    pub fn unregister_producer(&self) {
        let source = self.take_source();
        if let Some(flow::Source::Connection(producer)) = &source {
            if let Some(producer) = producer.upgrade().map(Self) {
                producer.forget_consumer(self);
                producer.serve_later();
            }
        }
    }

    fn take_source(&self) -> Option<flow::Source> {
        let mut source = None;
        self.wish(|wire| {
            source = wire.flow.as_mut().and_then(|flow| flow.unregister());
            source.is_some()
        });
        source
    }

    fn forget_consumer(&self, consumer: &Self) {
        if let Some(flow) = &mut self.0.wire.borrow_mut().flow {
            let consumer = Rc::downgrade(&consumer.0);
            flow.consumers.retain(|it| !it.ptr_eq(&consumer));
        }
    }

    /// Nothing more comes from this connection: those that it feeds need not wait for it.
    fn leave_consumers(&self) {
        let consumers = match &mut self.0.wire.borrow_mut().flow {
            Some(flow) => std::mem::take(&mut flow.consumers),
            None => return,
        };
        for consumer in consumers.iter().filter_map(Weak::upgrade).map(Self) {
            consumer.wish(|wire| {
                let flow = wire.flow.as_mut().filter(|flow| flow.is_fed_by(&self.0));
                flow.is_some_and(|flow| flow.unregister().is_some())
            });
        }
    }

    /// The connection is over: whoever feeds it stops, and those that it feeds know. Returns what
    /// is left to be dropped, which is the user's.
    pub(crate) fn end_flow(&self) -> Option<Box<dyn Read>> {
        self.0.wire.borrow().flow.as_ref()?;
        self.leave_consumers();
        let source = self.take_source();
        self.0.wire.borrow_mut().flow = None;
        match source? {
            flow::Source::Push | flow::Source::Pull => None,
            flow::Source::Reader { input, .. } => input,
            flow::Source::Connection(producer) => {
                if let Some(producer) = producer.upgrade().map(Self) {
                    producer.forget_consumer(self);
                    producer.lose_connection();
                }
                None
            }
        }
    }

    /// How much may be read at once without those whom it goes to having too much.
    pub(super) fn room(&self) -> usize {
        let wire = self.0.wire.borrow();
        let Some(flow) = &wire.flow else { return usize::MAX };
        let consumers = flow.consumers.iter().filter_map(Weak::upgrade);
        consumers.map(|it| it.wire.borrow().room()).min().unwrap_or(usize::MAX)
    }

    /// What is next for a connection that feeds, or is fed.
    pub(super) fn settle_flow(&self, sent: &mut bool) -> Next {
        if !self.0.wire.borrow().state.will_read() {
            self.leave_consumers();
        }
        let mut wire = self.0.wire.borrow_mut();
        let next = wire.settle(sent);
        let unsent = wire.unsent();
        if unsent == 0 || !wire.readiness.writable {
            wire.give_back(Way::Out);
        }
        let Some(flow) = &mut wire.flow else { return next };
        if let Some(producer) = flow.resume_connection(unsent).map(Self) {
            // Which may be this one.
            drop(wire);
            producer.serve_later();
            wire = self.0.wire.borrow_mut();
        }
        let Some(flow) = &wire.flow else { return next };
        if !matches!(next, Next::Stay | Next::Drain) {
            return next;
        }
        let (step, refused) = (flow.step(unsent), flow.refused);
        match step {
            _ if wire.asks_to_send() => Next::AskToSend,
            _ if wire.is_to_be_minded() => Next::MindDeadlines,
            Step::Nothing if refused > 0 => Next::Refuse,
            Step::Nothing => next,
            Step::Pause => Next::PauseProducer,
            Step::Resume => Next::ResumeProducer,
            Step::Produce => Next::Produce,
        }
    }

    /// The protocol is being told to stop writing.
    pub(crate) fn producer_paused(&self) {
        self.on_flow(Flow::pause);
    }

    /// The protocol is being told that it may write.
    pub(crate) fn producer_resumed(&self) {
        self.on_flow(Flow::resume);
    }

    /// How many writes were refused since this was last asked.
    pub(crate) fn take_refused(&self) -> usize {
        self.on_flow(|flow| std::mem::take(&mut flow.refused)).unwrap_or(0)
    }

    /// What the loop is to read from, and how much at most.
    pub(crate) fn take_reader(&self) -> Option<(Box<dyn Read>, usize)> {
        let mut wire = self.0.wire.borrow_mut();
        let unsent = wire.unsent();
        let flow = wire.flow.as_mut()?;
        let room = flow.high().saturating_sub(unsent);
        flow.take_reader().map(|reader| (reader, room))
    }

    /// Puts a reader back that has given some bytes, and sends them. Hands it back if it is not
    /// wanted any more.
    pub(crate) fn send_produced(
        &self,
        reader: Box<dyn Read>,
        bytes: &[u8],
    ) -> Option<Box<dyn Read>> {
        self.write(bytes);
        self.on_flow(|flow| flow.put_back(reader, bytes.len())).flatten()
    }

    /// The reader has come to its end, and is unregistered. Returns how many bytes it has given.
    pub(crate) fn end_production(&self) -> Option<u64> {
        match self.take_source()? {
            flow::Source::Reader { produced, .. } => Some(produced),
            _ => None,
        }
    }

    fn on_flow<R>(&self, call: impl FnOnce(&mut Flow) -> R) -> Option<R> {
        self.0.wire.borrow_mut().flow.as_mut().map(|flow| call(flow))
    }

    /// Sets the marks between which a producer is paused and resumed: with at least `high` bytes
    /// unsent it is paused, with at most `low` bytes it is resumed. Default: 64 KiB, and a quarter
    /// of it. A `low` that is not below `high` is brought there, and so is a `high` that is above
    /// what may be unsent ([`set_unsent_max`](Self::set_unsent_max)); zero is one.
    pub fn set_water_marks(&self, high: usize, low: usize) {
        self.wish(|wire| {
            let unsent = wire.unsent();
            let flow = wire.flow_to_fill();
            flow.set_marks(high, low);
            flow.accepted(unsent);
            true
        });
    }
}
