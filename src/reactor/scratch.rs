//! Memory that the loop uses again in each turn. Data only.

use crate::arena::Id;
use crate::driver::Ready;

/// What is read in one call, shared by all connections. 64 KiB fit the cache; 16 KiB make bulk
/// cost a third more, 256 KiB half as much again.
pub(super) const BUFFER_LEN: usize = 64 * 1024;

/// Buffers and lists, empty between turns.
#[derive(Debug)]
pub(super) struct Scratch {
    /// What is read; away while a callback looks at it.
    pub(super) buffer: Box<[u8]>,
    /// What producers are read into; empty before there is one.
    pub(super) producer_buffer: Vec<u8>,
    /// What the poller reports.
    pub(super) events: Vec<Ready>,
    /// The next list of ids that is needed.
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
