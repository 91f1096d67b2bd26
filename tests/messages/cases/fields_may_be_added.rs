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
    let RejectionStats { connections, per_peer, factory, exhausted, handshake, accept_throttled } =
        rejections;
    let CallStats { calls, total, longest } = calls;
    let SlowestCallback { protocol, callback, connection, peer, took } = slowest;
    let ShutdownReport { drained, lost, aborted, bytes_lost } = shutdown;
    let OpenResources { ports, factories, connections, timers } = open;
}

fn variants(listen: ListenError, connect: ConnectError) {
    if let ListenError::Bind { endpoint, source } = listen {}
    if let ListenError::StartFactory { endpoint, source } = listen {}
    if let ListenError::NoFactory { endpoint } = listen {}
    if let ListenError::FactoryBusy { endpoint } = listen {}
    if let ListenError::Stopping { endpoint } = listen {}
    if let ConnectError::StartFactory { endpoint, source } = connect {}
    if let ConnectError::NoFactory { endpoint } = connect {}
    if let ConnectError::FactoryBusy { endpoint } = connect {}
    if let ConnectError::Stopping { endpoint } = connect {}
}

fn main() {}
