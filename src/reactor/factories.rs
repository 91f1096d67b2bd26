//! Factories with their protocols, types erased; callbacks are called here.
//!
//! A factory and all its protocols live together in one box, so `cx.factory` is a plain `&mut F`.
//! To make a callback the loop takes the box out of its [`FactorySlot`], lends it the reactor, and
//! puts it back: a callback has the whole reactor, but cannot reach the factory or the protocol
//! that is running.

use super::Reactor;
use super::audience::Audience;
use super::callback::Callback;
use super::errors::ReachError;
use super::factory_rates::FactoryRates;
use super::key::FactoryKey;
use super::open_port::AcceptQueue;
use super::panic::{Panic, guard};
use super::recorder::{EventKind, ProtocolIndex};
use super::table::ConnectionRef;
use super::type_name::short_name;
use crate::arena::Id;
use crate::driver::Handoffs;
use crate::limits::{Admission, Timeouts};
use crate::protocol::{Context, Factory, Protocol};
use crate::reason::Reason;
use crate::transport::{ConnectionId, Transport};
use slab::Slab;
use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A factory for [`listen_tcp`](Reactor::listen_tcp) and [`connect_tcp`](Reactor::connect_tcp): a
/// new one, or the key or a port of one that is already in the reactor.
pub trait IntoFactory: sealed::Sealed {
    /// The factory's type.
    type Factory: Factory;

    /// Moves the factory into the reactor, unless it is there already.
    #[doc(hidden)]
    fn into_key(self, reactor: &mut Reactor) -> FactoryKey<Self::Factory>;
}

/// Only this crate knows what can be moved into a reactor.
pub(super) mod sealed {
    pub trait Sealed {}
}

impl<F: Factory> sealed::Sealed for F {}

impl<F: Factory> sealed::Sealed for FactoryKey<F> {}

impl<F: Factory> IntoFactory for FactoryKey<F> {
    type Factory = F;

    fn into_key(self, _: &mut Reactor) -> Self {
        self
    }
}

impl<F: Factory> IntoFactory for F {
    type Factory = F;

    fn into_key(self, reactor: &mut Reactor) -> FactoryKey<F> {
        let factory = FactoryCell { factory: self, protocols: Slab::new() };
        let totals = reactor.recorder.index(type_name::<F::Protocol>());
        let id = reactor
            .factories
            .insert_with(|_| FactorySlot::new(Box::new(factory), TypeId::of::<F>(), totals));
        FactoryKey::new(id, reactor.id)
    }
}

/// A factory in the reactor, with what the loop keeps for it.
#[derive(Debug)]
pub(super) struct FactorySlot {
    /// `None` while a callback of the factory runs.
    cell: Option<Box<dyn ErasedFactory>>,
    /// Name of the protocols' type, for the log.
    pub(super) protocol: &'static str,
    /// Number of open ports, of outgoing connections that are not over and of client services, and
    /// one more if the factory is kept.
    pub(super) use_count: usize,
    /// The factory's type, which tells it from the parts of a wrapper.
    factory_type: TypeId,
    /// True from `add_factory` to `remove_factory`.
    pub(super) is_kept: bool,
    pub(super) audience: Audience,
    pub(super) connections: usize,
    pub(super) admission: Admission,
    pub(super) accept_queue: AcceptQueue,
    /// Where the number of clients is reported, for ports of several shards.
    pub(super) loads: Vec<Arc<Handoffs>>,
    /// Totals of the type of its protocols, in the recorder.
    pub(super) totals: ProtocolIndex,
    /// Timeouts of future connections.
    pub(super) timeouts: Option<Timeouts>,
    pub(super) rates: FactoryRates,
    /// True from `start_factory` to `stop_factory`.
    pub(super) started: bool,
}

