//! Options of a client that no other test is about.

use crate::simulated::{Heard, SECOND, client, lines, serve, serve_as, take};
use crate::simulated_server::SimulatedServer;
use std::rc::Rc;
use twistor::testing::{Fault, Host, Simulation};
use twistor_nats::{Client, ConnectOptions};

#[test]
fn answers_arrive_below_the_inbox_prefix() {
    for (prefix, expected) in [("_INBOX_ann.b", "_INBOX_ann.b"), ("no subject", "_INBOX")] {
        let simulation = Simulation::new(1);
        let server = serve(&simulation);
        let (ann, _) = client(&simulation, "ann", move |it| it.inbox_prefix(prefix));
        let own = (*ann.state()).clone();
        let answering = ann.state().subscribe("service", move |_, message| {
            own.publish(message.reply().unwrap(), "answer").unwrap();
        });
        answering.unwrap();
        let heard = Heard::default();
        let (written, asking) = (Rc::clone(&heard), ann.state());
        ann.reactor(|reactor| {
            let asked = asking.request("service", "", SECOND, reactor, move |_, answer| {
                written.borrow_mut().push(format!("{:?}", answer.map(|it| it.payload().to_vec())));
            });
            asked.unwrap();
        });
        simulation.run_for(SECOND);
        assert_eq!(take(&heard), [format!("Ok({:?})", b"answer")]);
        let said = lines(&server);
        let begin = format!("SUB {expected}.");
        assert!(said.iter().any(|line| line.starts_with(&begin)), "{said:?}");
    }
}

#[test]
fn discovered_servers_can_be_ignored() {
    for ignores in [true, false] {
        let simulation = Simulation::new(1);
        let _server = serve_as(&simulation, "server", || {
            let mut server = SimulatedServer::new();
            server.info.connect_urls = vec!["second:4222".to_owned()];
            server
        });
        let _second = serve_as(&simulation, "second", SimulatedServer::new);
        let (ann, _) = client(&simulation, "ann", move |it| match ignores {
            true => it.ignore_discovered_servers(),
            false => it,
        });
        simulation.run_for(SECOND);
        simulation.inject(Fault::Reset { a: "ann".into(), b: "server".into() });
        simulation.inject(Fault::Crash { host: "server".into() });
        simulation.run_for(60 * SECOND);
        assert_eq!(ann.state().is_connected(), !ignores);
    }
}

#[test]
fn clients_spread_over_the_servers_unless_they_keep_the_order() {
    for keeps_order in [true, false] {
        let simulation = Simulation::new(1);
        let servers =
            ["s1", "s2", "s3"].map(|name| serve_as(&simulation, name, SimulatedServer::new));
        let connect = |number: usize| -> Host<Client> {
            simulation.host(&format!("client{number}"), move |reactor| {
                let options = ConnectOptions::new("s1,s2,s3");
                let options = if keeps_order { options.retain_servers_order() } else { options };
                Ok(options.connect(reactor)?)
            })
        };
        let clients: Vec<_> = (0..30).map(connect).collect();
        simulation.run_for(SECOND);
        assert!(clients.iter().all(|it| it.state().is_connected()));
        let counts = servers.each_ref().map(|it| lines(it).len());
        if keeps_order {
            assert_eq!(counts, [30, 0, 0]);
        } else {
            assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
        }
    }
}

#[test]
fn an_attempt_ends_after_the_connect_timeout() {
    let simulation = Simulation::new(1);
    let listener = simulation.listen("server", 4222);
    let (_ann, events) = client(&simulation, "ann", |it| it.connect_timeout(2 * SECOND));
    simulation.inject(Fault::Partition { a: "ann".into(), b: "server".into() });
    let fails_after_timeout = || {
        simulation.run_for(SECOND * 19 / 10);
        assert_eq!(take(&events), [""; 0]);
        simulation.run_for(SECOND / 5);
        let events = take(&events);
        assert_eq!(events.len(), 1);
        assert!(events[0].starts_with("cannot connect to nats://server:4222: "), "{events:?}");
    };
    fails_after_timeout();
    // A server that accepts the connection, and does not say INFO.
    simulation.inject(Fault::Heal { a: "ann".into(), b: "server".into() });
    let silent = listener.accept();
    take(&events);
    fails_after_timeout();
    assert!(silent.close_kind().is_some());
}
