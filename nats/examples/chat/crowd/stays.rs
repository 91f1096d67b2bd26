//! The stays of all users in rooms, and how many lines each has said in one.

use std::cell::RefCell;
use std::rc::Rc;

/// The number of a room; [`LOBBY`] is the one in which users begin.
pub(super) type Room = u16;

/// The room that users enter first.
pub(super) const LOBBY: Room = 0;

/// Returns the name of a room.
pub(super) fn room_name(room: Room) -> String {
    match room {
        LOBBY => super::super::chat::LOBBY.to_owned(),
        _ => format!("room{room}"),
    }
}

/// The stays of all users in rooms: from the moment in which a user hears that it is in a room to
/// that in which it leaves. The lines of each are counted from one on. A handle: its clones are the
/// same list.
#[derive(Clone, Default)]
pub(super) struct Stays(Rc<RefCell<Vec<Stay>>>);

struct Stay {
    room: Room,
    said: u32,
}

impl Stays {
    /// Begins a stay, and returns its number.
    pub(super) fn begin(&self, room: Room) -> u32 {
        let mut stays = self.0.borrow_mut();
        stays.push(Stay { room, said: 0 });
        stays.len() as u32 - 1
    }

    /// Counts a line, and returns its number.
    pub(super) fn say(&self, stay: u32) -> u32 {
        let said = &mut self.0.borrow_mut()[stay as usize].said;
        *said += 1;
        *said
    }

    pub(super) fn room(&self, stay: u32) -> Room {
        self.0.borrow()[stay as usize].room
    }

    /// Returns how many lines were said in a stay.
    pub(super) fn said(&self, stay: u32) -> u32 {
        self.0.borrow()[stay as usize].said
    }
}
