//! Listening sockets that the process has inherited: systemd's socket activation, sd_listen_fds(3).
//!
//! The variables `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` say which descriptors they are.
//! They are read at the first use, once for the process, and from then on these descriptors are
//! closed in processes that the program starts. Each can be taken once; the taker owns the
//! descriptor itself, no duplicate, so that dropping it closes the socket in this process.

use super::adopted::{Problem, family_of};
use super::inherit_error::InheritError;
use crate::endpoint::{Family, Selector};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use socket2::Socket;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Number of the first inherited descriptor: SD_LISTEN_FDS_START.
const FIRST: usize = 3;

/// The most descriptors that a process can inherit. More are a mistake; systemd passes as many as a
/// unit has addresses.
const INHERITED_MAX: usize = 4096;

/// Name of a descriptor that `LISTEN_FDNAMES` does not name, as in sd_listen_fds_with_names(3).
const UNNAMED: &str = "unknown";

/// Takes an inherited socket that listens for streams, of the given family if there is one.
///
/// A descriptor of another kind is not taken, and can be asked for again.
pub(super) fn take(
    selector: Selector<'_>,
    family: Option<Family>,
) -> Result<(Family, Socket), InheritError> {
    static OF_PROCESS: OnceLock<Result<Mutex<Inherited>, InheritError>> = OnceLock::new();
    let inherited = OF_PROCESS.get_or_init(|| Inherited::from_environment().map(Mutex::new));
    let inherited = inherited.as_ref().map_err(Clone::clone)?;
    inherited.lock().unwrap_or_else(PoisonError::into_inner).take(selector, family)
}

/// The inherited descriptors, in their order.
#[derive(Debug, Default)]
struct Inherited(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    name: String,
    descriptor: Descriptor,
}

#[derive(Debug)]
enum Descriptor {
    Waiting(OwnedFd),
    Taken,
    /// The environment claims it, but it is not open, or this process has opened it itself.
    Invalid,
}

impl Inherited {
    fn from_environment() -> Result<Self, InheritError> {
        let [pid, count, names] =
            ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| std::env::var(name).ok());
        let own = std::process::id();
        let names = names_of(pid.as_deref(), count.as_deref(), names.as_deref(), own)?;
        // Only now: it would reserve memory for any number of them.
        let descriptors = if names.is_empty() { Ok(Vec::new()) } else { sd_listen_fds::get() };
        let descriptors = descriptors.unwrap_or_default().into_iter();
        Ok(Self::of(names, descriptors.map(|(_, descriptor)| descriptor.into_std())))
    }

    /// Keeps the descriptors that were inherited, and closes them in other processes.
    fn of(names: Vec<String>, descriptors: impl Iterator<Item = OwnedFd>) -> Self {
        let validate = |descriptor: OwnedFd| match fcntl_getfd(&descriptor) {
            // What a process opens itself is closed by `exec`, as everything is that the standard
            // library opens; what it inherits cannot have that flag.
            Ok(flags) if !flags.contains(FdFlags::CLOEXEC) => {
                match fcntl_setfd(&descriptor, flags | FdFlags::CLOEXEC) {
                    Ok(()) => Descriptor::Waiting(descriptor),
                    Err(_) => Descriptor::Invalid,
                }
            }
            _ => {
                // This number has another owner, or none: it must not be closed.
                let _ = descriptor.into_raw_fd();
                Descriptor::Invalid
            }
        };
        let entry = |(name, descriptor)| Entry { name, descriptor: validate(descriptor) };
        Self(names.into_iter().zip(descriptors).map(entry).collect())
    }

    fn take(
        &mut self,
        selector: Selector<'_>,
        family: Option<Family>,
    ) -> Result<(Family, Socket), InheritError> {
        let index = self.find(selector)?;
        let Entry { name, descriptor } = &mut self.0[index];
        let error =
            |problem| InheritError::Unusable { number: FIRST + index, name: name.clone(), problem };
        let found = match descriptor {
            Descriptor::Waiting(descriptor) => family_of(descriptor).map_err(error)?,
            Descriptor::Taken => return Err(error(Problem::Taken)),
            Descriptor::Invalid => return Err(error(Problem::NotInherited)),
        };
        if let Some(expected) = family.filter(|expected| *expected != found) {
            return Err(error(Problem::WrongFamily { expected, found }));
        }
        match std::mem::replace(descriptor, Descriptor::Taken) {
            Descriptor::Waiting(descriptor) => Ok((found, descriptor.into())),
            Descriptor::Taken | Descriptor::Invalid => Err(error(Problem::Taken)),
        }
    }

    fn find(&self, selector: Selector<'_>) -> Result<usize, InheritError> {
        let found = match selector {
            Selector::Index(index) => Some(index),
            Selector::Number(number) => number.checked_sub(FIRST),
            Selector::Name(name) => {
                let mut named = self.0.iter().enumerate().filter(|(_, entry)| entry.name == name);
                let first = named.clone().next();
                let waiting =
                    named.find(|(_, entry)| matches!(entry.descriptor, Descriptor::Waiting(_)));
                waiting.or(first).map(|(index, _)| index)
            }
        };
        found.filter(|index| *index < self.0.len()).ok_or_else(|| {
            let first = if let Selector::Number(_) = selector { FIRST } else { 0 };
            let entries = self.0.iter().enumerate();
            let inherited =
                entries.map(|(index, entry)| format!("{} {}", first + index, entry.name));
            let wanted = match selector {
                Selector::Index(index) => format!("has the index {index}"),
                Selector::Name(name) => format!("is named {name}"),
                Selector::Number(number) => format!("has the number {number}"),
            };
            InheritError::Missing { wanted, inherited: inherited.collect() }
        })
    }
}

