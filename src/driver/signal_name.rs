//! Names of signals, and which of them a program may handle. Pure.

use std::io;

/// Signals that stop a reactor which handles signals.
pub(crate) const STOPPING: [&str; 2] = ["SIGINT", "SIGTERM"];

/// Signals that a program may handle.
const ALLOWED: [&str; 11] = [
    "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGTSTP",
    "SIGUSR1", "SIGUSR2", "SIGWINCH",
];

/// Signals that no event loop can handle, and why.
const REFUSED: [(&str, &str); 10] = [
    ("SIGKILL", "no program can handle it"),
    ("SIGSTOP", "no program can handle it"),
    ("SIGABRT", "the process ends with it"),
    ("SIGBUS", "it reports a fault of the program, which cannot continue"),
    ("SIGFPE", "it reports a fault of the program, which cannot continue"),
    ("SIGILL", "it reports a fault of the program, which cannot continue"),
    ("SIGSEGV", "it reports a fault of the program, which cannot continue"),
    ("SIGSYS", "it reports a fault of the program, which cannot continue"),
    ("SIGTRAP", "it belongs to debuggers"),
    ("SIGPIPE", "it is ignored: a write to a peer that is gone returns an error"),
];

/// Returns the name of a signal that a program may handle.
pub(crate) fn signal_name(name: &str) -> io::Result<&'static str> {
    if let Some(allowed) = ALLOWED.into_iter().find(|allowed| *allowed == name) {
        return Ok(allowed);
    }
    let why = match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, why)) => format!("{name} cannot be handled: {why}"),
        None => format!("{name:?} is not the name of a signal that can be handled"),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
