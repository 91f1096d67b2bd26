//! The reactor: the event loop, with its ports, factories, connections and timers.
//!
//! Read `turn.rs` first: one turn, phase by phase. `factories.rs` calls the callbacks, `accept.rs`
//! begins connections, `connection.rs` ends them, `run.rs` starts and stops the loop.

mod accept;
mod arrival;
mod audience;
mod backpressure;
mod blocking;
mod callback;
mod calls;
mod client_service;
mod connection;
mod connector;
mod distributor;
mod errors;
mod factories;
mod factory_rates;
mod fan_out;
mod hand_over;
mod handshake;
mod inbox;
mod inspection;
mod kept_factories;
mod key;
mod lifecycle;
mod limits;
mod linger;
mod linger_budget;
mod listener;
mod mailbox;
mod metrics;
#[cfg(feature = "testing")]
mod observer;
mod open_port;
mod out_of_band;
mod predecessor;
mod queues;
mod random;
mod reaching;
mod record;
mod recorder;
mod remote;
mod resolving;
mod run;
mod scratch;
mod service_manager;
mod service_notifier;
mod settings;
mod shared_port;
mod shutdown;
mod signals;
mod succession;
mod table;
#[cfg(feature = "testing")]
mod test_access;
mod timer_id;
mod timers;
mod triggers;
mod turn;
mod type_name;

#[cfg(test)]
mod instruction_counts;
#[cfg(test)]
mod tests;

pub use blocking::DeferError;
pub use client_service::ServiceKey;
pub use connector::Connector;
pub use distributor::Balance;
pub use errors::{
    AddFactoryError, CallError, ConnectError, ListenError, OpenMailboxError, ReachError, RunError,
    SendError,
};
pub use factories::IntoFactory;
pub use inbox::MailboxPolicy;
pub use inspection::{
    ConnectionSummary, FactorySummary, InspectionCursor, PortSummary, TimerSummary,
};
pub use key::FactoryKey;
pub(crate) use lifecycle::StopCause;
pub use lifecycle::{ShutdownGuard, ShutdownReport};
pub use listener::{ListeningPort, ListeningPortId};
pub use mailbox::Mailbox;
pub use metrics::{CallStats, ConnectionStats, Metrics, SlowestCallback};
#[cfg(feature = "testing")]
pub use observer::OpenResources;
#[cfg(feature = "testing")]
pub(crate) use observer::{CallbackObserver, Happening};
pub(crate) use predecessor::{PassedSocket, Predecessor};
pub use remote::Remote;
pub use service_notifier::ReloadGuard;
pub use settings::Settings;
pub use signals::SignalId;
pub use timer_id::TimerId;
pub use triggers::{Phase, SystemEvent, TriggerId};

pub(crate) use crate::panic::{self, guard};

use crate::arena::{Arena, Id};
use crate::driver::{Driver, MioDriver};
use crate::random::SplitMix64;
use crate::transport::Hub;
use blocking::DeferredCall;
use calls::Calls;
use client_service::{ServiceSlot, WaitingCall};
use factories::FactorySlot;
use fan_out::FanOut;
use lifecycle::Lifecycle;
use linger_budget::Lingerers;
use mailbox::OpenMailboxes;
use open_port::OpenPort;
use queues::Queues;
use recorder::Recorder;
use scratch::Scratch;
use service_notifier::ServiceNotifier;
use signals::SignalCalls;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use succession::Succession;
use table::Slot;
use timers::{RepeatedCalls, TimerAction, Timers};
use triggers::Triggers;

