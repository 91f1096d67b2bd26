//! The chat, as in the example `chat`, but for what that refuses.

use std::collections::HashMap;
use twistor::{Delimiter, Factory, LineContext, LineReceiver, Lines, Reactor, Reason, Transport};

#[derive(Default)]
pub struct Chat {
    members: HashMap<Vec<u8>, Transport>,
}

pub enum Chatter {
    Nameless,
    Named(Vec<u8>),
}

impl LineReceiver<Chat> for Chatter {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn connection_made(&mut self, cx: &mut LineContext<'_, Chat>) {
        cx.send_line("What's your name?");
    }

    fn line_received(&mut self, cx: &mut LineContext<'_, Chat>, line: &[u8]) {
        match self {
            Self::Nameless => {
                cx.send_line([b"Welcome, ", line, b"!"].concat());
                cx.factory.members.insert(line.to_vec(), cx.transport.clone());
                *self = Self::Named(line.to_vec());
            }
            Self::Named(name) => cx.factory.tell_the_others(name, line),
        }
    }

    fn connection_lost(&mut self, cx: &mut LineContext<'_, Chat>, _reason: &Reason) {
        if let Self::Named(name) = self {
            cx.factory.members.remove(name);
        }
    }
}

impl Chat {
    fn tell_the_others(&self, name: &[u8], line: &[u8]) {
        let message = [b"<", name, b"> ", line, b"\r\n"].concat();
        for (other, transport) in &self.members {
            if other != name {
                transport.write(&message);
            }
        }
    }
}

impl Factory for Chat {
    type Protocol = Lines<Chatter>;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Lines<Chatter>> {
        Some(Lines::new(Chatter::Nameless))
    }
}
