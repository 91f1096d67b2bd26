//! Joins each two connections: what comes from one goes to the other.

use std::cell::OnceCell;
use std::rc::Rc;
use twistor::{Context, Factory, Protocol, Reactor, Transport};

#[derive(Default)]
pub struct Pipes {
    /// The first end of a pipe, while there is no second.
    waiting: Option<Rc<Pipe>>,
}

struct Pipe {
    first: Transport,
    second: OnceCell<Transport>,
}

pub struct End {
    pipe: Rc<Pipe>,
    is_second: bool,
}

impl Factory for Pipes {
    type Protocol = End;

    fn build_protocol(&mut self, transport: &Transport, _: &mut Reactor) -> Option<End> {
        if let Some(pipe) = self.waiting.take() {
            pipe.second.get_or_init(|| transport.clone());
            pipe.first.register_producer(transport);
            transport.register_producer(&pipe.first);
            pipe.first.resume_reading();
            return Some(End { pipe, is_second: true });
        }
        transport.pause_reading();
        let pipe = Rc::new(Pipe { first: transport.clone(), second: OnceCell::new() });
        self.waiting = Some(Rc::clone(&pipe));
        Some(End { pipe, is_second: false })
    }
}

impl<F> Protocol<F> for End {
    fn data_received(&mut self, _cx: &mut Context<'_, F>, data: &[u8]) {
        let Pipe { first, second } = &*self.pipe;
        let other = if self.is_second { Some(first) } else { second.get() };
        if let Some(other) = other {
            other.write(data);
        }
    }

    fn read_connection_lost(&mut self, cx: &mut Context<'_, F>) {
        cx.transport.lose_connection();
    }
}
