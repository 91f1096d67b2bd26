//! Writing: when bytes leave.

use super::*;

#[test]
fn all_writes_of_a_callback_leave_together() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            for _ in 0..100 {
                cx.transport.write("line\r\n");
            }
        }
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    assert_eq!(peer.received(), b"line\r\n".repeat(100));
    assert_eq!(peer.calls().writes, 1);
}

#[test]
fn a_large_write_goes_straight_out_and_stays_in_order() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write(vec![b'a'; 100_000]);
            cx.transport.write("b");
            cx.transport.write(vec![b'c'; 100_000]);
        }
    });
    let peer = fixture.connect();
    peer.set_room(150_000);
    peer.send("x");
    fixture.turn();
    assert_eq!(fixture.transport(0).unsent(), 50_001);
    peer.set_room(usize::MAX);
    fixture.turn();
    let expected = [vec![b'a'; 100_000], vec![b'b'], vec![b'c'; 100_000]].concat();
    assert!(peer.received() == expected);
    assert_eq!(fixture.transport(0).unsent(), 0);
}

#[test]
fn a_large_write_with_nothing_before_it_is_offered_at_once() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            cx.transport.write(vec![b'a'; 100_000]);
            cx.factory.log.push(format!("unsent {}", cx.transport.unsent()));
            cx.transport.write("small");
            cx.factory.log.push(format!("unsent {}", cx.transport.unsent()));
        }
    });
    let peer = fixture.connect();
    peer.send("x");
    fixture.turn();
    fixture.log.expect(&["0 made", "0 data x", "unsent 0", "unsent 5"]);
    assert_eq!(peer.calls().writes, 2);
}

#[test]
fn a_full_socket_is_not_asked_again_before_it_has_room() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    peer.set_room(10);
    fixture.transport(0).write("0123456789 and more");
    fixture.settle();
    // The short write says that it is full.
    assert_eq!((peer.received(), peer.calls().writes), (b"0123456789".to_vec(), 1));
    peer.set_room(usize::MAX);
    fixture.turn();
    assert_eq!((peer.received(), peer.calls().writes), (b" and more".to_vec(), 2));
}

#[test]
fn all_arrives_in_order_however_little_the_socket_takes_each_time() {
    let mut fixture = Fixture::new(echo);
    let peer = fixture.connect();
    let data: Vec<u8> = (0..50_000_u32).map(|at| (at % 251) as u8).collect();
    let mut received = Vec::new();
    peer.set_room(0);
    for producer_buffer in data.chunks(997) {
        peer.send(producer_buffer);
        peer.set_room(7);
        fixture.turn();
        received.extend(peer.received());
    }
    peer.close();
    while received.len() < data.len() {
        peer.set_room(1 + received.len() % 1000);
        fixture.turn();
        received.extend(peer.received());
    }
    fixture.settle();
    assert!(received == data);
    fixture.expect_empty();
}

#[test]
fn a_broken_pipe_ends_the_connection_with_its_error() {
    let mut fixture = Fixture::new(|event, cx| match event {
        Event::Made => cx.transport.pause_reading(),
        Event::Resumed => cx.transport.write(vec![0; 100_000]),
        _ => {}
    });
    let peer = fixture.connect();
    fixture.log.expect(&["0 made"]);
    fixture.transport(0).resume_reading();
    peer.reset();
    fixture.settle();
    // Found by the write or by the poller, whichever is first; reported once in any case.
    let lost = fixture.log.0.borrow().iter().filter(|it| it.contains("lost")).count();
    assert_eq!(lost, 1);
    fixture.expect_empty();
}

/// Sends the data of one member to every member.
fn chat(event: Event<'_>, cx: &mut Context<'_, Probes>) {
    if let Event::Data(data) = event {
        for member in &cx.factory.all {
            if member != cx.transport {
                member.write(data);
            }
        }
    }
}

#[test]
fn a_fan_out_waits_until_a_few_polls_bring_nothing() {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..40).map(|_| fixture.connect()).collect();
    fixture.settle();
    let before = peers[39].calls().writes;
    for round in 0..9 {
        peers[round].send(format!("line {round}\n"));
        fixture.turn();
        assert_eq!(peers[39].received(), b"", "held back");
        assert!(fixture.reactor.next_deadline().is_some(), "and not forgotten");
    }
    for _ in 0..3 {
        fixture.turn();
        assert_eq!(peers[39].received(), b"", "held back");
    }
    assert_eq!(fixture.script.sched_yields(), 2, "before each poll after an empty one");
    fixture.turn();
    assert!(peers[39].received().starts_with(b"line 0\nline 1\nline 2\n"));
    assert_eq!(peers[39].calls().writes - before, 1);
    fixture.settle();
    assert_eq!(fixture.reactor.next_deadline(), None);
}

#[test]
fn a_fan_out_waits_again_after_one_that_was_not_deferred() {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..40).map(|_| fixture.connect()).collect();
    fixture.transport(1).abort_connection();
    fixture.settle();
    peers[0].send("line\n");
    fixture.turn();
    assert_eq!(peers[39].received(), b"", "held back");
    fixture.settle();
    assert_eq!(peers[39].received(), b"line\n");
}

#[test]
fn a_fan_out_does_not_wait_when_callbacks_are_slow() {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..40).map(|_| fixture.connect()).collect();
    fixture.settle();
    peers[0].send("line\n");
    fixture.turn();
    fixture.script.advance(Duration::from_millis(2));
    fixture.turn();
    assert_eq!(peers[39].received(), b"line\n");
}

