//! `RetryPolicy`: how long a client service waits before it connects again.

use std::time::Duration;

/// Decides how long a [`ClientService`](crate::ClientService) waits before its next attempt: a
/// [`Backoff`](super::Backoff), or a closure of this form. (`retryPolicy`)
///
/// ```
/// use std::time::Duration;
/// use twistor::ClientService;
/// use twistor::client_service::RetryPolicy;
///
/// /// Three attempts at once, then one a minute.
/// struct Patient;
///
/// impl RetryPolicy for Patient {
///     fn delay(&mut self, failures: u32, random: f64) -> Duration {
///         let minute = Duration::from_secs(60);
///         if failures < 3 { Duration::ZERO } else { minute.mul_f64(1.0 + random / 10.0) }
///     }
/// }
/// # struct Quiet;
/// # impl<F> twistor::Protocol<F> for Quiet {}
/// # let endpoint: twistor::ClientEndpoint = "tcp:127.0.0.1:7".parse().unwrap();
///
/// let service = ClientService::new(endpoint, || Quiet).retry(Patient);
/// // Or as a closure:
/// let service = service.retry(|failures: u32, _: f64| Duration::from_secs(failures.into()));
/// ```
pub trait RetryPolicy: 'static {
    /// Returns the delay before the next attempt. A delay of zero begins it in the next turn of the
    /// loop; one of more than a hundred years is cut to that.
    ///
    /// `failures` counts the failures since the service was started or was last stable; it is at
    /// least one. `random` is a pseudo-random number from zero to one, one excluded, of the
    /// reactor's own: it spreads the retries of services that fail together, and in a simulation
    /// the same seed gives the same delays. A panic is logged, and the delay is that of
    /// [`Backoff::new`](super::Backoff::new).
    fn delay(&mut self, failures: u32, random: f64) -> Duration;
}

impl<C: FnMut(u32, f64) -> Duration + 'static> RetryPolicy for C {
    fn delay(&mut self, failures: u32, random: f64) -> Duration {
        self(failures, random)
    }
}
