//! The workloads in which connections reach each other: each has an outbox, and a task that writes
//! what gathers there.

use crate::READ_LEN;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use twistor_benches::BLOCK;
use twistor_benches::lines::each_line;

/// What a member is to be sent. One thread, so that it needs neither a channel nor a lock.
struct Outbox<T> {
    unsent: RefCell<Vec<T>>,
    writer: Cell<Option<Waker>>,
    closed: Cell<bool>,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self { unsent: RefCell::default(), writer: Cell::default(), closed: Cell::default() }
    }
}

impl<T: Copy> Outbox<T> {
    fn put(&self, items: &[T]) {
        if !self.closed.get() {
            self.unsent.borrow_mut().extend_from_slice(items);
            self.wake();
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Waits for all that has gathered, and leaves `spare` to gather the next in; `None` when it is
    /// closed and empty.
    async fn take(&self, spare: Vec<T>) -> Option<Vec<T>> {
        let mut spare = Some(spare);
        poll_fn(|cx| {
            if !self.unsent.borrow().is_empty() {
                Poll::Ready(Some(self.unsent.replace(spare.take().unwrap_or_default())))
            } else if self.closed.get() {
                Poll::Ready(None)
            } else {
                self.writer.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// A connection's hold on its outbox, closed when it is dropped.
struct Opened<T: Copy>(Rc<Outbox<T>>);

impl<T: Copy> Drop for Opened<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub struct Members<T>(Rc<RefCell<Slab<Rc<Outbox<T>>>>>);

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> Clone for Members<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Members<T> {
    fn join(&self, outbox: Rc<Outbox<T>>) -> Membership<T> {
        let key = self.0.borrow_mut().insert(outbox);
        Membership { members: self.clone(), key }
    }
}

/// A place among the members, left when it is dropped.
struct Membership<T> {
    members: Members<T>,
    key: usize,
}

impl<T> Drop for Membership<T> {
    fn drop(&mut self) {
        self.members.0.borrow_mut().remove(self.key);
    }
}

pub async fn chat(stream: TcpStream, members: Members<u8>) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let outbox = Opened(Rc::default());
    monoio::spawn(write_gathered(writer, outbox.0.clone()));
    outbox.0.put(b"What's your name?\r\n");
    let mut buffer = Vec::with_capacity(READ_LEN);
    let mut partial = Vec::new();
    let mut named: Option<(Vec<u8>, Membership<u8>)> = None;
    loop {
        let count;
        (count, buffer) = reader.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        each_line(&mut partial, &buffer, |line| match &named {
            None => {
                outbox.0.put(&[b"Welcome, ", line, b"!\r\n"].concat());
                named = Some((line.to_vec(), members.join(outbox.0.clone())));
            }
            Some((name, membership)) => {
                let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat();
                for (key, other) in &*members.0.borrow() {
                    if key != membership.key {
                        other.put(&message);
                    }
                }
            }
        });
    }
}

/// All that has gathered leaves in one write.
async fn write_gathered(mut writer: OwnedWriteHalf<TcpStream>, outbox: Rc<Outbox<u8>>) {
    let mut spare = Vec::new();
    while let Some(messages) = outbox.take(spare).await {
        let written;
        (written, spare) = writer.write_all(messages).await;
        if written.is_err() {
            return outbox.close();
        }
        spare.clear();
    }
}

pub async fn broadcast(stream: TcpStream, members: Members<&'static [u8]>) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let outbox = Opened(Rc::default());
    monoio::spawn(write_each(writer, outbox.0.clone()));
    let _membership = members.join(outbox.0.clone());
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        let count;
        (count, buffer) = reader.read(buffer).await;
        for _ in 0..count? {
            for (_, other) in &*members.0.borrow() {
                other.put(&[&BLOCK]);
            }
        }
        if buffer.is_empty() {
            return Ok(());
        }
    }
}

/// Blocks are long: to gather them would cost more than a write each.
async fn write_each(mut writer: OwnedWriteHalf<TcpStream>, outbox: Rc<Outbox<&'static [u8]>>) {
    let mut spare = Vec::new();
    while let Some(mut blocks) = outbox.take(spare).await {
        for block in blocks.drain(..) {
            if writer.write_all(block).await.0.is_err() {
                return outbox.close();
            }
        }
        spare = blocks;
    }
}
