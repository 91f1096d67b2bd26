//! Mailboxes: the turn in which messages are received, bounds, closing, panics.

use super::*;
use crate::error::{OpenMailboxError, SendError};
use crate::mailbox::{Mailbox, MailboxPolicy};

fn reactor() -> Reactor {
    Reactor::with_driver(Script::new().driver(), Settings::default())
}

fn turn(reactor: &mut Reactor) {
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
}

fn rejecting(capacity: usize) -> Mailbox<usize> {
    Mailbox::new(capacity, MailboxPolicy::Reject)
}

/// Opens a mailbox, and returns what it receives.
fn open(reactor: &mut Reactor, mailbox: &Mailbox<usize>) -> Rc<RefCell<Vec<usize>>> {
    let received = Rc::<RefCell<Vec<usize>>>::default();
    let log = Rc::clone(&received);
    reactor.open_mailbox(mailbox, move |_, message| log.borrow_mut().push(message)).unwrap();
    received
}

#[test]
fn messages_that_were_sent_before_wait_and_all_come_in_order() {
    let (mut reactor, mailbox) = (reactor(), rejecting(10));
    mailbox.send(1).unwrap();
    mailbox.send(2).unwrap();
    let received = open(&mut reactor, &mailbox);
    mailbox.send(3).unwrap();
    assert!(received.borrow().is_empty(), "not before the next turn");
    turn(&mut reactor);
    assert_eq!(*received.borrow(), [1, 2, 3]);
    assert!(mailbox.is_empty());
    assert_eq!(reactor.next_deadline(), None, "nothing is left to do");
}

#[test]
fn a_burst_is_one_call_and_wakes_the_reactor_once() {
    let (mut reactor, mailbox) = (reactor(), rejecting(100));
    let received = open(&mut reactor, &mailbox);
    for round in 1..4 {
        (0..100).for_each(|number| mailbox.send(number).unwrap());
        assert_eq!(reactor.calls.len(), 1);
        turn(&mut reactor);
        assert_eq!(received.borrow().len(), round * 100);
    }
}

#[test]
fn a_turn_receives_a_bounded_number_of_messages_from_all_mailboxes_together() {
    let mut reactor = reactor();
    let mailboxes = [rejecting(3000), rejecting(3000)];
    let received = mailboxes.each_ref().map(|mailbox| {
        (0..1500).for_each(|number| mailbox.send(number).unwrap());
        open(&mut reactor, mailbox)
    });
    let lengths = || received.each_ref().map(|it| it.borrow().len());
    let mut seen = Vec::new();
    while lengths() != [1500, 1500] {
        turn(&mut reactor);
        seen.push(lengths());
        let is_due = reactor.next_deadline() == Some(reactor.now());
        assert_eq!(is_due, lengths() != [1500, 1500]);
    }
    assert_eq!(seen, [[1024, 0], [1500, 548], [1500, 1500]]);
}

#[test]
fn a_mailbox_that_is_always_full_does_not_starve_another() {
    let mut reactor = reactor();
    let (full, other) = (rejecting(5000), rejecting(10));
    let fill = || while full.send(0).is_ok() {};
    open(&mut reactor, &full);
    fill();
    let received = open(&mut reactor, &other);
    other.send(1).unwrap();
    for _ in 0..3 {
        turn(&mut reactor);
        fill();
    }
    assert_eq!(*received.borrow(), [1]);
}

#[test]
fn a_full_mailbox_rejects_the_new_message_or_drops_the_oldest() {
    for capacity in [0, 1, 3] {
        let (mut reactor, rejecting) = (reactor(), rejecting(capacity));
        let dropping = Mailbox::new(capacity, MailboxPolicy::DropOldest);
        let room = capacity.max(1);
        for number in 0..5 {
            match rejecting.send(number) {
                Ok(()) => assert!(number < room),
                Err(error) => {
                    assert!(number >= room && matches!(error, SendError::Full(_)));
                    assert_eq!(error.into_message(), number);
                }
            }
            dropping.send(number).unwrap();
        }
        let (first, last) = (open(&mut reactor, &rejecting), open(&mut reactor, &dropping));
        turn(&mut reactor);
        assert_eq!(*first.borrow(), (0..room).collect::<Vec<_>>());
        assert_eq!(*last.borrow(), (5 - room..5).collect::<Vec<_>>());
        assert_eq!((rejecting.dropped(), dropping.dropped()), (0, 5 - room as u64));
    }
}

