//! Single faults: one call of a reactor on the system fails, in one of the ways in which it can.
//!
//! `driver.rs`, `listener.rs` and `stream.rs` wrap what any driver implements. Each call asks the
//! [`Injector`], which counts it, and says whether it is the one that fails.

mod call_failure;
mod driver;
mod driver_faults;
mod injector;
mod listener;
mod owed_events;
mod stream;
mod system_call;

pub use call_failure::CallFailure;
pub(super) use driver::FaultyDriver;
pub(super) use injector::Injector;
pub use injector::{FaultedCall, SingleFault};
pub use system_call::SystemCall;
