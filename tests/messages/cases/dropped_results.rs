//! Statements that drop what they ask for.

#![deny(unused_must_use)]

use twistor::{Factory, Producer, Reactor, Transport};

fn drops(reactor: &mut Reactor, transport: &Transport) {
    reactor.hold_shutdown();
    reactor.should_yield();
    transport.may_produce();
    Producer::push();
}

fn connects<F: Factory>(factory: F) {
    twistor::testing::connect(factory);
}

fn main() {}
