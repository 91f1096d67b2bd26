//! The servers on mill-net: one handler for all connections, and mill-io's loop in its mode that
//! calls handlers on the loop's thread.
//!
//! `mill-net echo|lines|chat|quote|sink|broadcast`, `mill-net timers COUNT`. Handlers are shared:
//! what belongs to a connection is kept in a map under a lock, which nobody else wants here. The
//! loop starts a few more threads, which have nothing to do. Two things are the library's and stay:
//! the server binds its own port, with a backlog of 128, so that of a burst of more clients some
//! wait for another attempt; and a peer that ends its stream is closed to at once, with whatever is
//! still queued for it.

mod answering;
mod members;
mod timers;

use answering::{Answering, Echo, Lines, Quote, Sink};
use members::{Broadcast, Chat};
use mill_io::EventLoop;
use mill_net::tcp::config::DEFAULT_HIGH_WATERMARK;
use mill_net::tcp::{NetworkHandler, TcpServer, TcpServerConfig};
use std::io;
use std::sync::Arc;
use twistor_benches::{announce, refuse};

/// The loop has no wait without an end.
const LONGEST_WAIT_MS: u64 = 60_000;

/// How much of what a peer has not taken is queued before more is refused. A client that sends
/// requests can be made to wait; one that receives broadcasts cannot.
const ANSWERS_LEN: usize = DEFAULT_HIGH_WATERMARK;
const UNLIMITED: usize = usize::MAX;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let event_loop = Arc::new(EventLoop::new_low_latency(1024, LONGEST_WAIT_MS).unwrap());
    match workload.as_str() {
        "echo" => serve(&event_loop, Answering::new(Echo), ANSWERS_LEN),
        "lines" => serve(&event_loop, Answering::new(Lines::default()), ANSWERS_LEN),
        "sink" => serve(&event_loop, Answering::new(Sink::default()), ANSWERS_LEN),
        "quote" => serve(&event_loop, Quote, ANSWERS_LEN),
        "chat" => serve(&event_loop, Chat::new(event_loop.clone()), UNLIMITED),
        "broadcast" => serve(&event_loop, Broadcast, UNLIMITED),
        "timers" => match arguments.next().and_then(|count| count.parse().ok()) {
            Some(count) => println!("{}", timers::measure(&event_loop, count)),
            None => refuse("mill-net timers COUNT"),
        },
        _ => refuse("mill-net echo|lines|chat|quote|sink|broadcast|timers"),
    }
}

fn serve(event_loop: &Arc<EventLoop>, handler: impl NetworkHandler, queue_len: usize) {
    let config = TcpServerConfig::builder()
        .address(([127, 0, 0, 1], 0).into())
        .buffer_size(64 * 1024)
        .no_delay(true)
        .keep_alive(None)
        .high_watermark(queue_len)
        .build();
    let server = Arc::new(TcpServer::new(config, handler).unwrap());
    let address = server.local_addr().unwrap();
    server.start(event_loop, event_loop.alloc_token()).unwrap();
    announce(address);
    run(event_loop);
}

/// A signal that interrupts the wait ends the loop with an error; it is begun again.
fn run(event_loop: &EventLoop) {
    while let Err(error) = event_loop.run() {
        match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => panic!("{error}"),
        }
    }
}
