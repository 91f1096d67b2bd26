//! A block to everybody for each byte: the factory knows all its connections.

use std::collections::HashMap;
use twistor::{ConnectionId, Context, Factory, Protocol, Reactor, Reason, Transport};
use twistor_benches::BLOCK;

#[derive(Default)]
pub struct Broadcast {
    members: HashMap<ConnectionId, Transport>,
}

pub struct Member;

impl Protocol<Broadcast> for Member {
    fn connection_made(&mut self, cx: &mut Context<'_, Broadcast>) {
        cx.factory.members.insert(cx.transport.id(), cx.transport.clone());
    }

    fn data_received(&mut self, cx: &mut Context<'_, Broadcast>, data: &[u8]) {
        for _ in data {
            for transport in cx.factory.members.values() {
                transport.write(&BLOCK[..]);
            }
        }
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Broadcast>, _reason: &Reason) {
        cx.factory.members.remove(&cx.transport.id());
    }
}

impl Factory for Broadcast {
    type Protocol = Member;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Member> {
        Some(Member)
    }
}
