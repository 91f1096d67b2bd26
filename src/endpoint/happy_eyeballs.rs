//! Happy Eyeballs (RFC 8305): which address of a host is tried when, as a value that knows no
//! sockets. Pure.
//!
//! ```text
//!   addresses ─▶ step(now) ─▶ Start n ─▶ the caller tries it: failed(n), or established(n)
//!                    │
//!                    ├──────▶ Wait until the next attempt starts, or for results only
//!                    └──────▶ Won n, or Failed
//! ```
//!
//! The addresses of IPv6 and IPv4 alternate, in the order of the resolver otherwise: glibc sorts
//! them by RFC 6724. An attempt that has no result after the delay does not end, but another one
//! starts beside it; an attempt that fails lets the next one start at once. The resolver answers
//! for both families together, so there is no resolution delay.

use super::attempt_errors::AttemptErrors;
use crate::address::HostnameAddress;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The most addresses of a host that are tried: no legitimate host has more, and each attempt may
/// take a descriptor.
const ADDRESSES_MAX: usize = 64;

/// The addresses of a host, and how far the attempts are.
#[derive(Debug)]
pub(crate) struct HappyEyeballs {
    /// The attempts in their order.
    attempts: Vec<Attempt>,
    delay: Duration,
    next_start: NextStart,
    winner: Option<usize>,
}

#[derive(Debug)]
struct Attempt {
    address: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Pending,
    Failed(io::Error),
    /// Its family is not that of the local address.
    LeftOut,
}

/// When the next attempt starts.
#[derive(Clone, Copy, Debug)]
enum NextStart {
    Now,
    At(Instant),
    /// Only when another one fails: the delay is beyond what a clock can show.
    AfterFailure,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start the attempt with this number, and ask again.
    Start(usize, SocketAddr),
    /// Ask again when an attempt has a result, or at this time.
    Wait(Option<Instant>),
    /// This attempt is the connection; all others end.
    Won(usize, SocketAddr),
    /// No attempt is left.
    Failed,
}

impl HappyEyeballs {
    /// Creates the attempts for these addresses, of which the first is preferred. A local address
    /// leaves out those of the other family.
    pub(crate) fn new(
        addresses: impl IntoIterator<Item = SocketAddr>,
        local: Option<SocketAddr>,
        delay: Duration,
    ) -> Self {
        let attempt = |address: SocketAddr| {
            let is_usable = local.is_none_or(|local| local.is_ipv4() == address.is_ipv4());
            let state = if is_usable { State::Waiting } else { State::LeftOut };
            Attempt { address, state }
        };
        let attempts = interleave(addresses).into_iter().take(ADDRESSES_MAX).map(attempt).collect();
        Self { attempts, delay, next_start: NextStart::Now, winner: None }
    }

    /// Returns what to do next.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        if let Some(winner) = self.winner {
            return Step::Won(winner, self.attempts[winner].address);
        }
        let is_waiting = |attempt: &Attempt| matches!(attempt.state, State::Waiting);
        let is_pending = |attempt: &Attempt| matches!(attempt.state, State::Pending);
        let Some(next) = self.attempts.iter().position(is_waiting) else {
            let any_pending = self.attempts.iter().any(is_pending);
            return if any_pending { Step::Wait(None) } else { Step::Failed };
        };
        match self.next_start {
            NextStart::At(start) if now < start => return Step::Wait(Some(start)),
            NextStart::AfterFailure => return Step::Wait(None),
            NextStart::Now | NextStart::At(_) => {}
        }
        let later = now.checked_add(self.delay);
        self.next_start = later.map_or(NextStart::AfterFailure, NextStart::At);
        self.attempts[next].state = State::Pending;
        Step::Start(next, self.attempts[next].address)
    }

    /// Records that an attempt has failed. The next one starts at once.
    pub(crate) fn failed(&mut self, number: usize, error: io::Error) {
        self.attempts[number].state = State::Failed(error);
        self.next_start = NextStart::Now;
    }

    /// Records that an attempt is established. The first of them wins.
    pub(crate) fn established(&mut self, number: usize) {
        self.winner.get_or_insert(number);
    }

    /// Returns the error of attempts that have all failed, or whose timeout is over.
    pub(crate) fn into_error(self, host: &HostnameAddress) -> io::Error {
        let is_over = |it: &Attempt| matches!(it.state, State::Failed(_) | State::LeftOut);
        let has_timed_out = !self.attempts.iter().all(is_over);
        let first = self.attempts.iter().find_map(|attempt| match &attempt.state {
            State::Failed(error) => Some(error.kind()),
            _ => None,
        });
        let kind = match (has_timed_out, first) {
            (true, _) => io::ErrorKind::TimedOut,
            (false, Some(first)) => first,
            (false, None) => io::ErrorKind::InvalidInput,
        };
        let errors = self.attempts.into_iter().map(|Attempt { address, state }| {
            let timed_out = |why| io::Error::new(io::ErrorKind::TimedOut, why);
            let error = match state {
                State::Failed(error) => error,
                State::Pending => timed_out("no answer within the timeout"),
                State::Waiting => timed_out("not tried within the timeout"),
                State::LeftOut => io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "left out, since the local address has the other IP version",
                ),
            };
            (address, error)
        });
        io::Error::new(kind, AttemptErrors::new(host.clone(), errors.collect()))
    }
}

/// Returns each address once, with the families in turn, beginning with that of the first address.
fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = BTreeSet::new();
    let mut all = addresses.into_iter().filter(|address| seen.insert(*address)).peekable();
    let first_is_v4 = all.peek().is_some_and(SocketAddr::is_ipv4);
    let (preferred, other): (Vec<_>, Vec<_>) = all.partition(|it| it.is_ipv4() == first_is_v4);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut interleaved = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        interleaved.extend(pair.into_iter().flatten());
        if pair == [None, None] {
            return interleaved;
        }
    }
}
