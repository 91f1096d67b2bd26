//! `Shards`: starts the threads, and waits for their ends.

use super::end::ShardEnd;
use super::error::ShardsError;
use super::handle::ShardsHandle;
use super::report::ShardsReport;
use super::shard::Shard;
use super::team::Team;
use crate::reactor::{Reactor, Settings, guard};
use log::Level;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What the set-up of a shard may fail with.
type SetUpError = Box<dyn Error + Send + Sync>;

/// What becomes of the other shards when the thread of one panics, or its reactor fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// They are stopped gracefully, within
    /// [`Settings::drain_timeout`](crate::Settings::drain_timeout), and
    /// [`Shards::run`] returns an error. A supervisor that sees the process fail restarts a whole
    /// server, which is more than what is left.
    #[default]
    StopAll,
    /// They continue without it, and [`Shards::run`] says in its report which one ended. With a
    /// [`SharedPort`](super::SharedPort) that the first shard accepts for all, the end of that one
    /// stops all the same: no client could connect any more.
    Continue,
}

/// A server of several shards: reactors, each on a thread of its own.
///
/// Each shard is set up by one closure, with a factory of its own. A protocol, a factory and a
/// reactor belong to their shard as they do to the only reactor of a process; what shards share,
/// the program shares explicitly, by [`Mailbox`](crate::mailbox::Mailbox)es or what it keeps in an
/// `Arc`.
///
/// ```
/// use twistor::shards::{SharedPort, Shards};
/// use twistor::{Context, Protocol, Settings};
///
/// struct Echo;
///
/// impl<F> Protocol<F> for Echo {
///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
///         cx.transport.write(data);
///     }
/// }
///
/// let port = SharedPort::reuse_port("tcp:0:interface=127.0.0.1".parse()?);
/// # #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
/// # let port = SharedPort::acceptor("tcp:0:interface=127.0.0.1".parse()?, Default::default());
/// let report = Shards::new(2).run(|reactor, shard| {
///     port.listen(reactor, shard, || Echo)?;
///     // Stops both: a server would wait for a signal.
///     reactor.stop();
///     Ok(())
/// })?;
/// assert_eq!(report.shards().len(), 2);
/// assert_eq!(report.total().aborted, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Shards {
    team: Arc<Team>,
    settings: Settings,
    on_panic: PanicPolicy,
}

/// What a shard's thread reports.
enum Event {
    /// It is set up, and waits for the others.
    Ready,
    SetUpFailed(SetUpError),
    /// Its thread is about to end.
    Ended(Result<ShardEnd, String>),
}

impl Shards {
    /// Creates a server of `count` shards. Zero counts as one.
    pub fn new(count: usize) -> Self {
        let team = Team::new(count.max(1));
        Self { team, settings: Settings::default(), on_panic: PanicPolicy::default() }
    }

