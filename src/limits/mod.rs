//! Limits that protect a server: timeouts, connection limits, rate limits, and the policy for slow
//! consumers. None is set by default, except the limits on unsent bytes: 64 MiB for each
//! connection, and 1 GiB for all of a reactor together.
//!
//! A limit is set for all connections of a factory, or of a reactor, or for one connection:
//!
//! | limit | for all | for one connection |
//! |---|---|---|
//! | [`Timeouts`] | [`Reactor::set_timeouts`] | [`Transport::set_timeouts`] |
//! | [`ConnectionLimits`] | [`Reactor::set_limits`] | |
//! | [`RateLimits`] for each | [`Reactor::set_rate_limits`] | [`Transport::set_rate_limits`] |
//! | [`RateLimits`] for all together | [`Reactor::set_shared_rate_limits`] | |
//! | unsent bytes | [`Settings::max_unsent`] | [`Transport::set_max_unsent`] |
//! | [`OverflowPolicy`] | | [`Transport::set_max_unsent`] |
//! | unsent bytes of all together | [`Settings::max_unsent_total`] | |
//! | connections of a reactor | [`Settings::max_connections`] | |
//!
//! [`RejectionStats`] counts the connections that a factory rejected; [`Reactor::rejections`]
//! returns it. [`Reactor::rate_limit_waits`] counts waits for a rate.
//!
//! [`Reactor::rate_limit_waits`]: crate::Reactor::rate_limit_waits
//! [`Reactor::rejections`]: crate::Reactor::rejections
//! [`Reactor::set_limits`]: crate::Reactor::set_limits
//! [`Reactor::set_rate_limits`]: crate::Reactor::set_rate_limits
//! [`Reactor::set_shared_rate_limits`]: crate::Reactor::set_shared_rate_limits
//! [`Reactor::set_timeouts`]: crate::Reactor::set_timeouts
//! [`Settings::max_connections`]: crate::Settings::max_connections
//! [`Settings::max_unsent`]: crate::Settings::max_unsent
//! [`Settings::max_unsent_total`]: crate::Settings::max_unsent_total
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
