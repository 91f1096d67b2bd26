//! The yardstick: servers on bare mio, as an expert would write them for one purpose each.
//!
//! `raw echo|lines|chat|quote|sink|broadcast|pipe`. One registration for both directions and edges for
//! the connection's life, one shared 64 KiB buffer, a short read ends the reading unless the peer
//! has closed, one write for all that a read or a turn has to say, no-delay inherited from the
//! port.

mod broadcast;
mod chat;
mod connection;
mod lines;
mod pipe;
mod server;
mod simple;

use broadcast::Broadcast;
use chat::Chat;
use lines::Lines;
use server::serve;
use simple::{Echo, Quote, Sink};
use std::io;
use twistor_benches::refuse;

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("echo") => serve(Echo),
        Some("lines") => serve(Lines::default()),
        Some("chat") => serve(Chat::default()),
        Some("quote") => serve(Quote),
        Some("sink") => serve(Sink),
        Some("broadcast") => serve(Broadcast),
        Some("pipe") => pipe::serve(),
        Some("timers") => refuse("raw has no timers: mio has none"),
        _ => refuse("raw does one of echo, lines, chat, quote, sink, broadcast and pipe; name it"),
    }
}
