//! The yardstick: servers on bare mio, as an expert would write them for one purpose each.
//!
//! `raw echo|lines|chat|quote|sink|broadcast|pipe`, and over TLS `raw
//! tls-echo|tls-sink|tls-quote|tls-source`, or `tls-rsa-..` with another key. One registration for both directions and edges for
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
mod tls;

use broadcast::Broadcast;
use chat::Chat;
use lines::Lines;
use server::serve;
use simple::{Echo, Quote, Sink};
use std::io;
use twistor_benches::refuse;
use twistor_benches::tls::{over_tls, server_config};

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1);
    if let Some((certificate, name)) = name.as_deref().and_then(over_tls) {
        let work = match name {
            "echo" => tls::Work::Echo,
            "sink" => tls::Work::Sink,
            "quote" => tls::Work::Quote,
            "source" => tls::Work::Source,
            _ => refuse("raw does one of echo, sink, quote and source over TLS"),
        };
        return tls::serve(&server_config(certificate), work);
    }
    match name.as_deref() {
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
