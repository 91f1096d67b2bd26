//! Everything over real loopback sockets, in one binary.

mod support;

mod conformance;

mod accepting;
mod endpoints;
mod examples;
mod factories;
mod panics;
mod rings;
mod running;
mod shutdown;
mod signals;
mod threads;
