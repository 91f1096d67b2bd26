//! A closure that builds a protocol of another factory.

use twistor::{Factory, Protocol, Reactor, Transport};

struct Chat;

struct Chatter;

impl Protocol<Chat> for Chatter {}

impl Factory for Chat {
    type Protocol = Chatter;
    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Chatter> {
        Some(Chatter)
    }
}

fn main() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:8007", || Chatter).unwrap();
}