/// The event loop, with its ports, factories, protocols and timers.
///
/// A reactor belongs to one thread and does one thing at a time; a process may have several.
/// Other threads reach it through a [`Remote`].
///
/// ```no_run
/// use twistor::{Context, Protocol, Reactor};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// let mut reactor = Reactor::new()?;
/// reactor.listen_tcp(8007, || Echo)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reactor {
    /// Distinguishes the reactors of a process: keys and ids of another reactor are invalid here.
    id: usize,
    driver: Box<dyn Driver>,
    settings: Settings,
    lifecycle: Lifecycle,
    /// Passes requests to stop on to the other shards.
    stop_relay: Option<Box<dyn Fn(Instant, StopCause)>>,
    /// True while a turn is running or a factory is lent out: no other turn may begin.
    entered: bool,
    factories: Arena<FactorySlot>,
    /// The factory that is running a callback; of several, the innermost.
    running_factory: Option<Id>,
    ports: Arena<OpenPort>,
    connections: Arena<Slot>,
    /// Client services that have not ended.
    services: Arena<ServiceSlot>,
    /// Calls to be told that their services have stopped.
    stopped_calls: Vec<WaitingCall>,
    /// Connections that count neither for a limit of the reactor nor for a drain; see
    /// [`Reactor::serve_out_of_band`].
    out_of_band_connections: usize,
    /// Clients of out-of-band factories that are arriving.
    out_of_band_arriving: usize,
    /// Closed connections whose sockets linger, and their budgets.
    lingerers: Lingerers,
    timers: Timers<TimerAction>,
    repeated_calls: RepeatedCalls,
    /// Periods of the timer that is firing since it last fired; zero unless it repeats.
    elapsed_periods: u64,
    triggers: Triggers,
    /// Closures for signals of the program's own.
    signals: SignalCalls,
    /// Notifications to the service manager, if the program wants it to be notified.
    service: Option<Box<ServiceNotifier>>,
    /// The process whose sockets this one takes over, until this one is ready.
    predecessor: Option<Box<Predecessor>>,
    succession: Succession,
    /// Connections of successors, which count for a drain only.
    successor_connections: usize,
    /// Closures from other threads.
    calls: Arc<Calls>,
    mailboxes: OpenMailboxes,
    /// Continuations of work on other threads.
    deferred: Arena<DeferredCall>,
    /// Dirty connections, spare buffers and totals, shared with the transports.
    hub: Rc<Hub>,
    /// Work that one turn leaves for the next.
    queues: Queues,
    fan_out: FanOut,
    /// End of busy polling: until then no wait sleeps; see [`Settings::busy_poll`].
    busy_poll_until: Option<Instant>,
    recorder: Recorder,
    random: SplitMix64,
    scratch: Scratch,
    /// Test observer, notified of every callback.
    #[cfg(feature = "testing")]
    observer: Option<Rc<dyn CallbackObserver>>,
}

impl Reactor {
    /// Creates a reactor with the default [`Settings`].
    ///
    /// # Errors
    ///
    /// The operating system has no descriptors or no memory left.
    pub fn new() -> io::Result<Self> {
        Self::with_settings(Settings::default())
    }

    /// Creates a reactor with the given settings.
    ///
    /// # Errors
    ///
    /// The operating system has no descriptors or no memory left.
    pub fn with_settings(settings: Settings) -> io::Result<Self> {
        Ok(Self::with_driver(Box::new(MioDriver::new()?), settings))
    }

    /// Creates a reactor that reaches the operating system through `driver`.
    pub(crate) fn with_driver(mut driver: Box<dyn Driver>, settings: Settings) -> Self {
        let calls = Calls::new(driver.waker(), settings.max_pending_calls);
        let timers = Timers::new(driver.now());
        let recorder = Recorder::new(driver.now(), settings.slow_callback_duration);
        let random = SplitMix64(driver.seed());
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let Settings { max_unsent, max_unsent_total, handshake_timeout, .. } = settings;
        let hub = Rc::new(Hub::new(id, max_unsent, max_unsent_total, handshake_timeout));
        Self {
            id,
            lifecycle: Lifecycle::new(driver.waker()),
            driver,
            settings,
            stop_relay: None,
            entered: false,
            factories: Arena::new(),
            running_factory: None,
            ports: Arena::new(),
            connections: Arena::new(),
            services: Arena::new(),
            stopped_calls: Vec::new(),
            out_of_band_connections: 0,
            out_of_band_arriving: 0,
            lingerers: Lingerers::default(),
            timers,
            repeated_calls: Arena::new(),
            elapsed_periods: 0,
            triggers: Triggers::new(),
            signals: SignalCalls::default(),
            service: None,
            predecessor: None,
            succession: Succession::None,
            successor_connections: 0,
            calls,
            mailboxes: OpenMailboxes::new(),
            deferred: Arena::new(),
            hub,
            queues: Queues::default(),
            fan_out: FanOut::default(),
            busy_poll_until: None,
            recorder,
            random,
            scratch: Scratch::default(),
            #[cfg(feature = "testing")]
            observer: None,
        }
    }

    /// Returns a handle for other threads.
    pub fn remote(&self) -> Remote {
        Remote::new(Arc::clone(&self.calls))
    }

    /// Returns the id that the first connection of a reactor has.
    #[cfg(test)]
    pub(crate) fn first_connection(&self) -> crate::ConnectionId {
        crate::ConnectionId { reactor: self.id, slot: Id::FIRST }
    }

    /// Returns the number of connections that have a protocol.
    pub fn connection_count(&self) -> usize {
        self.factories.iter().map(|(_, slot)| slot.connections).sum()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Reactor {
    /// Returns a descriptor that becomes readable when [`turn`](Self::turn) has events to handle:
    /// poll it from another loop, until [`next_deadline`](Self::next_deadline) at the latest.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.driver.descriptor()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("state", &self.lifecycle.state)
            .field("ports", &self.ports.len())
            .field("factories", &self.factories.len())
            .field("connections", &self.connection_count())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
