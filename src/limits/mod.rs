//! Limits that protect a server: timeouts, connection limits, rate limits, and the policy for slow
//! consumers. None is set by default but the limits on unsent bytes.
//!
//! Each is set for all connections of a factory, or for one connection:
//!
//! | limit | for all connections of a factory | for one |
//! |---|---|---|
//! | [`Timeouts`] | [`Reactor::set_timeouts`] | [`Transport::set_timeouts`] |
//! | [`ConnectionLimits`] | [`Reactor::set_limits`] | |
//! | [`RateLimits`] of each | [`Reactor::set_rate_limits`] | [`Transport::set_rate_limits`] |
//! | [`RateLimits`] of all together | [`Reactor::set_shared_rate_limits`] | |
//! | [`OverflowPolicy`] | [`Settings::max_unsent`] | [`Transport::set_max_unsent`] |
//!
//! [`RejectionStats`] counts the connections that a factory rejected.
//!
//! [`Reactor::set_limits`]: crate::Reactor::set_limits
//! [`Reactor::set_rate_limits`]: crate::Reactor::set_rate_limits
//! [`Reactor::set_shared_rate_limits`]: crate::Reactor::set_shared_rate_limits
//! [`Reactor::set_timeouts`]: crate::Reactor::set_timeouts
//! [`Settings::max_unsent`]: crate::Settings::max_unsent
//! [`Transport::set_max_unsent`]: crate::Transport::set_max_unsent
//! [`Transport::set_rate_limits`]: crate::Transport::set_rate_limits
//! [`Transport::set_timeouts`]: crate::Transport::set_timeouts

mod admission;
mod overflow;
mod rate;
mod shared_rate;
mod timeouts;
mod token_bucket;
mod warning_throttle;

pub use crate::reason::TimeoutKind;
pub use admission::{ConnectionLimits, RejectionStats};
pub use overflow::OverflowPolicy;
pub use rate::RateLimits;
pub use timeouts::Timeouts;

pub(crate) use admission::Admission;
pub(crate) use rate::{Allowance, Direction, RateLimiter, RateLimiters, Refill};
pub(crate) use shared_rate::SharedRateLimiter;
pub(crate) use timeouts::{Activity, TimeoutTracker};
pub(crate) use token_bucket::TokenBucket;
pub(crate) use warning_throttle::WarningThrottle;