#[test]
fn a_mailbox_has_one_receiver() {
    let (mut one, mut other, mailbox) = (reactor(), reactor(), rejecting(1));
    let received = open(&mut one, &mailbox);
    for reactor in [&mut one, &mut other] {
        let again = reactor.open_mailbox(&mailbox, |_, _| unreachable!());
        assert_eq!(again, Err(OpenMailboxError::AlreadyOpen));
    }
    assert!(!other.close_mailbox(&mailbox), "it is not open there");
    mailbox.send(1).unwrap();
    turn(&mut one);
    assert_eq!(*received.borrow(), [1]);
    assert!(one.close_mailbox(&mailbox) && !one.close_mailbox(&mailbox));
    assert!(matches!(mailbox.send(2), Err(SendError::Closed(2))));
    let again = one.open_mailbox(&mailbox, |_, _| unreachable!());
    assert_eq!(again, Err(OpenMailboxError::Closed));
}

#[test]
fn a_stop_or_a_drop_of_the_reactor_closes_its_mailboxes_and_a_drain_does_not() {
    let (mut stopped, mailbox) = (reactor(), rejecting(10));
    let received = open(&mut stopped, &mailbox);
    let hold = stopped.hold_shutdown();
    stopped.stop_gracefully(Duration::from_secs(60));
    turn(&mut stopped);
    mailbox.send(1).unwrap();
    turn(&mut stopped);
    assert_eq!(*received.borrow(), [1], "a drain");
    drop(hold);
    mailbox.send(2).unwrap();
    assert!(stopped.turn(Some(Duration::ZERO)).unwrap().is_break());
    assert!(mailbox.is_closed() && mailbox.is_empty());
    assert_eq!(*received.borrow(), [1, 2], "phase 1 comes before the end");

    let (mut dropped, mailbox) = (reactor(), rejecting(10));
    let received = open(&mut dropped, &mailbox);
    mailbox.send(1).unwrap();
    drop(dropped);
    assert!(mailbox.is_closed() && mailbox.is_empty());
    assert_eq!(Rc::strong_count(&received), 1, "the closure was dropped");
}

#[test]
fn a_closure_may_close_its_own_mailbox_and_send_to_it() {
    let (mut reactor, mailbox) = (reactor(), rejecting(10));
    let log = Log::default();
    let (own, received) = (mailbox.clone(), log.clone());
    let call = move |reactor: &mut Reactor, number: usize| {
        received.push(number.to_string());
        match number {
            1 => own.send(7).unwrap(),
            3 => assert!(reactor.close_mailbox(&own)),
            _ => {}
        }
    };
    reactor.open_mailbox(&mailbox, call).unwrap();
    for number in 1..6 {
        mailbox.send(number).unwrap();
    }
    turn(&mut reactor);
    // The last two were taken with it, and 7 waited behind them.
    log.expect(&["1", "2", "3"]);
    assert!(mailbox.is_closed() && mailbox.is_empty());
    turn(&mut reactor);
    log.expect(&[]);
}

#[test]
fn a_panic_concerns_one_message() {
    struct Bomb(usize);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_ne!(self.0, 3, "a message that panics when it is dropped");
        }
    }
    let mut reactor = reactor();
    let mailbox = Mailbox::new(10, MailboxPolicy::Reject);
    let log = Log::default();
    let received = log.clone();
    let call = move |_: &mut Reactor, bomb: Bomb| {
        assert_ne!(bomb.0, 1, "a closure that panics");
        received.push(bomb.0.to_string());
    };
    reactor.open_mailbox(&mailbox, call).unwrap();
    for number in 0..5 {
        mailbox.send(Bomb(number)).unwrap();
    }
    turn(&mut reactor);
    log.expect(&["0", "2", "3", "4"]);
    assert_eq!(reactor.metrics().panics, 2);
    mailbox.send(Bomb(5)).unwrap();
    mailbox.send(Bomb(3)).unwrap();
    assert!(reactor.close_mailbox(&mailbox), "and so is one in dropping what waits");
    log.expect(&[]);
}
