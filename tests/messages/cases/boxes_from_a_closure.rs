//! A closure that returns boxed protocols.

use twistor::{Protocol, Reactor};

struct Echo;

impl<F> Protocol<F> for Echo {}

struct Other;

impl<F> Protocol<F> for Other {}

fn main() {
    let mut reactor = Reactor::new().unwrap();
    let mut even = false;
    reactor
        .listen("tcp:8007", move || {
            even = !even;
            if even { Box::new(Echo) as Box<dyn Protocol<_>> } else { Box::new(Other) }
        })
        .unwrap();
}
