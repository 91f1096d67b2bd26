//! Memory that the loop reuses in each turn. Data only.

use crate::arena::Id;
use crate::driver::Ready;

/// Length of the read buffer, which all connections share. 64 KiB fit the cache; with 16 KiB bulk
/// costs a third more, with 256 KiB half as much again.
pub(super) const BUFFER_LEN: usize = 64 * 1024;

/// Buffers and lists, empty between turns.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Read buffer; taken out while a callback uses it.
    pub(super) buffer: Box<[u8]>,
    /// Buffer into which producers are read; empty until there is one.
    pub(super) producer_buffer: Vec<u8>,
    /// Events of the poller.
    pub(super) events: Vec<Ready>,
    /// Spare list of ids.
    pub(super) ids: Vec<Id>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            producer_buffer: Vec::new(),
            events: Vec::new(),
            ids: Vec::new(),
        }
    }
}
