//! The service manager that has started this process, by systemd's protocol: sd_notify(3).

use super::{Notification, ServiceManager};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

/// The socket of the service manager.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl NotifySocket {
    /// Opens a socket to the manager that the environment names, and returns what else it says;
    /// `None` if it names none. As a successor, this process answers for what the manager asks of
    /// its predecessor, from which it has the environment.
    pub(super) fn find(is_successor: bool) -> io::Result<Option<(Self, ServiceManager)>> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let manager = address(&name)?;
        let [timeout, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(std::env::var_os);
        let pid = pid.filter(|_| !is_successor);
        let watchdog = watchdog(timeout.as_deref(), pid.as_deref(), std::process::id())?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Some((Self { socket, manager }, ServiceManager { watchdog })))
    }

    /// Sends a notification. `WouldBlock` means that the manager, or the system, has no room now.
    pub(super) fn send(&self, notification: &Notification) -> io::Result<()> {
        let text = notification.encode(monotonic());
        match self.socket.send_to_addr(text.as_bytes(), &self.manager) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            sent => sent.map(drop),
        }
    }
}

/// Returns the time of CLOCK_MONOTONIC, which `Instant` also reads but does not tell.
fn monotonic() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is ever negative: the clock begins at zero when the system starts.
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Returns the address of a `NOTIFY_SOCKET`: a path, or an abstract name after an `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(Path::new(name)),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::other("it must begin with / or @")),
    };
    let invalid = |error| invalid_variable("NOTIFY_SOCKET", name, &format!("an address: {error}"));
    address.map_err(invalid)
}

/// Returns the time within which the manager wants to hear from the process `own`, if any.
fn watchdog(
    timeout: Option<&OsStr>,
    pid: Option<&OsStr>,
    own: u32,
) -> io::Result<Option<Duration>> {
    let number = |name, value: &OsStr| {
        let number = value.to_str().and_then(|value| value.parse::<u64>().ok());
        number.ok_or_else(|| invalid_variable(name, value, "a number"))
    };
    let pid = pid.map(|pid| number("WATCHDOG_PID", pid)).transpose()?;
    if pid.is_some_and(|pid| pid != u64::from(own)) {
        // Inherited from a parent process, which it is for.
        return Ok(None);
    }
    let timeout = timeout.map(|timeout| number("WATCHDOG_USEC", timeout)).transpose()?;
    // All bits set is systemd's infinity.
    let timeout = timeout.filter(|timeout| ![0, u64::MAX].contains(timeout));
    Ok(timeout.map(Duration::from_micros))
}

fn invalid_variable(name: &str, value: &OsStr, expected: &str) -> io::Error {
    let why =
        format!("the environment variable {name}={} is not {expected}", value.to_string_lossy());
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_a_path_or_an_abstract_name() {
        let path = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(path.as_pathname(), Some(Path::new("/run/systemd/notify")));
        let name = address(OsStr::new("@/org/a notify")).unwrap();
        assert_eq!(name.as_abstract_name(), Some(&b"/org/a notify"[..]));
        let long = format!("/{}", "a".repeat(108));
        for (name, why) in [
            ("notify", "NOTIFY_SOCKET=notify is not an address: it must begin with / or @"),
            ("vsock:2:1234", "NOTIFY_SOCKET=vsock:2:1234 is not an address"),
            (&*long, "is not an address: path must be shorter than SUN_LEN"),
        ] {
            let error = address(OsStr::new(name)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let watchdog = |timeout: Option<&'static str>, pid: Option<&'static str>| {
            watchdog(timeout.map(OsStr::new), pid.map(OsStr::new), 42)
        };
        let half_a_minute = Some(Duration::from_secs(30));
        for (timeout, pid, expected) in [
            (None, None, None),
            (None, Some("42"), None),
            (Some("30000000"), None, half_a_minute),
            (Some("30000000"), Some("42"), half_a_minute),
            (Some("30000000"), Some("43"), None),
            (Some("not for us"), Some("43"), None),
            (Some("0"), None, None),
            (Some("18446744073709551615"), None, None),
        ] {
            assert_eq!(watchdog(timeout, pid).unwrap(), expected, "{timeout:?} {pid:?}");
        }
        for (timeout, pid) in [(Some("30s"), None), (Some("-1"), None), (Some("1"), Some("me"))] {
            let error = watchdog(timeout, pid).unwrap_err();
            assert!(error.to_string().ends_with("is not a number"), "{error}");
        }
    }
}
