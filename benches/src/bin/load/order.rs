//! What the load is asked to do: the command line.

use crate::failure::{Failure, Outcome};
use crate::phase::Limit;
use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use twistor_benches::{BLOCK_LEN, QUOTE, SINK_LEN};

pub const USAGE: &str = "\
load ADDRESS PID WORKLOAD [KEY=VALUE ..]

  echo       connections=64 bytes=64 tls=0         a message there and back
  pipeline   connections=64 bytes=64 depth=32      batches of messages, there and back
  lines      connections=64 lines=64 bytes=12      segments of lines, and their answers
  chat       connections=100 bytes=32 talkers=10   lines delivered to all others
  churn      connections=16 tls=0 resume=0         connect, read to the end, close
  sink       connections=1 tls=0                   MiB acknowledged
  stream     connections=1 tls=0                   MiB that came back
  pipe       connections=1                         MiB through a pair of connections
  source     connections=8 tls=0                   blocks sent on request
  broadcast  connections=100                       blocks delivered to all
  idle       connections=10000 bytes=5 tls=0       memory of idle connections, each served once

tls=1 encrypts, and resume=1 resumes sessions, but for the first of each place.

Of all but idle: seconds=5 or operations=N, and warmup=0.2, a fraction of that.";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    Echo,
    Pipeline,
    Lines,
    Chat,
    Churn,
    Sink,
    Stream,
    Pipe,
    Source,
    Broadcast,
    Idle,
}

impl Work {
    /// Bytes that an operation moves, of the workloads whose sizes are fixed.
    fn bytes(self) -> usize {
        match self {
            Self::Churn => QUOTE.len(),
            Self::Sink | Self::Stream | Self::Pipe => SINK_LEN as usize,
            Self::Source | Self::Broadcast => BLOCK_LEN,
            _ => 0,
        }
    }
}

/// A parameter of a workload: its key, its default, and its minimum.
type Parameter = (&'static str, usize, usize);

const TLS: Parameter = ("tls", 0, 0);

const WORKS: [(Work, &str, &[Parameter]); 11] = [
    (Work::Echo, "echo", &[("connections", 64, 1), ("bytes", 64, 1), TLS]),
    (Work::Pipeline, "pipeline", &[("connections", 64, 1), ("bytes", 64, 1), ("depth", 32, 1)]),
    (Work::Lines, "lines", &[("connections", 64, 1), ("bytes", 12, 0), ("lines", 64, 1)]),
    (Work::Chat, "chat", &[("connections", 100, 2), ("bytes", 32, 8), ("talkers", 10, 1)]),
    (Work::Churn, "churn", &[("connections", 16, 1), TLS, ("resume", 0, 0)]),
    (Work::Sink, "sink", &[("connections", 1, 1), TLS]),
    (Work::Stream, "stream", &[("connections", 1, 1), TLS]),
    (Work::Pipe, "pipe", &[("connections", 1, 1)]),
    (Work::Source, "source", &[("connections", 8, 1), TLS]),
    (Work::Broadcast, "broadcast", &[("connections", 100, 1)]),
    (Work::Idle, "idle", &[("connections", 10_000, 1), ("bytes", 5, 1), TLS]),
];

pub const TALKERS_MAX: usize = 10;

const DEFAULT_LIMIT: Limit = Limit::Time(Duration::from_secs(5));
const DEFAULT_WARMUP: f64 = 0.2;

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub address: SocketAddr,
    pub pid: u32,
    pub work: Work,
    pub name: &'static str,
    pub connections: usize,
    pub bytes: usize,
    pub depth: usize,
    pub lines: usize,
    pub talkers: usize,
    /// More than 0: connections are encrypted.
    pub tls: usize,
    /// More than 0: sessions are resumed.
    pub resume: usize,
    pub limit: Limit,
    pub warmup: f64,
}

