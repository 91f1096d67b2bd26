//! A protocol in place of its factory.

use twistor::{Protocol, Reactor};

struct Echo;

impl<F> Protocol<F> for Echo {}

fn main() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:8007", Echo).unwrap();
}
