//! Models of a mailbox: threads that send, and a reactor that sleeps until it is notified.

use crate::arena::Id;
use crate::errors::SendError;
use crate::explore;
use crate::inbox::{Inbox, MailboxPolicy};
use crate::sleep::Sleep;
use loom::sync::Arc;
use loom::thread;

type Message = (usize, usize);

struct Model {
    inbox: Arc<Inbox<Message>>,
    sleep: Arc<Sleep>,
}

impl Model {
    fn new(capacity: usize, policy: MailboxPolicy) -> Self {
        Self { inbox: Arc::new(Inbox::new(capacity, policy)), sleep: Arc::default() }
    }

    fn open(&self) {
        let sleep = Arc::clone(&self.sleep);
        assert!(self.inbox.open((0, Id), Box::new(move || sleep.wake())));
    }

    /// Starts a thread that sends `count` messages, and returns those that were not taken.
    fn send(&self, sender: usize, count: usize) -> thread::JoinHandle<Vec<Message>> {
        let inbox = Arc::clone(&self.inbox);
        thread::spawn(move || {
            let send = |number| match inbox.push((sender, number)) {
                Ok(()) => None,
                Err(SendError::Full(message) | SendError::Closed(message)) => Some(message),
            };
            (0..count).filter_map(send).collect()
        })
    }

    /// Receives as a reactor does: it takes up to `batch` messages in a turn, continues at once
    /// while more wait, and sleeps otherwise.
    fn receive(&self, count: usize, batch: usize) -> Vec<Message> {
        let mut received = Vec::new();
        while received.len() < count {
            self.sleep.sleep();
            while self.inbox.take(batch, &mut received) {}
        }
        received
    }
}

fn assert_in_order(received: &[Message]) {
    for sender in 0..2 {
        let numbers = received.iter().filter(|it| it.0 == sender).map(|it| it.1);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{received:?}");
    }
}

#[test]
fn a_sleeping_receiver_is_woken_for_every_message() {
    explore(|| {
        let model = Model::new(10, MailboxPolicy::Reject);
        model.open();
        let senders = [model.send(0, 2), model.send(1, 1)];
        let received = model.receive(3, 1);
        assert_in_order(&received);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), []);
        }
        assert_eq!(model.inbox.len(), 0);
    });
}

#[test]
fn messages_that_were_sent_before_the_mailbox_is_open_wake_its_receiver() {
    explore(|| {
        let model = Model::new(10, MailboxPolicy::Reject);
        let senders = [model.send(0, 1), model.send(1, 1)];
        model.open();
        assert_in_order(&model.receive(2, 10));
        senders.into_iter().for_each(|sender| assert_eq!(sender.join().unwrap(), []));
    });
}

#[test]
fn a_message_is_returned_or_received_or_left_at_the_close() {
    explore(|| {
        let model = Model::new(1, MailboxPolicy::Reject);
        model.open();
        let senders = [model.send(0, 1), model.send(1, 1)];
        let mut seen = Vec::new();
        model.inbox.take(1, &mut seen);
        seen.extend(model.inbox.close());
        for sender in senders {
            seen.extend(sender.join().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, [(0, 0), (1, 0)]);
        assert!(model.inbox.is_closed() && model.inbox.len() == 0);
    });
}

#[test]
fn of_a_full_mailbox_the_oldest_are_dropped_and_counted() {
    explore(|| {
        let model = Model::new(1, MailboxPolicy::DropOldest);
        model.open();
        let senders = [model.send(0, 2), model.send(1, 1)];
        let mut received = Vec::new();
        model.inbox.take(1, &mut received);
        senders.into_iter().for_each(|sender| assert_eq!(sender.join().unwrap(), []));
        model.inbox.take(1, &mut received);
        assert_in_order(&received);
        assert_eq!(received.len() as u64 + model.inbox.dropped(), 3);
    });
}
