//! Mailboxes: typed, bounded queues of messages for a reactor, from any thread.

use super::Reactor;
use super::errors::{OpenMailboxError, SendError};
use super::inbox::{Inbox, MailboxPolicy};
use super::panic::guard;
use crate::arena::{Arena, Id};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Messages delivered in one turn, by all mailboxes of a reactor together; as with calls from other
/// threads, small ones take some hundred microseconds.
const MESSAGES_PER_TURN: usize = 1024;

/// A bounded queue of messages for one reactor, which any thread may send to.
///
/// A mailbox is a handle: its clones are the same mailbox. Create it before the threads that need
/// it; one reactor then receives its messages, with [`Reactor::open_mailbox`]. Messages that were
/// sent before that wait.
///
/// - *Order.* Messages are received in the order in which they were taken, so those of one sender
///   in the order in which it sent them; each once.
/// - *Bound.* At most `capacity` messages wait. A [`MailboxPolicy`] says what happens to one more.
/// - *Cost.* A reactor that knows of waiting messages is not woken again, so a burst costs one
///   wake-up. [`Bytes`](crate::Bytes) in a message are shared, and not copied.
///
/// ```
/// use twistor::mailbox::{Mailbox, MailboxPolicy};
/// use twistor::Reactor;
///
/// let mailbox = Mailbox::new(100, MailboxPolicy::Reject);
/// let sender = mailbox.clone();
/// let thread = std::thread::spawn(move || sender.send("the last message"));
///
/// let mut reactor = Reactor::new()?;
/// reactor.open_mailbox(&mailbox, |reactor, message| {
///     assert_eq!(message, "the last message");
///     reactor.stop();
/// })?;
/// reactor.run()?;
/// thread.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mailbox<M> {
    inbox: Arc<Inbox<M>>,
}

impl<M: Send + 'static> Mailbox<M> {
    /// Creates a mailbox for up to `capacity` waiting messages. Zero counts as one.
    pub fn new(capacity: usize, policy: MailboxPolicy) -> Self {
        Self { inbox: Arc::new(Inbox::new(capacity, policy)) }
    }

    /// Creates a mailbox for each of `count` shards, in the order of their indices.
    pub fn for_shards(count: usize, capacity: usize, policy: MailboxPolicy) -> Arc<[Self]> {
        (0..count.max(1)).map(|_| Self::new(capacity, policy)).collect()
    }

    /// Sends a message. It never blocks, and no closure is called within it: the receiver's runs on
    /// its own thread, at the beginning of a turn.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] with the message, if as many messages wait as the mailbox has room for
    /// and its policy is to reject; [`SendError::Closed`] with the message, if the mailbox was
    /// closed or its reactor has stopped.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.inbox.push(message)
    }
}

impl<M> Mailbox<M> {
    /// Returns the number of messages that wait.
    pub fn len(&self) -> usize {
        self.inbox.len()
    }

    /// Returns true if no message waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of messages that were dropped for want of room, by
    /// [`MailboxPolicy::DropOldest`].
    pub fn dropped(&self) -> u64 {
        self.inbox.dropped()
    }

    /// Returns true if no further message is accepted: the mailbox was closed, or its reactor has
    /// stopped.
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { inbox: Arc::clone(&self.inbox) }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailbox").field(&self.inbox).finish()
    }
}

/// The open mailboxes of a reactor.
pub(super) struct OpenMailboxes {
    /// `None` while its closure runs.
    mailboxes: Arena<Option<Box<dyn Receive>>>,
    /// Mailboxes with messages, the longest waiting first.
    ready: VecDeque<Id>,
    /// A call that continues with these in the next turn is queued.
    continues: bool,
    /// The turn that `received` is about.
    turn: u64,
    /// Messages received in that turn.
    received: usize,
}

impl OpenMailboxes {
    pub(super) fn new() -> Self {
        let (mailboxes, ready) = (Arena::new(), VecDeque::new());
        Self { mailboxes, ready, continues: false, turn: 0, received: 0 }
    }
}

/// A mailbox and its closure, whatever the type of the messages.
trait Receive {
    /// Delivers up to `count` messages. Returns how many, and whether more wait.
    fn deliver(&mut self, id: Id, reactor: &mut Reactor, count: usize) -> (usize, bool);

    /// Closes the queue, and drops the messages that wait.
    fn close(&mut self);
}

struct Opened<M, C> {
    inbox: Arc<Inbox<M>>,
    call: C,
    /// The messages of one turn, kept for its memory.
    batch: Vec<M>,
}

impl<M, C> Receive for Opened<M, C>
where
    C: FnMut(&mut Reactor, M),
{
    fn deliver(&mut self, id: Id, reactor: &mut Reactor, count: usize) -> (usize, bool) {
        let mut batch = std::mem::take(&mut self.batch);
        let more = self.inbox.take(count, &mut batch);
        let taken = batch.len();
        for message in batch.drain(..) {
            // An earlier message may have closed the mailbox.
            let is_open = reactor.mailboxes.mailboxes.get(id).is_some();
            let called = guard(|| {
                if is_open {
                    (self.call)(reactor, message)
                }
            });
            reactor.record_call();
            if let Err(panic) = called {
                reactor.report_panic("the closure of a mailbox panicked", &panic);
                reactor.record_panic("a panic in the closure of a mailbox");
            }
        }
        self.batch = batch;
        (taken, more)
    }

    fn close(&mut self) {
        drop(self.inbox.close());
    }
}