/// Returns the names of the descriptors that are passed to the process `own`, one for each.
fn names_of(
    pid: Option<&str>,
    count: Option<&str>,
    names: Option<&str>,
    own: u32,
) -> Result<Vec<String>, InheritError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(Vec::new()) };
    let invalid = |variable, value: &str, expected| InheritError::Environment {
        variable,
        value: value.to_owned(),
        expected,
    };
    let pid: u32 = pid.parse().map_err(|_| invalid("LISTEN_PID", pid, "a process id"))?;
    if pid != own {
        // Inherited from the process that they were passed to.
        return Ok(Vec::new());
    }
    let number = count.parse().ok().filter(|number| *number <= INHERITED_MAX);
    let number = number.ok_or_else(|| invalid("LISTEN_FDS", count, "a number up to 4096"))?;
    let Some(names) = names.filter(|_| number > 0) else {
        return Ok(vec![UNNAMED.to_owned(); number]);
    };
    let list: Vec<String> = names.split(':').map(str::to_owned).collect();
    if list.len() == number {
        Ok(list)
    } else {
        Err(invalid("LISTEN_FDNAMES", names, "a name for each of LISTEN_FDS, between colons"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tcp_listener::TcpListener;
    use super::*;
    use crate::driver::Listener;
    use socket2::{Domain, SockRef, Type};
    use std::io::{self, ErrorKind, Read};
    use std::net::{SocketAddr, TcpListener as StdListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::process::{Command, Stdio};
    use std::rc::Rc;

    fn listener() -> (OwnedFd, SocketAddr) {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener.into(), address)
    }

    /// Makes descriptors look as after `exec`.
    fn inherit(passed: Vec<(&str, OwnedFd)>) -> Inherited {
        for (_, descriptor) in &passed {
            SockRef::from(descriptor).set_cloexec(false).unwrap();
        }
        let (names, descriptors): (Vec<_>, Vec<_>) = passed.into_iter().unzip();
        Inherited::of(names.into_iter().map(str::to_owned).collect(), descriptors.into_iter())
    }

    fn address_of((_, socket): &(Family, Socket)) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    #[test]
    fn the_environment_names_each_descriptor() {
        let names = |pid, count, names| names_of(pid, count, names, 42).unwrap();
        for (pid, count, listed, expected) in [
            (None, None, None, &[][..]),
            (None, Some("1"), Some("web"), &[]),
            (Some("42"), None, Some("web"), &[]),
            (Some("43"), Some("1"), Some("web"), &[]),
            (Some("43"), Some("not for us"), None, &[]),
            (Some("42"), Some("0"), Some(""), &[]),
            (Some("42"), Some("2"), None, &["unknown", "unknown"]),
            (Some("42"), Some("3"), Some("web:api:web"), &["web", "api", "web"]),
        ] {
            assert_eq!(names(pid, count, listed), expected, "{pid:?} {count:?} {listed:?}");
        }
        for (pid, count, names, variable) in [
            ("me", "1", "web", "LISTEN_PID=me is not a process id"),
            ("42", "one", "web", "LISTEN_FDS=one is not a number up to 4096"),
            ("42", "4294967295", "web", "LISTEN_FDS=4294967295 is not a number up to 4096"),
            ("42", "2", "web", "LISTEN_FDNAMES=web is not a name for each of LISTEN_FDS"),
            ("42", "1", "web:api", "LISTEN_FDNAMES=web:api is not a name for each of LISTEN_FDS"),
        ] {
            let error = names_of(Some(pid), Some(count), Some(names), 42).unwrap_err();
            assert!(error.to_string().contains(variable), "{error}");
            assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn each_is_taken_once_by_index_name_or_number() {
        let (descriptors, addresses): (Vec<_>, Vec<_>) = (0..4).map(|_| listener()).unzip();
        let names = ["web", "api", "web", "unknown"];
        let mut inherited = inherit(names.into_iter().zip(descriptors).collect());
        let mut take = |selector| inherited.take(selector, None);
        // Of two with one name, the first that is not taken.
        assert_eq!(address_of(&take(Selector::Name("web")).unwrap()), addresses[0]);
        assert_eq!(address_of(&take(Selector::Name("web")).unwrap()), addresses[2]);
        assert_eq!(address_of(&take(Selector::Index(1)).unwrap()), addresses[1]);
        assert_eq!(address_of(&take(Selector::Number(6)).unwrap()), addresses[3]);
        for (selector, which) in [
            (Selector::Name("web"), "3 (web)"),
            (Selector::Index(2), "5 (web)"),
            (Selector::Number(4), "4 (api)"),
        ] {
            let error = take(selector).unwrap_err();
            let expected = format!(
                "the inherited descriptor {which} is taken already: each can be taken once"
            );
            assert_eq!(error.to_string(), expected);
            assert_eq!(io::Error::from(error).kind(), ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn an_error_says_what_there_is() {
        let mut inherited = inherit(vec![("http", listener().0), ("unknown", listener().0)]);
        for (selector, expected) in [
            (Selector::Name("web"), "is named web; inherited are: 0 http, 1 unknown"),
            (Selector::Index(2), "has the index 2; inherited are: 0 http, 1 unknown"),
            (Selector::Number(2), "has the number 2; inherited are: 3 http, 4 unknown"),
            (Selector::Number(5), "has the number 5; inherited are: 3 http, 4 unknown"),
        ] {
            let error = inherited.take(selector, None).unwrap_err();
            assert_eq!(error.to_string(), format!("no inherited descriptor {expected}"));
            assert_eq!(io::Error::from(error).kind(), ErrorKind::NotFound);
        }
        // No variable is set for this process.
        let error = take(Selector::Index(0), None).unwrap_err();
        assert!(error.to_string().contains("none is inherited"), "{error}");
    }

    #[test]
    fn the_wrong_kind_is_refused_and_stays() {
        let unconnected = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        let (folder, name) = (std::env::temp_dir(), std::process::id());
        let path = folder.join(format!("twistor-test-inherited-{name}"));
        let _ = std::fs::remove_file(&path);
        let unix = UnixListener::bind(&path).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut inherited = inherit(vec![
            ("file", file.into()),
            ("udp", UdpSocket::bind("127.0.0.1:0").unwrap().into()),
            ("datagrams", UnixDatagram::unbound().unwrap().into()),
            ("silent", unconnected.into()),
            ("unix", unix.into()),
            ("tcp", listener().0),
        ]);
        let (ipv4, ipv6) = (Some(Family::Ipv4), Some(Family::Ipv6));
        for (name, family, expected) in [
            ("file", None, Problem::NotASocket),
            ("udp", ipv4, Problem::NotAStream),
            ("datagrams", None, Problem::NotAStream),
            ("silent", ipv6, Problem::NotListening),
            ("unix", ipv4, Problem::WrongFamily { expected: Family::Ipv4, found: Family::Unix }),
            ("tcp", ipv6, Problem::WrongFamily { expected: Family::Ipv6, found: Family::Ipv4 }),
        ] {
            for _ in 0..2 {
                match inherited.take(Selector::Name(name), family) {
                    Err(InheritError::Unusable { problem, .. }) => assert_eq!(problem, expected),
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
        assert_eq!(inherited.take(Selector::Name("unix"), None).unwrap().0, Family::Unix);
        assert_eq!(inherited.take(Selector::Name("tcp"), ipv4).unwrap().0, Family::Ipv4);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_taken_is_the_descriptor_itself_and_no_other_process_has_it() {
        let (descriptor, address) = listener();
        let mut inherited = inherit(vec![("web", descriptor)]);
        let (_, socket) = inherited.take(Selector::Index(0), None).unwrap();
        assert!(fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
        let mut waiting = TcpStream::connect(address).unwrap();
        drop(socket);
        // The system resets who waits in the queue of a socket that is closed everywhere.
        assert_eq!(waiting.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_descriptor_that_this_process_has_opened_is_left_alone() {
        let (descriptor, address) = listener();
        let mut inherited = Inherited::of(vec!["web".to_owned()], [descriptor].into_iter());
        let error = inherited.take(Selector::Index(0), None).unwrap_err();
        assert!(matches!(error, InheritError::Unusable { problem: Problem::NotInherited, .. }));
        drop(inherited);
        TcpStream::connect(address).expect("a socket that is still open");
    }

    /// The environment variable that tells a child process its role.
    const ROLE: &str = "TWISTOR_TEST_INHERITED";

    /// Runs in the child process of the next test. Without a role it does nothing.
    #[test]
    fn role() {
        if std::env::var_os(ROLE).is_none() {
            return;
        }
        let (family, socket) = take(Selector::Name("web"), None).unwrap();
        println!("\n{family}");
        let poll = mio::Poll::new().unwrap();
        let registry = Rc::new(poll.registry().try_clone().unwrap());
        let token = mio::Token(0);
        let mut port = TcpListener::adopt(socket, token, registry, Rc::default()).unwrap();
        println!("{}", port.address());
        while port.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            std::thread::yield_now();
        }
        println!("accepted");
        for selector in [Selector::Index(0), Selector::Number(4), Selector::Name("other")] {
            println!("{}", take(selector, None).unwrap_err());
        }
    }

    #[test]
    fn a_process_takes_what_its_environment_passes() {
        let (descriptor, address) = listener();
        let client = TcpStream::connect(address).unwrap();
        // It counts a descriptor that is not there.
        let script = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:more \
                      exec \"$0\" \"$@\" 3<&0 4<&- </dev/null";
        let this = std::env::current_exe().unwrap();
        let role = ["--exact", "driver::inherited::tests::role", "--nocapture"];
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(this).args(role).env(ROLE, "1");
        let output = command.stdin(Stdio::from(descriptor)).output().unwrap();
        drop(client);
        let said = String::from_utf8(output.stdout).unwrap();
        let mut lines = said.lines().skip_while(|line| *line != "IPv4");
        for expected in [
            "IPv4",
            &address.to_string(),
            "accepted",
            "the inherited descriptor 3 (web) is taken already: each can be taken once",
            "the inherited descriptor 4 (more) was not inherited, though LISTEN_FDS counts it: \
             check who sets that",
            "no inherited descriptor is named other; inherited are: 0 web, 1 more",
        ] {
            assert_eq!(lines.next(), Some(expected), "{said}");
        }
    }
}
