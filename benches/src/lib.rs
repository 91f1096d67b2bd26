//! What the Rust servers of a comparison share: the work they do, and how they tell what came of
//! it.

pub mod lines;
pub mod tls;

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::time::Duration;

/// Answers of the line servers, as in the example `answer`, without the end of the line.
pub fn answer(line: &[u8]) -> &'static [u8] {
    match line {
        b"How are you?" => b"Fine",
        _ => b"I don't know what you mean",
    }
}

/// What the quote servers send before they close, as in the example `qotd`.
pub const QUOTE: &[u8] = b"An apple a day keeps the doctor away\r\n";

/// What the broadcast servers send to all for each byte that they receive. No two neighbouring
/// stretches of it are equal, so that a byte too few or too many is found.
pub static BLOCK: [u8; BLOCK_LEN] = block();

pub const BLOCK_LEN: usize = 64 * 1024;

/// Bytes that the sink servers acknowledge each time, with [`ACKNOWLEDGEMENT`].
pub const SINK_LEN: u64 = 1024 * 1024;

pub const ACKNOWLEDGEMENT: u8 = b'.';

const fn block() -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    let mut at = 0;
    while at < BLOCK_LEN {
        block[at] = (at * 7 + at / 256) as u8;
        at += 1;
    }
    block
}

/// Where a server tells the runner that it listens.
pub fn announce(address: impl fmt::Display) {
    // Not `println!`, which panics where nobody can be written to: it serves all the same.
    let _ = writeln!(io::stdout(), "listening on {address}");
}

/// Ends a server that was asked for a workload that it cannot do.
pub fn refuse(why: impl fmt::Display) -> ! {
    let _ = writeln!(io::stderr(), "{why}");
    process::exit(3)
}

/// The delays of the workload `timers`: the same sequence for every library.
#[derive(Debug)]
pub struct Delays(u64);

impl Default for Delays {
    fn default() -> Self {
        Self(1)
    }
}

impl Delays {
    /// Of the timers that are to be pushed back and cancelled: 10 to 70 seconds.
    pub fn far(&mut self) -> Duration {
        Duration::from_millis(10_000 + self.next() % 60_000)
    }

    /// Of the timers that are to fire: below a second.
    pub fn near(&mut self) -> Duration {
        Duration::from_millis(self.next() % 1000)
    }

    /// After this long, all of [`near`](Self::near) are due.
    pub const NEAR_OVER: Duration = Duration::from_millis(1100);

    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// What the workload `timers` found out, displayed as a line of JSON. The times are those of whole
/// phases; `None` where a library lacks the operation.
#[derive(Debug, Default)]
pub struct TimerReport {
    pub count: usize,
    pub schedule: Option<Duration>,
    pub reset: Option<Duration>,
    pub cancel: Option<Duration>,
    pub fire: Option<Duration>,
    /// [`resident`] before the first phase, after it, and after the third.
    pub resident: [u64; 3],
}

impl fmt::Display for TimerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count.max(1) as f64;
        write!(f, "{{\"count\":{}", self.count)?;
        let phases = [
            ("schedule", self.schedule),
            ("reset", self.reset),
            ("cancel", self.cancel),
            ("fire", self.fire),
        ];
        for (name, elapsed) in phases {
            match elapsed {
                Some(elapsed) => write!(f, ",\"{name}\":{:.1}", elapsed.as_nanos() as f64 / count)?,
                None => write!(f, ",\"{name}\":null")?,
            }
        }
        let [before, scheduled, cancelled] = self.resident.map(|bytes| bytes as f64);
        let (each, left) = ((scheduled - before) / count, (cancelled - before) / count);
        write!(f, ",\"bytes_each\":{each:.1},\"bytes_left\":{left:.1}}}")
    }
}

/// Bytes of this process's memory that are in use (`VmRSS`); 0 where the system does not tell.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_one_of_the_contract() {
        assert_eq!(BLOCK[..3], [0, 7, 14]);
        assert_eq!(BLOCK[256], 1);
        assert_eq!(BLOCK[65_535], ((65_535_usize * 7 + 255) % 256) as u8);
    }

    #[test]
    fn delays_are_those_of_the_contract() {
        // x = 6364136223846793005 + 1442695040888963407, shifted by 33, modulo 60 000.
        let first = 7_806_831_264_735_756_412_u64 >> 33;
        assert_eq!(Delays::default().far(), Duration::from_millis(10_000 + first % 60_000));
        assert_eq!(Delays::default().near(), Duration::from_millis(first % 1000));
    }

    #[test]
    fn a_report_is_per_timer_and_null_where_nothing_was_measured() {
        let report = TimerReport {
            count: 1000,
            schedule: Some(Duration::from_micros(25)),
            resident: [4096, 104_096, 4096],
            ..TimerReport::default()
        };
        assert_eq!(
            report.to_string(),
            "{\"count\":1000,\"schedule\":25.0,\"reset\":null,\"cancel\":null,\"fire\":null,\
             \"bytes_each\":100.0,\"bytes_left\":0.0}"
        );
    }
}
