//! The workloads in which connections reach each other: each has a channel, and a task that writes
//! what comes out of it.

use crate::READ_LEN;
use slab::Slab;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::bytes::Bytes;
use twistor_benches::BLOCK;
use twistor_benches::lines::each_line;

/// The channels of all who are to be written to.
#[derive(Clone, Default)]
pub struct Members(Arc<Mutex<Slab<UnboundedSender<Bytes>>>>);

/// A place among the members, left when it is dropped.
struct Membership {
    members: Members,
    key: usize,
}

impl Members {
    fn join(&self, outbox: UnboundedSender<Bytes>) -> Membership {
        let key = self.0.lock().unwrap().insert(outbox);
        Membership { members: self.clone(), key }
    }

    /// Fails for those alone whose writing has failed, and who are about to leave.
    fn send(&self, message: &Bytes, except: Option<usize>) {
        for (key, outbox) in &*self.0.lock().unwrap() {
            if Some(key) != except {
                let _ = outbox.send(message.clone());
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.members.0.lock().unwrap().remove(self.key);
    }
}

pub async fn chat(stream: TcpStream, members: Members) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let (outbox, inbox) = unbounded_channel();
    tokio::spawn(write_gathered(writer, inbox));
    let _ = outbox.send(Bytes::from_static(b"What's your name?\r\n"));
    let mut buffer = Vec::with_capacity(READ_LEN);
    let mut partial = Vec::new();
    let mut named: Option<(Vec<u8>, Membership)> = None;
    loop {
        buffer.clear();
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        each_line(&mut partial, &buffer, |line| match &named {
            None => {
                let _ = outbox.send([b"Welcome, ", line, b"!\r\n"].concat().into());
                named = Some((line.to_vec(), members.join(outbox.clone())));
            }
            Some((name, membership)) => {
                let message = [b"<", &name[..], b"> ", line, b"\r\n"].concat().into();
                members.send(&message, Some(membership.key));
            }
        });
    }
}

/// All that has gathered leaves in one write.
async fn write_gathered(
    mut writer: OwnedWriteHalf,
    mut inbox: UnboundedReceiver<Bytes>,
) -> io::Result<()> {
    let (mut messages, mut gathered) = (Vec::new(), Vec::new());
    while inbox.recv_many(&mut messages, 1024).await > 0 {
        for message in messages.drain(..) {
            gathered.extend_from_slice(&message);
        }
        writer.write_all(&gathered).await?;
        gathered.clear();
    }
    Ok(())
}

pub async fn broadcast(stream: TcpStream, members: Members) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let (outbox, inbox) = unbounded_channel();
    tokio::spawn(write_each(writer, inbox));
    let _membership = members.join(outbox);
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        buffer.clear();
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        for _ in &buffer {
            members.send(&Bytes::from_static(&BLOCK), None);
        }
    }
}

/// Blocks are long: to gather them would cost more than a write each.
async fn write_each(
    mut writer: OwnedWriteHalf,
    mut inbox: UnboundedReceiver<Bytes>,
) -> io::Result<()> {
    while let Some(block) = inbox.recv().await {
        writer.write_all(&block).await?;
    }
    Ok(())
}
