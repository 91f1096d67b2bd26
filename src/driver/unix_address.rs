//! Addresses of Unix sockets as the operating system has them.

use crate::address::UnixAddress;
use crate::endpoint::UnixSocketError;
use socket2::SockAddr;
use std::ffi::OsStr;
use std::io;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// Bytes of a path or name with its zero byte, which is behind a path and before a name: 108 on
/// Linux, 104 on BSD.
const CAPACITY: usize = size_of::<libc::sockaddr_un>() - offset_of!(libc::sockaddr_un, sun_path);

/// Whether the system has abstract names.
const HAS_ABSTRACT_NAMES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Returns the address for `bind` and `connect`. Fails if the system has no such address.
pub(super) fn to_system(address: &UnixAddress) -> io::Result<SockAddr> {
    if let Some(name) = address.as_abstract_name() {
        if !HAS_ABSTRACT_NAMES {
            return Err(UnixSocketError::Unsupported.into());
        }
        check_length(name)?;
        let bytes: Vec<u8> = std::iter::once(0).chain(name.iter().copied()).collect();
        return SockAddr::unix(OsStr::from_bytes(&bytes));
    }
    let path = address.as_path().unwrap_or(Path::new(""));
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        // To the system this would mean: without a name, or with one that it chooses.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address has no path"));
    }
    if bytes.contains(&0) {
        return Err(UnixSocketError::ZeroByte.into());
    }
    check_length(bytes)?;
    SockAddr::unix(path)
}

fn check_length(bytes: &[u8]) -> io::Result<()> {
    let (length, max) = (bytes.len(), CAPACITY - 1);
    if length > max { Err(UnixSocketError::PathTooLong { length, max }.into()) } else { Ok(()) }
}

/// Returns the address of a socket or of its peer.
pub(super) fn from_system(address: &SocketAddr) -> UnixAddress {
    if let Some(path) = address.as_pathname() {
        return UnixAddress::path(path);
    }
    match abstract_name(address) {
        Some(name) => UnixAddress::abstract_name(name),
        None => UnixAddress::unnamed(),
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address)
}

#[cfg(target_os = "android")]
fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    std::os::android::net::SocketAddrExt::as_abstract_name(address)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(address: &UnixAddress) -> Option<UnixSocketError> {
        let error = to_system(address).unwrap_err();
        error.get_ref()?.downcast_ref().copied()
    }

    #[test]
    fn a_path_as_long_as_the_system_takes_is_an_address_and_a_longer_one_is_not() {
        let longest = "p".repeat(CAPACITY - 1);
        let system = to_system(&UnixAddress::path(&longest)).unwrap();
        assert_eq!(system.as_pathname(), Some(Path::new(&longest)));
        let length = CAPACITY;
        let expected = UnixSocketError::PathTooLong { length, max: CAPACITY - 1 };
        assert_eq!(inner(&UnixAddress::path("p".repeat(length))), Some(expected));
        if HAS_ABSTRACT_NAMES {
            let name = vec![0xff; CAPACITY - 1];
            let system = to_system(&UnixAddress::abstract_name(&name)).unwrap();
            assert_eq!(system.as_abstract_namespace(), Some(&*name));
            assert_eq!(inner(&UnixAddress::abstract_name(vec![b'n'; length])), Some(expected));
        } else {
            let name = UnixAddress::abstract_name("n");
            assert_eq!(inner(&name), Some(UnixSocketError::Unsupported));
        }
    }

    #[test]
    fn what_the_system_would_read_otherwise_is_no_address() {
        assert_eq!(inner(&UnixAddress::path("/tmp/a\0b")), Some(UnixSocketError::ZeroByte));
        // It would be an abstract name.
        assert_eq!(inner(&UnixAddress::path("\0name")), Some(UnixSocketError::ZeroByte));
        for nameless in [UnixAddress::unnamed(), UnixAddress::path("")] {
            let error = to_system(&nameless).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn addresses_come_back_from_the_system() {
        let path = UnixAddress::path("some/path");
        let system = SocketAddr::from_pathname("some/path").unwrap();
        assert_eq!(from_system(&system), path);
        let (one, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(from_system(&one.peer_addr().unwrap()), UnixAddress::unnamed());
    }
}
