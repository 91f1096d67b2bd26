//! Signals as events of the loop.
//!
//! A signal's handler sets a flag, writes a byte to a socket pair that the poller watches, and does
//! nothing else.
//!
//! While a reactor lets SIGINT and SIGTERM stop it, the second one ends the process at once, as if
//! no reactor listened: the first may be stuck behind a callback that never returns. If they are
//! ignored they stay ignored: the parent process wants the program to outlive them. A shell has
//! SIGINT ignored in a background job of a script, where Ctrl-C is meant for others. A signal that
//! the program asks for by name is handled even then.

use super::signal_name::STOPPING;
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::{SigId, consts, flag, low_level};
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Signals belong to the process, and a reactor to one of its threads: all that a reactor has
/// listened to at any time, by number.
static SIGNALS: Mutex<BTreeMap<i32, SharedSignal>> = Mutex::new(BTreeMap::new());

/// State of a signal that all reactors of the process share.
#[derive(Debug)]
struct SharedSignal {
    /// Number of reactors that listen to it now.
    listeners: usize,
    /// True while the signal has its default effect. It matters only for a signal that had it when
    /// a reactor first listened to it; the handler that reads it stays for the life of the process,
    /// since signal handlers cannot be removed without `unsafe`.
    default_applies: Arc<AtomicBool>,
    /// The process ignored it when a reactor first listened to it.
    was_ignored: bool,
}

/// A reactor's receiver of signals. Dropping it restores what the signals did before.
#[derive(Debug)]
pub(super) struct Signals {
    // Dropped before the receiver closes: a write to a pair without one raises SIGPIPE.
    watched: Vec<Watched>,
    receiver: UnixStream,
    sender: StdUnixStream,
}

/// A signal that a reactor listens to, until this is dropped.
#[derive(Debug)]
struct Watched {
    name: &'static str,
    number: i32,
    /// It stops the reactor.
    stops: bool,
    /// It has come since the poller last reported it.
    arrived: Arc<AtomicBool>,
    actions: Vec<SigId>,
}

impl Signals {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let (receiver, sender) = StdUnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let mut receiver = UnixStream::from_std(receiver);
        registry.register(&mut receiver, token, Interest::READABLE)?;
        Ok(Self { watched: Vec::new(), receiver, sender })
    }

    /// Listens to a signal of the program's own.
    pub(super) fn watch(&mut self, name: &'static str) -> io::Result<()> {
        self.listen(name, &[])
    }

    /// Listens to the signals that stop the reactor, unless they are ignored. The first of them
    /// arms the default effect of all.
    pub(super) fn watch_stopping(&mut self) -> io::Result<()> {
        let mut names = Vec::new();
        let mut defaults = Vec::new();
        for name in STOPPING {
            let number = number_of(name)?;
            if !is_ignored(number) {
                names.push(name);
                defaults.push(default_of(number)?);
            }
        }
        names.into_iter().try_for_each(|name| self.listen(name, &defaults))
    }

    /// Listens to a signal. Those with `defaults` to arm stop the reactor.
    fn listen(&mut self, name: &'static str, defaults: &[Arc<AtomicBool>]) -> io::Result<()> {
        let number = number_of(name)?;
        add_listener(number)?;
        let (arrived, stops) = (Arc::default(), !defaults.is_empty());
        // From now on a failure drops what was set up so far.
        let mut watched =
            Watched { name, number, stops, arrived: Arc::clone(&arrived), actions: Vec::new() };
        // In this order: when the byte is read, the default is armed and the flag is set. The loop
        // may read it before the handler, on another thread, has come to its end.
        for default_applies in defaults {
            watched.actions.push(flag::register(number, Arc::clone(default_applies))?);
        }
        watched.actions.push(flag::register(number, arrived)?);
        watched.actions.push(low_level::pipe::register(number, self.sender.try_clone()?)?);
        self.watched.push(watched);
        Ok(())
    }

    /// Returns the names of the signals that came since the last call.
    pub(super) fn received(&mut self) -> impl Iterator<Item = &'static str> {
        let mut bytes = [0; 16];
        while matches!(self.receiver.read(&mut bytes), Ok(count) if count > 0) {}
        let arrived = |it: &&Watched| it.arrived.swap(false, Ordering::SeqCst);
        self.watched.iter().filter(arrived).map(|watched| watched.name)
    }

    /// Restores the signals that stop the reactor; `None` if no others are left.
    pub(super) fn without_stopping(mut self) -> Option<Self> {
        self.watched.retain(|watched| !watched.stops);
        Some(self).filter(|it| !it.watched.is_empty())
    }

    /// Restores a signal of the program's own; `None` if no others are left.
    pub(super) fn without(mut self, name: &str) -> Option<Self> {
        self.watched.retain(|watched| watched.stops || watched.name != name);
        Some(self).filter(|it| !it.watched.is_empty())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
        if let Some(signal) = shared_signals().get_mut(&self.number) {
            signal.listeners -= 1;
            if signal.listeners == 0 {
                signal.default_applies.store(true, Ordering::SeqCst);
            }
        }
    }
}

