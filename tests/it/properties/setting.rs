//! What a session is set in: a network, and what the server allows.

use std::time::Duration;
use twistor::testing::{Conditions, Random};
use twistor::{Limits, Rates, Settings};

pub(super) fn conditions(kind: usize, random: &mut Random) -> Conditions {
    let ms = |random: &mut Random, most| random.up_to(Duration::from_millis(most));
    match kind {
        // More than a reactor reads of one connection in one turn; or far less than the system of
        // the sender takes.
        0 => Conditions::ideal()
            .latency(ms(random, 3))
            .send_buffer(1 << 20)
            .receive_buffer(if random.below(2) == 0 { 1 << 20 } else { 1 << 14 }),
        1 => Conditions::rough(),
        _ => Conditions::rough()
            .latency(ms(random, 100))
            .jitter(ms(random, 100))
            .lag(ms(random, 20))
            .bandwidth(20_000 + random.below(2_000_000) as u64)
            .short_reads(random.below(900) as u16)
            .short_writes(random.below(900) as u16)
            .spurious(random.below(300) as u16)
            .send_buffer(400 + random.below(40_000))
            .receive_buffer(400 + random.below(40_000)),
    }
}

/// Some servers are small, and some are slow to accept.
pub(super) fn limits(random: &mut Random) -> (Option<usize>, Limits) {
    let most = (random.below(4) == 0).then(|| 1 + random.below(8));
    let limits = most.map_or_else(Limits::new, |most| Limits::new().connections(most));
    match random.below(4) {
        0 => (most, limits.accept_rate(1 + random.below(5) as u32, Duration::from_secs(1))),
        _ => (most, limits),
    }
}

/// Some let bytes in and out at a rate: of each connection, and of all together.
pub(super) fn rates(random: &mut Random) -> [Flows; 2] {
    let mut flows = || {
        let mut rate = || 50_000 + random.below(1_000_000) as u64;
        let (read, write) = (rate(), rate());
        match random.below(6) {
            0 => Flows { read: Some(read), write: None },
            1 => Flows { read: Some(read), write: Some(write) },
            _ => Flows::default(),
        }
    };
    [flows(), flows()]
}

/// Rates that can be asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    pub(super) read: Option<u64>,
    write: Option<u64>,
}

impl Flows {
    pub(super) fn rates(self) -> Rates {
        let rates = self.read.map_or_else(Rates::new, |rate| Rates::new().read(rate));
        self.write.map_or(rates, |rate| rates.write(rate))
    }
}

/// Some let nobody have much unsent.
pub(super) fn settings(random: &mut Random) -> Settings {
    match random.below(3) {
        0 => {
            let max = 1000 + random.below(200_000);
            let total = max + random.below(1_000_000);
            Settings::default().unsent_max(max).unsent_total_max(total)
        }
        _ => Settings::default(),
    }
}
