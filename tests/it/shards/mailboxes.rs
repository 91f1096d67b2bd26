//! Mailboxes between threads.

use super::{receive, shards};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use twistor::error::SendError;
use twistor::mailbox::{Mailbox, MailboxPolicy};
use twistor::{Bytes, Reactor};

/// Each shard sends to all others from its loop, and threads to all shards.
#[test]
fn messages_of_each_sender_arrive_in_order_and_once() {
    const MESSAGES: u64 = 20_000;
    let mailboxes = Mailbox::<(usize, u64)>::for_shards(3, 64, MailboxPolicy::Reject);
    let (done_in, done) = channel();
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let mailboxes = mailboxes.clone();
            std::thread::spawn(move || {
                for number in 0..MESSAGES {
                    for mailbox in &*mailboxes {
                        let mut message = (sender, number);
                        while let Err(error) = mailbox.send(message) {
                            assert!(matches!(error, SendError::Full(_)));
                            message = error.into_message();
                            std::thread::yield_now();
                        }
                    }
                }
            })
        })
        .collect();
    let shards = shards(3);
    let handle = shards.handle();
    let thread = std::thread::spawn(move || {
        shards.run(|reactor, shard| {
            let (mut next, done_in) = (BTreeMap::new(), done_in.clone());
            let index = shard.index();
            reactor.open_mailbox(&mailboxes[index], move |_, (sender, number)| {
                let next = next.entry(sender).or_insert(0);
                assert_eq!(*next, number, "of sender {sender}");
                *next += 1;
                if *next == MESSAGES {
                    done_in.send((index, sender)).unwrap();
                }
            })?;
            Ok(())
        })
    });
    let mut ended: Vec<_> = (0..12).map(|_| receive(&done)).collect();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), 12);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn bytes_cross_threads_without_a_copy() {
    let mailbox = Mailbox::<Bytes>::new(1, MailboxPolicy::Reject);
    let sender = mailbox.clone();
    let sent = Bytes::from(vec![b'x'; 100_000]);
    let address = sent.as_ptr() as usize;
    let thread = std::thread::spawn(move || sender.send(sent).unwrap());
    let mut reactor = Reactor::new().unwrap();
    reactor
        .open_mailbox(&mailbox, move |reactor, bytes| {
            assert_eq!(bytes.as_ptr() as usize, address);
            reactor.stop();
        })
        .unwrap();
    reactor.run().unwrap();
    thread.join().unwrap();
    assert_eq!(reactor.metrics().panics, 0);
}

/// Senders and a receiver that stops meanwhile: every message is received, returned or counted as
/// dropped with the mailbox, and no sender hangs.
#[test]
fn a_mailbox_that_closes_meanwhile_takes_no_message_that_it_does_not_drop() {
    for round in 0..50 {
        let mailbox = Mailbox::<Counted>::new(8, MailboxPolicy::Reject);
        let (count_in, counted) = channel();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (mailbox, count_in) = (mailbox.clone(), count_in.clone());
                std::thread::spawn(move || {
                    let mut sent = 0;
                    loop {
                        match mailbox.send(Counted(count_in.clone())) {
                            Ok(()) => sent += 1,
                            Err(SendError::Closed(_)) => return sent + 1,
                            // It is dropped here.
                            Err(_) => sent += 1,
                        }
                    }
                })
            })
            .collect();
        drop(count_in);
        let mut reactor = Reactor::new().unwrap();
        let mut received = 0;
        reactor
            .open_mailbox(&mailbox, move |reactor, _| {
                received += 1;
                if received == round {
                    reactor.stop();
                }
            })
            .unwrap();
        if round == 0 {
            reactor.stop();
        }
        reactor.run().unwrap();
        let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert_eq!(counted.iter().count(), sent, "each message was dropped once");
    }
}

/// Says when it is dropped.
struct Counted(std::sync::mpsc::Sender<()>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}
