//! Work on another thread that takes a transport along.

use twistor::{Context, Protocol};

struct Echo;

impl<F> Protocol<F> for Echo {
    fn data_received(&mut self, cx: &mut Context<'_, F>, _: &[u8]) {
        let transport = cx.transport.clone();
        cx.reactor.defer_to_thread(move || transport.write("done"), |_, _| ());
    }
}

fn main() {}
