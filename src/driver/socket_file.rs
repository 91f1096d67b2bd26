//! The file of a listening Unix socket, and the lock on its path.

use crate::endpoint::UnixSocketError;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use socket2::{Domain, SockAddr, Socket, Type};
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::panicking;

/// Attempts to bind a path. A second one follows when a stale file was removed; more only if other
/// programs, which take no lock, make and remove files there at the same moment.
const BINDS_MAX: usize = 3;

/// Lock on the path of a listening socket, by flock(2) of a file beside it.
///
/// It is held as long as the port is open. Without it, one program could take a file for stale
/// which another has bound and does not listen on yet; and both would remove the stale file of a
/// third, the second one together with the first one's new socket. While it is held none needs to
/// connect to the socket to see whether it is in use, however full its backlog is. The system
/// releases it when the process ends, whatever the cause, so it is never stale.
///
/// Its file stays: a program that had opened it before it was removed would hold a lock that the
/// next one, which creates the file again, does not see.
#[derive(Debug)]
pub(super) struct PathLock {
    file: OwnedFd,
    owner: Owner,
}

impl PathLock {
    /// Takes the lock, without waiting.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push(".lock");
        let named = |error: rustix::io::Errno| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("the lock {name:?} cannot be taken: {error}"))
        };
        // Its owner's only: any other program that can open it could keep the port from opening.
        // A symbolic link would create its target, and a pipe would wait for its other end.
        let flags =
            OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = open(&*name, flags, Mode::RUSR | Mode::WUSR).map_err(named)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file, owner: Owner::this() }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(UnixSocketError::InUse.into()),
            Err(error) => Err(named(error)),
        }
    }

    /// Shares the lock of another process, which owns it.
    pub(super) fn shared(file: OwnedFd) -> Self {
        Self { file, owner: Owner::Another }
    }

    /// Returns a duplicate. All duplicates are one lock: it is held until one of them releases it,
    /// or the last is closed.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    pub(super) fn set_owned(&mut self, is_owned: bool) {
        self.owner = Owner::of(is_owned);
    }
}

impl Drop for PathLock {
    /// Releases the lock. A close would not, while a program that was just started from this one
    /// still has a copy of the descriptor: until it begins to run, it has them all.
    fn drop(&mut self) {
        if self.owner.is_this() {
            // It cannot fail; and if it did, the close would release the lock soon.
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// The owner of a file or a lock. A process forked from the owner has a copy of the value, whose
/// drop must not release what belongs to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Process(u32),
    /// A process from which it was taken over, or which has taken it over.
    Another,
}

impl Owner {
    fn this() -> Self {
        Self::Process(std::process::id())
    }

    fn of(is_owned: bool) -> Self {
        if is_owned { Self::this() } else { Self::Another }
    }

    fn is_this(self) -> bool {
        self == Self::this()
    }
}

/// The file of a bound socket. Dropping it removes the file, if it is still the one that was made:
/// before the socket itself is closed, so that no program takes it for stale meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// Absolute, since the working directory may change.
    path: PathBuf,
    identity: Identity,
    owner: Owner,
}

/// What tells a file from another one at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Identity {
    fn from(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

impl SocketFile {
    /// Binds a socket to a path, in place of a stale file if there is one. The caller holds the
    /// lock of the path.
    pub(super) fn bind(socket: &Socket, address: &SockAddr, path: &Path) -> io::Result<Self> {
        for _ in 0..BINDS_MAX {
            match socket.bind(address) {
                Ok(()) => {
                    let identity = Identity::from(&fs::symlink_metadata(path)?);
                    let path = std::path::absolute(path)?;
                    return Ok(Self { path, identity, owner: Owner::this() });
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    remove_stale(address, path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(UnixSocketError::InUse.into())
    }

    /// Returns the file of a socket that another process has bound, and owns.
    pub(super) fn shared(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        if !found.file_type().is_socket() {
            return Err(UnixSocketError::NotASocket.into());
        }
        let path = std::path::absolute(path)?;
        Ok(Self { path, identity: Identity::from(&found), owner: Owner::Another })
    }

    pub(super) fn set_owned(&mut self, is_owned: bool) {
        self.owner = Owner::of(is_owned);
    }

    /// Sets the permissions of the file. A new socket does not listen before: no client can connect
    /// with other permissions.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode))
    }

    fn is_ours(&self) -> bool {
        let found = fs::symlink_metadata(&self.path);
        self.owner.is_this() && found.is_ok_and(|found| Identity::from(&found) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours() {
            // It is stale then, and the next program that listens there removes it. A logger that
            // panics while this thread does would end the process.
            if let Some(error) = fs::remove_file(&self.path).err().filter(|_| !panicking()) {
                log::warn!("{} cannot be removed: {error}", self.path.display());
            }
        }
    }
}

/// Removes the file at a path where a bind has failed, if it is the socket of a program that
/// listens no more. An error says what else is there.
fn remove_stale(address: &SockAddr, path: &Path) -> io::Result<()> {
    let Some(found) = present(fs::symlink_metadata(path))? else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(UnixSocketError::NotASocket.into());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // A socket of another type is as much in use.
        Err(error)
            if error.kind() == ErrorKind::WouldBlock
                || error.raw_os_error() == Some(libc::EPROTOTYPE) =>
        {
            return Err(UnixSocketError::InUse.into());
        }
        Ok(()) => return Err(UnixSocketError::InUse.into()),
        Err(error) => {
            let why = format!("cannot tell whether the socket at the path is in use: {error}");
            return Err(io::Error::new(error.kind(), why));
        }
    }
    // Only the file that has refused: programs that take no lock may have replaced it.
    match present(fs::symlink_metadata(path))? {
        Some(now) if Identity::from(&now) == Identity::from(&found) => {
            log::info!("removing {}, where no program listens any more", path.display());
            present(fs::remove_file(path)).map(drop)
        }
        _ => Ok(()),
    }
}

/// Returns `None` for a file that is gone.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::UnixAddress;
    use crate::driver::unix_address::to_system;

    /// Returns a path of this process's own, as it is given to `bind`: relative.
    fn relative(name: &str) -> PathBuf {
        let here = std::env::current_dir().unwrap();
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let root = std::env::temp_dir();
        let from_root = root.strip_prefix("/").unwrap();
        up.join(from_root).join(format!("twistor-{name}-{}", std::process::id()))
    }

    fn bind(path: &Path) -> (Socket, SocketFile) {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let address = to_system(&UnixAddress::path(path)).unwrap();
        let file = SocketFile::bind(&socket, &address, path).unwrap();
        (socket, file)
    }

    #[test]
    fn a_relative_path_is_remembered_whatever_the_working_directory_becomes() {
        let path = relative("relative");
        let (_socket, file) = bind(&path);
        assert!(file.path.is_absolute() && file.is_ours());
        let absolute = file.path.clone();
        assert!(absolute.exists());
        drop(file);
        assert!(!absolute.exists());
    }

    #[test]
    fn a_forked_process_does_not_remove_the_file_of_its_parent() {
        let (_socket, mut file) = bind(&relative("forked"));
        file.owner = Owner::Process(std::process::id() + 1);
        let path = file.path.clone();
        drop(file);
        assert!(path.exists());
        fs::remove_file(path).unwrap();
    }
}
