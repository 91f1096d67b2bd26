//! Faults of a network, and when they happen: as data.

use super::random::Random;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A fault, or its repair. Hosts are named; `*` means all of them.
///
/// Each fault has a textual form, which can be parsed:
///
/// | fault | text |
/// |---|---|
/// | [`Partition`](Self::Partition) | `partition ann server` |
/// | [`Heal`](Self::Heal) | `heal ann server` |
/// | [`Reset`](Self::Reset) | `reset ann server` |
/// | [`HalfOpen`](Self::HalfOpen) | `half-open ann server` |
/// | [`Crash`](Self::Crash) | `crash server` |
/// | [`Restart`](Self::Restart) | `restart server` |
/// | [`ProcessOutage`](Self::ProcessOutage) | `process-outage server 5s` |
/// | [`MachineOutage`](Self::MachineOutage) | `machine-outage server 30s` |
/// | [`ExhaustFds`](Self::ExhaustFds) | `exhaust-fds server 500ms` |
/// | [`FailAccept`](Self::FailAccept) | `fail-accept server` |
/// | [`Stall`](Self::Stall) | `stall server 2s` |
/// | [`SlowNames`](Self::SlowNames) | `slow-names ann 3s 60s` |
/// | [`FailNames`](Self::FailNames) | `fail-names ann 60s` |
/// | [`MuteNames`](Self::MuteNames) | `mute-names ann 60s` |
/// | [`ClockJump`](Self::ClockJump) | `clock-jump server 3600s` |
///
/// ```
/// use twistor::testing::Fault;
///
/// let fault: Fault = "partition ann *".parse().unwrap();
/// assert_eq!(fault, Fault::Partition { a: "ann".into(), b: "*".into() });
/// assert_eq!(fault.to_string(), "partition ann *");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Partition: nothing passes between two hosts, as in a black hole: no one is refused. Packets
    /// are retransmitted until they pass, or until the connection times out after a quarter of an
    /// hour.
    Partition {
        /// Name of one host.
        a: String,
        /// Name of the other host.
        b: String,
    },
    /// Heals a partition.
    Heal {
        /// Name of one host.
        a: String,
        /// Name of the other host.
        b: String,
    },
    /// Resets all connections between two hosts at both ends, as a middlebox between them would.
    Reset {
        /// Name of one host.
        a: String,
        /// Name of the other host.
        b: String,
    },
    /// Half-open connections: all connections between two hosts are dead, and neither side is
    /// notified. New ones work.
    HalfOpen {
        /// Name of one host.
        a: String,
        /// Name of the other host.
        b: String,
    },
    /// Power failure: peers receive nothing, and the host's protocols and factories are dropped
    /// without a callback.
    Crash {
        /// Name of the host.
        host: String,
    },
    /// Restarts a host that crashed, or ends its outage. It resets connections from before a crash
    /// when their peers send something.
    Restart {
        /// Name of the host.
        host: String,
    },
    /// Outage of a process: the program of a host ends as by SIGKILL, and starts again later, with
    /// the same ports. Its protocols and factories are dropped without a callback. As on Linux, its
    /// operating system sends what the program had written, and closes its connections with a FIN,
    /// or resets those on which something was unread or not accepted; it resets what arrives later,
    /// and refuses clients.
    ///
    /// On a host without a reactor, the test's peers and listeners are the program. A `restart`
    /// ends an outage early. On a host whose program does not run, this has no effect.
    ProcessOutage {
        /// Name of the host.
        host: String,
        /// Time until the program starts again.
        lasting: Duration,
    },
    /// Outage of a machine: a power failure, and a restart later. Until then there is silence:
    /// clients are not refused, and peers hear nothing.
    MachineOutage {
        /// Name of the host.
        host: String,
        /// Time until the host is back.
        lasting: Duration,
    },
    /// Descriptor exhaustion: accepting, connecting and listening fail with EMFILE. The descriptor
    /// that the reactor holds in reserve is there, and free again when the connection that it was
    /// used for has ended. Without effect on a host whose program does not run, as are `FailAccept`
    /// and `Stall`.
    ExhaustFds {
        /// Name of the host.
        host: String,
        /// Duration of the fault.
        lasting: Duration,
    },
    /// Failing accept: the next client is gone when the host accepts it (ECONNABORTED).
    FailAccept {
        /// Name of the host.
        host: String,
    },
    /// Stall: the host takes no turn, as if it were busy or suspended.
    Stall {
        /// Name of the host.
        host: String,
        /// Duration of the fault.
        lasting: Duration,
    },
    /// Slow names: answers to questions for host names, which the host asks meanwhile, take longer.
    /// Without effect on a host whose program does not run, as are the other two faults of names.
    SlowNames {
        /// Name of the host that asks.
        host: String,
        /// How much longer an answer takes.
        by: Duration,
        /// Duration of the fault.
        lasting: Duration,
    },
    /// Failing names: answers that arrive meanwhile are errors, as if a name server had failed.
    FailNames {
        /// Name of the host that asks.
        host: String,
        /// Duration of the fault.
        lasting: Duration,
    },
    /// Mute resolver: questions that the host asks meanwhile never have an answer.
    MuteNames {
        /// Name of the host that asks.
        host: String,
        /// Duration of the fault.
        lasting: Duration,
    },
    /// Clock jump: the host's clock jumps forward, even while it has no power.
    ClockJump {
        /// Name of the host.
        host: String,
        /// Length of the jump.
        by: Duration,
    },
}

