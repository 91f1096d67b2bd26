//! The input of the program, read on a thread of its own, since reading it blocks.

use std::io::BufRead;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{io, thread};
use twistor::{Reactor, Remote, ServiceKey};

/// Sends each line of the standard input to the service's server, and stops the service at its end.
///
/// Lines wait until the service is connected, one in the reactor and the others unread.
pub(crate) fn read<F: 'static>(service: ServiceKey<F>, remote: Remote) {
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            let (sent, is_sent) = sync_channel(1);
            let send = move |reactor: &mut Reactor| send(service, line, sent, reactor);
            if remote.call_from_thread_blocking(send).is_err() || is_sent.recv().is_err() {
                // The service has stopped, or the reactor is gone.
                return;
            }
        }
        let stop = move |reactor: &mut Reactor| {
            service.stop(reactor);
        };
        let _ = remote.call_from_thread_blocking(stop);
    });
}

/// Sends a line once the service is connected, and says so; says nothing if it has stopped.
fn send<F>(service: ServiceKey<F>, line: Vec<u8>, sent: SyncSender<()>, reactor: &mut Reactor) {
    service.when_connected(reactor, None, move |_, connected| {
        if let Ok(transport) = connected {
            transport.write_sequence([&line[..], b"\n"]);
            let _ = sent.send(());
        }
    });
}