impl Reactor {
    /// Receives the messages of a mailbox from now on: `call` is called for each, on the reactor's
    /// thread, in phase 1 of a turn, as calls from other threads are. At most 1024 messages are
    /// received in a turn, by all mailboxes of the reactor together; the next turn follows at once
    /// if more wait.
    ///
    /// A panic in `call` is logged, and the next message is received as usual. No callback of a
    /// protocol runs meanwhile, so [`with_factory`](Self::with_factory) reaches every factory.
    ///
    /// The mailbox is closed by [`close_mailbox`](Self::close_mailbox), and when the reactor has
    /// stopped or is dropped; during a drain messages are still received. Messages that wait then
    /// are dropped.
    ///
    /// ```
    /// use twistor::mailbox::{Mailbox, MailboxPolicy};
    /// use twistor::{Factory, Protocol, Reactor, build_protocol};
    ///
    /// #[derive(Default)]
    /// struct Room {
    ///     topic: String,
    /// }
    ///
    /// struct Member;
    ///
    /// impl Protocol<Room> for Member {}
    ///
    /// impl Factory for Room {
    ///     build_protocol!(Member, |_room| Member);
    /// }
    ///
    /// let topics = Mailbox::<String>::new(10, MailboxPolicy::DropOldest);
    /// let mut reactor = Reactor::new()?;
    /// let port = reactor.listen("tcp:0:interface=127.0.0.1", Room::default())?;
    /// let key = port.key();
    /// reactor.open_mailbox(&topics, move |reactor, topic| {
    ///     let _ = reactor.with_factory(key, |room, _reactor| room.topic = topic);
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OpenMailboxError`]: the mailbox is open already, in this reactor or another, or closed.
    pub fn open_mailbox<M: Send + 'static>(
        &mut self,
        mailbox: &Mailbox<M>,
        call: impl FnMut(&mut Self, M) + 'static,
    ) -> Result<(), OpenMailboxError> {
        let inbox = Arc::clone(&mailbox.inbox);
        let opened = Opened { inbox, call, batch: Vec::new() };
        let id = self.mailboxes.mailboxes.insert_with(|_| Some(Box::new(opened) as Box<_>));
        let calls = Arc::clone(&self.calls);
        let notify = Box::new(move || calls.finish(move |reactor| reactor.notice_mail(id)));
        if mailbox.inbox.open((self.id, id), notify) {
            return Ok(());
        }
        self.mailboxes.mailboxes.remove(id);
        Err(match mailbox.is_closed() {
            true => OpenMailboxError::Closed,
            false => OpenMailboxError::AlreadyOpen,
        })
    }

    /// Closes a mailbox of this reactor at once, and drops its closure and the messages that wait.
    /// Its senders get [`SendError::Closed`] from now on. Returns false if it is not open, or open
    /// in another reactor.
    pub fn close_mailbox<M>(&mut self, mailbox: &Mailbox<M>) -> bool {
        let own = mailbox.inbox.place().filter(|(reactor, _)| *reactor == self.id);
        let Some((_, id)) = own else { return false };
        let receive = self.mailboxes.mailboxes.remove(id).flatten();
        // While its closure runs the box is elsewhere, and the queue is closed here.
        let waiting = mailbox.inbox.close();
        if let Err(panic) = guard(|| drop(waiting)) {
            self.report_panic("dropping a message panicked", &panic);
        }
        self.drop_receiver(receive);
        true
    }

    /// Notes that messages wait in a mailbox, and receives them.
    fn notice_mail(&mut self, id: Id) {
        self.mailboxes.ready.push_back(id);
        self.receive_mail();
    }

    /// Receives the messages that wait, as many as this turn has room for.
    fn receive_mail(&mut self) {
        let turn = self.recorder.busy.calls;
        if self.mailboxes.turn != turn {
            (self.mailboxes.turn, self.mailboxes.received) = (turn, 0);
        }
        while self.mailboxes.received < MESSAGES_PER_TURN {
            let Some(id) = self.mailboxes.ready.pop_front() else { return };
            self.receive_from(id, MESSAGES_PER_TURN - self.mailboxes.received);
        }
        if !self.mailboxes.ready.is_empty() && !self.mailboxes.continues {
            self.mailboxes.continues = true;
            self.calls.finish(|reactor| {
                reactor.mailboxes.continues = false;
                reactor.receive_mail();
            });
        }
    }

    /// Receives up to `count` messages of a mailbox.
    fn receive_from(&mut self, id: Id, count: usize) {
        let waiting = self.mailboxes.mailboxes.get_mut(id);
        let Some(mut receive) = waiting.and_then(Option::take) else { return };
        let (taken, more) = receive.deliver(id, self, count);
        self.mailboxes.received += taken;
        match self.mailboxes.mailboxes.get_mut(id) {
            Some(waiting) => *waiting = Some(receive),
            None => return self.drop_receiver(Some(receive)),
        }
        if more {
            // Behind the others, so that none keeps them waiting for ever.
            self.mailboxes.ready.push_back(id);
        }
    }

    /// Closes all mailboxes: the reactor has stopped.
    pub(super) fn close_mailboxes(&mut self) {
        self.mailboxes.ready.clear();
        self.mailboxes.continues = false;
        for receive in self.mailboxes.mailboxes.take_all().collect::<Vec<_>>() {
            self.drop_receiver(receive);
        }
    }

    fn drop_receiver(&self, receive: Option<Box<dyn Receive>>) {
        let Some(mut receive) = receive else { return };
        if let Err(panic) = guard(|| receive.close()) {
            self.report_panic("dropping a message panicked", &panic);
        }
        if let Err(panic) = guard(|| drop(receive)) {
            self.report_panic("dropping the closure of a mailbox panicked", &panic);
        }
    }
}

impl fmt::Debug for OpenMailboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMailboxes").field("open", &self.mailboxes.len()).finish_non_exhaustive()
    }
}
