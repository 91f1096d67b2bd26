//! `PublishQueue`: messages that wait for a connection.

use std::collections::VecDeque;
use twistor::Bytes;

/// What happens to a message that is published while the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuePolicy {
    /// The message is rejected: `publish` returns
    /// [`PublishError::QueueFull`](crate::error::PublishError::QueueFull), and the caller, who
    /// still has the message, decides.
    #[default]
    Reject,
    /// The oldest messages are dropped, and counted in
    /// [`Statistics::dropped`](crate::Statistics::dropped). A flush that waits behind them is
    /// answered with [`FlushError::Dropped`](crate::error::FlushError::Dropped).
    DropOldest,
}

/// Messages that wait for a connection, or for room in its write buffer, in order.
///
/// They are kept in blocks as they are sent, so that a message is copied once on its way here, and
/// not again on its way to the connection.
#[derive(Debug, Default)]
pub(crate) struct PublishQueue {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// Number of messages that were ever added, and removed.
    added: u64,
    removed: u64,
}

#[derive(Debug)]
struct Block {
    commands: Vec<u8>,
    /// Bytes at the beginning whose messages are dropped.
    dropped: usize,
    messages: VecDeque<Queued>,
}

/// A message in a block.
#[derive(Debug)]
struct Queued {
    command_len: u32,
    /// The length of the payload, headers included.
    payload_len: u32,
    has_headers: bool,
}

/// What a server takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) payload_max: usize,
    pub(crate) headers: bool,
}

impl Accepted {
    fn includes(self, message: &Queued) -> bool {
        message.payload_len as usize <= self.payload_max && (self.headers || !message.has_headers)
    }
}

/// Messages to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outbound {
    pub(crate) commands: Bytes,
    pub(crate) count: u64,
    /// Messages that were left out, since the server does not take them.
    pub(crate) dropped: u64,
    /// Number of messages that were ever added before the first one that was left out.
    pub(crate) before_dropped: u64,
}

/// The length of a block, except for longer messages: a transport takes it without a copy, and it
/// is freed as the queue empties.
const BLOCK_LEN: usize = 64 * 1024;

/// The capacity of the first block: a queue that is short takes little memory.
const FIRST_BLOCK_LEN: usize = 2 * 1024;

/// What a queued message takes besides its bytes.
const OVERHEAD: usize = size_of::<Queued>();

