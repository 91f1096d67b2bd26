//! One measurement: `CLIENT publish|subscribe COUNT SIZE SERVER`, where the client is `twistor` or
//! `async-nats`. Prints the seconds that the messages took, and those of the processor.
//!
//! A publisher's time ends when the server has answered that it has everything. A subscriber prints
//! `ready`, and its time begins with the first message.

use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, Instant};

mod other;
mod own;

const SUBJECT: &str = "bench.subject";
const TIMEOUT: Duration = Duration::from_secs(120);

/// What has passed since a measurement began.
struct Stopwatch {
    wall: Instant,
    processor: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), processor: processor() }
    }

    fn print(&self) {
        let processor = processor() - self.processor;
        let _ = writeln!(
            io::stdout(),
            "{:.6} {:.6}",
            self.wall.elapsed().as_secs_f64(),
            processor.as_secs_f64()
        );
    }
}

/// Returns what this process has used of the processor, with all its threads.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn say_ready() {
    let _ = writeln!(io::stdout(), "ready");
    let _ = io::stdout().flush();
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [client, role, count, size, server] = arguments[..] else {
        return Err("twistor|async-nats publish|subscribe COUNT SIZE SERVER".into());
    };
    let (count, size) = (count.parse()?, size.parse()?);
    match (client, role) {
        ("twistor", "publish") => own::publish(count, size, server),
        ("twistor", "subscribe") => own::subscribe(count, server),
        ("async-nats", "publish") => other::publish(count, size, server),
        ("async-nats", "subscribe") => other::subscribe(count, server),
        _ => Err(format!("unknown: {client} {role}").into()),
    }
}
