//! A factory that builds what is no protocol.

use twistor::Reactor;

struct Echo;

fn main() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:8007", || Echo).unwrap();
}