impl Fault {
    /// Returns the fault's name in the trace of a run.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "fault: partition",
            Self::Heal { .. } => "fault: heal",
            Self::Reset { .. } => "fault: reset",
            Self::HalfOpen { .. } => "fault: silence",
            Self::Crash { .. } => "fault: crash",
            Self::Restart { .. } => "fault: restart",
            Self::ProcessOutage { .. } => "fault: process-outage",
            Self::MachineOutage { .. } => "fault: machine-outage",
            Self::ExhaustFds { .. } => "fault: exhaust",
            Self::FailAccept { .. } => "fault: fail-accept",
            Self::Stall { .. } => "fault: stall",
            Self::SlowNames { .. } => "fault: slow-names",
            Self::FailNames { .. } => "fault: fail-names",
            Self::MuteNames { .. } => "fault: mute-names",
            Self::ClockJump { .. } => "fault: jump",
        }
    }

    /// Returns the host names in it.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Partition { a, b }
            | Self::Heal { a, b }
            | Self::Reset { a, b }
            | Self::HalfOpen { a, b } => vec![a, b],
            Self::Crash { host }
            | Self::Restart { host }
            | Self::ProcessOutage { host, .. }
            | Self::MachineOutage { host, .. }
            | Self::ExhaustFds { host, .. }
            | Self::FailAccept { host }
            | Self::Stall { host, .. }
            | Self::SlowNames { host, .. }
            | Self::FailNames { host, .. }
            | Self::MuteNames { host, .. }
            | Self::ClockJump { host, .. } => vec![host],
        }
    }
}

/// Formats a duration as its shortest exact text: `1500ms`, `2s`, `17ns`.
fn text(time: Duration) -> String {
    match time.as_nanos() {
        nanos if nanos % 1_000_000_000 == 0 => format!("{}s", nanos / 1_000_000_000),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => format!("{}us", nanos / 1000),
        nanos => format!("{nanos}ns"),
    }
}

