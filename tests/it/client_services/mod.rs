//! Client services: over loopback sockets, and on a simulated network under faults.

mod endpoints;
mod loopback;
mod seeds;
