//! Subscriptions that end after a number of messages.

use crate::simulated::{Heard, SECOND, ServerHost, client, lines, plain, serve};
use std::rc::Rc;
use twistor::testing::{Fault, Host, Simulation};
use twistor_nats::{Client, SubscriptionId};

fn subscribe(host: &Host<Client>, subject: &str) -> (SubscriptionId, Heard) {
    let heard = Heard::default();
    let written = Rc::clone(&heard);
    let call = move |_: &mut twistor::Reactor, _: &twistor_nats::Message<'_>| {
        written.borrow_mut().push(String::new());
    };
    (host.state().queue_subscribe(subject, "members", call).unwrap(), heard)
}

/// Has a client connect again.
fn reset(simulation: &Simulation, name: &str) {
    simulation.inject(Fault::Reset { a: name.to_owned(), b: "server".to_owned() });
    simulation.run_for(5 * SECOND);
}

fn unsubscribes(server: &ServerHost) -> Vec<String> {
    lines(server).into_iter().filter(|line| line.starts_with("UNSUB")).collect()
}

#[test]
fn a_limit_counts_what_came_before_the_connection_was_lost() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, boss) = (plain(&simulation, "ann"), plain(&simulation, "boss"));
    let (id, heard) = subscribe(&ann, "work");
    let publish = |count: usize| {
        (0..count).for_each(|_| boss.state().publish("work", "").unwrap());
        simulation.run_for(SECOND);
    };
    simulation.run_for(SECOND);
    publish(10);
    reset(&simulation, "ann");
    ann.state().unsubscribe_after(id, 12);
    let bob = plain(&simulation, "bob");
    let (_, others) = subscribe(&bob, "work");
    simulation.run_for(SECOND);
    publish(40);
    assert_eq!((heard.borrow().len(), others.borrow().len()), (12, 38));
    // The client tells the server of the end as well, whatever that has counted.
    assert_eq!(unsubscribes(&server), ["UNSUB 1 2", "UNSUB 1"]);
    assert_eq!(Rc::strong_count(&heard), 1, "the closure is dropped");
}

#[test]
fn a_limit_is_told_to_each_server_less_what_it_did_not_send() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    let (id, heard) = subscribe(&ann, "a");
    ann.state().unsubscribe_after(id, 1_000_000_002);
    simulation.run_for(SECOND);
    for _ in 0..3 {
        (0..2).for_each(|_| ann.state().publish("a", "").unwrap());
        simulation.run_for(SECOND);
        reset(&simulation, "ann");
    }
    assert_eq!(unsubscribes(&server), ["UNSUB 1 999999998", "UNSUB 1 999999996"]);
    assert_eq!(heard.borrow().len(), 6);
    ann.state().unsubscribe_after(id, 6);
    assert_eq!(Rc::strong_count(&heard), 1, "as many have arrived");
}

#[test]
fn a_malformed_message_counts_as_the_server_counts_it() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let (ann, _) = client(&simulation, "ann", |options| options);
    let eve = simulation.peer("eve", server.address(4222));
    eve.send("CONNECT {}\r\n");
    for is_lost_between in [false, true] {
        let (id, heard) = subscribe(&ann, "a");
        ann.state().unsubscribe_after(id, 3);
        simulation.run_for(SECOND);
        ann.state().publish("a", "").unwrap();
        eve.send("HPUB a 3 4\r\nabcd\r\n");
        simulation.run_for(SECOND);
        if is_lost_between {
            reset(&simulation, "ann");
        }
        eve.send("HPUB a 3 4\r\nabcd\r\nPUB a 0\r\n\r\n");
        simulation.run_for(SECOND);
        assert_eq!(heard.borrow().len(), 1);
        assert_eq!(Rc::strong_count(&heard), 1, "the closure is dropped");
    }
    assert_eq!(ann.state().statistics().malformed, 4);
}

#[test]
fn a_subscription_that_drains_takes_no_limit() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let ann = plain(&simulation, "ann");
    let (id, heard) = subscribe(&ann, "a");
    simulation.run_for(SECOND);
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    ann.state().drain_subscription(id);
    ann.state().unsubscribe_after(id, 5);
    simulation.run_for(SECOND);
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    let _ = lines(&server);
    reset(&simulation, "ann");
    assert!(ann.state().is_connected());
    assert!(!lines(&server).iter().any(|line| line.starts_with("SUB")), "it has ended");
    assert_eq!(Rc::strong_count(&heard), 1, "the closure is dropped");
}
