//! What is counted while operations run, and the line that tells of it.

use crate::failure::Outcome;
use crate::order::Order;
use crate::phase::Phase;
use crate::process::{Core, Process, Switches, cores, own_cpu};
use std::fmt::{self, Write};
use std::thread;
use std::time::Duration;

/// Time that both sides sleep before counters are read, since those of a running thread are as old
/// as its last tick. A server that gathers writes has sent them by then, too.
const REST: Duration = Duration::from_millis(2);

/// The system's counters at one moment, or their growth between two.
#[derive(Clone, Debug, PartialEq)]
pub struct Counters {
    server_cpu: u64,
    load_cpu: u64,
    switches: Switches,
    cores: Vec<Core>,
}

impl Counters {
    pub fn read(server: Process) -> Outcome<Self> {
        thread::sleep(REST);
        Ok(Self {
            cores: cores(),
            load_cpu: own_cpu(),
            server_cpu: server.cpu()?,
            switches: server.switches()?,
        })
    }

    /// Saturating, for a server's thread may have ended, and taken its counts with it.
    pub fn since(&self, before: &Self) -> Self {
        let (now, then) = (self.switches, before.switches);
        let cores = self.cores.iter().zip(&before.cores).map(|(now, then)| Core {
            busy: now.busy.saturating_sub(then.busy),
            steal: now.steal.saturating_sub(then.steal),
        });
        Self {
            server_cpu: self.server_cpu.saturating_sub(before.server_cpu),
            load_cpu: self.load_cpu.saturating_sub(before.load_cpu),
            switches: Switches {
                voluntary: now.voluntary.saturating_sub(then.voluntary),
                involuntary: now.involuntary.saturating_sub(then.involuntary),
            },
            cores: cores.collect(),
        }
    }
}

/// Displayed as a line of JSON.
pub struct Report<'a> {
    pub order: &'a Order,
    pub phase: &'a Phase,
    pub counted: Counters,
    pub server_rss: u64,
    pub server_peak: u64,
    /// Only of `idle`.
    pub bytes_per_connection: Option<f64>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = self.phase.latencies();
        write!(f, "{{\"workload\":\"{}\"", self.order.name)?;
        for (key, value) in [
            ("connections", self.order.connections as u64),
            ("bytes", self.order.bytes as u64),
            ("operations", self.phase.operations()),
            ("elapsed_ns", self.phase.elapsed().as_nanos() as u64),
            ("server_cpu_ns", self.counted.server_cpu),
            ("load_cpu_ns", self.counted.load_cpu),
            ("p50_ns", latencies.quantile(500)),
            ("p99_ns", latencies.quantile(990)),
            ("p999_ns", latencies.quantile(999)),
            ("max_ns", latencies.max()),
            ("server_rss", self.server_rss),
            ("server_peak", self.server_peak),
        ] {
            write!(f, ",\"{key}\":{value}")?;
        }
        if let Some(bytes) = self.bytes_per_connection {
            write!(f, ",\"bytes_per_connection\":{bytes:.1}")?;
        }
        let Counters { cores, switches, .. } = &self.counted;
        write!(f, ",\"core_busy_ns\":{}", array(cores.iter().map(|core| core.busy)))?;
        write!(f, ",\"steal_ns\":{}", array(cores.iter().map(|core| core.steal)))?;
        let Switches { voluntary, involuntary } = switches;
        write!(
            f,
            ",\"server_switches\":{{\"voluntary\":{voluntary},\"involuntary\":{involuntary}}}}}"
        )
    }
}

fn array(numbers: impl Iterator<Item = u64>) -> String {
    let mut text = String::from("[");
    for number in numbers {
        let comma = if text.len() > 1 { "," } else { "" };
        // Into a string, which takes everything.
        let _ = write!(text, "{comma}{number}");
    }
    text + "]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Limit;

    fn counters(all: u64) -> Counters {
        Counters {
            server_cpu: all,
            load_cpu: all,
            switches: Switches { voluntary: all, involuntary: all },
            cores: vec![Core { busy: all, steal: 0 }; 2],
        }
    }

    #[test]
    fn growth_is_counted_and_never_negative() {
        assert_eq!(counters(7).since(&counters(4)), counters(3));
        assert_eq!(counters(4).since(&counters(7)), counters(0));
    }

    #[test]
    fn a_line_of_json() {
        let order = Order::parse(&["127.0.0.1:1", "1", "idle", "connections=3"]).unwrap();
        let phase = Phase::new(Limit::Operations(1));
        let report = Report {
            order: &order,
            phase: &phase,
            counted: counters(3),
            server_rss: 4096,
            server_peak: 8192,
            bytes_per_connection: Some(12.25),
        };
        assert_eq!(
            report.to_string(),
            "{\"workload\":\"idle\",\"connections\":3,\"bytes\":5,\"operations\":0,\
             \"elapsed_ns\":0,\"server_cpu_ns\":3,\"load_cpu_ns\":3,\"p50_ns\":0,\"p99_ns\":0,\
             \"p999_ns\":0,\"max_ns\":0,\"server_rss\":4096,\"server_peak\":8192,\
             \"bytes_per_connection\":12.2,\"core_busy_ns\":[3,3],\"steal_ns\":[0,0],\
             \"server_switches\":{\"voluntary\":3,\"involuntary\":3}}"
        );
    }
}