impl PublishQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns how many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many messages were ever added.
    pub(crate) fn added(&self) -> u64 {
        self.added
    }

    /// Returns how many messages were ever removed: the first ones of those that were added.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Adds a message, whose command is in parts, if no more than `max` bytes wait then. Returns
    /// how many others were dropped for it, or `Err` if it was rejected.
    pub(crate) fn push(
        &mut self,
        command: [&[u8]; 3],
        payload_len: usize,
        has_headers: bool,
        max: usize,
        policy: QueuePolicy,
    ) -> Result<u64, ()> {
        let len: usize = command.iter().map(|part| part.len()).sum();
        let size = len + OVERHEAD;
        let mut dropped = 0;
        if size > max || (policy == QueuePolicy::Reject && self.bytes + size > max) {
            return Err(());
        }
        let command_len = u32::try_from(len).map_err(|_| ())?;
        let payload_len = u32::try_from(payload_len).map_err(|_| ())?;
        while self.bytes + size > max && self.drop_oldest() {
            dropped += 1;
        }
        self.bytes += size;
        self.added += 1;
        let block = self.block_for(len);
        command.iter().for_each(|part| block.commands.extend_from_slice(part));
        block.messages.push_back(Queued { command_len, payload_len, has_headers });
        Ok(dropped)
    }

    /// Returns the block for the next message.
    fn block_for(&mut self, len: usize) -> &mut Block {
        let fits = |block: &Block| block.commands.len() + len <= BLOCK_LEN;
        if !self.blocks.back().is_some_and(fits) {
            let first = if self.blocks.is_empty() { FIRST_BLOCK_LEN } else { BLOCK_LEN };
            let commands = Vec::with_capacity(first.max(len));
            self.blocks.push_back(Block { commands, dropped: 0, messages: VecDeque::new() });
        }
        self.blocks.back_mut().expect("one was added if there was none")
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(block) = self.blocks.front_mut() else { return false };
        if let Some(message) = block.messages.pop_front() {
            let len = message.command_len as usize;
            block.dropped += len;
            self.bytes -= len + OVERHEAD;
            self.removed += 1;
        }
        if block.messages.is_empty() {
            self.blocks.pop_front();
        }
        true
    }

    /// Removes the first messages. Those that the server does not take are left out.
    pub(crate) fn pop(&mut self, accepted: Accepted) -> Option<Outbound> {
        let Block { commands, dropped: start, messages } = self.blocks.pop_front()?;
        self.bytes -= commands.len() - start + messages.len() * OVERHEAD;
        let is_left_out = |message: &Queued| !accepted.includes(message);
        let first = messages.iter().position(is_left_out).unwrap_or(messages.len());
        let before_dropped = self.removed + first as u64;
        self.removed += messages.len() as u64;
        let sent = messages.iter().filter(|message| accepted.includes(message)).count();
        let (count, dropped) = (sent as u64, (messages.len() - sent) as u64);
        if dropped == 0 {
            let commands = Bytes::from(commands).slice(start..);
            return Some(Outbound { commands, count, dropped, before_dropped });
        }
        let (mut kept, mut at) = (Vec::new(), start);
        for message in messages {
            let end = at + message.command_len as usize;
            if accepted.includes(&message) {
                kept.extend_from_slice(&commands[at..end]);
            }
            at = end;
        }
        Some(Outbound { commands: kept.into(), count, dropped, before_dropped })
    }

    /// Removes all messages, and returns how many there were.
    pub(crate) fn clear(&mut self) -> u64 {
        let count = self.added - self.removed;
        *self = Self { added: self.added, removed: self.added, ..Self::default() };
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(
        queue: &mut PublishQueue,
        text: &str,
        max: usize,
        policy: QueuePolicy,
    ) -> Result<u64, ()> {
        let (begin, end) = text.split_at(1);
        let has_headers = begin == "H";
        queue.push([begin.as_bytes(), end.as_bytes(), b""], text.len(), has_headers, max, policy)
    }

    fn drain(queue: &mut PublishQueue, payload_max: usize, headers: bool) -> (String, u64, u64) {
        let (mut all, accepted) = ((String::new(), 0, 0), Accepted { payload_max, headers });
        while let Some(Outbound { commands, count, dropped, .. }) = queue.pop(accepted) {
            all.0.push_str(std::str::from_utf8(&commands).unwrap());
            (all.1, all.2) = (all.1 + count, all.2 + dropped);
        }
        assert_eq!((queue.bytes(), queue.is_empty()), (0, true));
        assert_eq!(queue.removed(), queue.added());
        all
    }

    #[test]
    fn a_full_queue_rejects_the_new_or_drops_the_oldest() {
        let max = 2 * (OVERHEAD + 2);
        for (policy, third, kept) in
            [(QueuePolicy::Reject, Err(()), "a1b2"), (QueuePolicy::DropOldest, Ok(1), "b2c3")]
        {
            let mut queue = PublishQueue::default();
            assert_eq!(push(&mut queue, "a1", max, policy), Ok(0));
            assert_eq!(push(&mut queue, "b2", max, policy), Ok(0));
            assert_eq!(push(&mut queue, "c3", max, policy), third);
            assert_eq!(drain(&mut queue, usize::MAX, true), (kept.to_owned(), 2, 0));
        }
    }

    #[test]
    fn a_message_larger_than_the_queue_drops_no_other() {
        let mut queue = PublishQueue::default();
        let max = OVERHEAD + 5;
        push(&mut queue, "abcde", max, QueuePolicy::DropOldest).unwrap();
        assert_eq!(push(&mut queue, "abcdef", max, QueuePolicy::DropOldest), Err(()));
        assert_eq!(queue.clear(), 1);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn messages_keep_their_order_over_blocks_and_large_payloads_are_left_out() {
        let lengths = [1, 30_000, 30_000, 30_000, BLOCK_LEN + 1, 2, 30_000];
        let texts: Vec<String> =
            lengths.iter().zip('a'..).map(|(&len, c)| c.to_string().repeat(len)).collect();
        for payload_max in [usize::MAX, BLOCK_LEN, 2] {
            let mut queue = PublishQueue::default();
            for text in &texts {
                push(&mut queue, text, usize::MAX, QueuePolicy::Reject).unwrap();
            }
            let kept: Vec<&str> =
                texts.iter().map(String::as_str).filter(|text| text.len() <= payload_max).collect();
            let (count, all) = (kept.len() as u64, texts.len() as u64);
            assert_eq!(drain(&mut queue, payload_max, true), (kept.concat(), count, all - count));
        }
    }

    #[test]
    fn messages_with_headers_are_left_out_for_a_server_without() {
        for (headers, expected) in
            [(true, ("a1H2b3H4".to_owned(), 4, 0)), (false, ("a1b3".to_owned(), 2, 2))]
        {
            let mut queue = PublishQueue::default();
            for text in ["a1", "H2", "b3", "H4"] {
                push(&mut queue, text, usize::MAX, QueuePolicy::Reject).unwrap();
            }
            assert_eq!(drain(&mut queue, usize::MAX, headers), expected);
        }
    }

    #[test]
    fn the_oldest_are_dropped_one_by_one_over_blocks() {
        let (mut queue, mut dropped) = (PublishQueue::default(), 0);
        let max = 4 * (40_000 + OVERHEAD);
        for c in 'a'..='z' {
            let text = c.to_string().repeat(40_000);
            dropped += push(&mut queue, &text, max, QueuePolicy::DropOldest).unwrap();
        }
        let kept: String = ('w'..='z').map(|c| c.to_string().repeat(40_000)).collect();
        assert_eq!((dropped, queue.bytes()), (22, max));
        assert_eq!(drain(&mut queue, usize::MAX, true), (kept, 4, 0));
    }
}