/// Parses a duration from its text.
fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let nanos = match &text[digits..] {
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1000,
        "ns" => 1,
        _ => return None,
    };
    let nanos = text[..digits].parse::<u128>().ok()?.checked_mul(nanos)?;
    let rest = (nanos % 1_000_000_000) as u32;
    Some(Duration::new(u64::try_from(nanos / 1_000_000_000).ok()?, rest))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { a, b } => write!(f, "partition {a} {b}"),
            Self::Heal { a, b } => write!(f, "heal {a} {b}"),
            Self::Reset { a, b } => write!(f, "reset {a} {b}"),
            Self::HalfOpen { a, b } => write!(f, "half-open {a} {b}"),
            Self::Crash { host } => write!(f, "crash {host}"),
            Self::Restart { host } => write!(f, "restart {host}"),
            Self::ProcessOutage { host, lasting } => {
                write!(f, "process-outage {host} {}", text(*lasting))
            }
            Self::MachineOutage { host, lasting } => {
                write!(f, "machine-outage {host} {}", text(*lasting))
            }
            Self::ExhaustFds { host, lasting } => {
                write!(f, "exhaust-fds {host} {}", text(*lasting))
            }
            Self::FailAccept { host } => write!(f, "fail-accept {host}"),
            Self::Stall { host, lasting } => write!(f, "stall {host} {}", text(*lasting)),
            Self::SlowNames { host, by, lasting } => {
                write!(f, "slow-names {host} {} {}", text(*by), text(*lasting))
            }
            Self::FailNames { host, lasting } => write!(f, "fail-names {host} {}", text(*lasting)),
            Self::MuteNames { host, lasting } => write!(f, "mute-names {host} {}", text(*lasting)),
            Self::ClockJump { host, by } => write!(f, "clock-jump {host} {}", text(*by)),
        }
    }
}

/// An error in the text of a fault, a plan or a single fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFaultError(String);

impl ParseFaultError {
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for ParseFaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ParseFaultError {}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(line: &str) -> Result<Self, ParseFaultError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = |what: &str| ParseFaultError(format!("{line:?} is not a fault: {what}"));
        let lasting = |text: &str| {
            time(text).ok_or_else(|| wrong("a time is a number and s, ms, us or ns, as in 500ms"))
        };
        let own = |name: &&str| String::from(*name);
        Ok(match words.as_slice() {
            ["partition", a, b] => Self::Partition { a: own(a), b: own(b) },
            ["heal", a, b] => Self::Heal { a: own(a), b: own(b) },
            ["reset", a, b] => Self::Reset { a: own(a), b: own(b) },
            ["half-open", a, b] => Self::HalfOpen { a: own(a), b: own(b) },
            ["crash", host] => Self::Crash { host: own(host) },
            ["restart", host] => Self::Restart { host: own(host) },
            ["process-outage", host, time] => {
                Self::ProcessOutage { host: own(host), lasting: lasting(time)? }
            }
            ["machine-outage", host, time] => {
                Self::MachineOutage { host: own(host), lasting: lasting(time)? }
            }
            ["exhaust-fds", host, time] => {
                Self::ExhaustFds { host: own(host), lasting: lasting(time)? }
            }
            ["fail-accept", host] => Self::FailAccept { host: own(host) },
            ["stall", host, time] => Self::Stall { host: own(host), lasting: lasting(time)? },
            ["slow-names", host, by, time] => {
                Self::SlowNames { host: own(host), by: lasting(by)?, lasting: lasting(time)? }
            }
            ["fail-names", host, time] => {
                Self::FailNames { host: own(host), lasting: lasting(time)? }
            }
            ["mute-names", host, time] => {
                Self::MuteNames { host: own(host), lasting: lasting(time)? }
            }
            ["clock-jump", host, time] => Self::ClockJump { host: own(host), by: lasting(time)? },
            _ => {
                return Err(wrong(
                    "expected one of: partition A B, heal A B, reset A B, half-open A B, crash H, \
                     restart H, process-outage H TIME, machine-outage H TIME, exhaust-fds H TIME, \
                     fail-accept H, stall H TIME, slow-names H TIME TIME, fail-names H TIME, \
                     mute-names H TIME, clock-jump H TIME",
                ));
            }
        })
    }
}

/// A plan of faults with their times: one line each, as in `1500ms: crash server`.
///
/// The output of a failing run can be parsed again, and so kept as a test:
///
/// ```
/// use twistor::testing::FaultPlan;
///
/// let plan: FaultPlan = "
///     1500ms: crash server
///     4s: restart server
/// ".parse().unwrap();
/// assert_eq!(plan.to_string(), "1500ms: crash server\n4s: restart server\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    pub(super) faults: Vec<(Duration, Fault)>,
}

