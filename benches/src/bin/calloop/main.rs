//! The servers on calloop: a source per connection, levels, one read of a shared 64 KiB buffer for
//! each event.
//!
//! `calloop echo|lines|chat|quote|sink|broadcast`, `calloop timers COUNT`. Levels report the end of
//! a stream also where a short read has left it unseen, which edges would not, and calloop does not
//! tell that a peer has closed. Interest in writing is asked for while something is left unsent.

mod server;
mod timers;

use calloop::EventLoop;
use server::{Server, Work};
use twistor_benches::{announce, refuse};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let work = match arguments.next().as_deref() {
        Some("echo") => Work::Echo,
        Some("lines") => Work::Lines,
        Some("chat") => Work::Chat,
        Some("quote") => Work::Quote,
        Some("sink") => Work::Sink,
        Some("broadcast") => Work::Broadcast,
        Some("timers") => match arguments.next().and_then(|count| count.parse().ok()) {
            Some(timers::TOO_MANY..) => {
                refuse("calloop's cost for a timer grows with their number: so many take an hour")
            }
            Some(count) => return println!("{}", timers::measure(count)),
            None => refuse("calloop timers COUNT"),
        },
        _ => refuse("calloop echo|lines|chat|quote|sink|broadcast|timers"),
    };
    let mut event_loop = EventLoop::try_new().unwrap();
    let mut server = Server::new(work, event_loop.handle());
    announce(server.listen().unwrap());
    event_loop.run(None, &mut server, Server::turn_is_over).unwrap();
}
