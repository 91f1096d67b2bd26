//! The chat in memory.

use super::Chat;
use twistor::testing::{Server, check};

#[test]
fn what_is_said_is_heard_by_the_others() {
    check(
        Chat::default(),
        "ann connects
         ann S: What's your name?
         ann C: Ann
         ann S: Welcome, Ann!
         bob connects
         bob S: What's your name?
         ann C: nobody who has no name hears this
         bob hears nothing
         bob C: Bob
         bob S: Welcome, Bob!
         ann C: Hi, Bob
         bob S: <Ann> Hi, Bob
         ann hears nothing",
    );
}

#[test]
fn a_name_is_taken_until_its_member_leaves() {
    check(
        Chat::default(),
        "ann connects
         ann S: What's your name?
         ann C: Ann
         ann S: Welcome, Ann!
         bob connects
         bob S: What's your name?
         bob C: ann
         bob S: Name taken, please choose another.
         ann resets
         bob C: ann
         bob S: Welcome, ann!",
    );
}

#[test]
fn what_would_confuse_the_others_is_refused() {
    check(
        Chat::default(),
        "S: What's your name?
         C: <Bob>
         S: That is not a name, please choose another.
         C raw: \\xff\\n
         S: Only text, please: UTF-8, without control characters.",
    );
}

#[test]
fn a_member_who_does_not_listen_is_let_go() {
    let server = Server::new(Chat::default());
    let (ann, bob) = (server.connect(), server.connect());
    ann.send("Ann\n");
    bob.send("Bob\n");
    bob.stop_reading();
    let line = [[b'x'; 4095].as_slice(), b"\n"].concat();
    for _ in 0..1024 {
        ann.send(&line);
    }
    assert_eq!(bob.lost().unwrap().to_string(), "peer did not keep up: too much was unsent");
    assert!(server.factory(|chat, _| chat.members.keys().eq(["Ann"])));
}

#[test]
fn members_are_told_when_the_chat_closes() {
    let server = Server::new(Chat::default());
    let ann = server.connect();
    server.factory(|_, reactor| reactor.stop_gracefully(std::time::Duration::from_secs(5)));
    ann.advance(std::time::Duration::ZERO);
    let said = String::from_utf8(ann.take()).unwrap();
    assert!(said.ends_with("The chat is closing. Goodbye.\r\n"), "{said}");
    assert!(ann.lost().unwrap().is_done());
}
