//! Broadcast: a block to each client for each byte.

use crate::connection::{Connection, Connections};
use crate::server::Service;
use twistor_benches::{BLOCK, BLOCK_LEN};

pub struct Broadcast;

/// All blocks are the same, so what is unsent is a number and a place, and is never copied.
#[derive(Default)]
pub struct Debt {
    /// Blocks that have not left, or not whole.
    blocks: usize,
    /// How much of the first of them has.
    sent: usize,
}

impl Service for Broadcast {
    type State = Debt;

    fn received(&mut self, connections: &mut Connections<Debt>, _: usize, data: &[u8]) {
        connections.for_each(|_, connection| {
            connection.state.blocks += data.len();
            true
        });
    }

    fn flush(connection: &mut Connection<Debt>) {
        while connection.state.blocks > 0 {
            let sent = connection.state.sent;
            let sent = sent + connection.write(&BLOCK[sent..]);
            connection.state.sent = sent % BLOCK_LEN;
            if sent < BLOCK_LEN {
                return;
            }
            connection.state.blocks -= 1;
        }
    }
}
