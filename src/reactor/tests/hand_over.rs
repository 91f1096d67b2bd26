//! The end of start-up in a process that has taken ports over.

use super::*;
use crate::error::RunError;
use crate::reactor::predecessor::Predecessor;
use std::io;

/// Makes the fixture's port one that was taken over.
fn take_over(fixture: &mut Fixture) {
    let port = fixture.port.slot();
    fixture.reactor.ports.get_mut(port).unwrap().taken_over = Some(0);
    let tell_ready = Box::new(|_: &[usize]| panic!("it is not ready"));
    fixture.reactor.set_predecessor(Predecessor { sockets: Vec::new(), tell_ready });
}

#[test]
fn a_run_whose_poll_fails_leaves_the_ports_to_the_predecessor() {
    let mut fixture = Fixture::new(echo);
    take_over(&mut fixture);
    fixture.script.fail_wait(io::Error::other("no poller"));
    assert!(matches!(fixture.reactor.run(), Err(RunError::Poll(_))));
    assert_eq!((fixture.reactor.ports.len(), fixture.reactor.has_predecessor()), (0, false));
    fixture.log.expect(&["stopped"]);
    // What follows is a run of its own, without those ports.
    let client = fixture.script.connect();
    assert!(fixture.reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    assert_eq!((fixture.reactor.connection_count(), client.received()), (0, Vec::new()));
}