impl Order {
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Outcome<Self> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let [address, pid, name, settings @ ..] = &arguments[..] else {
            return Err(Failure::new(format!(
                "ADDRESS, PID and WORKLOAD are needed, and {} of them were given",
                arguments.len()
            )));
        };
        let Some((work, name, keys)) = WORKS.iter().find(|(_, known, _)| known == name) else {
            let known = WORKS.map(|(_, name, _)| name).join(", ");
            return Err(Failure::new(format!("there is no workload \"{name}\", only {known}")));
        };
        let mut order = Self {
            address: number("ADDRESS", address, "an address and a port, like 127.0.0.1:8007")?,
            pid: number("PID", pid, "the number of the server's process")?,
            work: *work,
            name,
            connections: 1,
            bytes: work.bytes(),
            depth: 1,
            lines: 1,
            talkers: 1,
            tls: 0,
            resume: 0,
            limit: DEFAULT_LIMIT,
            warmup: DEFAULT_WARMUP,
        };
        for (key, default, _) in *keys {
            order.set(key, *default);
        }
        let mut given: Vec<&str> = Vec::new();
        for setting in settings {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(Failure::new(format!("\"{setting}\" is not of the form KEY=VALUE")));
            };
            if given.contains(&key) {
                return Err(Failure::new(format!("{key} is given twice; leave one out")));
            }
            given.push(key);
            order.read(keys, key, value)?;
        }
        if given.contains(&"seconds") && given.contains(&"operations") {
            return Err(Failure::new("seconds and operations exclude each other; leave one out"));
        }
        order.check_talkers()?;
        Ok(order)
    }

    /// Sets one parameter from the command line.
    fn read(&mut self, parameters: &[Parameter], key: &str, value: &str) -> Outcome<()> {
        if let Some((_, _, least)) = parameters.iter().find(|(known, ..)| *known == key) {
            let wanted = format!("a whole number from {least} on");
            match number(key, value, &wanted)? {
                value if value >= *least => self.set(key, value),
                value => return Err(unfit(key, &value.to_string(), &wanted)),
            }
            return Ok(());
        }
        match key {
            _ if self.work == Work::Idle => return Err(self.unknown(parameters, key)),
            "seconds" => {
                let wanted = "a number of seconds above 0 and up to 86400";
                let seconds: f64 = number(key, value, wanted)?;
                if !(seconds > 0.0 && seconds <= 86_400.0) {
                    return Err(unfit(key, value, wanted));
                }
                self.limit = Limit::Time(Duration::from_secs_f64(seconds));
            }
            "operations" => {
                let wanted = "a whole number from 1 on";
                match number(key, value, wanted)? {
                    0 => return Err(unfit(key, value, wanted)),
                    count => self.limit = Limit::Operations(count),
                }
            }
            "warmup" => {
                let wanted = "a fraction from 0 to 10";
                self.warmup = number(key, value, wanted)?;
                if !(0.0..=10.0).contains(&self.warmup) {
                    return Err(unfit(key, value, wanted));
                }
            }
            _ => return Err(self.unknown(parameters, key)),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: usize) {
        match key {
            "connections" => self.connections = value,
            "bytes" => self.bytes = value,
            "depth" => self.depth = value,
            "lines" => self.lines = value,
            "talkers" => self.talkers = value,
            "tls" => self.tls = value,
            "resume" => self.resume = value,
            _ => unreachable!("{key} stands in the table of workloads"),
        }
    }

    fn unknown(&self, parameters: &[Parameter], key: &str) -> Failure {
        let mut known: Vec<&str> = parameters.iter().map(|(known, ..)| *known).collect();
        if self.work != Work::Idle {
            known.extend(["seconds", "operations", "warmup"]);
        }
        let (name, known) = (self.name, known.join(", "));
        Failure::new(format!("{name} has no key \"{key}\"; its keys are {known}"))
    }

    fn check_talkers(&self) -> Outcome<()> {
        let (talkers, members) = (self.talkers, self.connections);
        if talkers > TALKERS_MAX {
            return Err(unfit("talkers", &talkers.to_string(), "a number from 1 to 10"));
        }
        if self.work == Work::Chat && members < 2 * talkers {
            return Err(Failure::new(format!(
                "connections={members} is too few for talkers={talkers}: there must be at least \
                 one more member for each talker, {} in all",
                2 * talkers
            )));
        }
        Ok(())
    }
}