impl FaultPlan {
    /// Returns a plan without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `fault` at the time `after`.
    #[must_use]
    pub fn at(mut self, after: Duration, fault: Fault) -> Self {
        self.faults.push((after, fault));
        self
    }

    /// Returns the faults and their times.
    pub fn faults(&self) -> &[(Duration, Fault)] {
        &self.faults
    }

    /// Returns a plan of `count` random faults among `hosts`, within a duration: of all kinds but
    /// those of names. Everything is repaired by its end, except clock jumps, resets, half-open
    /// connections, and a failing accept that no client has met yet.
    ///
    /// # Panics
    ///
    /// If `hosts` is empty.
    pub fn random(random: &mut Random, hosts: &[&str], within: Duration, count: usize) -> Self {
        let mut plan = Self::new();
        for _ in 0..count {
            let begins = random.up_to(within);
            let ends = begins + random.up_to(within - begins);
            let lasting = random.up_to(within / 10).min(within - begins);
            let host = (*random.pick(hosts)).to_owned();
            let a = host.clone();
            let others: Vec<&str> = hosts.iter().copied().filter(|&it| it != a).collect();
            let b = (*random.pick(if others.is_empty() { hosts } else { &others })).to_owned();
            plan = match random.below(9) {
                0 => plan
                    .at(begins, Fault::Partition { a: a.clone(), b: b.clone() })
                    .at(ends, Fault::Heal { a, b }),
                1 => plan.at(begins, Fault::Reset { a, b }),
                2 => plan.at(begins, Fault::HalfOpen { a, b }),
                3 => plan
                    .at(begins, Fault::Crash { host: host.clone() })
                    .at(ends, Fault::Restart { host }),
                4 => plan.at(begins, Fault::ExhaustFds { host, lasting }),
                5 => plan.at(begins, Fault::FailAccept { host }),
                6 => plan.at(begins, Fault::Stall { host, lasting }),
                7 => plan.at(begins, Fault::ProcessOutage { host, lasting: ends - begins }),
                _ => plan.at(begins, Fault::ClockJump { host, by: lasting }),
            };
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults.iter().try_for_each(|(at, fault)| writeln!(f, "{}: {fault}", text(*at)))
    }
}

impl FromStr for FaultPlan {
    type Err = ParseFaultError;

    fn from_str(plan: &str) -> Result<Self, ParseFaultError> {
        let mut faults = Vec::new();
        for line in plan.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let timed = line.split_once(':').and_then(|(at, fault)| Some((time(at)?, fault)));
            let (at, fault) = timed.ok_or_else(|| {
                ParseFaultError(format!("{line:?} does not begin with a time, as in 500ms:"))
            })?;
            faults.push((at, fault.trim().parse()?));
        }
        Ok(Self { faults })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_plan_can_be_formatted_and_parsed() {
        let mut random = Random::new(3);
        for _ in 0..50 {
            let plan = FaultPlan::random(&mut random, &["ann", "*"], Duration::from_secs(100), 20);
            assert_eq!(plan.to_string().parse(), Ok(plan.clone()));
            let names = "1s: slow-names ann 3s 60s\n2s: fail-names * 1ms\n3s: mute-names ann 5s\n";
            assert_eq!(names.parse::<FaultPlan>().unwrap().to_string(), names);
            let longest = FaultPlan::new().at(Duration::MAX, Fault::Crash { host: "ann".into() });
            assert_eq!(longest.to_string().parse(), Ok(longest));
            let down = |it: &str| plan.faults.iter().filter(|(_, f)| f.to_string() == it).count();
            assert_eq!(down("crash ann"), down("restart ann"));
        }
    }

    #[test]
    fn parse_errors_say_what_is_wrong() {
        let error = |text: &str| text.parse::<FaultPlan>().unwrap_err().to_string();
        assert!(error("crash server").contains("does not begin with a time"));
        assert!(error("1h: crash server").contains("does not begin with a time"));
        assert!(
            error("1s: crush server").contains("\"crush server\" is not a fault: expected one of")
        );
        assert!(error("1s: stall server 5").contains("a time is a number and s, ms, us or ns"));
    }
}
