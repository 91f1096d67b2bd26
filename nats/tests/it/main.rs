//! Integration tests, in one binary: on simulated networks, and against nats-server.

mod chats;
mod discovery;
mod limits;
mod nats_server;
mod options;
mod real;
mod requests;
mod resilience;
mod simulated;
mod simulated_server;

/// The example's own tests. `cargo test` builds an example with `test = true` only as a test, and
/// the module `chats` needs the program.
#[expect(dead_code, reason = "`main` is not called")]
#[path = "../../examples/chat/main.rs"]
mod chat_example;
