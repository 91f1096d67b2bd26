//! Overflow policy: what happens to a write above a limit on unsent bytes.

/// Overflow policy, for slow consumers: what happens to a write that would bring the unsent bytes
/// of a connection above its limit. Default: [`Close`](Self::Close). Set for one connection with
/// [`Transport::set_max_unsent`](crate::Transport::set_max_unsent), which
/// [`build_protocol`](crate::Factory::build_protocol) can call for each.
///
/// The policy also applies to a write that would bring all connections together above
/// [`Settings::max_unsent_total`](crate::Settings::max_unsent_total). Such a write is accepted
/// nevertheless if nothing is unsent on its connection, or a producer feeds it; the slowest
/// consumers are then closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Closes the connection with [`Reason::Overflow`](crate::Reason::Overflow): unsent bytes are
    /// discarded, and the peer sees a reset. For streams, in which no byte may be missing. At the
    /// limit of all connections together, only the slowest consumers are closed.
    #[default]
    Close,
    /// Rejects the whole write, and the protocol hears
    /// [`write_rejected`](crate::Protocol::write_rejected). For protocols that can repeat a write
    /// later.
    Reject,
    /// Drops the whole write, and counts it in
    /// [`Transport::dropped_writes`](crate::Transport::dropped_writes); no callback tells of it.
    /// For broadcasts, in which the newest message may be missing.
    DropNew,
}
