//! Integration tests, in one binary: over loopback sockets, on simulated networks, and of programs.

mod support;

mod conformance;

mod accepting;
#[cfg(feature = "signals")]
mod chat_client;
mod client_services;
mod continuing;
#[cfg(feature = "signals")]
mod descriptors;
mod docs;
#[cfg(unix)]
mod embedding;
mod endpoints;
#[cfg(feature = "signals")]
mod examples;
mod factories;
#[cfg(feature = "signals")]
mod forwarding;
#[cfg(all(target_os = "linux", feature = "signals"))]
mod hand_over;
#[cfg(feature = "signals")]
mod haproxy;
mod hostnames;
mod imports;
#[cfg(all(target_os = "linux", feature = "signals"))]
mod inherited;
mod liveness;
#[cfg(feature = "signals")]
mod logged;
mod neighbours;
#[cfg(all(unix, feature = "signals"))]
mod operations;
mod overload;
#[cfg(feature = "signals")]
mod own_signals;
mod panics;
mod programs;
mod properties;
#[cfg(all(unix, feature = "signals"))]
mod redis;
mod requests;
mod rings;
mod running;
#[cfg(feature = "signals")]
mod service;
mod severed;
mod shards;
#[cfg(feature = "signals")]
mod signals;
#[cfg(feature = "signals")]
mod sigpipe;
mod summaries;
mod threads;
#[cfg(all(unix, feature = "signals"))]
mod tls;
#[cfg(unix)]
mod unix_sockets;
#[cfg(feature = "signals")]
mod unread;

/// The examples' own tests. `cargo test` builds an example with `test = true` only as a test, and
/// the module `examples` needs the programs. (`cargo test --example chat` runs only those of the
/// chat.)
#[expect(dead_code, reason = "`main` is not called")]
#[expect(clippy::duplicate_mod, reason = "examples share a file, and are programs of their own")]
#[path = "../../examples"]
mod own {
    mod answer;
    #[path = "chat/main.rs"]
    mod chat;
    mod counting_echo;
    mod echo;
    mod finger;
    #[path = "https_get/main.rs"]
    mod https_get;
    mod logfile;
    #[path = "mail/main.rs"]
    mod mail;
    mod qotd;
    #[path = "redis_cli/main.rs"]
    mod redis_cli;
    #[path = "redis_load/main.rs"]
    mod redis_load;
    mod send_file;
    mod sharded_chat;
}
