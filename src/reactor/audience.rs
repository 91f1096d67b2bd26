//! Audience: whom a factory serves, as far as limits and drains depend on it. Data only.

/// The kind of peers that a factory serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Audience {
    /// Clients, who count for the limits of the reactor, and for whom a drain waits.
    #[default]
    Clients,
    /// A successor, which must not be rejected because there are many clients. A drain waits for
    /// it: only when it has taken over, or has failed, may this process end.
    Successor,
    /// Operators, who must be served when the ports for clients are full or draining, and who may
    /// stay connected: nothing waits for them.
    Operators,
}
