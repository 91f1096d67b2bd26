//! Descriptors beside the bytes of a Unix socket.

use super::DESCRIPTORS_MAX;
use crate::descriptor::Descriptor;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

/// Room for the descriptors that come or go with one call.
const CONTROL_LEN: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Received descriptors are not inherited by the programs that this one starts.
#[cfg(not(target_vendor = "apple"))]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Apple's systems have no such flag.
#[cfg(target_vendor = "apple")]
const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

/// The descriptors of a connection that were received and not taken, or wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    pub(super) received: VecDeque<Descriptor>,
    /// The bytes that were read with the received descriptors, which are delivered first.
    pub(super) bytes: VecDeque<u8>,
    /// Descriptors that go with the next byte.
    pub(super) attached: Vec<Descriptor>,
}

/// Reads bytes, and the descriptors that came with them.
pub(super) fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, VecDeque<Descriptor>)> {
    let mut space = [MaybeUninit::uninit(); CONTROL_LEN];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RECEIVE_FLAGS)?;
    let mut received = VecDeque::new();
    for rights in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = rights {
            received.extend(descriptors);
        }
    }
    #[cfg(target_vendor = "apple")]
    for descriptor in &received {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    }
    // The system closes those for which there is no room, or no number: a message without one of
    // its descriptors means something else.
    if message.flags.contains(ReturnFlags::CTRUNC) || received.len() > DESCRIPTORS_MAX {
        let why = format!(
            "descriptors were lost: the peer has sent more than {DESCRIPTORS_MAX} at once, or this \
             process has no room for them"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok((message.bytes, received))
}

/// Writes bytes, and descriptors with the first of them.
pub(super) fn send(
    socket: &impl AsFd,
    data: &[u8],
    descriptors: &[Descriptor],
    flags: i32,
) -> io::Result<usize> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); CONTROL_LEN];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("too many descriptors for one byte"));
    }
    let flags = SendFlags::from_bits_retain(flags as u32);
    Ok(sendmsg(socket, &[IoSlice::new(data)], &mut control, flags)?)
}
