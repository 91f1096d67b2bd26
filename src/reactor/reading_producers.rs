//! Reading, for connections, what they are to send.

use super::Reactor;
use super::callback::Callback;
use super::connection::ConnectionRef;
use super::metrics::EventKind;
use super::panic::guard;
use crate::reason::Reason;
use std::io::{self, Read};

/// Read in one call: what the high-water mark is from the start.
const CHUNK_LEN: usize = 64 * 1024;

/// Chunks read for one connection in one turn, so that a peer that takes them as fast as they are
/// read does not hold up the others.
pub(super) const CHUNKS_PER_TURN: usize = 4;

/// How many bytes a reader has given.
fn produced(read: &io::Result<usize>) -> usize {
    read.as_ref().map_or(0, |count| *count)
}

impl Reactor {
    /// Reads one chunk from a connection's producer, and writes it.
    pub(super) fn produce(&mut self, connection: &ConnectionRef) {
        let transport = &connection.transport;
        let Some((mut reader, room)) = transport.take_reader() else { return };
        let mut producer_buffer = std::mem::take(&mut self.producer_buffer);
        producer_buffer.resize(CHUNK_LEN, 0);
        let room = room.min(CHUNK_LEN);
        let read = guard(|| reader.read(&mut producer_buffer[..room]));
        // A reader is the user's code, and the next callback is not to blame for it.
        self.record_callback(EventKind::ReaderRead, transport, read.as_ref().map_or(0, produced));
        let left = match read {
            Ok(Ok(count)) if count > 0 => {
                // It is settled by whoever asked for this.
                let previous = self.hub.enter(connection.id());
                let unwanted = transport.send_produced(reader, &producer_buffer[..count.min(room)]);
                self.hub.leave(previous);
                unwanted
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                transport.send_produced(reader, &[])
            }
            Ok(ended) => {
                if let Some(produced) = transport.end_production() {
                    let failed = ended.as_ref().err().map(io::Error::kind);
                    // Before the protocol is told, which may close in words of its own.
                    let waited = failed.is_some() && transport.break_off();
                    let mut result = Some(ended.map(|_| produced));
                    self.deliver(connection, Callback::ProducerFinished(&mut result));
                    if let Some(kind) = failed.filter(|_| waited) {
                        let error = format!("what was to be sent cannot be read: {kind}");
                        transport.fail_unfinished(error);
                    }
                }
                Some(reader)
            }
            Err(panic) => {
                let (name, peer) =
                    (self.protocol_name(connection.factory()), transport.peer_address());
                log::error!("the producer of {name} of {peer} panicked: {}", panic.0);
                drop(guard(|| transport.end(Reason::Panicked(panic.0))));
                Some(reader)
            }
        };
        self.producer_buffer = producer_buffer;
        self.drop_reader(left);
    }

    /// It is the user's.
    pub(super) fn drop_reader(&self, reader: Option<Box<dyn Read>>) {
        if let Err(panic) = guard(|| drop(reader)) {
            log::error!("dropping a producer panicked: {}", panic.0);
        }
    }
}
