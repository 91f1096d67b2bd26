//! Client services: over loopback sockets, and on a simulated network under faults.

mod loopback;
mod seeds;
