//! The reactor: the loop, and all that lives in it.
//!
//! Read `turn.rs` first: one turn, phase by phase. `factories.rs` is where callbacks are called,
//! `accept.rs` how connections begin, `connection.rs` how they end, `run.rs` how the whole starts
//! and stops.

mod accept;
mod backpressure;
mod blocking;
mod callback;
mod connection;
mod connector;
mod errors;
mod factories;
mod key;
mod limits;
mod linger;
mod linger_budget;
mod listener;
mod metrics;
#[cfg(feature = "testing")]
mod observer;
mod panic;
mod remote;
mod run;
mod settings;
mod shutdown;
mod timers;
mod triggers;
mod turn;
mod type_name;

#[cfg(test)]
mod instruction_counts;
#[cfg(test)]
mod tests;

pub use blocking::DeferError;
pub use connector::Connector;
pub use errors::{CallError, ConnectError, ListenError, RunError};
pub use key::{FactoryKey, IntoFactory};
pub use listener::{ListeningPort, ListeningPortId};
pub use metrics::{CallStats, Metrics, SlowestCallback};
#[cfg(feature = "testing")]
pub use observer::OpenResources;
#[cfg(feature = "testing")]
pub(crate) use observer::{Happening, Watch};
pub use remote::Remote;
pub use settings::Settings;
pub use shutdown::{ShutdownGuard, ShutdownReport};
pub use timers::TimerId;
pub use triggers::{Phase, SystemEvent, TriggerId};

use crate::arena::{Arena, Id};
use crate::driver::{Driver, MioDriver, Ready};
use crate::transport::Hub;
use accept::OpenPort;
use backpressure::{Overdue, ReadBackoffs};
use blocking::Continuation;
use connection::{Aborted, Slot};
use factories::FactorySlot;
use linger::Lingerers;
use metrics::Recorder;
use remote::Calls;
use shutdown::{Holds, Stop};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use timers::{TimerAction, Timers};
use triggers::Triggers;
use turn::DeferredFlush;

/// What is read in one call, shared by all connections. 64 KiB fit the cache; 16 KiB make bulk
/// cost a third more, 256 KiB half as much again.
const BUFFER_LEN: usize = 64 * 1024;

/// The loop, and all that lives in it: ports, factories, protocols, timers.
///
/// One reactor belongs to one thread and does one thing at a time; a process may have several.
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
    /// Tells it from the other reactors of the process: their keys and ids mean nothing here.
    id: usize,
    driver: Box<dyn Driver>,
    settings: Settings,
    run_state: RunState,
    stop: Stop,
    holds: Arc<Holds>,
    /// Of the stop that is being carried out.
    report: ShutdownReport,
    /// A turn is running or a factory is lent to its owner: no other turn may begin.
    entered: bool,
    factories: Arena<FactorySlot>,
    ports: Arena<OpenPort>,
    connections: Arena<Slot>,
    timers: Timers<TimerAction>,
    triggers: Triggers,
    calls: Arc<Calls>,
    /// What waits for work on other threads.
    deferred: Arena<Continuation>,
    /// Transports that callbacks have touched.
    hub: Rc<Hub>,
    /// A fan-out that waits for more.
    deferred_flush: Option<DeferredFlush>,
    /// Until then, no wait sleeps; see [`Settings::busy_poll`].
    awake_until: Option<Instant>,
    /// Connections to be served in the next turn.
    ready_connections: Vec<Id>,
    /// Connections whose peers send more than their share, in the order of their turns.
    bulk: VecDeque<Id>,
    /// Connections that are not read although they could be.
    read_backoffs: ReadBackoffs,
    /// Connections that may have kept this side waiting for too long.
    overdue: Vec<Overdue>,
    /// Connections that are closed and still read.
    lingerers: Lingerers,
    /// Ports on which somebody may wait.
    ready_listeners: Vec<Id>,
    /// Factories whose rate of accepting allows for another client.
    accept_granted: Vec<Id>,
    /// Connections that are reset, and whose protocols are to be told.
    aborted: Vec<Aborted>,
    /// Factories that have lost a port.
    unused_factories: Vec<Id>,
    recorder: Recorder,
    /// What is read; away while a callback looks at it.
    buffer: Box<[u8]>,
    /// What producers are read into; empty before there is one.
    producer_buffer: Vec<u8>,
    /// Memory of lists, kept between turns.
    ready: Vec<Ready>,
    spare: Vec<Id>,
    /// Learns of every callback, in tests.
    #[cfg(feature = "testing")]
    observer: Option<Rc<dyn Watch>>,
}

/// Where a reactor is between start-up and shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    /// Not started, or stopped. Ports may be open already.
    Idle,
    Running,
    /// Past the triggers *before* shutdown: nothing new can begin.
    Stopping,
}

impl Reactor {
    /// A reactor with the default [`Settings`].
    ///
    /// # Errors
    ///
    /// The system has no descriptors left, or no memory.
    pub fn new() -> io::Result<Self> {
        Self::with_settings(Settings::default())
    }

    /// A reactor with settings of one's own.
    ///
    /// # Errors
    ///
    /// The system has no descriptors left, or no memory.
    pub fn with_settings(settings: Settings) -> io::Result<Self> {
        Ok(Self::with_driver(Box::new(MioDriver::new()?), settings))
    }

    /// A reactor behind whose door is `world`.
    pub(crate) fn with_driver(driver: Box<dyn Driver>, settings: Settings) -> Self {
        let calls = Calls::new(driver.waker(), settings.max_pending_calls);
        let holds = Holds::new(driver.waker());
        let timers = Timers::new(driver.now());
        let recorder = Recorder::new(driver.now(), settings.slow_callback_duration);
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let hub = Rc::new(Hub::new(id, settings.max_unsent, settings.max_unsent_total));
        Self {
            id,
            driver,
            settings,
            run_state: RunState::Idle,
            stop: Stop::No,
            holds,
            report: ShutdownReport::default(),
            entered: false,
            factories: Arena::new(),
            ports: Arena::new(),
            connections: Arena::new(),
            timers,
            triggers: Triggers::new(),
            calls,
            deferred: Arena::new(),
            hub,
            deferred_flush: None,
            awake_until: None,
            ready_connections: Vec::new(),
            bulk: VecDeque::new(),
            read_backoffs: ReadBackoffs::default(),
            overdue: Vec::new(),
            lingerers: Lingerers::default(),
            ready_listeners: Vec::new(),
            accept_granted: Vec::new(),
            aborted: Vec::new(),
            unused_factories: Vec::new(),
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            recorder,
            producer_buffer: Vec::new(),
            ready: Vec::new(),
            spare: Vec::new(),
            #[cfg(feature = "testing")]
            observer: None,
        }
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.calls.remote()
    }

    /// That of a reactor which had none before.
    #[cfg(test)]
    pub(crate) fn first_connection(&self) -> crate::ConnectionId {
        crate::ConnectionId { reactor: self.id, slot: Id::FIRST }
    }

    /// How many connections have a protocol at this moment.
    pub fn connection_count(&self) -> usize {
        self.factories.iter().map(|(_, slot)| slot.connections).sum()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Reactor {
    /// A descriptor that becomes readable when [`turn`](Self::turn) has events to handle: poll it
    /// from another loop, until [`next_deadline`](Self::next_deadline) at the latest.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.driver.descriptor()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("state", &self.run_state)
            .field("ports", &self.ports.len())
            .field("factories", &self.factories.len())
            .field("connections", &self.connection_count())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
