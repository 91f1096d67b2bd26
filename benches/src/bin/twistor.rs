//! The same servers on twistor, as in its examples.
//!
//! `twistor echo|lines|chat|quote|idle`.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use twistor::{
    Context, Delimiter, Factory, LineContext, LineReceiver, Lines, Protocol, Reactor, Transport,
};
use twistor_benches::{QUOTE, announce, answer};

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
        cx.transport.write(data);
    }
}

struct Quote;

impl<F> Protocol<F> for Quote {
    fn connection_made(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.write(QUOTE);
        cx.transport.lose_connection();
    }
}

struct Answer;

impl<F> LineReceiver<F> for Answer {
    const DELIMITER: Delimiter = Delimiter::Newline;

    fn line_received(&mut self, cx: &mut LineContext<'_, F>, line: &[u8]) {
        cx.send_line(answer(line));
    }
}

#[derive(Default)]
struct Chat {
    members: HashMap<Vec<u8>, Transport>,
}

enum Chatter {
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
            Self::Named(name) => {
                let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat();
                for (other, transport) in &cx.factory.members {
                    if other != name {
                        transport.write(&message);
                    }
                }
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

fn main() {
    let mut reactor = Reactor::new().unwrap();
    let at = (Ipv4Addr::LOCALHOST, 0);
    announce(match std::env::args().nth(1).as_deref() {
        Some("echo" | "idle") => reactor.listen_tcp(at, || Echo).unwrap().local_address(),
        Some("quote") => reactor.listen_tcp(at, || Quote).unwrap().local_address(),
        Some("lines") => reactor.listen_tcp(at, || Lines::new(Answer)).unwrap().local_address(),
        Some("chat") => reactor.listen_tcp(at, Chat::default()).unwrap().local_address(),
        _ => panic!("twistor echo|lines|chat|quote|idle"),
    });
    reactor.run().unwrap();
}
