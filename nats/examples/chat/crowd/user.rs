//! `User`: one user of the crowd, a client of a node, who checks each line.

use super::heard::Heard;
use super::stays::{LOBBY, Room, room_name};
use super::users::Users;
use twistor::{LineContext, LineReceiver, Reason};

/// How many lines a user says at once, at most.
const LINES_AT_ONCE: usize = 3;

/// A user of the chat, as long as its connection lasts.
pub(super) struct User {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) heard: Heard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not a member: has said a name, or is about to.
    Nameless,
    Member {
        room: Room,
        stay: u32,
    },
    /// A member that has asked for another room.
    Moving,
    /// A member that has asked for a room which cannot be, to hear whether its node is there.
    Asking {
        room: Room,
        stay: u32,
    },
}

pub(super) type UserContext<'a> = LineContext<'a, Users>;

impl LineReceiver<Users> for User {
    fn line_received(&mut self, cx: &mut UserContext<'_>, line: &[u8]) {
        let line = std::str::from_utf8(line).unwrap();
        if let Some((_, said)) = line.strip_prefix('<').and_then(|line| line.split_once("> ")) {
            self.hear(cx, said);
        } else if line.starts_with("A room has") {
            self.hear_answer(line);
        } else if line.ends_with("your name?") || line.ends_with("please choose another.") {
            self.stage = Stage::Nameless;
            self.name = cx.factory.choose_name();
            cx.send_line(&self.name);
        } else if let Some(welcome) = line.strip_prefix("Welcome, ") {
            // A name that was said before the last one may be the one that is free.
            self.name = welcome.trim_end_matches('!').to_owned();
            self.enter(cx, LOBBY);
            self.choose_room(cx);
        } else if let Some(name) = line.strip_prefix("You are in ") {
            let room = cx.factory.room(name.trim_end_matches('.'));
            assert_eq!(self.stage, Stage::Moving, "{} is in {name}", self.name);
            self.enter(cx, room);
        } else if line.starts_with("* ") {
            self.heard.note_gap();
        } else {
            assert!(line.starts_with("Your name is checked"), "{line}");
        }
    }

    fn connection_lost(&mut self, cx: &mut UserContext<'_>, _reason: &Reason) {
        cx.factory.lose(cx.transport.id(), cx.reactor);
    }
}

impl User {
    pub(super) fn new() -> Self {
        Self { name: String::new(), stage: Stage::Nameless, heard: Heard::default() }
    }

    fn enter(&mut self, cx: &UserContext<'_>, room: Room) {
        // What was said in the room while the user was elsewhere is not missing.
        self.heard.note_gap();
        self.stage = Stage::Member { room, stay: cx.factory.stays.begin(room) };
    }

    /// Moves to another room, or stays in the lobby.
    pub(super) fn choose_room(&mut self, cx: &mut UserContext<'_>) {
        let room = cx.factory.choose_room();
        let Stage::Member { room: current, .. } = self.stage else { return };
        if room != current {
            cx.send_line(format!("/join {}", room_name(room)));
            self.stage = Stage::Moving;
        }
    }

    /// Says a few lines: each has the number of the stay, and that of the line in it.
    pub(super) fn talk(&self, cx: &mut UserContext<'_>) {
        let Stage::Member { stay, .. } = self.stage else { return };
        for _ in 0..=cx.factory.random.below(LINES_AT_ONCE) {
            let line = cx.factory.stays.say(stay);
            cx.send_line(format!("{stay}/{line}"));
        }
    }

    fn hear(&mut self, cx: &UserContext<'_>, said: &str) {
        // A name that was said when one was welcome already.
        let Some((stay, line)) = said.split_once('/') else { return };
        let (stay, line) = (stay.parse().unwrap(), line.parse().unwrap());
        let from = cx.factory.stays.room(stay);
        match self.stage {
            Stage::Nameless => panic!("{said} is heard by one who has no name"),
            Stage::Member { room, .. } | Stage::Asking { room, .. } => {
                assert_eq!(from, room, "{} hears {said} of another room", self.name);
            }
            Stage::Moving => {}
        }
        if let Err(fault) = self.heard.hear(stay, line) {
            panic!("{} hears {fault}", self.name);
        }
    }

    /// Asks the node whether it is there: a line that no other user hears of.
    pub(super) fn ask(&mut self, cx: &UserContext<'_>) {
        if let Stage::Member { room, stay } = self.stage {
            cx.send_line("/join ?");
            self.stage = Stage::Asking { room, stay };
        }
    }

    fn hear_answer(&mut self, line: &str) {
        match self.stage {
            Stage::Asking { room, stay } => self.stage = Stage::Member { room, stay },
            _ => panic!("{} hears {line}", self.name),
        }
    }
}
