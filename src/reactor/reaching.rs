//! Reaching a host: a connection by name resolves it, and races its addresses.

use super::Reactor;
use super::table::{Attempt, Reaching, Search, Slot, Stage};
use super::timers::TimerAction;
use crate::address::Address;
use crate::arena::Id;
use crate::driver::Driver;
use crate::endpoint::{ClientCarrier, HappyEyeballs, HostnameEndpoint, ResolveError, Step};
use crate::resolver::Answer;
use crate::transport::Transport;
use std::io;
use std::sync::Arc;
use std::time::Instant;

impl Reactor {
    /// Resolves and races, as far as that is possible without waiting. Returns true once the
    /// connection has its stream.
    pub(super) fn reach_host(&mut self, id: Id, transport: &Transport) -> io::Result<bool> {
        let Some(reaching) = self.reaching_mut(id) else { return Ok(false) };
        if let Search::Resolving = reaching.search {
            let Some(answer) = self.driver.take_answer(id) else { return Ok(false) };
            if let Some(reaching) = self.reaching_mut(id) {
                reaching.resolved(answer)?;
            }
        }
        self.check_attempts(id);
        loop {
            let now = self.now();
            let Some(reaching) = self.reaching_mut(id) else { return Ok(false) };
            let Search::Racing { eyeballs, .. } = &mut reaching.search else { return Ok(false) };
            match eyeballs.step(now) {
                Step::Start(number, address) => {
                    let carrier = ClientCarrier::Tcp(reaching.endpoint.at(address));
                    self.start_attempt(id, number, &carrier);
                }
                Step::Wait(until) => {
                    self.check_attempts_at(id, until);
                    return Ok(false);
                }
                Step::Won(number, address) => {
                    self.end_race(id, number, address.into(), transport);
                    return Ok(true);
                }
                Step::Failed => {
                    let reaching = self.take_reaching(id);
                    return reaching.map_or(Ok(false), |reaching| Err(reaching.into_error()));
                }
            }
        }
    }

    /// Returns the state of a connection by name that has no stream yet.
    fn reaching_mut(&mut self, id: Id) -> Option<&mut Reaching> {
        match self.connections.get_mut(id) {
            Some(Slot::Arriving(arriving)) => match &mut arriving.stage {
                Stage::Reaching(reaching) => Some(reaching),
                _ => None,
            },
            _ => None,
        }
    }

    fn start_attempt(&mut self, id: Id, number: usize, carrier: &ClientCarrier) {
        let started = self.connections.try_insert_with(|attempt| {
            let stream = self.driver.connect(carrier, attempt)?;
            Ok(Slot::Attempt(Box::new(Attempt { connection: id, stream })))
        });
        let Some(reaching) = self.reaching_mut(id) else { return };
        match started {
            Ok(attempt) => reaching.started(number, attempt),
            Err(error) => reaching.failed(number, error),
        }
    }

    /// Checks which attempts have failed, until one is established: its events come under the id of
    /// the connection from now on.
    fn check_attempts(&mut self, id: Id) {
        let attempts = self.reaching_mut(id).map(|reaching| reaching.attempts().to_vec());
        for (number, attempt) in attempts.unwrap_or_default() {
            let Some(Slot::Attempt(under_way)) = self.connections.get_mut(attempt) else {
                continue;
            };
            let stream = &mut under_way.stream;
            let is_established = stream.is_established().and_then(|is_established| {
                if is_established {
                    stream.reregister(id)?;
                }
                Ok(is_established)
            });
            if is_established.is_err() {
                self.connections.remove(attempt);
            }
            let Some(reaching) = self.reaching_mut(id) else { return };
            match is_established {
                Ok(false) => {}
                Ok(true) => return reaching.established(number),
                Err(error) => reaching.failed(number, error),
            }
        }
    }

