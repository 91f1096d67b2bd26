//! Client services: clients that stay connected. A [`ClientService`] connects, connects again after
//! a failure or a loss, and waits in between, longer after each failure.
//!
//! The states of a service, and what moves it:
//!
//! ```text
//!   start ──▶ Connecting ──made──▶ Preparing ──set_prepared──▶ Connected
//!             ▲       │                 │                          │
//!             │       │ failed          │ lost, timed out          │ lost
//!    delay is │       ▼                 ▼                          ▼
//!        over └── Waiting ◀─────────────┴──────────────────────────┘
//!
//!   stop: Connecting, Preparing, Connected ──▶ Stopping ──▶ Stopped;  Waiting ──▶ Stopped
//!   restart: Preparing, Connected, Stopping ──▶ Restarting ──▶ Connecting;  Waiting ──▶ Connecting
//! ```
//!
//! Only a service that asks for it, by
//! [`prepared_by_protocol`](ClientService::prepared_by_protocol), has the state `Preparing`.
//! A failure is an attempt that fails, or a connection that is lost before it is prepared. The
//! delay after a failure is up to a [`RetryPolicy`], by default a [`Backoff`]. It is given the
//! number of failures in a row, which a connection ends that has lived for a while; see
//! [`stable_after`](ClientService::stable_after).

mod backoff;
mod error;
mod machine;
mod retry_policy;
mod service;
mod state;

pub use backoff::Backoff;
pub use error::NotConnectedError;
pub use retry_policy::RetryPolicy;
pub use service::ClientService;
pub use state::ServiceState;

pub(crate) use machine::{Action, Event, Machine};

#[cfg(test)]
mod tests;
