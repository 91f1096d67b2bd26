//! Sends Redis a command again and again, over several connections, and prints how many a second it
//! answers, and how soon.
//!
//! `cargo run --release --example redis_load ENDPOINT [connections=50] [depth=1] [requests=100000]
//! [timeout=5] [COMMAND ARGUMENT..]`, such as `tcp:127.0.0.1:6379 depth=16 GET a`. The command is
//! PING unless it says otherwise; `depth` requests are under way on each connection.

mod histogram;
mod load;
#[path = "../shared/redis/mod.rs"]
mod redis;
mod settings;
#[cfg(test)]
mod tests;

use load::Load;
use settings::Settings;
use std::cell::RefCell;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use twistor::Reactor;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    env_logger::init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let settings = Settings::parse(&arguments)?;
    let report = Rc::new(RefCell::new(None));
    let mut reactor = Reactor::new()?;
    let key = reactor.add_factory(Load::new(&settings, Rc::clone(&report)))?;
    for _ in 0..settings.connections {
        settings.endpoint.clone().connect(&mut reactor, key)?;
    }
    // Its connections are its only use now, and the last one stops the reactor.
    reactor.remove_factory(key);
    reactor.run()?;
    let Some(report) = report.take() else { return Ok(ExitCode::FAILURE) };
    write!(io::stdout(), "{report}")?;
    Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
