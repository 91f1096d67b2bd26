//! A chat: asks for a name, then sends each line to all other members.
//!
//! `cargo run --example chat [PORT or ENDPOINT]`, then `nc 127.0.0.1 8123` or `telnet`, twice.
//! `kill -USR1` with its process id prints the metrics of the reactor. With `--metrics ENDPOINT`
//! they are a page for Prometheus, and `--inspect PATH` is a Unix socket for `socat`. With
//! `--take-over PATH` the chat can be restarted while clients connect: by `kill -HUP`, or by
//! starting it once more.

#[path = "../shared/certificates.rs"]
mod certificates;
#[cfg(test)]
mod claims;
mod name;
mod options;
#[cfg(test)]
mod tests;

use name::Name;
use options::Options;
use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use twistor::error::ListenError;
#[cfg(unix)]
use twistor::inspection::Inspector;
use twistor::limits::{OverflowPolicy, RateLimits, Timeouts};
use twistor::metrics::MetricsPage;
use twistor::{
    Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport, broadcast,
};

/// Rate limit: lines of one client per second, and the burst. Each line is sent to everyone, so one
/// client must not keep the chat busy. Faster than anybody types, and a few lines may be pasted.
const LINES_PER_SECOND: u32 = 10;

/// Rate limit: bytes read from one client per second, some long lines.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// Slow consumers: a member with more unsent bytes than this is closed. A picture's worth, which a
/// slow link takes in some seconds.
const UNSENT_MAX: usize = 4 * 1024 * 1024;

/// Minimum transfer rate: a member that takes fewer bytes than this in each [`TIMEOUT`] is closed,
/// if there is something to send.
const TAKEN_MIN: usize = 1024;

/// Handshake timeout for the name, and the span of the minimum transfer rate: a link that is down
/// for a minute loses no member.
const TIMEOUT: Duration = Duration::from_secs(120);

enum Chatter {
    Nameless,
    Named(Name),
}

impl LineReceiver<Chat> for Chatter {
    // `telnet` ends its lines with CR LF, `nc` with LF.
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 4096;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Chat>) {
        cx.transport.set_max_unsent(UNSENT_MAX, OverflowPolicy::Close);
        cx.transport.set_rate_limits(RateLimits::new().read(BYTES_PER_SECOND));
        let timeouts = Timeouts::new().handshake(TIMEOUT).min_rate(TAKEN_MIN, TIMEOUT);
        cx.transport.set_timeouts(timeouts);
        cx.send_line("What's your name?");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Chat>, line: &[u8]) {
        let text = match readable(line) {
            Ok(text) => text,
            Err(objection) => return cx.send_line(objection),
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
        cx.send_line(match cx.reactor.is_handed_over() {
            true => "The chat restarts. Please connect again.",
            false => "The chat is closing. Goodbye.",
        });
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Chat>, _reason: &Reason) {
        if let Self::Named(name) = self {
            cx.factory.members.remove(name.key());
        }
    }
}

impl Chatter {
    fn choose(&mut self, cx: &mut LineContext<'_, Chat>, text: &str) {
        let Some(name) = Name::new(text) else {
            let most = name::LENGTH_MAX;
            let rule = format!("A name has up to {most} letters or digits, please choose another.");
            return cx.send_line(rule);
        };
        if cx.factory.members.contains_key(name.key()) {
            return cx.send_line("Name taken, please choose another.");
        }
        cx.transport.handshake_done();
        cx.send_line(format!("Welcome, {}!", name.shown()));
        cx.factory.members.insert(name.key().to_owned(), cx.transport.clone());
        *self = Self::Named(name);
    }
}

/// Returns the line as text, or the objection to a line that would affect a screen instead of being
/// read on it.
fn readable(line: &[u8]) -> Result<&str, &'static str> {
    let deceives = |c: char| {
        c.is_control() && c != '\t'
            // Invisible characters, and those that change the direction of the text after them.
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    match std::str::from_utf8(line) {
        Err(_) => Err("That is not UTF-8, please send text in UTF-8."),
        Ok(text) if text.contains(deceives) => {
            Err("Only text, please: without control characters and invisible ones.")
        }
        Ok(text) => Ok(text),
    }
}

#[derive(Default)]
struct Chat {
    /// Members by the keys of their names, so that a name is looked up and not searched for;
    /// sorted, so that the same session gives the same result in every run.
    members: BTreeMap<String, Transport>,
}

impl Chat {
    fn tell_the_others(&self, name: &Name, text: &str) {
        let others = self.members.iter().filter(|(other, _)| *other != name.key());
        let said = format!("<{}> {text}\r\n", name.shown());
        broadcast(others.map(|(_, member)| member), said);
    }
}

impl Factory for Chat {
    type Protocol = Lines<Chatter>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Chatter>> {
        let lines = Lines::new(Chatter::Nameless);
        Some(lines.line_rate(LINES_PER_SECOND, Duration::from_secs(1)))
    }
}

fn print_metrics(reactor: &mut Reactor) {
    // Not `println!`, which panics if the output is closed.
    let _ = writeln!(io::stdout(), "{}", reactor.metrics());
}

/// Lets a successor take over: one that is started by hand, or by SIGHUP.
fn hand_over(path: &Path, reactor: &mut Reactor) -> Result<(), ListenError> {
    let restart = |reactor: &mut Reactor| {
        if let Err(error) = reactor.start_successor() {
            log::error!("cannot restart: {error}");
        }
    };
    if let Err(error) = reactor.on_signal("SIGHUP", restart) {
        log::warn!("SIGHUP does not restart the chat: {error}");
    }
    reactor.hand_over(path).map(drop)
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let options = Options::parse(env::args().skip(1))?;
    let take_over = options.take_over.as_deref().map(Path::new);
    let mut reactor = Reactor::new()?;
    match take_over {
        Some(path) => drop(reactor.take_over(path)?),
        // A restart reads them again as well.
        None => certificates::renew_those_of(&options.endpoint, &mut reactor),
    }
    let port = options.endpoint.listen(&mut reactor, Chat::default())?;
    if let Some(path) = take_over {
        hand_over(path, &mut reactor)?;
    }
    if let Err(error) = reactor.on_signal("SIGUSR1", print_metrics) {
        log::warn!("metrics cannot be printed: {error}");
    }
    let _ = writeln!(io::stdout(), "listening on {}", port.local_address());
    if let Some(endpoint) = options.metrics {
        let port = endpoint.listen(&mut reactor, MetricsPage::new())?;
        let _ = writeln!(io::stdout(), "metrics on {}", port.local_address());
    }
    #[cfg(unix)]
    if let Some(path) = &options.inspect {
        Inspector::listen(&mut reactor, &**path)?;
        let _ = writeln!(io::stdout(), "inspection on {path}");
    }
    reactor.run()?;
    Ok(())
}
