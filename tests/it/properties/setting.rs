//! The setting of a session: a network, and the limits of the server.

use super::talker::Talkers;
use std::time::Duration;
use twistor::limits::{ConnectionLimits, RateLimits, Timeouts};
use twistor::testing::{Conditions, Random};
use twistor::{ListeningPort, Reactor, Settings};

pub(super) fn conditions(kind: usize, random: &mut Random) -> Conditions {
    let ms = |random: &mut Random, most| random.up_to(Duration::from_millis(most));
    match kind {
        // Either more than a reactor reads from one connection in one turn, or far less than the
        // sender's system holds.
        0 => Conditions::ideal()
            .latency(ms(random, 3))
            .send_buffer(1 << 20)
            .receive_buffer(if random.below(2) == 0 { 1 << 20 } else { 1 << 14 }),
        1 => Conditions::rough(),
        _ => Conditions::rough()
            .latency(ms(random, 100))
            .jitter(ms(random, 100))
            .wakeup_delay(ms(random, 20))
            .bandwidth(20_000 + random.below(2_000_000) as u64)
            .short_reads(random.below(900) as u16)
            .short_writes(random.below(900) as u16)
            .spurious(random.below(300) as u16)
            .send_buffer(400 + random.below(40_000))
            .receive_buffer(400 + random.below(40_000)),
    }
}

/// Limits of a server: connections, idle timeout and rates.
pub(super) struct Terms {
    /// Connection limit; some servers are small.
    pub(super) most: Option<usize>,
    /// Accepted connections per second.
    accepts: Option<u32>,
    /// Idle timeout; some servers have one.
    pub(super) idle: Option<Duration>,
    /// Rates of each connection, and of all together.
    pub(super) rates: [Flows; 2],
}

impl Terms {
    pub(super) fn new(random: &mut Random) -> Self {
        let most = (random.below(4) == 0).then(|| 1 + random.below(8));
        let accepts = (random.below(4) == 0).then(|| 1 + random.below(5) as u32);
        let rates = [Flows::new(random), Flows::new(random)];
        let idle = (random.below(3) == 0).then(|| Duration::from_secs(5 + random.below(60) as u64));
        Self { most, accepts, idle, rates }
    }

    pub(super) fn set(&self, reactor: &mut Reactor, port: ListeningPort<Talkers>) {
        let limits = self.most.map_or_else(ConnectionLimits::new, |most| {
            ConnectionLimits::new().max_connections(most)
        });
        let second = Duration::from_secs(1);
        let limits = match self.accepts {
            Some(count) => limits.accept_rate(count, second),
            None => limits,
        };
        reactor.set_limits(&port, limits);
        if let Some(idle) = self.idle {
            reactor.set_timeouts(&port, Timeouts::new().idle(idle));
        }
        let [each, shared] = self.rates;
        reactor.set_rate_limits(&port, each.rates());
        reactor.set_shared_rate_limits(&port, shared.rates());
    }
}

/// Rate limits whose values can be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    pub(super) read: Option<u64>,
    write: Option<u64>,
}

impl Flows {
    fn new(random: &mut Random) -> Self {
        let mut rate = || 50_000 + random.below(1_000_000) as u64;
        let (read, write) = (Some(rate()), Some(rate()));
        match random.below(6) {
            0 => Self { read, write: None },
            1 => Self { read, write },
            _ => Self::default(),
        }
    }

    pub(super) fn rates(self) -> RateLimits {
        let rates = self.read.map_or_else(RateLimits::new, |rate| RateLimits::new().read(rate));
        self.write.map_or(rates, |rate| rates.write(rate))
    }
}

/// Returns random settings; some have low limits for unsent bytes, and some a record layer.
pub(super) fn settings(random: &mut Random) -> Settings {
    let settings = limits(random);
    match random.below(6) {
        // Bytes alone would take most of the time of all sessions.
        0 => settings.record_layer(50 + random.below(20_000)),
        _ => settings,
    }
}

fn limits(random: &mut Random) -> Settings {
    match random.below(3) {
        0 => {
            let max = 1000 + random.below(200_000);
            let total = max + random.below(1_000_000);
            Settings::default().max_unsent(max).max_unsent_total(total)
        }
        _ => Settings::default(),
    }
}