fn number<T: FromStr>(key: &str, value: &str, wanted: &str) -> Outcome<T> {
    value.parse().map_err(|_| unfit(key, value, wanted))
}

fn unfit(key: &str, value: &str, wanted: impl Display) -> Failure {
    Failure::new(format!("{key} is \"{value}\", and must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Outcome<Order> {
        Order::parse(&arguments.split(' ').collect::<Vec<_>>())
    }

    #[track_caller]
    fn error(arguments: &str) -> String {
        parse(arguments).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_those_of_the_workload() {
        let order = parse("127.0.0.1:8007 12 lines").unwrap();
        assert_eq!((order.address.port(), order.pid, order.work), (8007, 12, Work::Lines));
        assert_eq!((order.connections, order.lines, order.bytes), (64, 64, 12));
        assert_eq!((order.limit, order.warmup), (DEFAULT_LIMIT, 0.2));
    }

    #[test]
    fn keys_are_read() {
        let order =
            parse("127.0.0.1:1 1 pipeline connections=3 depth=4 bytes=5 seconds=0.5 warmup=0");
        let order = order.unwrap();
        assert_eq!((order.connections, order.depth, order.bytes), (3, 4, 5));
        let half = Limit::Time(Duration::from_millis(500));
        assert_eq!((order.limit, order.warmup), (half, 0.0));
        let order = parse("127.0.0.1:1 1 churn operations=1000").unwrap();
        assert_eq!(order.limit, Limit::Operations(1000));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_is_right() {
        assert_eq!(error("x"), "ADDRESS, PID and WORKLOAD are needed, and 1 of them were given");
        assert_eq!(
            error("localhost 1 echo"),
            "ADDRESS is \"localhost\", and must be an address and a port, like 127.0.0.1:8007"
        );
        assert!(
            error("127.0.0.1:1 1 eco").starts_with("there is no workload \"eco\", only echo, ")
        );
        for (settings, expected) in [
            ("echo bytes", "\"bytes\" is not of the form KEY=VALUE"),
            ("echo bytes=ten", "bytes is \"ten\", and must be a whole number from 1 on"),
            ("echo bytes=0", "bytes is \"0\", and must be a whole number from 1 on"),
            ("echo bytes=1 bytes=2", "bytes is given twice; leave one out"),
            ("idle seconds=1", "idle has no key \"seconds\"; its keys are connections, bytes, tls"),
            (
                "churn seconds=-1",
                "seconds is \"-1\", and must be a number of seconds above 0 and up to 86400",
            ),
            (
                "churn seconds=NaN",
                "seconds is \"NaN\", and must be a number of seconds above 0 and up to 86400",
            ),
            ("churn operations=0", "operations is \"0\", and must be a whole number from 1 on"),
            ("churn warmup=-0.1", "warmup is \"-0.1\", and must be a fraction from 0 to 10"),
            ("chat talkers=11", "talkers is \"11\", and must be a number from 1 to 10"),
            (
                "sink seconds=1 operations=1",
                "seconds and operations exclude each other; leave one out",
            ),
        ] {
            assert_eq!(error(&format!("127.0.0.1:1 1 {settings}")), expected);
        }
        assert_eq!(
            error("127.0.0.1:1 1 churn depth=1"),
            "churn has no key \"depth\"; its keys are connections, tls, resume, \
         seconds, operations, warmup"
        );
        assert!(error("127.0.0.1:1 1 chat connections=19").ends_with("20 in all"));
    }

    #[test]
    fn a_lone_talker_needs_one_who_listens() {
        assert!(parse("127.0.0.1:1 1 chat connections=2 talkers=1").is_ok());
    }
}
