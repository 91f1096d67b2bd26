//! Injector: counts the calls on the system, and makes one of them fail.

use super::call_failure::CallFailure;
use super::system_call::SystemCall;
use crate::address::Address;
use crate::testing::fault::ParseFaultError;
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A call that fails, by its number: all calls of a run are counted together, from 1.
///
/// ```
/// use twistor::testing::{CallFailure, SingleFault};
///
/// let fault: SingleFault = "17: EINTR".parse().unwrap();
/// assert_eq!(fault, SingleFault { call: 17, failure: CallFailure::Interrupted });
/// assert_eq!(fault.to_string(), "17: EINTR");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleFault {
    /// Number of the call.
    pub call: u64,
    /// How it fails.
    pub failure: CallFailure,
}

impl fmt::Display for SingleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.failure)
    }
}

impl FromStr for SingleFault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        let wrong = || {
            let why = "expected the number of a call and its failure, as in 17: EINTR";
            ParseFaultError::new(format!("{text:?} is not a single fault: {why}"))
        };
        let (call, failure) = text.split_once(':').ok_or_else(wrong)?;
        let call = call.trim().parse().map_err(|_| wrong())?;
        Ok(Self { call, failure: failure.trim().parse()? })
    }
}

/// The call that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultedCall {
    /// Which call it was, and how it failed.
    pub fault: SingleFault,
    /// Kind of the call.
    pub call: SystemCall,
    /// Name of the host whose reactor made it.
    pub host: String,
    /// Peer of the connection, if it was a call on a connection.
    pub peer: Option<SocketAddr>,
    /// The reactor has closed the socket of this connection since.
    pub is_closed: bool,
}

impl fmt::Display for FaultedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault: SingleFault { call: number, failure }, call, host, peer, .. } = self;
        write!(f, "call {number} fails with {failure}: {call}, of host {host}")?;
        peer.iter().try_for_each(|peer| write!(f, ", on the connection with {peer}"))
    }
}

/// Counts the calls of all reactors of a simulation, and makes one of them fail.
#[derive(Debug)]
pub(in crate::testing) struct Injector {
    fault: Option<SingleFault>,
    /// All calls so far.
    calls: RefCell<Vec<SystemCall>>,
    faulted: RefCell<Option<FaultedCall>>,
}

impl Injector {
    pub(in crate::testing) fn new(fault: Option<SingleFault>) -> Self {
        Self { fault, calls: RefCell::default(), faulted: RefCell::default() }
    }

    pub(in crate::testing) fn fault(&self) -> Option<SingleFault> {
        self.fault
    }

    pub(in crate::testing) fn faulted_call(&self) -> Option<FaultedCall> {
        self.faulted.borrow().clone()
    }

    /// Returns the kinds of all calls so far, in their order.
    pub(in crate::testing) fn calls(&self) -> Vec<SystemCall> {
        self.calls.borrow().clone()
    }

    /// Counts a call, and returns how it fails, if it is the one that does, and can fail so.
    pub(super) fn count(
        &self,
        call: SystemCall,
        host: &str,
        peer: Option<&Address>,
    ) -> Option<CallFailure> {
        let mut calls = self.calls.borrow_mut();
        calls.push(call);
        let is_due = |fault: &SingleFault| {
            fault.call == calls.len() as u64 && call.failures().contains(&fault.failure)
        };
        let fault = self.fault.filter(is_due)?;
        *self.faulted.borrow_mut() = Some(FaultedCall {
            fault,
            call,
            host: host.to_owned(),
            peer: peer.and_then(Address::socket_addr),
            is_closed: false,
        });
        Some(fault.failure)
    }

    /// Notes that the connection is closed on which the call has failed.
    pub(super) fn note_closed(&self) {
        self.faulted.borrow_mut().iter_mut().for_each(|faulted| faulted.is_closed = true);
    }
}