    /// Sets the timer that starts the next attempt, in place of the one before.
    fn check_attempts_at(&mut self, id: Id, until: Option<Instant>) {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return };
        arriving.retry.take().map(|retry| self.timers.cancel(retry));
        arriving.retry = until.map(|until| self.timers.set(until, TimerAction::RetryConnect(id)));
    }

    /// Gives the connection the stream of the attempt that has won, and closes the others.
    fn end_race(&mut self, id: Id, winner: usize, peer: Address, transport: &Transport) {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return };
        let Stage::Reaching(reaching) = &mut arriving.stage else { return };
        let attempts = reaching.attempts().to_vec();
        // Without a header that stage passes at once. The stage before it asks whether the stream
        // is established, which is known.
        let bytes = reaching.header.take().unwrap_or_default();
        arriving.stage = Stage::SendingHeader { bytes, sent: 0 };
        for (number, attempt) in attempts {
            match self.connections.remove(attempt) {
                Some(Slot::Attempt(attempt)) if number == winner => {
                    transport.connection().begin(attempt.stream, peer.clone());
                }
                loser => drop(loser),
            }
        }
    }

    /// Ends reaching a host, if the connection is not further: forgets the question, and closes the
    /// attempts.
    pub(super) fn take_reaching(&mut self, id: Id) -> Option<Reaching> {
        let Some(Slot::Arriving(arriving)) = self.connections.get_mut(id) else { return None };
        if !matches!(arriving.stage, Stage::Reaching(_)) {
            return None;
        }
        let ended = Stage::Failed(io::ErrorKind::ConnectionAborted.into());
        let Stage::Reaching(reaching) = std::mem::replace(&mut arriving.stage, ended) else {
            return None;
        };
        if let Search::Resolving = reaching.search {
            self.driver.cancel_resolve(id);
        }
        for (_, attempt) in reaching.attempts() {
            self.connections.remove(*attempt);
        }
        Some(*reaching)
    }
}

impl Stage {
    /// Begins to resolve a host.
    pub(super) fn resolve(
        endpoint: &HostnameEndpoint,
        header: Option<Vec<u8>>,
        driver: &mut dyn Driver,
        id: Id,
    ) -> Self {
        match driver.resolve(endpoint.host(), endpoint.port(), id) {
            Ok(()) => {
                let (endpoint, search) = (endpoint.clone(), Search::Resolving);
                Self::Reaching(Box::new(Reaching { endpoint, header, search }))
            }
            Err(error) => Self::Failed(ResolveError::failure(endpoint.address(), Arc::new(error))),
        }
    }
}

impl Reaching {
    /// Begins to race the addresses of the host.
    fn resolved(&mut self, answer: Answer) -> io::Result<()> {
        let host = self.endpoint.address();
        let addresses = answer.map_err(|error| ResolveError::failure(host, error))?;
        if addresses.is_empty() {
            let none = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            return Err(ResolveError::failure(host, Arc::new(none)));
        }
        log::debug!("{host} has the addresses {addresses:?}");
        let (local, delay) = (self.endpoint.local(), self.endpoint.delay());
        let eyeballs = HappyEyeballs::new(addresses, local, delay);
        self.search = Search::Racing { eyeballs, attempts: Vec::new() };
        Ok(())
    }

    /// Returns the attempts that are under way.
    fn attempts(&self) -> &[(usize, Id)] {
        match &self.search {
            Search::Resolving => &[],
            Search::Racing { attempts, .. } => attempts,
        }
    }

    fn started(&mut self, number: usize, attempt: Id) {
        if let Search::Racing { attempts, .. } = &mut self.search {
            attempts.push((number, attempt));
        }
    }

    fn established(&mut self, number: usize) {
        if let Search::Racing { eyeballs, .. } = &mut self.search {
            eyeballs.established(number);
        }
    }

    fn failed(&mut self, number: usize, error: io::Error) {
        if let Search::Racing { eyeballs, attempts } = &mut self.search {
            attempts.retain(|(failed, _)| *failed != number);
            eyeballs.failed(number, error);
        }
    }

    /// Returns the error of a host that could not be reached, or not within the timeout.
    pub(super) fn into_error(self) -> io::Error {
        let host = self.endpoint.address();
        match self.search {
            Search::Racing { eyeballs, .. } => eyeballs.into_error(host),
            Search::Resolving => {
                let why = "the resolver has not answered within the timeout";
                let error = io::Error::new(io::ErrorKind::TimedOut, why);
                ResolveError::failure(host, Arc::new(error))
            }
        }
    }
}
