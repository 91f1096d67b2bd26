//! Everything over real loopback sockets, in one binary.

mod support;

mod conformance;

mod accepting;
#[cfg(feature = "signals")]
mod descriptors;
mod endpoints;
#[cfg(feature = "signals")]
mod examples;
mod factories;
mod panics;
mod properties;
mod rings;
mod running;
#[cfg(feature = "signals")]
mod signals;
mod threads;