    /// Creates a server of as many shards as the process may use cores; one if that is unknown.
    pub fn per_core() -> Self {
        Self::new(thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }

    /// Sets the settings of all reactors. Limits in them are those of one shard: with four shards,
    /// [`max_connections`](Settings::max_connections) allows four times as many in all.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Sets what becomes of the other shards when one panics or fails. Default:
    /// [`PanicPolicy::StopAll`].
    #[must_use]
    pub fn on_panic(self, on_panic: PanicPolicy) -> Self {
        Self { on_panic, ..self }
    }

    /// Returns a handle for other threads.
    pub fn handle(&self) -> ShardsHandle {
        ShardsHandle::new(Arc::clone(&self.team))
    }

    /// Starts a thread for each shard, runs all until they are stopped, and reports how their
    /// connections ended.
    ///
    /// `set_up` sets up the reactor of a shard, on its thread. The shards are set up one after
    /// another, in the order of their indices, and none runs before all are. The threads are named
    /// `shard-0` and so on.
    ///
    /// The shards stop together, each as [`Reactor::run`] says, with one deadline: when
    /// [`Reactor::stop`] or [`Reactor::stop_gracefully`] is called on one of them, also in its
    /// set-up, when a [`ShardsHandle`] asks for it, and, unless the settings leave signals alone,
    /// by SIGINT and SIGTERM. A second signal ends the process.
    ///
    /// # Errors
    ///
    /// [`ShardsError`]: a shard could not be set up, in which case none has run; or one panicked or
    /// failed while it ran, and the policy is to stop all.
    pub fn run<S>(self, set_up: S) -> Result<ShardsReport, ShardsError>
    where
        S: Fn(&mut Reactor, &Shard) -> Result<(), SetUpError> + Sync,
    {
        let (events_in, events) = channel();
        // Ends with all threads, as this closure does not return before.
        thread::scope(|scope| {
            let mut starts = Vec::new();
            for index in 0..self.team.count() {
                let (start, started) = channel();
                let (events_in, set_up, this) = (events_in.clone(), &set_up, &self);
                let named = thread::Builder::new().name(format!("shard-{index}"));
                let spawned = named.spawn_scoped(scope, move || {
                    let ended = guard(|| this.run_shard(index, set_up, &events_in, &started));
                    let ended = match ended {
                        Ok(None) => return,
                        Ok(Some(end)) => Ok(end),
                        Err(panic) => Err(panic.0.to_string()),
                    };
                    // Fails only if nobody waits for it any more.
                    let _ = events_in.send((index, Event::Ended(ended)));
                });
                // An error drops the other starts, and so ends the threads that wait for theirs.
                if let Err(error) = spawned {
                    return Err(ShardsError::SetUp { shard: index, source: error.into() });
                }
                wait_until_ready(&events)?;
                starts.push(start);
            }
            for start in starts {
                // Fails only if the thread has ended, which it reports.
                let _ = start.send(());
            }
            self.wait_for_ends(&events)
        })
    }

    /// Sets up and runs one shard. `None` if it did not run.
    fn run_shard(
        &self,
        index: usize,
        set_up: &(impl Fn(&mut Reactor, &Shard) -> Result<(), SetUpError> + Sync),
        events: &Sender<(usize, Event)>,
        started: &Receiver<()>,
    ) -> Option<ShardEnd> {
        let shard = Shard::new(index, Arc::clone(&self.team));
        let made = Reactor::with_settings(self.settings.clone());
        let made = made.map_err(SetUpError::from).and_then(|mut reactor| {
            self.team.join(index, &mut reactor);
            set_up(&mut reactor, &shard)?;
            Ok(reactor)
        });
        let (event, reactor) = match made {
            Ok(reactor) => (Event::Ready, Some(reactor)),
            Err(error) => (Event::SetUpFailed(error), None),
        };
        // Fails only if nobody waits for it, and then nobody starts it.
        let _ = events.send((index, event));
        let mut reactor = reactor?;
        started.recv().ok()?;
        Some(match reactor.run() {
            Ok(report) => ShardEnd::Stopped(report),
            Err(error) => ShardEnd::Failed(error),
        })
    }

    fn wait_for_ends(
        &self,
        events: &Receiver<(usize, Event)>,
    ) -> Result<ShardsReport, ShardsError> {
        let mut ends: Vec<Option<ShardEnd>> = (0..self.team.count()).map(|_| None).collect();
        let mut stops_all = false;
        while ends.iter().any(Option::is_none) {
            // Cannot fail: this side has a sender.
            let Ok((index, Event::Ended(end))) = events.recv() else { continue };
            let end = end.unwrap_or_else(ShardEnd::Panicked);
            if end.is_failure() {
                let is_acceptor = index == 0 && self.team.is_led();
                if self.on_panic == PanicPolicy::StopAll || is_acceptor {
                    stops_all = true;
                    self.team.stop(self.settings.drain_time());
                }
                log_guarded(Level::Error, format_args!("shard {index} {end}"));
            }
            ends[index] = Some(end);
        }
        let report = ShardsReport::new(ends.into_iter().flatten().collect());
        log_guarded(Level::Info, format_args!("{report}"));
        if stops_all { Err(ShardsError::ShardFailed(report)) } else { Ok(report) }
    }
}

/// Logs a message. A logger that panics, which may be what a shard has ended by, must not end the
/// thread that waits for the others.
fn log_guarded(level: Level, message: fmt::Arguments<'_>) {
    let _ = guard(|| log::log!(level, "{message}"));
}

/// Waits until the shard that is being set up is ready.
fn wait_until_ready(events: &Receiver<(usize, Event)>) -> Result<(), ShardsError> {
    match events.recv() {
        Ok((shard, Event::SetUpFailed(source))) => Err(ShardsError::SetUp { shard, source }),
        Ok((shard, Event::Ended(Err(message)))) => {
            Err(ShardsError::SetUpPanicked { shard, message })
        }
        Ok((_, Event::Ready | Event::Ended(Ok(_)))) | Err(_) => Ok(()),
    }
}
