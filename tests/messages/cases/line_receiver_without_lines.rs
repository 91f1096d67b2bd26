//! A factory that builds a `LineReceiver` without its adapter.

use twistor::{LineContext, LineReceiver, Reactor};

struct Answer;

impl<F> LineReceiver<F> for Answer {
    fn line_received(&mut self, _: &mut LineContext<'_, F>, _: &[u8]) {}
}

fn main() {
    let mut reactor = Reactor::new().unwrap();
    reactor.listen("tcp:8007", || Answer).unwrap();
}
