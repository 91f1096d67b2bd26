//! What the system counts of a process and of the cores: Linux's /proc.

use crate::failure::{Failure, Outcome};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Linux counts a core's time in hundredths of a second, on all machines.
const TICK_NS: u64 = 10_000_000;

/// The server's process.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// Times the process has given up its core by itself, and has had to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Switches {
    pub voluntary: u64,
    pub involuntary: u64,
}

impl Process {
    /// Nanoseconds that its threads have run, all of them.
    pub fn cpu(self) -> Outcome<u64> {
        self.sum_of_threads("schedstat", first_number)
    }

    pub fn switches(self) -> Outcome<Switches> {
        let of = |name: &str| self.sum_of_threads("status", |text| field(text, name));
        Ok(Switches {
            voluntary: of("voluntary_ctxt_switches:")?,
            involuntary: of("nonvoluntary_ctxt_switches:")?,
        })
    }

    /// Bytes of its memory that are in use.
    pub fn resident(self) -> Outcome<u64> {
        self.memory("VmRSS:")
    }

    /// The most that has ever been in use.
    pub fn peak(self) -> Outcome<u64> {
        self.memory("VmHWM:")
    }

    /// Waits until it has nothing left to do: until its time stands still. A server that polls
    /// without pause never rests, so not for longer than a second.
    pub fn settle(self) -> Outcome<()> {
        /// Longer than a tick, at which the time of a thread that runs is counted.
        const STILL: Duration = Duration::from_millis(15);
        let start = Instant::now();
        let mut before = self.cpu()?;
        loop {
            thread::sleep(STILL);
            let now = self.cpu()?;
            if now == before || start.elapsed() > Duration::from_secs(1) {
                return Ok(());
            }
            before = now;
        }
    }

    fn memory(self, name: &str) -> Outcome<u64> {
        let path = format!("/proc/{}/status", self.0);
        let text = fs::read_to_string(&path).map_err(|_| self.gone())?;
        let kib = field(&text, name);
        kib.map(|kib| kib * 1024).ok_or_else(|| Failure::new(format!("{path} has no {name}")))
    }

    fn sum_of_threads(self, file: &str, number: impl Fn(&str) -> Option<u64>) -> Outcome<u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).map_err(|_| self.gone())?;
        // A thread that ends meanwhile is left out.
        let texts =
            tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join(file)).ok());
        Ok(texts.filter_map(|text| number(&text)).sum())
    }

    fn gone(self) -> Failure {
        Failure::new(format!("there is no process {}: the server has ended", self.0))
    }
}

/// Nanoseconds that the load has run.
pub fn own_cpu() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    first_number(&text).unwrap_or(0)
}

/// What a core has done since the machine has started, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Core {
    pub busy: u64,
    /// Taken by the host that the machine is a guest of.
    pub steal: u64,
}

pub fn cores() -> Vec<Core> {
    cores_in(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn cores_in(text: &str) -> Vec<Core> {
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let core = |line: &str| {
        let mut ticks = [0_u64; 8];
        for (ticks, word) in ticks.iter_mut().zip(line.split_whitespace().skip(1)) {
            *ticks = word.parse().unwrap_or(0);
        }
        let [user, nice, system, _idle, _iowait, irq, softirq, steal] = ticks;
        let busy = user + nice + system + irq + softirq;
        Core { busy: busy * TICK_NS, steal: steal * TICK_NS }
    };
    text.lines().filter(is_core).map(core).collect()
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    first_number(text.lines().find_map(|line| line.strip_prefix(name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 100 4 5 6 0 0\ncpu11 1 0 0 0 0 0 0\n\
                    ctxt 5\n";
        let expected =
            [Core { busy: 15 * TICK_NS, steal: 6 * TICK_NS }, Core { busy: TICK_NS, steal: 0 }];
        assert_eq!(cores_in(text), expected);
    }

    #[test]
    fn fields_are_read_from_the_beginning_of_a_line() {
        let text =
            "VmRSS:\t    2040 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(text, "VmRSS:"), Some(2040));
        assert_eq!(field(text, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(field(text, "nonvoluntary_ctxt_switches:"), Some(3));
        assert_eq!(field(text, "VmHWM:"), None);
        assert_eq!(first_number("12345 6 7\n"), Some(12_345));
    }

    #[test]
    fn a_process_that_has_ended_is_named() {
        let failure = Process(u32::MAX).cpu().unwrap_err();
        assert!(failure.to_string().contains("the server has ended"), "{failure}");
    }
}
