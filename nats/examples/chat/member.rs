//! A member's conversation with the chat.

use super::chat::{Chat, LOBBY, Wanted};
use super::name::{self, Name};
use std::time::Duration;
use twistor::limits::{OverflowPolicy, RateLimits, Timeouts};
use twistor::{Delimiter, FactoryKey, LineContext, LineReceiver, Lines, Reactor, Reason};

/// Rate limit: lines of one client per second, and the burst; each is sent to everyone in the room.
pub(crate) const LINES_PER_SECOND: u32 = 10;

/// Rate limit: bytes read from one client per second, some long lines.
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// Slow consumers: a member with more unsent bytes than this is closed.
const UNSENT_MAX: usize = 4 * 1024 * 1024;

/// Minimum transfer rate: a member that takes fewer bytes than this in each [`TIMEOUT`] is closed.
const TAKEN_MIN: usize = 1024;

/// Handshake timeout for the name, and the span of the minimum transfer rate.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The state of a conversation.
pub(crate) enum Member {
    Nameless,
    /// The other nodes are asked whether the name is free. What the client sends meanwhile waits.
    Claiming {
        name: Name,
        /// Another number than those of the claims before, whose answers may still come.
        claim: u64,
    },
    Named {
        name: Name,
        room: String,
    },
}

type Cx<'a> = LineContext<'a, Chat>;

impl LineReceiver<Chat> for Member {
    // `telnet` ends its lines with CR LF, `nc` with LF.
    const DELIMITER: Delimiter = Delimiter::Newline;
    const MAX_LENGTH: usize = 4096;

    fn connection_made(&mut self, cx: &mut Cx<'_>) {
        cx.transport.set_max_unsent(UNSENT_MAX, OverflowPolicy::Close);
        cx.transport.set_rate_limits(RateLimits::new().read(BYTES_PER_SECOND));
        let timeouts = Timeouts::new().handshake(TIMEOUT).min_rate(TAKEN_MIN, TIMEOUT);
        cx.transport.set_timeouts(timeouts);
        cx.send_line("What's your name?");
    }

    fn line_received(&mut self, cx: &mut Cx<'_>, line: &[u8]) {
        let text = match readable(line) {
            Ok(text) => text,
            Err(objection) => return cx.send_line(objection),
        };
        match self {
            Self::Nameless => self.choose(cx, text.trim()),
            Self::Claiming { .. } => {}
            Self::Named { name, room } => match text.strip_prefix("/join ") {
                Some(other) => move_to(cx, name, room, other.trim()),
                None => cx.factory.say(room, name, text),
            },
        }
    }

    fn line_length_exceeded(&mut self, cx: &mut Cx<'_>, _line: &[u8]) {
        cx.send_line("That line is too long. Goodbye.");
        cx.transport.lose_connection();
    }

    fn drain_requested(&mut self, cx: &mut Cx<'_>) {
        cx.send_line("The chat is closing. Goodbye.");
        cx.transport.lose_connection();
    }

    fn connection_lost(&mut self, cx: &mut Cx<'_>, _reason: &Reason) {
        match self {
            Self::Nameless => {}
            Self::Claiming { name, .. } => {
                cx.factory.names.release(name.key(), cx.transport.id());
                cx.factory.withdraw(cx.transport.id());
            }
            Self::Named { name, room } => {
                cx.factory.leave(room, name, cx.reactor);
                cx.factory.names.release(name.key(), cx.transport.id());
            }
        }
    }
}

impl Member {
    fn choose(&mut self, cx: &mut Cx<'_>, text: &str) {
        let Some(name) = Name::new(text) else {
            let most = name::LENGTH_MAX;
            let rule = format!("A name has up to {most} letters or digits, please choose another.");
            return cx.send_line(rule);
        };
        if !cx.factory.names.claim(name.key(), cx.transport.id()) {
            return cx.send_line(TAKEN);
        }
        let (member, key) = (cx.transport.id(), name.key().to_owned());
        let claim = cx.factory.next_claim();
        *self = Self::Claiming { name, claim };
        cx.pause_reading();
        if !cx.factory.is_ready() {
            cx.send_line("Your name is checked when the other nodes can be reached.");
        }
        cx.factory.claim(Wanted { member, key, claim }, cx.reactor);
    }

    /// Returns true if this is the claim that is under way.
    pub(crate) fn wants(&self, wanted: &Wanted) -> bool {
        matches!(self, Self::Claiming { claim, .. } if *claim == wanted.claim)
    }

    /// No other node has objected. Returns false if the member does not get the name all the same.
    pub(crate) fn unopposed(&mut self, cx: &mut Cx<'_>) -> bool {
        let Self::Claiming { name, .. } = self else { return false };
        if !cx.factory.names.grant(name.key(), cx.transport.id()) {
            self.refuse(cx);
            return false;
        }
        cx.transport.handshake_done();
        cx.send_line(format!("Welcome, {}!", name.shown()));
        if let Some(notice) = cx.factory.notice() {
            cx.send_line(format!("* {notice}"));
        }
        let Self::Claiming { name, .. } = std::mem::replace(self, Self::Nameless) else {
            return false;
        };
        let (transport, room) = (cx.transport.clone(), LOBBY.to_owned());
        cx.factory.enter(&room, &name, transport, cx.reactor);
        *self = Self::Named { name, room };
        cx.resume_reading();
        true
    }

    fn refuse(&mut self, cx: &mut Cx<'_>) {
        if let Self::Claiming { name, .. } = self {
            cx.factory.names.release(name.key(), cx.transport.id());
        }
        *self = Self::Nameless;
        cx.send_line(TAKEN);
        cx.resume_reading();
    }

    /// The name belongs to a member of another node, which [`Names`](super::names::Names) has found
    /// out, and has released it.
    pub(crate) fn lose_name(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(self, Self::Nameless) {
            Self::Nameless => {}
            Self::Claiming { .. } => self.refuse(cx),
            Self::Named { name, room } => {
                cx.factory.leave(&room, &name, cx.reactor);
                cx.send_line("* Your name is in use on another node too, please choose another.");
            }
        }
    }
}

const TAKEN: &str = "Name taken, please choose another.";

fn move_to(cx: &mut Cx<'_>, name: &Name, room: &mut String, other: &str) {
    let Some(other) = cx.factory.room(other) else {
        return cx.send_line("A room has up to 32 letters or digits, please choose another.");
    };
    if cx.factory.is_full(&other) {
        return cx.send_line("There are too many rooms, please choose one that exists.");
    }
    cx.factory.leave(room, name, cx.reactor);
    cx.factory.enter(&other, name, cx.transport.clone(), cx.reactor);
    cx.send_line(format!("You are in {other}."));
    *room = other;
}

/// Calls a member, if its connection is still there.
pub(crate) fn with_member(
    reactor: &mut Reactor,
    key: FactoryKey<Chat>,
    id: twistor::ConnectionId,
    call: impl FnOnce(&mut Member, &mut Cx<'_>),
) {
    let call = |lines: &mut Lines<Member>, cx: &mut twistor::Context<'_, Chat>| {
        lines.with_receiver(cx, call);
    };
    // It may have left meanwhile.
    let _ = reactor.with_protocol(key, id, call);
}

/// Returns the line as text, or the objection to a line that would affect a screen instead of being
/// read on it.
pub(crate) fn readable(line: &[u8]) -> Result<&str, &'static str> {
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
