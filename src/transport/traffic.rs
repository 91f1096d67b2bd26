//! Traffic classes: what a connection carries decides how much of it one turn reads. Pure.

/// Traffic class of a connection, by its use of its last share of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// The peer sends less than one share at a time. Sparse connections are read in every turn, so
    /// that they never wait behind bulk senders.
    Sparse,
    /// The peer sends more. Bulk connections take turns, for a limited time in each turn.
    Bulk,
    /// Bulk, and the protocol has yielded before it had processed one read. It is read in smaller
    /// portions, since unprocessed bytes stay in memory.
    Yielding,
}

/// Quantum of a yielding connection, in bytes. Processing them takes longer than the extra system
/// calls, and thousands of these connections hold only a few megabytes.
const YIELDING_READ: usize = 8 * 1024;

impl Traffic {
    /// Returns the quantum: the most bytes to read at once, if the buffer is not shorter.
    pub(crate) fn quantum(self) -> usize {
        match self {
            Self::Sparse | Self::Bulk => usize::MAX,
            Self::Yielding => YIELDING_READ,
        }
    }

    /// Returns the class of a connection that was served, given whether there may be `more` to do.
    pub(crate) fn served(self, more: bool) -> Self {
        match self {
            _ if !more => Self::Sparse,
            Self::Sparse => Self::Bulk,
            Self::Bulk | Self::Yielding => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_sender_takes_turns_until_it_sends_less() {
        assert_eq!(Traffic::Sparse.served(true), Traffic::Bulk);
        for traffic in [Traffic::Sparse, Traffic::Bulk, Traffic::Yielding] {
            assert_eq!(traffic.served(false), Traffic::Sparse);
        }
        for traffic in [Traffic::Bulk, Traffic::Yielding] {
            assert_eq!(traffic.served(true), traffic);
        }
    }
}
