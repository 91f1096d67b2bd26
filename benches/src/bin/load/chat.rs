//! Chat: each talker sends its next line when all others have received the last one.

use crate::Workload;
use crate::connection;
use crate::failure::{Failure, Outcome};
use crate::order::{Order, TALKERS_MAX};
use crate::phase::Phase;
use crate::socket::{Encryption, Socket};
use crate::watch::Watch;
use mio::net::TcpStream;
use std::time::Instant;

/// Lines of a read: more than a member has waiting, so that the read is short.
const BUFFER_LEN: usize = 64 * 1024;

/// A line as it is heard: `<talker-3> 00000042abc..\r\n`. All are of one length.
const NAME_LEN: usize = "talker-3".len();
const DIGIT_AT: usize = "<talker-".len();
const TEXT_AT: usize = "<talker-3> ".len();
const NUMBER_LEN: usize = 8;

/// Someone who talks, and what is said now.
#[derive(Debug)]
struct Talker {
    member: usize,
    /// The line as the others receive it.
    line: Vec<u8>,
    /// How many lines have been said, this one too.
    said: u32,
    /// How many members have heard this one.
    heard: usize,
    begun: Instant,
}

impl Talker {
    fn new(index: usize, member: usize, bytes: usize) -> Self {
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(bytes).collect();
        let line = [format!("<{}> ", talker_name(index)).as_bytes(), &text, b"\r\n"].concat();
        Self { member, line, said: 0, heard: 0, begun: Instant::now() }
    }

    fn next_line(&mut self) {
        self.said += 1;
        self.heard = 0;
        let mut rest = self.said;
        for digit in self.line[TEXT_AT..TEXT_AT + NUMBER_LEN].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
}

fn talker_name(index: usize) -> String {
    format!("talker-{index}")
}

fn listener_name(member: usize) -> String {
    format!("m{member:0width$}", width = NAME_LEN - 1)
}

/// What each member has heard, and whether it was right. Pure.
#[derive(Debug)]
struct Hearing {
    talkers: Vec<Talker>,
    /// By member, then by talker: the number of the last line that was heard.
    heard: Vec<[u32; TALKERS_MAX]>,
    line_len: usize,
    /// Talkers whose line all have heard.
    done: Vec<usize>,
}

impl Hearing {
    fn new(members: usize, talkers: usize, bytes: usize) -> Self {
        let talkers = (0..talkers).map(|at| Talker::new(at, at * members / talkers, bytes));
        let talkers: Vec<Talker> = talkers.collect();
        let line_len = talkers[0].line.len();
        let heard = vec![[0; TALKERS_MAX]; members];
        Self { talkers, heard, line_len, done: Vec::with_capacity(TALKERS_MAX) }
    }

    /// A talker says the next line, which is returned.
    fn say(&mut self, index: usize) -> &[u8] {
        let talker = &mut self.talkers[index];
        talker.next_line();
        // One's own line does not come back; if it does, it comes twice.
        self.heard[talker.member][index] = talker.said;
        &talker.line[TEXT_AT..]
    }

    /// A member hears lines; returns how many bytes were whole lines.
    fn hear(&mut self, member: usize, data: &[u8]) -> Outcome<usize> {
        let lines = data.chunks_exact(self.line_len);
        let cut = lines.remainder().len();
        for line in lines {
            let index = usize::from(line[DIGIT_AT].wrapping_sub(b'0'));
            let Some(talker) = self.talkers.get_mut(index).filter(|talker| talker.line == line)
            else {
                return Err(self.unexpected(member, line));
            };
            let last = std::mem::replace(&mut self.heard[member][index], talker.said);
            if last == talker.said {
                let what = if talker.member == member { "its own line" } else { "a line twice" };
                return Err(heard_wrongly(member, what, line));
            }
            talker.heard += 1;
            if talker.heard == self.heard.len() - 1 {
                self.done.push(index);
            }
        }
        Ok(data.len() - cut)
    }

    fn unexpected(&self, member: usize, line: &[u8]) -> Failure {
        heard_wrongly(member, "what nobody has just said", line)
    }
}

fn heard_wrongly(member: usize, what: &str, line: &[u8]) -> Failure {
    Failure::of(member, format!("heard {what}: \"{}\"", line.escape_ascii()))
}

struct Member {
    socket: Socket<TcpStream>,
    /// The beginning of a line whose rest has yet to come.
    partial: Vec<u8>,
}

/// The members, and what they hear.
struct Room {
    members: Vec<Member>,
    hearing: Hearing,
    buffer: Vec<u8>,
}

impl Room {
    /// A talker says the next line, unless the phase is over.
    fn say(&mut self, index: usize, phase: &mut Phase, now: Instant) -> Outcome<()> {
        if !phase.begin(self.others(), now) {
            return Ok(());
        }
        let at = self.hearing.talkers[index].member;
        self.hearing.talkers[index].begun = now;
        let line = self.hearing.say(index);
        let sent = connection::write(&mut self.members[at].socket, at, line)?;
        if sent == line.len() {
            return Ok(());
        }
        let why = "the socket took only a part of a line; ask for fewer bytes";
        Err(Failure::of(at, why))
    }

    fn others(&self) -> u64 {
        self.members.len() as u64 - 1
    }

