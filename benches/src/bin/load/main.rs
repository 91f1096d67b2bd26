//! The load: clients of one server, over loopback, who compare every byte that they receive.
//!
//! `load ADDRESS PID WORKLOAD [KEY=VALUE ..]` prints a line of JSON: how long operations took, and
//! how much CPU time of the server's process. A wrong byte, or ten seconds without progress, ends
//! it with a sentence on stderr and exit code 1; a wrong argument with 2.
//!
//! All of it is one thread, cheaper than any server: two would wait for each other, and not for
//! the server.

mod broadcast;
mod chat;
mod churn;
mod connection;
mod exchange;
mod failure;
mod histogram;
mod idle;
mod order;
mod phase;
mod process;
mod report;
mod socket;
mod stream;
mod watch;

use broadcast::Broadcast;
use chat::Chat;
use churn::Churn;
use exchange::Exchange;
use failure::Outcome;
use order::{Order, USAGE, Work};
use phase::{Limit, Phase};
use process::Process;
use report::{Counters, Report};
use std::process::ExitCode;
use stream::Stream;

/// Clients that are connected and served.
trait Workload {
    /// Begins operations until the phase is over, and ends them. Whatever comes that is not due is
    /// a failure, also after the last operation.
    fn run(&mut self, phase: &mut Phase) -> Outcome<()>;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let order = match Order::parse(&arguments) {
        Ok(order) => order,
        Err(failure) => {
            eprintln!("load: {failure}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match carry_out(&order) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("load {}: {failure}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// Does what was ordered, and returns the line that tells of it.
fn carry_out(order: &Order) -> Outcome<String> {
    let server = Process(order.pid);
    // Before many connections are made for nothing.
    server.cpu()?;
    let (phase, counted, bytes_per_connection) = match order.work {
        Work::Idle => {
            let before = Counters::read(server)?;
            let (phase, growth) = idle::idle(order, server)?;
            (phase, Counters::read(server)?.since(&before), Some(growth))
        }
        _ => {
            let (phase, counted) = measure(&mut *connect(order)?, order, server)?;
            (phase, counted, None)
        }
    };
    let report = Report {
        order,
        phase: &phase,
        counted,
        server_rss: server.resident()?,
        server_peak: server.peak()?,
        bytes_per_connection,
    };
    Ok(report.to_string())
}

fn connect(order: &Order) -> Outcome<Box<dyn Workload>> {
    Ok(match order.work {
        Work::Echo | Work::Pipeline => Box::new(Exchange::echo(order)?),
        Work::Source => Box::new(Exchange::source(order)?),
        Work::Lines => Box::new(Exchange::lines(order)?),
        Work::Chat => Box::new(Chat::connect(order)?),
        Work::Churn => Box::new(Churn::new(order)?),
        Work::Sink => Box::new(Stream::sink(order)?),
        Work::Stream => Box::new(Stream::echo(order)?),
        Work::Pipe => Box::new(Stream::pipe(order)?),
        Work::Broadcast => Box::new(Broadcast::connect(order)?),
        Work::Idle => unreachable!("it has no operations to repeat"),
    })
}

fn measure(
    workload: &mut dyn Workload,
    order: &Order,
    server: Process,
) -> Outcome<(Phase, Counters)> {
    if order.warmup > 0.0 {
        workload.run(&mut Phase::new(order.limit.part(order.warmup)))?;
    }
    let before = Counters::read(server)?;
    let mut phase = Phase::new(order.limit);
    workload.run(&mut phase)?;
    let counted = Counters::read(server)?.since(&before);
    // What came too late to be noticed.
    workload.run(&mut Phase::new(Limit::Operations(0)))?;
    Ok((phase, counted))
}
