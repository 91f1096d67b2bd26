//! Staying connected: which server is next, and when.

use crate::client::Client;
use crate::error::StartError;
use crate::factory::ClientFactory;
use std::time::Duration;
use twistor::{ClientService, HostnameEndpoint, Reactor};

/// The delay after a round of attempts in which no server was reached, doubled after each further
/// round: about the time that a server takes to restart.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// The delay between two servers of the same round, at most: clients that have lost a server
/// together do not reach the next one in the same moment.
const WITHIN_ROUND: Duration = Duration::from_millis(50);

impl Client {
    /// Starts the service that keeps the client connected. A connection counts only once its server
    /// has accepted the client, so that one which refuses it is asked ever more rarely.
    pub(crate) fn start_service(&self, reactor: &mut Reactor) -> Result<(), StartError> {
        let Some(endpoint) = self.next_server() else { return Ok(()) };
        let (policy, factory) = (self.clone(), ClientFactory { client: self.clone() });
        let timeout = self.state().borrow().settings.connect_timeout;
        let service = ClientService::new(endpoint, factory)
            .retry(move |failures: u32, random: f64| policy.delay(failures, random))
            .prepared_by_protocol(timeout)
            .start(reactor)
            .map_err(|error| StartError::Reactor(error.into()))?;
        self.state().borrow_mut().service = Some(service);
        Ok(())
    }

    /// Moves to the next server, and returns where it is.
    pub(crate) fn next_server(&self) -> Option<HostnameEndpoint> {
        let state = &mut *self.state().borrow_mut();
        let timeout = state.settings.connect_timeout;
        state.pool.advance().and_then(|server| server.endpoint(timeout))
    }

    /// Returns the delay after some failures.
    fn delay(&self, failures: u32, random: f64) -> Duration {
        let state = self.state().borrow();
        let rounds = failures.saturating_sub(1) / state.pool.round_len().max(1) as u32;
        // Half of it is cut off at random.
        delay(rounds, state.settings.reconnect_delay_max).mul_f64(0.5 + random / 2.0)
    }
}

/// Returns the delay after some rounds in which no server was reached.
fn delay(rounds: u32, max: Duration) -> Duration {
    match rounds {
        0 => WITHIN_ROUND.min(max),
        _ => FIRST_DELAY.saturating_mul(2_u32.saturating_pow(rounds - 1)).min(max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_after_each_round_up_to_the_maximum() {
        let max = Duration::from_secs(5);
        let millis: Vec<u128> = (0..8).map(|rounds| delay(rounds, max).as_millis()).collect();
        assert_eq!(millis, [50, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(delay(u32::MAX, max), max);
        assert_eq!(delay(0, Duration::ZERO), Duration::ZERO);
    }
}
