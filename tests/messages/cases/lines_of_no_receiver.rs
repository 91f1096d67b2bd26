//! An adapter around what is no `LineReceiver`.

use twistor::{Lines, Reactor};

struct Answer;

fn main() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:8007", || Lines::new(Answer)).unwrap();
}
