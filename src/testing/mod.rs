//! Test kit: tests of servers and clients in memory, under virtual time.
//!
//! The protocols, factories and reactor are those of production. Only the driver behind the reactor
//! differs: a simulated network, whose time moves only when the test moves it.
//!
//! From the simple to the large:
//!
//! - [`connect`] returns the other end of a server's connection, as a [`Peer`]; [`Server`] connects
//!   several of them, and gives access to the factory.
//! - [`accept`] returns the other end of a client's connection; [`Client`] answers each of its
//!   attempts to connect.
//! - [`check`] plays a [`Transcript`], a session as text, with a server, [`check_client`] with a
//!   client.
//! - [`assert_split_invariant`] feeds bytes cut in many ways, and demands the same outcome each
//!   time.
//! - [`Simulation`] has several hosts with reactors, a network with [`Conditions`], and [`Fault`]s;
//!   [`explore`] runs a scenario with many seeds.
//! - [`single_faults`] runs a scenario once for each call of its reactors on the system, and lets
//!   that call fail in each way in which it can.
//!
//! The module needs the feature `testing`, which a program enables for its tests only:
//!
//! ```toml
//! [dev-dependencies]
//! twistor = { version = "0.1", features = ["testing"] }
//! ```

mod client;
mod conditions;
mod diff;
mod driver;
mod fault;
mod listener;
mod network;
mod observer;
mod panics;
mod peer;
mod random;
mod server;
mod simulation;
mod single_fault;
mod split;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod transcript;

#[cfg(test)]
mod tests;

pub use crate::callback_kind::CallbackKind;
pub use crate::reactor::OpenResources;
pub use client::{Client, accept};
pub use conditions::Conditions;
pub use fault::{Fault, FaultPlan, ParseFaultError};
pub use listener::Listener;
pub use observer::CallbackCounts;
pub use peer::{End, Peer};
pub use random::Random;
pub use server::{Server, connect};
pub use simulation::{
    Attempt, Host, Report, Simulation, SingleFaultReport, explore, replay, replay_single_fault,
    single_faults,
};
pub use single_fault::{CallFailure, FaultedCall, SingleFault, SystemCall};
pub use split::{assert_split_invariant, assert_split_invariant_on};
pub use transcript::{
    Backend, Difference, ParseTranscriptError, Peers, Received, Role, Transcript, check,
    check_client, check_client_on, check_on,
};
