//! Pseudo-random numbers of a reactor, for jitter and ids.

use super::Reactor;
use std::time::Duration;

impl Reactor {
    /// Returns a pseudo-random number of all 64 bits, from a generator of this reactor's own. (A
    /// program on Twisted uses Python's `random`)
    ///
    /// The seed comes from the operating system. In a simulation (module `testing`) it follows from
    /// the seed of the simulation, so that a program which draws all its numbers here does the same
    /// in each run.
    ///
    /// Not for secrets: from one number all that follow can be computed (SplitMix64). Session keys
    /// and passwords need a cryptographic generator.
    ///
    /// ```
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// assert_ne!(reactor.random(), reactor.random());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn random(&mut self) -> u64 {
        self.random.next()
    }

    /// Returns a pseudo-random duration between zero and `max`, `max` included, evenly spread over
    /// nanoseconds: jitter, so that clients which lost their server together do not all come back
    /// at the same moment. Numbers come from where those of [`random`](Self::random) do. A `max` of
    /// more than about 584 years is cut to that. (The jitter of `ReconnectingClientFactory`)
    ///
    /// ```
    /// use std::time::Duration;
    /// use twistor::Reactor;
    ///
    /// let mut reactor = Reactor::new()?;
    /// let delay = Duration::from_secs(1);
    /// let jitter = reactor.random_duration(delay / 10);
    /// assert!(jitter <= delay / 10);
    /// reactor.call_later(delay + jitter, |_| log::info!("trying again"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn random_duration(&mut self, max: Duration) -> Duration {
        self.random.up_to(max)
    }
}