    fn read(&mut self, at: usize, read_closed: bool, phase: &mut Phase) -> Outcome<()> {
        loop {
            let Member { socket, partial } = &mut self.members[at];
            let before = partial.len();
            self.buffer[..before].copy_from_slice(partial);
            let Some(count) = connection::read(socket, at, &mut self.buffer[before..])? else {
                return Ok(());
            };
            let data = &self.buffer[..before + count];
            let whole = self.hearing.hear(at, data)?;
            partial.clear();
            partial.extend_from_slice(&data[whole..]);
            let short = data.len() < self.buffer.len();
            while let Some(index) = self.hearing.done.pop() {
                let now = Instant::now();
                phase.end(self.others(), self.hearing.talkers[index].begun, now);
                self.say(index, phase, now)?;
            }
            if short && !read_closed {
                return Ok(());
            }
        }
    }
}

pub struct Chat {
    watch: Watch,
    room: Room,
}

impl Chat {
    pub fn connect(order: &Order) -> Outcome<Self> {
        let hearing = Hearing::new(order.connections, order.talkers, order.bytes);
        let watch = Watch::new()?;
        let mut members = Vec::with_capacity(order.connections);
        for at in 0..order.connections {
            let talker = hearing.talkers.iter().position(|talker| talker.member == at);
            let name = talker.map_or_else(|| listener_name(at), talker_name);
            let tcp = connection::connect(order.address, at)?;
            let mut socket = Encryption::new(order).on(tcp, at)?;
            connection::exchange(&mut socket, at, b"", b"What's your name?\r\n")?;
            let (request, reply) = (format!("{name}\r\n"), format!("Welcome, {name}!\r\n"));
            connection::exchange(&mut socket, at, request.as_bytes(), reply.as_bytes())?;
            let mut socket = connection::nonblocking(socket, at)?;
            watch.add(&mut socket.tcp, at)?;
            members.push(Member { socket, partial: Vec::with_capacity(hearing.line_len) });
        }
        // Room for many lines, however long they are.
        let buffer = vec![0; BUFFER_LEN.max(4 * hearing.line_len)];
        Ok(Self { watch, room: Room { members, hearing, buffer } })
    }
}

impl Workload for Chat {
    fn run(&mut self, phase: &mut Phase) -> Outcome<()> {
        let Self { watch, room } = self;
        for index in 0..room.hearing.talkers.len() {
            room.say(index, phase, Instant::now())?;
        }
        loop {
            let over = phase.is_quiet();
            watch.wait(!over)?;
            for event in watch.events.iter().filter(|event| event.is_readable()) {
                room.read(event.token().0, event.is_read_closed(), phase)?;
            }
            if over {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five members, of whom the first and the third talk.
    fn hearing() -> Hearing {
        Hearing::new(5, 2, 10)
    }

    fn heard(hearing: &Hearing, index: usize) -> Vec<u8> {
        hearing.talkers[index].line.clone()
    }

    #[test]
    fn lines_are_numbered_and_of_one_length() {
        let mut hearing = hearing();
        assert_eq!(hearing.say(0), b"00000001ij\r\n");
        assert_eq!(hearing.say(1), b"00000001ij\r\n");
        assert_eq!(hearing.say(0), b"00000002ij\r\n");
        assert_eq!(heard(&hearing, 0), b"<talker-0> 00000002ij\r\n");
        assert_eq!(heard(&hearing, 0).len(), hearing.line_len);
        assert_eq!([talker_name(9).len(), listener_name(19_999).len()], [NAME_LEN; 2]);
    }

    #[test]
    fn talkers_are_spread_evenly() {
        let spread = |members, talkers| -> Vec<usize> {
            let hearing = Hearing::new(members, talkers, 8);
            hearing.talkers.iter().map(|talker| talker.member).collect()
        };
        assert_eq!(spread(20, 10), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
        assert_eq!(spread(1005, 4), [0, 251, 502, 753]);
        assert_eq!(spread(2, 1), [0]);
    }

    #[test]
    fn a_line_is_done_when_all_others_have_heard_it() {
        let mut hearing = hearing();
        hearing.say(1);
        let line = heard(&hearing, 1);
        for member in [0, 1, 3] {
            assert_eq!(hearing.hear(member, &line).unwrap(), line.len());
            assert!(hearing.done.is_empty());
        }
        assert_eq!(hearing.hear(4, &line).unwrap(), line.len());
        assert_eq!(hearing.done, [1]);
    }

    #[test]
    fn several_lines_and_a_part_of_one() {
        let mut hearing = hearing();
        hearing.say(0);
        hearing.say(1);
        let both = [heard(&hearing, 1), heard(&hearing, 0)].concat();
        let len = hearing.line_len;
        assert_eq!(hearing.hear(4, &both[..len - 1]).unwrap(), 0);
        assert_eq!(hearing.hear(4, &both[..2 * len - 1]).unwrap(), len);
        assert_eq!(hearing.hear(4, &both[len..]).unwrap(), len);
    }

    #[track_caller]
    fn failure(hearing: &mut Hearing, member: usize, data: &[u8]) -> String {
        hearing.hear(member, data).unwrap_err().to_string()
    }

    #[test]
    fn a_line_that_comes_twice_is_found() {
        let mut hearing = hearing();
        hearing.say(0);
        let twice = heard(&hearing, 0).repeat(2);
        assert!(failure(&mut hearing, 3, &twice).starts_with("connection 3: heard a line twice"));
    }

    #[test]
    fn an_own_line_is_found() {
        let mut hearing = hearing();
        hearing.say(1);
        let own = heard(&hearing, 1);
        assert!(failure(&mut hearing, 2, &own).starts_with("connection 2: heard its own line"));
    }

    #[test]
    fn wrong_bytes_and_lines_of_the_past_are_found() {
        let mut hearing = hearing();
        hearing.say(0);
        let old = heard(&hearing, 0);
        for at in 0..old.len() {
            let mut wrong = old.clone();
            wrong[at] ^= 1;
            let failure = failure(&mut hearing, 1, &wrong);
            assert!(failure.contains("nobody has just said"), "{failure}");
        }
        hearing.say(0);
        assert!(failure(&mut hearing, 1, &old).contains("nobody has just said"));
    }
}