#[test]
fn a_few_others_are_written_to_at_the_end_of_the_turn() {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..5).map(|_| fixture.connect()).collect();
    peers[0].send("zero\n");
    peers[1].send("one\n");
    fixture.turn();
    assert_eq!(peers[4].received(), b"zero\none\n");
    assert_eq!(peers[4].calls().writes, 1);
}

#[test]
fn many_writes_to_one_other_are_no_fan_out() {
    let mut fixture = Fixture::new(|event, cx| {
        if let Event::Data(_) = event {
            for _ in 0..100 {
                cx.factory.all[1].write("line\n");
            }
        }
    });
    let (talker, listener) = (fixture.connect(), fixture.connect());
    talker.send("x");
    fixture.turn();
    assert_eq!(listener.received(), b"line\n".repeat(100));
    assert_eq!(listener.calls().writes, 1);
}

#[test]
fn spare_buffers_are_shared_and_bounded() {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..100).map(|_| fixture.connect()).collect();
    for peer in &peers {
        peer.set_room(0);
    }
    peers[0].send(vec![b'x'; 15_000]);
    fixture.settle();
    for peer in &peers {
        peer.set_room(usize::MAX);
    }
    fixture.settle();
    assert_eq!(peers[99].received().len(), 15_000);
    // A hundred buffers of 15 kB ran empty; no more than a megabyte of them is kept.
    let kept: usize = std::iter::from_fn(|| {
        let buffer = fixture.reactor.hub.take_buffer();
        Some(buffer.capacity()).filter(|capacity| *capacity > 512)
    })
    .take(1000)
    .sum();
    assert!((100_000..=1 << 20).contains(&kept), "{kept}");
}

#[test]
fn a_call_from_another_thread_counts_as_an_event_for_a_fan_out() {
    let mut fixture = Fixture::new(quiet);
    let peers: Vec<Peer> = (0..40).map(|_| fixture.connect()).collect();
    fixture.settle();
    let all: Vec<Transport> = (0..40).map(|number| fixture.transport(number)).collect();
    for transport in &all {
        transport.write("line\n");
    }
    fixture.turn();
    let remote = fixture.reactor.remote();
    for _ in 0..6 {
        // Arrives while the loop looks for events.
        let inner = remote.clone();
        remote.call_from_thread(move |_| inner.call_from_thread(|_| ()).unwrap()).unwrap();
        fixture.turn();
        assert_eq!(peers[39].received(), b"", "held back");
    }
    fixture.settle();
    assert_eq!(peers[39].received(), b"line\n");
}

#[test]
fn a_large_write_that_fails_is_settled_and_keeps_nothing() {
    let mut fixture = Fixture::new(quiet);
    let peer = fixture.connect();
    let transport = fixture.transport(0);
    peer.reset();
    transport.write(vec![0; 100_000]);
    assert_eq!(transport.unsent(), 0);
    assert!(fixture.reactor.next_deadline().is_some(), "before the poller says anything");
    fixture.turn();
    assert!(!transport.is_connected());
}

/// Returns a room of `count` members, with a deferred line to each of them.
fn held(count: usize) -> (Fixture, Vec<Peer>) {
    let mut fixture = Fixture::new(chat);
    let peers: Vec<Peer> = (0..count).map(|_| fixture.script.connect()).collect();
    fixture.settle();
    peers[0].send("line\n");
    fixture.turn();
    assert_eq!(peers[1].received(), b"", "held back");
    (fixture, peers)
}

#[test]
fn a_fan_out_counts_empty_polls_in_a_row() {
    let (mut fixture, peers) = held(40);
    for _ in 0..3 {
        (0..3).for_each(|_| fixture.turn());
        assert_eq!(peers[1].received(), b"", "held back");
        peers[0].send("more\n");
        fixture.turn();
        assert_eq!(peers[1].received(), b"", "held back");
    }
}

#[test]
fn a_fan_out_waits_in_proportion_to_its_width_up_to_a_millisecond() {
    for (count, micros) in [(41, 40), (1500, 1000)] {
        let (mut fixture, peers) = held(count);
        for _ in 0..2 {
            assert_eq!(peers[1].received(), b"", "held back");
            fixture.script.advance(Duration::from_micros(micros) / 2);
            peers[0].send("more\n");
            fixture.turn();
        }
        assert_eq!(peers[1].received(), b"line\nmore\nmore\n");
    }
}

#[test]
fn a_fan_out_that_was_flushed_early_does_not_count_for_the_next() {
    let (mut fixture, peers) = held(40);
    fixture.transport(2).abort_connection();
    fixture.turn();
    assert_eq!(peers[1].received(), b"line\n");
    fixture.script.advance(Duration::from_secs(1));
    peers[0].send("next\n");
    fixture.turn();
    assert_eq!(peers[1].received(), b"", "held back");
}

#[test]
fn seventeen_transports_are_a_fan_out_and_sixteen_are_not() {
    for others in [16, 17] {
        let mut fixture = Fixture::new(chat);
        let peers: Vec<Peer> = (0..=others).map(|_| fixture.connect()).collect();
        fixture.settle();
        peers[0].send("line\n");
        fixture.turn();
        assert_eq!(peers[1].received().is_empty(), others == 17);
    }
}
