//! Overflow policy: what becomes of a write above a limit on unsent bytes.

/// What becomes of a write that would bring what is unsent on a connection above its limit; see
/// [`Transport::set_max_unsent`](crate::Transport::set_max_unsent). And of one that would bring all
/// connections together above theirs, unless nothing is unsent on this one, or a producer feeds it:
/// then others pay for it; see
/// [`Settings::max_unsent_total`](crate::Settings::max_unsent_total).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverflowPolicy {
    /// The connection is lost with [`Reason::Overflow`](crate::Reason::Overflow), and what is
    /// unsent is discarded. For streams, of which no byte may be missing. (At the limit of all
    /// together it is lost only if it is among those that have the most unsent.)
    #[default]
    Close,
    /// The write is refused as a whole, and the protocol hears `write_rejected`.
    Reject,
    /// The write is dropped as a whole, and counted: for broadcasts, where the newest message
    /// may be missed. See [`Transport::dropped_writes`](crate::Transport::dropped_writes).
    DropNew,
}
