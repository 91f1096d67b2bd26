//! Connecting: full backlogs, and attempts that cannot succeed.

use super::*;
use crate::support::Folder;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use twistor::{Context, Factory, Transport, UnixClientEndpoint};

/// Notes how its attempts went.
#[derive(Clone, Default)]
struct Dialler(Rc<RefCell<Vec<String>>>);

impl Protocol<Self> for Dialler {
    fn connection_made(&mut self, cx: &mut Context<'_, Self>) {
        assert!(cx.transport.local_address().unix().unwrap().is_unnamed());
        self.0.borrow_mut().push(format!("connected to {}", cx.transport.peer_address()));
        cx.transport.lose_connection();
    }
}

impl Factory for Dialler {
    type Protocol = Self;

    fn build_protocol(&mut self, _: &Transport, _: &mut Reactor) -> Option<Self> {
        Some(self.clone())
    }

    fn connection_failed(&mut self, _: &Transport, error: &io::Error, _: &mut Reactor) {
        self.0.borrow_mut().push(format!("{:?}", error.kind()));
    }
}

impl Dialler {
    /// Runs turns until there is news.
    #[track_caller]
    fn news(&self, reactor: &mut Reactor) -> String {
        let start = Instant::now();
        while self.0.borrow().is_empty() {
            assert!(start.elapsed() < TIMEOUT, "no news");
            let _ = reactor.turn(Some(Duration::from_millis(100))).unwrap();
        }
        self.0.borrow_mut().remove(0)
    }
}

#[test]
fn an_attempt_waits_for_room_in_the_backlog() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: elsewhere a full backlog refuses");
    }
    let folder = Folder::new();
    let path = folder.join("s");
    let (listener, _waiting) = listener_with_full_backlog(&path);
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let connector = reactor.connect_unix(&*path, dialler.clone()).unwrap();
    for _ in 0..10 {
        let _ = reactor.turn(Some(Duration::from_millis(5))).unwrap();
        connector.transport().write("x");
    }
    assert!(dialler.0.borrow().is_empty());
    let accepted = listener.accept().unwrap();
    assert_eq!(dialler.news(&mut reactor), format!("connected to unix:{}", path.display()));
    while reactor.connection_count() > 0 {
        let _ = reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    assert_eq!(reactor.next_deadline(), None, "a timer is left");
    drop(accepted);
}

#[test]
fn an_attempt_at_a_full_backlog_ends_in_every_way() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: elsewhere a full backlog refuses");
    }
    let folder = Folder::new();
    let path = folder.join("s");
    let (listener, _waiting) = listener_with_full_backlog(&path);
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let start = Instant::now();
    let endpoint = UnixClientEndpoint::new(&path).timeout(Duration::from_millis(50));
    endpoint.connect(&mut reactor, dialler.clone()).unwrap();
    assert_eq!(dialler.news(&mut reactor), "TimedOut");
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(reactor.next_deadline(), None, "a timer is left");

    let connector = reactor.connect_unix(&*path, dialler.clone()).unwrap();
    let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    connector.transport().abort_connection();
    assert_eq!(dialler.news(&mut reactor), "ConnectionAborted");

    reactor.connect_unix(&*path, dialler.clone()).unwrap();
    let _ = reactor.turn(Some(Duration::ZERO)).unwrap();
    drop(listener);
    assert_eq!(dialler.news(&mut reactor), "ConnectionRefused");
    assert_eq!(reactor.next_deadline(), None, "a timer is left");
}

#[test]
fn an_attempt_that_cannot_succeed_fails_in_a_later_turn() {
    let folder = Folder::new();
    let (mut reactor, dialler) = (reactor(), Dialler::default());
    let (stale, file, shut) = (folder.join("stale"), folder.join("file"), folder.join("shut"));
    leave_stale(&stale);
    fs::write(&file, "").unwrap();
    let _listener = UnixListener::bind(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o000)).unwrap();
    let mut expected = vec![
        (folder.join("nothing"), "NotFound"),
        (stale, "ConnectionRefused"),
        (file, "ConnectionRefused"),
        (folder.join("l".repeat(200)), "InvalidInput"),
        ("a\0b".into(), "InvalidInput"),
    ];
    match UnixStream::connect(&shut) {
        Ok(_) => eprintln!("skipped: the superuser may connect whatever the mode says"),
        Err(_) => expected.push((shut, "PermissionDenied")),
    }
    for (path, kind) in expected {
        reactor.connect_unix(&*path, dialler.clone()).unwrap();
        assert!(dialler.0.borrow().is_empty());
        assert_eq!(dialler.news(&mut reactor), kind, "{}", path.display());
    }
    assert_eq!(reactor.next_deadline(), None);
}
