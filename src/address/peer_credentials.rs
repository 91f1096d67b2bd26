//! Credentials of the program at the other end of a Unix socket.

/// The process, user and group at the other end of a Unix socket, as the operating system knows
/// them; see [`Transport::peer_credentials`](crate::Transport::peer_credentials).
///
/// They are those of the moment at which the peer connected, or began to listen. A process id may
/// belong to another process by now; the user and the group are what to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerCredentials {
    process: Option<u32>,
    user: u32,
    group: u32,
}

impl PeerCredentials {
    pub(crate) fn new(process: Option<u32>, user: u32, group: u32) -> Self {
        Self { process, user, group }
    }

    /// Returns the process id; `None` where the system does not tell it (FreeBSD and others), and
    /// for a process that this one cannot see: one outside of its container, for example.
    pub fn process_id(&self) -> Option<u32> {
        self.process
    }

    /// Returns the effective user id.
    pub fn user_id(&self) -> u32 {
        self.user
    }

    /// Returns the effective group id.
    pub fn group_id(&self) -> u32 {
        self.group
    }
}