fn shared_signals() -> MutexGuard<'static, BTreeMap<i32, SharedSignal>> {
    SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns true if the process ignores the signal, or did before a reactor listened to it.
fn is_ignored(number: i32) -> bool {
    let known = shared_signals().get(&number).map(|signal| signal.was_ignored);
    known.unwrap_or_else(|| Disposition::of_process().ignores(number))
}

/// Counts a reactor that listens to the signal, which has no default effect meanwhile.
fn add_listener(number: i32) -> io::Result<()> {
    let mut all = shared_signals();
    let signal = entry_of(&mut all, number)?;
    signal.listeners += 1;
    signal.default_applies.store(false, Ordering::SeqCst);
    Ok(())
}

/// Returns the flag that gives the signal its default effect.
fn default_of(number: i32) -> io::Result<Arc<AtomicBool>> {
    entry_of(&mut shared_signals(), number).map(|signal| Arc::clone(&signal.default_applies))
}

fn entry_of(all: &mut BTreeMap<i32, SharedSignal>, number: i32) -> io::Result<&mut SharedSignal> {
    Ok(match all.entry(number) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(SharedSignal::first(number)?),
    })
}

impl SharedSignal {
    /// Makes the signal have its default effect while no reactor listens, if it had that before the
    /// first one listened. That handler is registered before any other of ours, so that the first
    /// signal, which arms the default, does not find it armed.
    fn first(number: i32) -> io::Result<Self> {
        let disposition = Disposition::of_process();
        let (was_ignored, default_applies) =
            (disposition.ignores(number), Arc::new(AtomicBool::new(true)));
        if !was_ignored && !disposition.catches(number) {
            flag::register_conditional_default(number, Arc::clone(&default_applies))?;
        }
        Ok(Self { listeners: 0, default_applies, was_ignored })
    }
}

/// Returns the number of a signal on this system.
fn number_of(name: &str) -> io::Result<i32> {
    Ok(match name {
        "SIGALRM" => consts::SIGALRM,
        "SIGCHLD" => consts::SIGCHLD,
        "SIGCONT" => consts::SIGCONT,
        "SIGHUP" => consts::SIGHUP,
        "SIGINT" => consts::SIGINT,
        "SIGQUIT" => consts::SIGQUIT,
        "SIGTERM" => consts::SIGTERM,
        "SIGTSTP" => consts::SIGTSTP,
        "SIGUSR1" => consts::SIGUSR1,
        "SIGUSR2" => consts::SIGUSR2,
        "SIGWINCH" => consts::SIGWINCH,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    })
}

/// Signal dispositions of the process, as bit masks. Read on Linux; elsewhere all are assumed to be
/// the default.
struct Disposition {
    ignored: u64,
    caught: u64,
}

impl Disposition {
    fn of_process() -> Self {
        Self::of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn of(status: &str) -> Self {
        let mask = |name: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        };
        let [ignored, caught] = ["SigIgn:", "SigCgt:"].map(|name| mask(name).unwrap_or(0));
        Self { ignored, caught }
    }

    fn ignores(&self, signal: i32) -> bool {
        self.ignored & (1 << (signal - 1)) != 0
    }

    /// Returns true if the program has a handler of its own, which is still called beside ours.
    fn catches(&self, signal: i32) -> bool {
        self.caught & (1 << (signal - 1)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consts::{SIGINT, SIGTERM};

    #[test]
    fn dispositions_are_read_from_the_status_of_the_process() {
        let status = "Name:\tx\nSigBlk:\t0000000000004002\nSigIgn:\t0000000000001002\n\
                      SigCgt:\t0000000000004000\n";
        let disposition = Disposition::of(status);
        assert!(disposition.ignores(SIGINT) && !disposition.catches(SIGINT));
        assert!(disposition.catches(SIGTERM) && !disposition.ignores(SIGTERM));
        let unknown = Disposition::of("");
        assert!(!unknown.ignores(SIGINT) && !unknown.catches(SIGINT));
    }
}
