//! Shards: one reactor per thread, for servers that need more than one core.
//!
//! [`Shards::run`] starts the threads, and has a closure set up the reactor of each, with a factory
//! of its own: nothing is shared unless the program shares it. A [`SharedPort`] gives all shards
//! clients of one port, and a [`Mailbox`](crate::mailbox::Mailbox) carries messages from one shard
//! to another. The shards stop together, whichever is asked to.
//!
//! Read `server.rs` first.

mod end;
mod error;
mod handle;
mod port;
mod report;
mod server;
mod shard;
mod team;
mod total_metrics;

pub use crate::reactor::Balance;
pub use end::ShardEnd;
pub use error::ShardsError;
pub use handle::ShardsHandle;
pub use port::SharedPort;
pub use report::ShardsReport;
pub use server::{PanicPolicy, Shards};
pub use shard::Shard;
#[cfg(feature = "testing")]
pub(crate) use team::Team;
pub use total_metrics::ShardsMetrics;
