//! Restart without a refused connection: processes that hand their ports over to each other.

mod failing;
mod messages;
mod program;
mod restarting;
mod service;
mod storm;

use program::Program;
