//! The reactor: the loop, and all that lives in it.
//!
//! Read `turn.rs` first: one turn, phase by phase. `hosting.rs` is where callbacks are called,
//! `accepting.rs` how connections begin, `connections.rs` how they end, `run.rs` how the whole
//! starts and stops.

mod accepting;
mod callback;
mod connecting;
mod connections;
mod deferring;
mod delayed;
mod draining;
mod errors;
mod hosting;
mod key;
mod limits;
mod linger_budget;
mod lingering;
mod panic;
mod ports;
mod producing;
mod recorder;
mod remote;
mod resting;
mod run;
mod settings;
mod throttling;
mod timers;
mod triggers;
mod turn;
mod type_name;
mod waiting;
#[cfg(feature = "testing")]
mod watching;

#[cfg(test)]
mod counts;
#[cfg(test)]
mod tests;

pub use connecting::Connector;
pub use deferring::DeferError;
pub use delayed::TimerId;
pub use draining::{ShutdownGuard, ShutdownReport};
pub use errors::{CallError, ConnectError, ListenError, RunError};
pub use key::{FactoryKey, IntoFactory};
pub use limits::{ConnectionLimits, RejectionStats};
pub use ports::{ListeningPort, ListeningPortId};
pub use recorder::{CallStats, Metrics, SlowestCallback};
pub use remote::Remote;
pub use settings::Settings;
pub use triggers::{Phase, SystemEvent, TriggerId};
#[cfg(feature = "testing")]
pub use watching::OpenResources;
#[cfg(feature = "testing")]
pub(crate) use watching::{Happening, Watch};

use crate::arena::{Arena, Id};
use crate::socket::{Ready, System, World};
use crate::transport::Agenda;
use accepting::OpenPort;
use connections::{Aborted, Connection};
use deferring::Continuation;
use delayed::Job;
use draining::{Holds, Stop};
use hosting::Shelf;
use lingering::Lingerers;
use recorder::Recorder;
use remote::Calls;
use resting::Resting;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use timers::Timers;
use triggers::Triggers;
use turn::Held;
use waiting::Overdue;

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
    number: usize,
    world: Box<dyn World>,
    settings: Settings,
    life: Life,
    stop: Stop,
    holds: Arc<Holds>,
    /// Of the stop that is being carried out.
    report: ShutdownReport,
    /// A turn is running or a factory is lent to its owner: no other turn may begin.
    lent: bool,
    hosts: Arena<Shelf>,
    ports: Arena<OpenPort>,
    connections: Arena<Connection>,
    timers: Timers<Job>,
    triggers: Triggers,
    calls: Arc<Calls>,
    /// What waits for work on other threads.
    deferred: Arena<Continuation>,
    /// Transports that callbacks have touched.
    agenda: Rc<Agenda>,
    /// A fan-out that waits for more.
    held: Option<Held>,
    /// Until then, no wait sleeps; see [`Settings::busy_poll`].
    awake_until: Option<Instant>,
    /// Connections to be served in the next turn.
    served: Vec<Id>,
    /// Connections whose peers send more than their share, in the order of their turns.
    bulk: VecDeque<Id>,
    /// Connections that are not read although they could be.
    resting: Resting,
    /// Connections that may have kept this side waiting for too long.
    overdue: Vec<Overdue>,
    /// Connections that are closed and still read.
    lingerers: Lingerers,
    /// Ports on which somebody may wait.
    acceptable: Vec<Id>,
    /// Factories whose rate of accepting allows for another client.
    granted: Vec<Id>,
    /// Connections that are reset, and whose protocols are to be told.
    aborted: Vec<Aborted>,
    /// Factories that have lost a port.
    retiring: Vec<Id>,
    recorder: Recorder,
    /// What is read; away while a callback looks at it.
    buffer: Box<[u8]>,
    /// What producers are read into; empty before there is one.
    chunk: Vec<u8>,
    /// Memory of lists, kept between turns.
    ready: Vec<Ready>,
    spare: Vec<Id>,
    /// Learns of every callback, in tests.
    #[cfg(feature = "testing")]
    watcher: Option<Rc<dyn Watch>>,
}

/// Where a reactor is between start-up and shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
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
        Ok(Self::in_world(Box::new(System::new()?), settings))
    }

    /// A reactor behind whose door is `world`.
    pub(crate) fn in_world(world: Box<dyn World>, settings: Settings) -> Self {
        let calls = Calls::new(world.waker(), settings.max_pending_calls);
        let holds = Holds::new(world.waker());
        let timers = Timers::new(world.now());
        let recorder = Recorder::new(world.now(), settings.slow_callback_duration);
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let agenda = Rc::new(Agenda::new(number, settings.max_unsent, settings.max_unsent_total));
        Self {
            number,
            world,
            settings,
            life: Life::Idle,
            stop: Stop::No,
            holds,
            report: ShutdownReport::default(),
            lent: false,
            hosts: Arena::new(),
            ports: Arena::new(),
            connections: Arena::new(),
            timers,
            triggers: Triggers::new(),
            calls,
            deferred: Arena::new(),
            agenda,
            held: None,
            awake_until: None,
            served: Vec::new(),
            bulk: VecDeque::new(),
            resting: Resting::default(),
            overdue: Vec::new(),
            lingerers: Lingerers::default(),
            acceptable: Vec::new(),
            granted: Vec::new(),
            aborted: Vec::new(),
            retiring: Vec::new(),
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            recorder,
            chunk: Vec::new(),
            ready: Vec::new(),
            spare: Vec::new(),
            #[cfg(feature = "testing")]
            watcher: None,
        }
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.calls.remote()
    }

    /// That of a reactor which had none before.
    #[cfg(test)]
    pub(crate) fn first_connection(&self) -> crate::ConnectionId {
        crate::ConnectionId { reactor: self.number, slot: Id::FIRST }
    }

    /// How many connections have a protocol at this moment.
    pub fn connection_count(&self) -> usize {
        self.hosts.iter().map(|(_, shelf)| shelf.connections).sum()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Reactor {
    /// A descriptor that becomes readable when [`turn`](Self::turn) has events to handle: poll it
    /// from another loop, until [`next_deadline`](Self::next_deadline) at the latest.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.world.descriptor()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("life", &self.life)
            .field("ports", &self.ports.len())
            .field("factories", &self.hosts.len())
            .field("connections", &self.connection_count())
            .field("timers", &self.timers.len())
            .finish_non_exhaustive()
    }
}
