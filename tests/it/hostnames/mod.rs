//! Clients that connect by name: on the machine, and under faults on simulated networks.

#[cfg(target_os = "linux")]
mod black_hole;
#[cfg(all(target_os = "linux", feature = "signals"))]
mod name_server;
mod seeds;
mod system;
