//! The chat in memory.

use super::Chat;
use std::time::Duration;
use twistor::testing::{Conditions, Peer, Server, Simulation, check};

#[test]
fn a_line_is_sent_to_all_other_members() {
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
fn a_name_is_taken_in_all_its_spellings() {
    check(
        Chat::default(),
        "zoe connects
         zoe S: What's your name?
         zoe C: Zo\u{eb}
         zoe S: Welcome, Zo\u{eb}!
         bob connects
         bob S: What's your name?
         bob C: ZO\u{cb}
         bob S: Name taken, please choose another.
         bob C: zoe\u{308}
         bob S: Name taken, please choose another.
         bob C: Zoe
         bob S: Welcome, Zoe!
         bob C: hello
         zoe S: <Zoe> hello
         zoe C: hello
         bob S: <Zo\u{eb}> hello",
    );
}

#[test]
fn confusing_text_is_rejected() {
    check(
        Chat::default(),
        "S: What's your name?
         C: <Bob>
         S: A name has up to 32 letters or digits, please choose another.
         C: Zo\u{200d}e
         S: Only text, please: without control characters and invisible ones.
         C raw: \\xff\\n
         S: That is not UTF-8, please send text in UTF-8.",
    );
}

#[test]
fn a_slow_consumer_is_closed() {
    let server = Server::new(Chat::default());
    let (ann, bob) = (server.connect(), server.connect());
    ann.send("Ann\n");
    bob.send("Bob\n");
    bob.stop_reading();
    let line = [[b'x'; 4095].as_slice(), b"\n"].concat();
    for _ in 0..200 {
        ann.send(&line);
    }
    assert!(bob.lost_reason().is_none());
    // By then more than the network holds is unsent, and the client takes none of it.
    ann.advance(Duration::from_secs(260));
    assert_eq!(bob.lost_reason().unwrap().to_string(), "below the minimum transfer rate");
    assert!(server.factory(|chat, _| chat.members.keys().eq(["ann"])));
}

/// Joins, and takes the chat's answers.
fn join(peer: &Peer, name: &str) {
    peer.send(format!("{name}\n"));
    peer.advance(Duration::from_secs(1));
    assert!(peer.take_received().ends_with(format!("Welcome, {name}!\r\n").as_bytes()));
}

#[test]
fn one_member_does_not_keep_the_others_busy() {
    let server = Server::new(Chat::default());
    let (ann, bob) = (server.connect(), server.connect());
    join(&ann, "Ann");
    join(&bob, "Bob");
    ann.send("a\n".repeat(30_000));
    assert_eq!(bob.take_received(), b"<Ann> a\r\n".repeat(10));
    for _ in 0..60 {
        bob.advance(Duration::from_secs(1));
        assert_eq!(bob.take_received(), b"<Ann> a\r\n".repeat(10));
        bob.send("so?\n");
        assert!(ann.take_received().ends_with(b"<Bob> so?\r\n"), "the others do not wait");
    }
}

#[test]
fn a_burst_of_one_member_closes_no_member_on_a_slow_link() {
    let simulation = Simulation::new(1);
    simulation.set_conditions(Conditions::ideal().latency(Duration::from_millis(40)));
    let server = simulation.host("server", |reactor| {
        reactor.listen_tcp(8123, Chat::default())?;
        Ok(())
    });
    let address = server.address(8123);
    let slow: Vec<Peer> = (0..20)
        .map(|number| {
            let host = format!("slow-{number}");
            let peer = simulation.peer(&host, address);
            let line = Conditions::ideal().bandwidth(500_000).send_buffer(16_384);
            simulation.set_conditions_between(&host, "server", line.receive_buffer(16_384));
            join(&peer, &format!("slow-{number}"));
            peer
        })
        .collect();
    let ann = simulation.peer("ann", address);
    join(&ann, "Ann");
    let said = format!("{}\n", "x".repeat(4095)).repeat(128);
    ann.send(&said);
    simulation.run_for(Duration::from_secs(600));
    for peer in &slow {
        assert_eq!(peer.lost_reason().map(|reason| reason.to_string()), None);
        let heard = peer.take_received().len();
        assert!(heard > said.len(), "{heard}");
    }
}

#[test]
fn a_client_without_a_name_is_timed_out() {
    let server = Server::new(Chat::default());
    let (nobody, ann) = (server.connect(), server.connect());
    join(&ann, "Ann");
    ann.advance(Duration::from_secs(130));
    assert!(nobody.lost_reason().is_some() && ann.lost_reason().is_none());
}

#[test]
fn members_get_a_message_when_the_chat_closes() {
    let server = Server::new(Chat::default());
    let ann = server.connect();
    server.factory(|_, reactor| reactor.stop_gracefully(Duration::from_secs(5)));
    ann.advance(Duration::ZERO);
    let said = String::from_utf8(ann.take_received()).unwrap();
    assert!(said.ends_with("The chat is closing. Goodbye.\r\n"), "{said}");
    assert!(ann.lost_reason().unwrap().is_done());
}
