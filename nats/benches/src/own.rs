//! The client of this repository.

use crate::{SUBJECT, Stopwatch, TIMEOUT, say_ready};
use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use twistor::Reactor;
use twistor_nats::{Client, ConnectOptions, Event};

/// Bytes that are published before the server is asked whether it has them; half of it may be on
/// its way while the next half is written.
const BATCH: usize = 6 * 1024 * 1024;

struct Publisher {
    client: Client,
    payload: Vec<u8>,
    left: usize,
    flushes: usize,
    stopwatch: Stopwatch,
}

pub(crate) fn publish(count: usize, size: usize, server: &str) -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::new()?;
    let client = Rc::new(RefCell::new(None::<Client>));
    let connected = Rc::clone(&client);
    let options = ConnectOptions::new(server).on_event(move |reactor, event| {
        if let (Event::Connected { .. }, Some(client)) = (event, connected.borrow().clone()) {
            let (payload, stopwatch) = (vec![b'x'; size], Stopwatch::start());
            let publisher = Publisher { client, payload, left: count, flushes: 0, stopwatch };
            let publisher = Rc::new(RefCell::new(publisher));
            batch(&publisher, reactor);
            batch(&publisher, reactor);
        }
    });
    let started = options.connect(&mut reactor)?;
    *client.borrow_mut() = Some(started);
    reactor.run()?;
    Ok(())
}

/// Publishes half a batch, and another one when the server has it.
fn batch(publisher: &Rc<RefCell<Publisher>>, reactor: &mut Reactor) {
    let it = &mut *publisher.borrow_mut();
    let count = it.left.min(BATCH / 2 / (it.payload.len() + 32)).max(usize::from(it.left > 0));
    for _ in 0..count {
        it.client.publish(SUBJECT, &it.payload).expect("there is room");
    }
    it.left -= count;
    it.flushes += 1;
    let own = Rc::clone(publisher);
    let flushed = it.client.flush(TIMEOUT, reactor, move |reactor, flushed| {
        flushed.expect("the server answers");
        let (left, is_last) = {
            let it = &mut *own.borrow_mut();
            it.flushes -= 1;
            (it.left, it.left == 0 && it.flushes == 0)
        };
        if left > 0 {
            batch(&own, reactor);
        } else if is_last {
            own.borrow().stopwatch.print();
            reactor.stop();
        }
    });
    flushed.expect("the client is open");
}

pub(crate) fn subscribe(count: usize, server: &str) -> Result<(), Box<dyn Error>> {
    let mut reactor = Reactor::new()?;
    let client = Client::connect(server, &mut reactor)?;
    let (mut heard, mut bytes, mut stopwatch) = (0, 0, None);
    client.subscribe(SUBJECT, move |reactor, message| {
        let stopwatch = stopwatch.get_or_insert_with(Stopwatch::start);
        heard += 1;
        bytes += message.payload().len();
        if heard == count {
            assert!(bytes > 0);
            stopwatch.print();
            reactor.stop();
        }
    })?;
    client.flush(TIMEOUT, &mut reactor, |_, flushed| {
        flushed.expect("the server answers");
        say_ready();
    })?;
    reactor.run()?;
    Ok(())
}
