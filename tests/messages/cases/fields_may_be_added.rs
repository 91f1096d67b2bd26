//! Patterns and literals that a later version could break.

use twistor::error::{ConnectError, ListenError};
use twistor::limits::RejectionStats;
use twistor::metrics::{CallStats, SlowestCallback};
use twistor::shutdown::ShutdownReport;
use twistor::testing::OpenResources;

fn counters(
    rejections: RejectionStats,
    calls: CallStats,
    slowest: SlowestCallback,
    shutdown: ShutdownReport,
    open: OpenResources,
) {
    let RejectionStats { connections, per_peer, factory, exhausted, accept_throttled } = rejections;
    let CallStats { calls, total, longest } = calls;
    let SlowestCallback { protocol, callback, connection, peer, took } = slowest;
    let ShutdownReport { drained, lost, aborted, bytes_lost } = shutdown;
    let OpenResources { ports, factories, connections, timers } = open;
}

fn variants(listen: ListenError, connect: ConnectError) {
    if let ListenError::Bind { address, source } = listen {}
    if let ListenError::StartFactory { address, source } = listen {}
    if let ListenError::NoFactory { address } = listen {}
    if let ListenError::FactoryBusy { address } = listen {}
    if let ListenError::Stopping { address } = listen {}
    if let ConnectError::StartFactory { address, source } = connect {}
    if let ConnectError::NoFactory { address } = connect {}
    if let ConnectError::FactoryBusy { address } = connect {}
    if let ConnectError::Stopping { address } = connect {}
}

fn main() {}
