//! Clients that connect by name: on the machine, and under faults on simulated networks.

#[cfg(target_os = "linux")]
mod black_hole;
mod seeds;
mod system;
