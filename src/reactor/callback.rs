//! The callbacks of a protocol, as values.

use super::timer_id::TimerId;
use crate::callback_kind::CallbackKind;
use crate::continuation::Continuation;
use crate::descriptor::Descriptor;
use crate::protocol::{Context, Protocol};
use crate::reason::TimeoutKind;
use std::io;

/// A callback to make; any but `connection_lost`, which consumes the protocol.
#[derive(Debug)]
pub(super) enum Callback<'a> {
    ConnectionMade,
    DataReceived(&'a [u8]),
    /// Holds a reference to take the descriptor from, as `ProducerFinished` does.
    DescriptorReceived(&'a mut Option<Descriptor>),
    HandshakeCompleted,
    TimerFired(TimerId),
    /// Holds a reference to take the continuation from, as `ProducerFinished` does.
    Continued(&'a mut Option<Continuation>),
    ReadingResumed,
    TimedOut(TimeoutKind),
    DrainRequested,
    ProducingPaused,
    ProducingResumed,
    /// Holds a reference to take the result from: a callback that owned it would need drop code on
    /// every call.
    ProducerFinished(&'a mut Option<io::Result<u64>>),
    WriteRejected(usize),
    ReadConnectionLost,
    WriteConnectionLost,
}

impl Callback<'_> {
    pub(super) fn kind(&self) -> CallbackKind {
        match self {
            Self::ConnectionMade => CallbackKind::ConnectionMade,
            Self::DataReceived(_) => CallbackKind::DataReceived,
            Self::DescriptorReceived(_) => CallbackKind::DescriptorReceived,
            Self::HandshakeCompleted => CallbackKind::HandshakeCompleted,
            Self::TimerFired(_) => CallbackKind::TimerFired,
            Self::Continued(_) => CallbackKind::Continued,
            Self::ReadingResumed => CallbackKind::ReadingResumed,
            Self::TimedOut(_) => CallbackKind::TimedOut,
            Self::DrainRequested => CallbackKind::DrainRequested,
            Self::ProducingPaused => CallbackKind::ProducingPaused,
            Self::ProducingResumed => CallbackKind::ProducingResumed,
            Self::ProducerFinished(_) => CallbackKind::ProducerFinished,
            Self::WriteRejected(_) => CallbackKind::WriteRejected,
            Self::ReadConnectionLost => CallbackKind::ReadConnectionLost,
            Self::WriteConnectionLost => CallbackKind::WriteConnectionLost,
        }
    }

    /// Returns the number of bytes or writes that the callback is about.
    pub(super) fn amount(&self) -> usize {
        match self {
            Self::DataReceived(data) => data.len(),
            Self::WriteRejected(count) => *count,
            _ => 0,
        }
    }

    /// Makes the callback.
    pub(super) fn call<F: 'static>(self, protocol: &mut impl Protocol<F>, cx: &mut Context<'_, F>) {
        match self {
            Self::ConnectionMade => protocol.connection_made(cx),
            Self::DataReceived(data) => protocol.data_received(cx, data),
            Self::DescriptorReceived(descriptor) => {
                if let Some(descriptor) = descriptor.take() {
                    protocol.descriptor_received(cx, descriptor);
                }
            }
            Self::HandshakeCompleted => protocol.handshake_completed(cx),
            Self::TimerFired(timer) => protocol.timer_fired(cx, timer),
            Self::Continued(continuation) => run_continuation(protocol, cx, continuation),
            Self::ReadingResumed => protocol.reading_resumed(cx),
            Self::TimedOut(kind) => protocol.timed_out(cx, kind),
            Self::DrainRequested => protocol.drain_requested(cx),
            Self::ProducingPaused => protocol.producing_paused(cx),
            Self::ProducingResumed => protocol.producing_resumed(cx),
            Self::ProducerFinished(result) => {
                if let Some(result) = result.take() {
                    protocol.producer_finished(cx, result);
                }
            }
            Self::WriteRejected(count) => protocol.write_rejected(cx, count),
            Self::ReadConnectionLost => protocol.read_connection_lost(cx),
            Self::WriteConnectionLost => protocol.write_connection_lost(cx),
        }
    }
}

/// Passes a continuation to its protocol. Not inlined, so that it costs other callbacks nothing.
#[inline(never)]
fn run_continuation<F: 'static>(
    protocol: &mut impl Protocol<F>,
    cx: &mut Context<'_, F>,
    continuation: &mut Option<Continuation>,
) {
    if let Some(continuation) = continuation.take() {
        protocol.continued(cx, continuation);
    }
}