impl FactorySlot {
    fn new(factory: Box<dyn ErasedFactory>, factory_type: TypeId, totals: ProtocolIndex) -> Self {
        let protocol = factory.protocol();
        Self {
            cell: Some(factory),
            protocol,
            use_count: 0,
            factory_type,
            is_kept: false,
            audience: Audience::default(),
            connections: 0,
            admission: Admission::default(),
            accept_queue: AcceptQueue::default(),
            loads: Vec::new(),
            totals,
            timeouts: None,
            rates: FactoryRates::default(),
            started: false,
        }
    }

    /// Reports the number of clients to those who choose a shard for the next one.
    pub(super) fn report_load(&self) {
        self.loads.iter().for_each(|load| load.set_open(self.admission.open()));
    }

    /// Returns true if the accept rate allows another client now.
    pub(super) fn may_accept(&self, now: Instant) -> bool {
        self.admission.next(now).is_none() && self.accept_queue.ports.is_empty()
    }
}

/// Why a factory is not started.
pub(super) enum StartFailure {
    Gone,
    /// It is running a callback.
    Busy,
    /// `start_factory` failed, or panicked.
    Failed(io::Error),
}

/// A factory and its protocols without their types, as the loop uses them.
pub(super) trait ErasedFactory: fmt::Debug {
    /// Builds and stores a protocol; returns its index, or `None` if the factory refuses.
    fn build(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<Option<usize>, Panic>;

    fn call(
        &mut self,
        protocol_index: usize,
        callback: Callback<'_>,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<(), Panic>;

    /// Calls `connection_lost`, and drops the protocol.
    fn end(
        &mut self,
        protocol_index: usize,
        reason: &Reason,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<(), Panic>;

    fn start(&mut self, reactor: &mut Reactor) -> Result<io::Result<()>, Panic>;

    fn stop(&mut self, reactor: &mut Reactor) -> Result<(), Panic>;

    /// Calls `connection_failed`.
    fn fail(
        &mut self,
        transport: &Transport,
        error: &io::Error,
        reactor: &mut Reactor,
    ) -> Result<(), Panic>;

    /// Calls `retrying`.
    fn retrying(
        &mut self,
        transport: &Transport,
        delay: Duration,
        failures: u32,
        reactor: &mut Reactor,
    ) -> Result<(), Panic>;

    fn protocol(&self) -> &'static str;

    fn as_any(&mut self) -> &mut dyn Any;
}

struct FactoryCell<F: Factory> {
    factory: F,
    protocols: Slab<F::Protocol>,
}

impl<F: Factory> ErasedFactory for FactoryCell<F> {
    fn build(
        &mut self,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<Option<usize>, Panic> {
        let built = guard(|| self.factory.build_protocol(transport, reactor))?;
        Ok(built.map(|protocol| self.protocols.insert(protocol)))
    }

    fn call(
        &mut self,
        protocol_index: usize,
        callback: Callback<'_>,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<(), Panic> {
        let Some(protocol) = self.protocols.get_mut(protocol_index) else {
            return Ok(());
        };
        let mut cx = Context::new(transport, &mut self.factory, reactor);
        guard(|| callback.call(protocol, &mut cx))
    }

    fn end(
        &mut self,
        protocol_index: usize,
        reason: &Reason,
        transport: &Transport,
        reactor: &mut Reactor,
    ) -> Result<(), Panic> {
        let Some(mut protocol) = self.protocols.try_remove(protocol_index) else {
            return Ok(());
        };
        let mut cx = Context::new(transport, &mut self.factory, reactor);
        let told = guard(|| protocol.connection_lost(&mut cx, reason));
        let dropped = guard(|| drop(protocol));
        if self.protocols.is_empty() && self.protocols.capacity() > PROTOCOL_SLOTS_KEPT {
            self.protocols.shrink_to_fit();
        }
        told.and(dropped)
    }

    fn start(&mut self, reactor: &mut Reactor) -> Result<io::Result<()>, Panic> {
        guard(|| self.factory.start_factory(reactor))
    }

    fn stop(&mut self, reactor: &mut Reactor) -> Result<(), Panic> {
        guard(|| self.factory.stop_factory(reactor))
    }

    fn fail(
        &mut self,
        transport: &Transport,
        error: &io::Error,
        reactor: &mut Reactor,
    ) -> Result<(), Panic> {
        guard(|| self.factory.connection_failed(transport, error, reactor))
    }

    fn retrying(
        &mut self,
        transport: &Transport,
        delay: Duration,
        failures: u32,
        reactor: &mut Reactor,
    ) -> Result<(), Panic> {
        guard(|| self.factory.retrying(transport, delay, failures, reactor))
    }

    fn protocol(&self) -> &'static str {
        type_name::<F::Protocol>()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl<F: Factory> fmt::Debug for FactoryCell<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactoryCell<{}>", short_name(type_name::<F>()))
    }
}

/// Capacity for protocols above which a factory without connections frees the memory.
const PROTOCOL_SLOTS_KEPT: usize = 1024;

impl Reactor {
    /// Calls `call` with a factory and the reactor: from `main`, from a timer's closure, from
    /// another thread by way of a [`Remote`](crate::Remote), or from another factory's protocol.
    ///
    /// For a call that may find the factory busy, and need not be made at once, there is
    /// [`tell`](Self::tell).
    ///
    /// # Errors
    ///
    /// [`ReachError::FactoryGone`], or [`ReachError::FactoryBusy`] if the factory is running a
    /// callback: this one, or one that is above it on the stack. `call` is not called.
    ///
    /// ```
    /// # use twistor::{Context, Factory, Protocol, Reactor, Transport};
    /// # #[derive(Default)]
    /// # struct Chat { topic: String }
    /// # struct Chatter;
    /// # impl Protocol<Chat> for Chatter {}
    /// # impl Factory for Chat {
    /// #     type Protocol = Chatter;
    /// #     fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Chatter> {
    /// #         Some(Chatter)
    /// #     }
    /// # }
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", Chat::default())?;
    /// reactor.with_factory(&port, |chat, _reactor| chat.topic = "tea".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_factory<F: Factory, R>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        call: impl FnOnce(&mut F, &mut Self) -> R,
    ) -> Result<R, ReachError> {
        self.with_cell(key.into(), |cell: &mut FactoryCell<F>, reactor| {
            Ok(call(&mut cell.factory, reactor))
        })
    }

    /// Calls `call` with one of a factory's protocols, as if it were a callback of that protocol.
    ///
    /// # Errors
    ///
    /// As [`with_factory`](Self::with_factory), and [`ReachError::ConnectionGone`] if the factory
    /// has no such connection.
    pub fn with_protocol<F: Factory, R>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        connection: ConnectionId,
        call: impl FnOnce(&mut F::Protocol, &mut Context<'_, F>) -> R,
    ) -> Result<R, ReachError> {
        let key = key.into();
        let found = self.connections.find(connection.slot);
        let is_its = |it: &ConnectionRef| connection.reactor == self.id && it.factory() == key.id;
        let found = found.filter(is_its);
        self.with_cell(key, |cell: &mut FactoryCell<F>, reactor| {
            let connection = found.ok_or(ReachError::ConnectionGone)?;
            let protocol = cell.protocols.get_mut(connection.protocol_index());
            let protocol = protocol.ok_or(ReachError::ConnectionGone)?;
            Ok(call(protocol, &mut Context::new(&connection.transport, &mut cell.factory, reactor)))
        })
    }

    fn with_cell<F: Factory, R>(
        &mut self,
        key: FactoryKey<F>,
        call: impl FnOnce(&mut FactoryCell<F>, &mut Self) -> Result<R, ReachError>,
    ) -> Result<R, ReachError> {
        let slot = self.slot_mut(key).ok_or(ReachError::FactoryGone)?;
        let mut factory = slot.cell.take().ok_or(ReachError::FactoryBusy)?;
        // While the box is out of its slot, no turn may look for it.
        let entered = std::mem::replace(&mut self.entered, true);
        let running = self.running_factory.replace(key.id);
        let result = factory
            .as_any()
            .downcast_mut()
            .map(|cell| catch_unwind(AssertUnwindSafe(|| call(cell, self))));
        (self.entered, self.running_factory) = (entered, running);
        self.put_back(key.id, factory);
        match result.ok_or(ReachError::FactoryGone)? {
            Ok(result) => result,
            // The caller's own panic: the box is back in its slot, the rest is up to the caller.
            Err(payload) => resume_unwind(payload),
        }
    }

    /// The key of the factory that is running, asked from within its methods:
    /// `reactor.key_of(self)` in [`start_factory`](Factory::start_factory),
    /// [`build_protocol`](Factory::build_protocol) and the others. Callbacks of protocols have
    /// [`Context::key`].
    ///
    /// Returns `None` if it is not `factory` that runs, such as a part of a factory that wraps
    /// others.
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use twistor::{Factory, Protocol, Reactor, Transport};
    ///
    /// /// Tells its members the time, once a minute.
    /// #[derive(Default)]
    /// struct Clock {
    ///     members: Vec<Transport>,
    /// }
    /// # struct Member;
    /// # impl Protocol<Clock> for Member {}
    ///
    /// impl Clock {
    ///     fn strike(&mut self, reactor: &mut Reactor) {
    ///         self.members.iter().for_each(|member| member.write("a minute has passed\r\n"));
    ///         let Some(key) = reactor.key_of(self) else { return };
    ///         reactor.call_later(Duration::from_secs(60), move |reactor| {
    ///             // The factory may be gone by then.
    ///             let _ = reactor.with_factory(key, Clock::strike);
    ///         });
    ///     }
    /// }
    ///
    /// impl Factory for Clock {
    ///     type Protocol = Member;
    ///
    ///     fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
    ///         self.strike(reactor);
    ///         Ok(())
    ///     }
    ///     # fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Member> {
    ///     #     Some(Member)
    ///     # }
    /// }
    /// ```
    pub fn key_of<F: Factory>(&self, factory: &F) -> Option<FactoryKey<F>> {
        let _ = factory;
        let id = self.running_factory?;
        let slot = self.factories.get(id)?;
        (slot.factory_type == TypeId::of::<F>()).then(|| FactoryKey::new(id, self.id))
    }

    /// Returns the key of the factory that a connection belongs to, which the caller knows the type
    /// of.
    pub(crate) fn key_of_connection<F>(&self, transport: &Transport) -> FactoryKey<F> {
        FactoryKey::new(transport.factory(), self.id)
    }

    /// Returns the slot of a factory; `None` if it is gone, or belongs to another reactor.
    pub(super) fn slot<F>(&self, key: impl Into<FactoryKey<F>>) -> Option<&FactorySlot> {
        let key = key.into();
        self.factories.get(key.id).filter(|_| key.reactor == self.id)
    }

    pub(super) fn slot_mut<F>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
    ) -> Option<&mut FactorySlot> {
        let key = key.into();
        self.factories.get_mut(key.id).filter(|_| key.reactor == self.id)
    }

    /// Makes a callback, and ends the connection if it panics.
    pub(super) fn deliver(&mut self, connection: &ConnectionRef, callback: Callback<'_>) {
        let (factory, transport) = (connection.factory(), &connection.transport);
        let (kind, amount) = (callback.kind(), callback.amount());
        #[cfg(feature = "testing")]
        self.notify_observer(transport, super::Happening::Called(kind));
        let previous = self.hub.enter(connection.id());
        let result = self.with_erased(factory, |factory, reactor| {
            factory.call(connection.protocol_index(), callback, transport, reactor)
        });
        self.record_callback(EventKind::Callback(kind), transport, amount);
        if let Some(Err(panic)) = result {
            let (protocol, peer) = (self.protocol_name(factory), transport.peer_address());
            self.report_panic(
                format_args!("{protocol} of {peer} panicked in {}", kind.name()),
                &panic,
            );
            self.record_panic(&format!("a panic in {protocol}"));
            // The panic may replace an error value, whose `Drop` is user code.
            if let Err(again) = guard(|| transport.end(Reason::Panicked(panic.0))) {
                self.report_panic("dropping an error panicked", &again);
            }
        }
        self.hub.leave(previous);
    }

    /// Takes a factory's box out of its slot, lends it the reactor, and puts it back. Returns
    /// `None` if the box is out already.
    pub(super) fn with_erased<R>(
        &mut self,
        id: Id,
        call: impl FnOnce(&mut dyn ErasedFactory, &mut Self) -> R,
    ) -> Option<R> {
        let mut factory = self.factories.get_mut(id)?.cell.take()?;
        // True already within a turn; but opening a port outside of turns starts factories too.
        let entered = std::mem::replace(&mut self.entered, true);
        let running = self.running_factory.replace(id);
        let result = call(&mut *factory, self);
        (self.entered, self.running_factory) = (entered, running);
        self.put_back(id, factory);
        Some(result)
    }

    fn put_back(&mut self, id: Id, factory: Box<dyn ErasedFactory>) {
        if let Some(slot) = self.factories.get_mut(id) {
            slot.cell = Some(factory);
        }
    }

    /// Calls `start_factory`, if the factory is not started.
    pub(super) fn start_factory(&mut self, factory: Id) -> Result<(), StartFailure> {
        let slot = self.factories.get(factory).ok_or(StartFailure::Gone)?;
        if slot.started {
            return Ok(());
        }
        let is_in_turn = self.entered;
        let started = self.with_erased(factory, |factory, reactor| factory.start(reactor));
        let started = started.ok_or(StartFailure::Busy)?;
        if is_in_turn {
            self.record_call();
        }
        let started = started.unwrap_or_else(|panic| {
            let name = self.protocol_name(factory);
            self.report_panic(format_args!("start_factory of {name} panicked"), &panic);
            Err(io::Error::other(format!("start_factory panicked: {}", panic.0)))
        });
        started.map_err(StartFailure::Failed)?;
        if let Some(slot) = self.factories.get_mut(factory) {
            slot.started = true;
        }
        Ok(())
    }

    /// Stops a factory that is no longer in use, and drops it if it has no connection left either.
    /// One that is running a callback is checked again in the next turn.
    pub(super) fn stop_if_unused(&mut self, id: Id) {
        let draining = self.is_draining();
        let Some(slot) = self.factories.get_mut(id) else { return };
        // A graceful stop, like an immediate one, stops factories after their connections.
        if slot.use_count > 0 || (draining && slot.connections > 0) {
            return;
        }
        if slot.cell.is_none() {
            return self.queues.unused_factories.push(id);
        }
        if std::mem::take(&mut slot.started) {
            let stopped = self.with_erased(id, |factory, reactor| factory.stop(reactor));
            self.record_call();
            if let Some(Err(panic)) = stopped {
                self.report_panic(
                    format_args!("stop_factory of {} panicked", self.protocol_name(id)),
                    &panic,
                );
            }
        }
        self.drop_if_unused(id);
    }

    /// Drops a factory that is not in use, has no connection, and is not started.
    pub(super) fn drop_if_unused(&mut self, id: Id) {
        let unused = |slot: &FactorySlot| {
            slot.cell.is_some() && slot.use_count == 0 && slot.connections == 0 && !slot.started
        };
        if self.factories.get(id).is_some_and(unused) {
            let slot = self.factories.remove(id);
            if let Some(slot) = &slot {
                self.end_sharing(&slot.rates);
            }
            if let Err(panic) = guard(|| drop(slot)) {
                self.report_panic("dropping a factory panicked", &panic);
            }
        }
    }

    /// Returns the short name of a factory's protocol type, for the log.
    pub(super) fn protocol_name(&self, factory: Id) -> String {
        short_name(self.factories.get(factory).map_or("a protocol", |slot| slot.protocol))
    }
}
