//! Notifications to a service manager, in the words of sd_notify(3).

use std::fmt::Write;
use std::time::Duration;

/// Longest status, in bytes: systemd ignores messages of more than 4096 bytes, and shows the status
/// as one line.
const STATUS_MAX: usize = 1024;

/// What a service tells its manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notification {
    /// Start-up, or a reload, is finished.
    Ready,
    /// The service reloads its configuration.
    Reloading,
    /// The service shuts down, for which the manager should allow `extension` from now on.
    Stopping { extension: Option<Duration> },
    /// The manager should wait for this long, from now on, before it ends the service.
    ExtendTimeout(Duration),
    /// A line for people, without characters that would end it.
    Status(String),
    /// The event loop turns.
    Watchdog,
    /// This process is the main one of the service from now on, and ready.
    MainProcess(u32),
}

impl Notification {
    /// Makes a status of any text: cut to [`STATUS_MAX`], and with blanks in place of control
    /// characters, since a line break would begin another assignment.
    pub(crate) fn status(text: &str) -> Self {
        let mut status = String::new();
        for char in text.chars().map(|char| if char.is_control() { ' ' } else { char }) {
            if status.len() + char.len_utf8() > STATUS_MAX {
                break;
            }
            status.push(char);
        }
        Self::Status(status)
    }

    /// Returns true if `earlier` need not be sent any more once this one is.
    pub(crate) fn replaces(&self, earlier: &Self) -> bool {
        matches!(
            (self, earlier),
            (Self::Status(_), Self::Status(_))
                | (Self::Watchdog, Self::Watchdog)
                | (Self::ExtendTimeout(_), Self::ExtendTimeout(_))
        )
    }

    /// Returns the datagram, for a reading of the clock CLOCK_MONOTONIC: by its time a manager
    /// knows which of its requests to reload is answered.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only simulated drivers have a service manager then")
    )]
    pub(crate) fn encode(&self, monotonic: Duration) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic.as_micros()),
            Self::Stopping { extension } => {
                let mut text = "STOPPING=1".to_owned();
                if let Some(time) = extension {
                    let _ = write!(text, "\n{}", Self::ExtendTimeout(*time).encode(monotonic));
                }
                text
            }
            Self::ExtendTimeout(time) => format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            Self::Status(status) => format!("STATUS={status}"),
            Self::Watchdog => "WATCHDOG=1".to_owned(),
            Self::MainProcess(process) => format!("READY=1\nMAINPID={process}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(notification: &Notification) -> String {
        notification.encode(Duration::new(12, 345_678_901))
    }

    #[test]
    fn notifications_are_worded_as_in_the_manual() {
        let second = Duration::from_secs(1);
        for (notification, text) in [
            (Notification::Ready, "READY=1"),
            (Notification::Reloading, "RELOADING=1\nMONOTONIC_USEC=12345678"),
            (Notification::Stopping { extension: None }, "STOPPING=1"),
            (
                Notification::Stopping { extension: Some(second) },
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000",
            ),
            (Notification::ExtendTimeout(second), "EXTEND_TIMEOUT_USEC=1000000"),
            (Notification::status("serving 3 clients"), "STATUS=serving 3 clients"),
            (Notification::Watchdog, "WATCHDOG=1"),
            (Notification::MainProcess(42), "READY=1\nMAINPID=42"),
        ] {
            assert_eq!(encode(&notification), text);
        }
    }

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        let status = |text: &str| encode(&Notification::status(text));
        assert_eq!(status("a\nWATCHDOG=trigger\r\0"), "STATUS=a WATCHDOG=trigger  ");
        // A character is kept whole or not at all: 1024 is no multiple of 3.
        assert_eq!(status(&"€".repeat(1000)), format!("STATUS={}", "€".repeat(STATUS_MAX / 3)));
    }
}
