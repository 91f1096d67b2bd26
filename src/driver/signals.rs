//! SIGINT and SIGTERM as events of the loop.
//!
//! A signal's handler writes a byte to a socket pair that the poller watches, and does nothing
//! else. While a reactor listens to signals, the second one ends the process at once, as if no
//! reactor listened: the first may be stuck behind a callback that never returns.
//!
//! An ignored signal stays ignored: the parent process wants the program to outlive it. A shell has
//! SIGINT ignored in a background job of a script, where Ctrl-C is meant for others.

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

const HEARD: [(i32, &str); 2] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")];

/// Signals belong to the process, and a reactor to one of its threads.
static LISTENING: Mutex<Listening> = Mutex::new(Listening { reactors: 0, met: Vec::new() });

/// State of the process that all reactors listening to signals share.
#[derive(Debug)]
struct Listening {
    /// Number of reactors that listen now.
    reactors: usize,
    /// Signals that a reactor has listened to at any time.
    met: Vec<i32>,
}

/// True while signals have their default effect. It matters only for signals that had it when a
/// reactor first listened to them; the handler that reads it stays for the life of the process,
/// since signal handlers cannot be removed without `unsafe`.
static DEFAULT_APPLIES: LazyLock<Arc<AtomicBool>> =
    LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// A reactor's receiver of signals. Dropping it restores what the signals did before.
#[derive(Debug)]
pub(super) struct Signals {
    receiver: UnixStream,
    /// The number of the latest signal, or zero.
    last: Arc<AtomicUsize>,
    actions: Vec<SigId>,
}

impl Signals {
    pub(super) fn take(registry: &Registry, token: Token) -> io::Result<Self> {
        let (receiver, sender) = StdUnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let mut receiver = UnixStream::from_std(receiver);
        registry.register(&mut receiver, token, Interest::READABLE)?;
        let mut listening = listening();
        let disposition = Disposition::of_process();
        let heard = HEARD.into_iter().filter(|(signal, _)| !disposition.ignores(*signal));
        let heard: Vec<i32> = heard.map(|(signal, _)| signal).collect();
        for &signal in &heard {
            listening.stand_in(signal, &disposition)?;
        }
        DEFAULT_APPLIES.store(false, Ordering::SeqCst);
        listening.reactors += 1;
        drop(listening);
        // From now on a failure drops what was set up so far.
        let mut taken = Self { receiver, last: Arc::default(), actions: Vec::new() };
        for signal in heard {
            let last = Arc::clone(&taken.last);
            taken.actions.push(flag::register_usize(signal, last, signal as usize)?);
            taken.actions.push(flag::register(signal, Arc::clone(&DEFAULT_APPLIES))?);
            taken.actions.push(low_level::pipe::register(signal, sender.try_clone()?)?);
        }
        Ok(taken)
    }

    /// Returns the name of the latest signal, if one came since the last call.
    pub(super) fn received(&mut self) -> Option<&'static str> {
        let mut bytes = [0; 16];
        while matches!(self.receiver.read(&mut bytes), Ok(count) if count > 0) {}
        let last = self.last.swap(0, Ordering::SeqCst);
        HEARD.iter().find(|(signal, _)| *signal as usize == last).map(|(_, name)| *name)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Before the receiver closes: a write to a pair without one raises SIGPIPE.
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
        let mut listening = listening();
        listening.reactors -= 1;
        if listening.reactors == 0 {
            DEFAULT_APPLIES.store(true, Ordering::SeqCst);
        }
    }
}

fn listening() -> MutexGuard<'static, Listening> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listening {
    /// Makes the signal have its default effect while no reactor listens, if it had that before the
    /// first one listened. The handler is registered before any other of ours, so that the first
    /// signal, which arms the default, does not find it armed.
    fn stand_in(&mut self, signal: i32, disposition: &Disposition) -> io::Result<()> {
        if !self.met.contains(&signal) {
            if !disposition.catches(signal) {
                flag::register_conditional_default(signal, Arc::clone(&DEFAULT_APPLIES))?;
            }
            self.met.push(signal);
        }
        Ok(())
    }
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
