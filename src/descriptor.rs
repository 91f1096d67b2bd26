//! `Descriptor`: a file descriptor that a connection over a Unix socket carries.

/// A file descriptor that a connection over a Unix socket carries, as
/// [`Transport::send_descriptor`](crate::Transport::send_descriptor) sends it and
/// [`Protocol::descriptor_received`](crate::Protocol::descriptor_received) receives it. Dropping it
/// closes it.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;

/// A file descriptor that a connection over a Unix socket carries. This system has none, and so
/// there is no value of this type.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Descriptor(std::convert::Infallible);
