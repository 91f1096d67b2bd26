//! Factories that a reactor keeps without a port or a connection, and calls that wait until a
//! factory is free.

use super::Reactor;
use super::errors::{AddFactoryError, ReachError};
use super::factories::{IntoFactory, StartFailure};
use super::key::FactoryKey;
use crate::protocol::Factory;
use std::time::Duration;

impl Reactor {
    /// Keeps a factory in the reactor, in use, without a port or a connection: for clients that
    /// connect now and then, and for state that several services share. (A client that is to stay
    /// connected is a [`ClientService`](crate::ClientService).)
    ///
    /// It counts as one use of the factory, as an open port does. `start_factory` is called before
    /// this returns, unless the factory is in use already. The factory stays until
    /// [`remove_factory`](Self::remove_factory), or until the reactor stops; `stop_factory` follows
    /// when it has no port and no outgoing connection either. To add a factory that is kept already
    /// changes nothing.
    ///
    /// ```
    /// use std::collections::VecDeque;
    /// use std::net::Ipv4Addr;
    /// use twistor::{Context, Protocol, Reactor, build_protocol};
    ///
    /// /// Sends what is queued, over a connection that is made when there is something.
    /// #[derive(Default)]
    /// struct Sender {
    ///     queue: VecDeque<String>,
    /// }
    ///
    /// struct Sending;
    ///
    /// impl Protocol<Sender> for Sending {
    ///     fn connection_made(&mut self, cx: &mut Context<'_, Sender>) {
    ///         cx.factory.queue.drain(..).for_each(|message| cx.transport.write(message));
    ///         cx.transport.lose_connection();
    ///     }
    /// }
    ///
    /// impl twistor::Factory for Sender {
    ///     build_protocol!(Sending, |_sender| Sending);
    /// }
    ///
    /// let mut reactor = Reactor::new()?;
    /// let key = reactor.add_factory(Sender::default())?;
    /// reactor.with_factory(key, |sender, _| sender.queue.push_back("hello".to_owned()))?;
    /// reactor.connect_tcp((Ipv4Addr::LOCALHOST, 7), key)?;
    /// assert!(reactor.remove_factory(key));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AddFactoryError`]; a factory that was moved in is dropped.
    pub fn add_factory<S: IntoFactory>(
        &mut self,
        factory: S,
    ) -> Result<FactoryKey<S::Factory>, AddFactoryError> {
        let key = factory.into_key(self);
        let added = self.keep_factory(key);
        if added.is_err() && key.reactor == self.id {
            self.drop_if_unused(key.id);
        }
        added.map(|()| key)
    }

    fn keep_factory<F>(&mut self, key: FactoryKey<F>) -> Result<(), AddFactoryError> {
        if self.lifecycle.refuses_new() {
            return Err(AddFactoryError::Stopping);
        }
        let slot = self.slot_mut(key).ok_or(AddFactoryError::NoFactory)?;
        if std::mem::replace(&mut slot.is_kept, true) {
            return Ok(());
        }
        // Counted first: while it starts, the factory may open and close ports of its own.
        slot.use_count += 1;
        let Err(failure) = self.start_factory(key.id) else { return Ok(()) };
        if let Some(slot) = self.slot_mut(key) {
            slot.is_kept = false;
        }
        self.change_use_count(key.id, -1);
        Err(match failure {
            StartFailure::Failed(source) => AddFactoryError::StartFactory(source),
            StartFailure::Busy => AddFactoryError::FactoryBusy,
            StartFailure::Gone => AddFactoryError::NoFactory,
        })
    }

    /// Stops keeping a factory, which [`add_factory`](Self::add_factory) began. Returns false if
    /// the factory is not kept, or is gone.
    ///
    /// If it was the factory's last use, `stop_factory` is called at the end of this turn or of the
    /// next one, never from within this; the factory is dropped when it has no connection left
    /// either.
    pub fn remove_factory<F>(&mut self, key: impl Into<FactoryKey<F>>) -> bool {
        let key = key.into();
        let is_kept = self.slot_mut(key).is_some_and(|slot| std::mem::take(&mut slot.is_kept));
        if is_kept {
            self.change_use_count(key.id, -1);
            self.queues.unused_factories.push(key.id);
        }
        is_kept
    }

    /// The reactor stops: it keeps no factory any longer.
    pub(super) fn release_kept_factories(&mut self) {
        for slot in self.factories.iter_mut() {
            if std::mem::take(&mut slot.is_kept) {
                slot.use_count -= 1;
            }
        }
    }

    /// Calls `call` with a factory and the reactor, as [`with_factory`](Self::with_factory) does,
    /// but later: in the next turn, when no callback runs. So it also reaches a factory that is
    /// busy, such as the one whose callback is asking. Calls are made in the order in which they
    /// were asked for. False if the factory is gone already; if it is gone by then, `call` is
    /// dropped.
    ///
    /// ```
    /// use twistor::{Context, FactoryKey, Protocol};
    ///
    /// struct Account {
    ///     key: FactoryKey<Bank>,
    /// }
    /// # struct Bank { balance: u64 }
    /// # impl twistor::Factory for Bank {
    /// #     type Protocol = Account;
    /// #     fn build_protocol(
    /// #         &mut self,
    /// #         _: &twistor::Transport,
    /// #         _: &mut twistor::Reactor,
    /// #     ) -> Option<Account> {
    /// #         None
    /// #     }
    /// # }
    ///
    /// impl<F> Protocol<F> for Account {
    ///     fn data_received(&mut self, cx: &mut Context<'_, F>, data: &[u8]) {
    ///         let amount = data.len() as u64;
    ///         cx.reactor.tell(self.key, move |bank: &mut Bank, _| bank.balance += amount);
    ///     }
    /// }
    /// ```
    pub fn tell<F: Factory>(
        &mut self,
        key: impl Into<FactoryKey<F>>,
        call: impl FnOnce(&mut F, &mut Self) + 'static,
    ) -> bool {
        let key = key.into();
        let is_there = self.slot(key).is_some();
        if is_there {
            self.call_later(Duration::ZERO, move |reactor| match reactor.with_factory(key, call) {
                Ok(()) | Err(ReachError::FactoryGone) => {}
                Err(error) => log::error!("a call of Reactor::tell was dropped: {error}"),
            });
        }
        is_there
    }
}
