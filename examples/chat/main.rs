//! A chat: asks for a name, then tells everyone else what is said.
//!
//! `cargo run --example chat [PORT or ENDPOINT]`, then `nc 127.0.0.1 8123` or `telnet`, twice.
//! `kill -USR1` with its process id prints what it has done.

#[cfg(test)]
mod claims;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;
use twistor::limits::{OverflowPolicy, RateLimits, Timeouts};
use twistor::{
    Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport, broadcast,
};

/// Longer names would fill the others' screens.
const NAME_MAX: usize = 32;

/// Lines that one client may send in a second, and at once: each is told to everyone, so one client
/// must not keep the chat busy. Faster than anybody types, and a few lines may be pasted.
const LINES_PER_SECOND: u32 = 10;

/// Bytes that are read of one client in a second: some long lines.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// A member who would have more than this unsent does not read what is said, and is let go. A
/// picture's worth, which a slow line takes in some seconds.
const UNSENT_MAX: usize = 4 * 1024 * 1024;

/// So is one who takes less than this, within [`PATIENCE`], of what there is to hear.
const TAKEN_MIN: usize = 1024;

/// How long the chat waits for a name, and for those who do not listen: a line that is down for a
/// minute loses nobody.
const PATIENCE: Duration = Duration::from_secs(120);

enum Chatter {
    Nameless,
    Named(String),
}

impl LineReceiver<Chat> for Chatter {
    // `telnet` ends its lines with CR LF, `nc` with LF.
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 4096;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Chat>) {
        cx.transport.set_max_unsent(UNSENT_MAX, OverflowPolicy::Close);
        cx.transport.set_rate_limits(RateLimits::new().read(BYTES_PER_SECOND));
        let timeouts = Timeouts::new().handshake(PATIENCE).min_rate(TAKEN_MIN, PATIENCE);
        cx.transport.set_timeouts(timeouts);
        cx.send_line("What's your name?");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Chat>, line: &[u8]) {
        let Some(text) = readable(line) else {
            return cx.send_line("Only text, please: UTF-8, without control characters.");
        };
        match self {
            Self::Nameless => self.choose(cx, text.trim()),
            Self::Named(name) => cx.factory.tell_the_others(name, text),
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut LineContext<'_, Chat>, _line: &[u8]) {
        cx.send_line("That line is too long. Goodbye.");
        cx.transport.lose_connection();
    }

    fn drain_requested(&mut self, cx: &mut LineContext<'_, Chat>) {
        cx.send_line("The chat is closing. Goodbye.");
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Chat>, _reason: &Reason) {
        if let Self::Named(name) = self {
            cx.factory.members.remove(&key(name));
        }
    }
}

impl Chatter {
    fn choose(&mut self, cx: &mut LineContext<'_, Chat>, name: &str) {
        if !is_name(name) {
            return cx.send_line("That is not a name, please choose another.");
        }
        if cx.factory.members.contains_key(&key(name)) {
            return cx.send_line("Name taken, please choose another.");
        }
        cx.transport.handshake_done();
        cx.send_line(format!("Welcome, {name}!"));
        cx.factory.members.insert(key(name), cx.transport.clone());
        *self = Self::Named(name.to_owned());
    }
}

/// The line as text, unless it would do something to a screen instead of being read on it.
fn readable(line: &[u8]) -> Option<&str> {
    let deceives = |c: char| {
        c.is_control() && c != '\t'
            // Invisible characters, and those that turn the direction of what follows.
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    std::str::from_utf8(line).ok().filter(|text| !text.contains(deceives))
}

/// A name must not be mistaken for nothing, or for somebody else's. Too many letters of the world
/// look like others, or like nothing, so names make do with few.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(plain) && !name.contains("  ")
}

/// Ann and ann would be taken for one another.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[derive(Default)]
struct Chat {
    /// By their keys, so that a name is looked up and not searched for; and in order, so that the
    /// same session is the same in every run.
    members: BTreeMap<String, Transport>,
}

impl Chat {
    fn tell_the_others(&self, name: &str, text: &str) {
        let own = key(name);
        let others = self.members.iter().filter(|(other, _)| **other != own);
        broadcast(others.map(|(_, member)| member), format!("<{name}> {text}\r\n"));
    }
}

impl Factory for Chat {
    type Protocol = Lines<Chatter>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Chatter>> {
        let lines = Lines::new(Chatter::Nameless);
        Some(lines.line_rate(LINES_PER_SECOND, Duration::from_secs(1)))
    }
}

/// Prints what the reactor has done, whenever the process is sent SIGUSR1.
#[cfg(unix)]
fn print_on_signal(reactor: &Reactor) -> io::Result<()> {
    let remote = reactor.remote();
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            let print = |reactor: &mut Reactor| {
                // Not `println!`, which panics where nobody can be written to.
                let _ = writeln!(io::stdout(), "{}", reactor.metrics());
            };
            if remote.call_from_thread(print).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let endpoint = env::args().nth(1).unwrap_or("tcp:8123:interface=127.0.0.1".to_owned());
    let mut reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, Chat::default())?;
    #[cfg(unix)]
    print_on_signal(&reactor)?;
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    reactor.run()?;
    Ok(())
}
