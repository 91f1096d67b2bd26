//! Credentials of the peer of a Unix socket, as each operating system tells them.

use crate::address::PeerCredentials;
use std::io;
use std::os::fd::AsFd;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn peer_credentials(socket: &impl AsFd) -> io::Result<PeerCredentials> {
    use nix::sys::socket::{getsockopt, sockopt};
    let found = getsockopt(socket, sockopt::PeerCredentials)?;
    // Zero stands for a process of a namespace that this one does not see.
    let process = u32::try_from(found.pid()).ok().filter(|&process| process != 0);
    Ok(PeerCredentials::new(process, found.uid(), found.gid()))
}

#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub(super) fn peer_credentials(socket: &impl AsFd) -> io::Result<PeerCredentials> {
    #[cfg(target_vendor = "apple")]
    let process = {
        use nix::sys::socket::{getsockopt, sockopt};
        getsockopt(socket, sockopt::LocalPeerPid).ok().and_then(|process| process.try_into().ok())
    };
    #[cfg(not(target_vendor = "apple"))]
    let process = None;
    let (user, group) = nix::unistd::getpeereid(socket)?;
    Ok(PeerCredentials::new(process, user.as_raw(), group.as_raw()))
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
pub(super) fn peer_credentials(_: &impl AsFd) -> io::Result<PeerCredentials> {
    Err(io::ErrorKind::Unsupported.into())
}
