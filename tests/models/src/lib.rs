//! The queues between threads, in all orders of their steps.
//!
//! The modules of the queues are the library's own files. The modules beside them stand in for what
//! those use: the locks are [`loom`]'s, which runs each model once for every order in which its
//! threads can take and release them.

#![cfg(test)]

mod address;
mod arena;
#[allow(dead_code, reason = "the library uses more of it")]
#[path = "../../../src/reactor/calls.rs"]
mod calls;
mod driver;
mod errors;
mod handoff;
#[allow(dead_code, reason = "the library uses more of it")]
#[path = "../../../src/driver/handoffs.rs"]
mod handoffs;
#[allow(dead_code, reason = "the library uses more of it")]
#[path = "../../../src/reactor/inbox.rs"]
mod inbox;
mod mailbox;
mod reactor;
mod remote;
mod shared_port;
mod sleep;
mod sync;

use loom::model::Builder;
use reactor::Reactor;

/// Times that a thread is interrupted in a run, at most, by another one that could have waited. Few
/// defects need more than two, and each one more takes ten times as long.
const PREEMPTIONS_MAX: usize = 3;

/// Runs a model in each order of its steps.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}
