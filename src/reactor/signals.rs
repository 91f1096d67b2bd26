//! Signals of the program's own: closures that are called when the process gets one.

use super::Reactor;
use super::panic::guard;
use crate::driver::{STOPPING, signal_name};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// Identifies a closure of [`Reactor::on_signal`], to remove it. In another reactor it identifies
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalId {
    /// Number of the closure's reactor.
    reactor: usize,
    number: u64,
}

type Call = Box<dyn FnMut(&mut Reactor)>;

/// The closures that wait for signals, and the signals that have arrived for them.
#[derive(Default)]
pub(super) struct SignalCalls {
    /// Closures by number, and so in the order in which they were added.
    calls: BTreeMap<u64, SignalCall>,
    /// Number of the next closure.
    number: u64,
    /// Signals whose closures the next phase 1 calls.
    arrived: Vec<&'static str>,
}

struct SignalCall {
    signal: &'static str,
    /// `None` while it is running.
    call: Option<Call>,
}

impl SignalCalls {
    pub(super) fn has_work(&self) -> bool {
        !self.arrived.is_empty()
    }

    fn are_for(&self, signal: &str) -> bool {
        self.calls.values().any(|call| call.signal == signal)
    }
}

impl Reactor {
    /// Calls `call` on the reactor's thread whenever the process gets the signal `name`, such as
    /// `"SIGHUP"`, until [`remove_signal_handler`](Self::remove_signal_handler) or the end of the
    /// reactor. (`signal.signal`; in asyncio `add_signal_handler`)
    ///
    /// The call comes in phase 1 of a turn, before calls from other threads, and never in the
    /// context of a signal handler: it may do what any closure of a timer may. It makes no
    /// difference whether [`run`](Self::run) or [`turn`](Self::turn) runs the loop, and a signal
    /// that comes before that is not lost. Several of the same kind may arrive as one, as with all
    /// signals. Several closures for one signal are called in the order in which they were added;
    /// other reactors that listen to it make their own calls. A panic in one is logged, and it is
    /// called again at the next signal.
    ///
    /// | may be handled | what for |
    /// |---|---|
    /// | `SIGHUP`, `SIGUSR1`, `SIGUSR2` | requests of an operator |
    /// | `SIGINT`, `SIGTERM` | the end; refused unless [`handle_signals(false)`] is set |
    /// | `SIGQUIT`, `SIGTSTP`, `SIGCONT`, `SIGWINCH` | a terminal |
    /// | `SIGALRM`, `SIGCHLD` | timers of the system, processes |
    ///
    /// From now on the signal has no other effect. Once the last closure for it is removed, and
    /// when the reactor is dropped, it does again what it did before; for most that means to end
    /// the process. A signal that the process ignores, as SIGHUP under `nohup`, is handled
    /// nevertheless, and ignored again afterwards. A handler that the program has installed by
    /// another way is called as well.
    ///
    /// Under simulation `Host::signal` of the module `testing` delivers signals.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// # #[cfg(all(unix, feature = "signals"))]
    /// reactor.on_signal("SIGHUP", |_reactor| log::info!("reading the configuration again"))?;
    /// assert!(reactor.on_signal("SIGKILL", |_| {}).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`]: no signal has this name, it cannot be handled (`SIGKILL`,
    /// `SIGSTOP`), reports a fault (`SIGSEGV` and the like), is `SIGPIPE`, or stops the reactor.
    /// [`io::ErrorKind::Unsupported`]: the system is not Unix, or the feature `signals` is off.
    /// Otherwise, the operating system has no descriptors left.
    ///
    /// [`handle_signals(false)`]: crate::Settings::handle_signals
    pub fn on_signal(
        &mut self,
        name: &str,
        call: impl FnMut(&mut Self) + 'static,
    ) -> io::Result<SignalId> {
        let signal = signal_name(name)?;
        if STOPPING.contains(&signal) && self.settings.handle_signals {
            let why = format!(
                "{signal} stops the reactor; Settings::handle_signals(false) leaves it to the \
                 program"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if !self.signals.are_for(signal) {
            self.driver.watch_signal(signal)?;
        }
        let number = self.signals.number;
        self.signals.number += 1;
        self.signals.calls.insert(number, SignalCall { signal, call: Some(Box::new(call)) });
        Ok(SignalId { reactor: self.id, number })
    }

    /// Removes a closure of [`on_signal`](Self::on_signal), and drops it; if it is running, when it
    /// has returned. Returns false if it was removed before, or belongs to another reactor.
    /// (`remove_signal_handler` in asyncio)
    ///
    /// If no other closure waits for its signal, that does again what it did before.
    pub fn remove_signal_handler(&mut self, id: SignalId) -> bool {
        let own = Some(id).filter(|id| id.reactor == self.id);
        let Some(removed) = own.and_then(|id| self.signals.calls.remove(&id.number)) else {
            return false;
        };
        if !self.signals.are_for(removed.signal) {
            self.driver.unwatch_signal(removed.signal);
        }
        self.drop_signal_call(removed.call);
        true
    }

    /// Records a signal that the driver reports.
    pub(super) fn notice_signal(&mut self, name: &'static str) {
        if self.signals.are_for(name) {
            self.signals.arrived.push(name);
        } else if STOPPING.contains(&name) {
            log::info!("received {name}, stopping");
            self.stop_by_signal(name);
        } else {
            log::warn!("received {name}, for which there is no call");
        }
    }

    /// Calls the closures for the signals that have arrived.
    pub(super) fn run_signal_calls(&mut self) {
        for signal in std::mem::take(&mut self.signals.arrived) {
            let calls = self.signals.calls.iter().filter(|(_, call)| call.signal == signal);
            let numbers: Vec<u64> = calls.map(|(number, _)| *number).collect();
            for number in numbers {
                self.run_signal_call(signal, number);
            }
        }
    }

    pub(super) fn drop_signal_calls(&mut self) {
        for call in std::mem::take(&mut self.signals.calls).into_values() {
            self.drop_signal_call(call.call);
        }
    }

    fn run_signal_call(&mut self, signal: &str, number: u64) {
        let waiting = self.signals.calls.get_mut(&number);
        let Some(mut call) = waiting.and_then(|waiting| waiting.call.take()) else { return };
        let called = guard(|| call(self));
        self.record_call();
        if let Err(panic) = called {
            self.report_panic(format_args!("a call for {signal} panicked"), &panic);
            self.record_panic("a panic in a call for a signal");
        }
        match self.signals.calls.get_mut(&number) {
            Some(waiting) => waiting.call = Some(call),
            None => self.drop_signal_call(Some(call)),
        }
    }

    fn drop_signal_call(&self, call: Option<Call>) {
        if let Err(panic) = guard(|| drop(call)) {
            self.report_panic("dropping a call for a signal panicked", &panic);
        }
    }
}

impl fmt::Debug for SignalCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalCalls").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}
