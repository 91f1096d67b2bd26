//! Everything over real loopback sockets, in one binary.

mod support;

mod conformance;

mod accepting;
#[cfg(feature = "signals")]
mod descriptors;
mod docs;
mod endpoints;
#[cfg(feature = "signals")]
mod examples;
mod factories;
#[cfg(feature = "signals")]
mod forwarding;
mod imports;
mod overload;
mod panics;
mod properties;
mod rings;
mod running;
mod severed;
#[cfg(feature = "signals")]
mod signals;
#[cfg(feature = "signals")]
mod sigpipe;
mod threads;
#[cfg(feature = "signals")]
mod unread;

/// The examples' own tests: `cargo test` builds an example that is itself a test as nothing but a
/// test, and `examples` needs the programs. (`cargo test --example chat` runs the chat's alone.)
#[expect(dead_code, reason = "nobody calls `main`")]
#[path = "../../examples"]
mod own {
    mod answer;
    #[path = "chat/main.rs"]
    mod chat;
    mod counting_echo;
    mod echo;
    mod logfile;
    mod qotd;
    mod send_file;
}
