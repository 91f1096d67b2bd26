//! Addresses of Unix sockets.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The address of a Unix socket: a path, an abstract name, or none.
///
/// Clients seldom have a name, so the address of a peer is nearly always unnamed. Displayed as
/// `unix:/run/web.sock`, `unix:@name` and `unix:`. (`UNIXAddress`; unix(7))
///
/// ```
/// use twistor::UnixAddress;
///
/// let address = UnixAddress::path("/run/web.sock");
/// assert_eq!(address.to_string(), "unix:/run/web.sock");
/// assert!(UnixAddress::unnamed().is_unnamed());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixAddress(Name);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    Unnamed,
    Path(Arc<Path>),
    /// A name in the abstract namespace of Linux: any bytes, none of which ends it.
    Abstract(Arc<[u8]>),
}

impl UnixAddress {
    /// Returns the address of a socket without a name.
    pub fn unnamed() -> Self {
        Self(Name::Unnamed)
    }

    /// Returns the address of a socket in the file system. A relative path is resolved when a
    /// socket is bound or connected.
    pub fn path(path: impl AsRef<Path>) -> Self {
        Self(Name::Path(path.as_ref().into()))
    }

    /// Returns the address of a socket in Linux's abstract namespace. The name is any bytes, and
    /// does not include the zero byte that the system puts before it.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Self {
        Self(Name::Abstract(name.as_ref().into()))
    }

    /// Returns the path, if the socket has one.
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Name::Path(path) => Some(path),
            Name::Unnamed | Name::Abstract(_) => None,
        }
    }

    /// Returns the abstract name, if the socket has one, without the zero byte before it.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Name::Abstract(name) => Some(name),
            Name::Unnamed | Name::Path(_) => None,
        }
    }

    /// Returns true if the socket has neither a path nor an abstract name.
    pub fn is_unnamed(&self) -> bool {
        self.0 == Name::Unnamed
    }
}

impl From<&Path> for UnixAddress {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<&OsStr> for UnixAddress {
    fn from(path: &OsStr) -> Self {
        Self::path(path)
    }
}

impl fmt::Display for UnixAddress {
    /// Control characters and bytes that are no text are escaped, since peers choose their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unix:")?;
        match &self.0 {
            Name::Unnamed => Ok(()),
            Name::Path(path) => escaped(path.as_os_str().as_encoded_bytes(), f),
            Name::Abstract(name) => {
                f.write_str("@")?;
                escaped(name, f)
            }
        }
    }
}

fn escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_displayed_without_control_characters() {
        assert_eq!(UnixAddress::unnamed().to_string(), "unix:");
        assert_eq!(UnixAddress::path("/tmp/é").to_string(), "unix:/tmp/é");
        assert_eq!(
            UnixAddress::abstract_name(b"a\x1b[2J\xff").to_string(),
            "unix:@a\\u{1b}[2J\\xff"
        );
    }

    #[test]
    fn a_path_is_not_an_abstract_name() {
        let (path, name) = (UnixAddress::path("x"), UnixAddress::abstract_name("x"));
        assert_ne!(path, name);
        assert_eq!((path.as_path(), path.as_abstract_name()), (Some(Path::new("x")), None));
        assert_eq!((name.as_path(), name.as_abstract_name()), (None, Some(&b"x"[..])));
        assert!(!path.is_unnamed() && !name.is_unnamed());
    }
}
