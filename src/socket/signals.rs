//! SIGINT and SIGTERM as events of the loop.
//!
//! A signal's action writes a byte to a socket pair that the poller watches; nothing else happens
//! in the signal's own time. While a reactor listens to signals the second one ends the process at
//! once, as if nobody listened: the first may be stuck behind a callback that never returns.

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

/// Signals belong to the process, reactors to its threads: how many of them listen.
static LISTENING: Mutex<usize> = Mutex::new(0);

/// True while a signal is to do what it does by default. Only looked at for signals that did their
/// default when the first reactor began to listen; the action that looks at it stays for the life
/// of the process, since signal actions cannot be taken back without `unsafe`.
static DEFAULT_APPLIES: LazyLock<Arc<AtomicBool>> =
    LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// A reactor's ear for signals. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Signals {
    receiver: UnixStream,
    /// The number of the signal that came last, or zero.
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
        DefaultActions::install_once()?;
        DEFAULT_APPLIES.store(false, Ordering::SeqCst);
        *listening += 1;
        drop(listening);
        // From here on a failure drops what was set up so far.
        let mut taken = Self { receiver, last: Arc::default(), actions: Vec::new() };
        for (signal, _) in HEARD {
            let last = Arc::clone(&taken.last);
            taken.actions.push(flag::register_usize(signal, last, signal as usize)?);
            taken.actions.push(flag::register(signal, Arc::clone(&DEFAULT_APPLIES))?);
            taken.actions.push(low_level::pipe::register(signal, sender.try_clone()?)?);
        }
        Ok(taken)
    }

    /// The name of the signal that came last, if one came since this was last asked.
    pub(super) fn received(&mut self) -> Option<&'static str> {
        let mut bytes = [0; 16];
        while matches!(self.receiver.read(&mut bytes), Ok(count) if count > 0) {}
        let last = self.last.swap(0, Ordering::SeqCst);
        HEARD.iter().find(|(signal, _)| *signal as usize == last).map(|(_, name)| *name)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Before the receiver is closed: a write to a pair without one is a SIGPIPE.
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
        let mut listening = listening();
        *listening -= 1;
        if *listening == 0 {
            DEFAULT_APPLIES.store(true, Ordering::SeqCst);
        }
    }
}

fn listening() -> MutexGuard<'static, usize> {
    LISTENING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The actions that stand in for a signal's default while no reactor listens.
struct DefaultActions;

impl DefaultActions {
    /// Registered before any other action of ours, so that the first signal, which arms the
    /// default, does not meet it armed. Only called under the lock.
    fn install_once() -> io::Result<()> {
        static INSTALLED: AtomicBool = AtomicBool::new(false);
        if INSTALLED.load(Ordering::SeqCst) {
            return Ok(());
        }
        for (signal, _) in HEARD {
            if does_its_default(signal) {
                flag::register_conditional_default(signal, Arc::clone(&DEFAULT_APPLIES))?;
            }
        }
        INSTALLED.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// False if the program ignores the signal or has a handler of its own, which goes on being called
/// beside ours. Linux tells; elsewhere the default is assumed.
fn does_its_default(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let masks = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigCgt:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    masks.fold(0, |all, mask| all | mask) & (1 << (signal - 1)) == 0
}
