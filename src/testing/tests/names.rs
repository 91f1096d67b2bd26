//! Host names of a simulated network, as its drivers see them.

use super::*;
use crate::arena::{Arena, Id};
use crate::driver::scripted::Script;
use crate::driver::{Driver, Ready};
use crate::resolver::Answer;
use crate::testing::driver::HostDriver;
use crate::testing::single_fault::{FaultyDriver, Injector};
use std::net::IpAddr;
use std::sync::Arc;

/// A host without a reactor, whose driver a test asks itself.
struct Asking {
    simulation: Simulation,
    driver: HostDriver,
    id: Id,
}

fn asking(conditions: Conditions) -> Asking {
    let simulation = Simulation::new(1);
    simulation.set_conditions(conditions);
    let (network, control) = (Rc::clone(&simulation.0.network), Rc::default());
    let node = network.borrow_mut().add_node("ann");
    let driver = HostDriver { network, node, control, resolver: None };
    driver.control.in_turn.set(true);
    Asking { simulation, driver, id: Arena::new().insert_with(|_| ()) }
}

impl Asking {
    fn ask(&mut self, name: &str) {
        self.driver.resolve(name, 80, self.id).unwrap();
    }

    /// Returns the answer that a wait reports now.
    fn answer(&mut self) -> Option<Answer> {
        self.simulation.settle();
        let (mut ready, token) = (Vec::new(), self.id.to_bits());
        assert!(self.driver.take_answer(self.id).is_none(), "none before the wait");
        self.driver.wait(&mut ready, None).unwrap();
        let is_reported = matches!(ready[..], [Ready::Resolved(reported)] if reported == token);
        let answer = self.driver.take_answer(self.id);
        assert_eq!(answer.is_some(), is_reported, "{ready:?}");
        answer
    }

    /// Asks for a name, and returns the answer and when it came; `None` within five minutes.
    fn timed(&mut self, name: &str) -> Option<(Duration, Result<Vec<String>, String>)> {
        let began = self.simulation.now();
        self.ask(name);
        for _ in 0..6000 {
            if let Some(answer) = self.answer() {
                let texts = |all: Vec<SocketAddr>| all.iter().map(ToString::to_string).collect();
                let answer = answer.map(texts).map_err(|error| error.to_string());
                return Some((self.simulation.now() - began, answer));
            }
            self.simulation.run_for(ms(50));
        }
        self.driver.cancel_resolve(self.id);
        None
    }

    fn inject(&self, fault: &str) {
        self.simulation.inject(fault.parse().unwrap());
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_name_has_the_addresses_that_it_was_given_and_a_host_its_own() {
    let mut asking = asking(Conditions::ideal());
    asking.simulation.name("DB", ips(&["10.0.0.9", "fd00::8"]));
    let at_once = |texts: &[&str]| {
        Some((Duration::ZERO, Ok(texts.iter().map(|text| String::from(*text)).collect())))
    };
    assert_eq!(asking.timed("db"), at_once(&["10.0.0.9:80", "[fd00::8]:80"]));
    assert_eq!(asking.timed("Db."), at_once(&["10.0.0.9:80", "[fd00::8]:80"]));
    assert_eq!(asking.timed("ann"), at_once(&["[fd00::1]:80", "10.0.0.1:80"]));
    asking.simulation.name("db", []);
    assert_eq!(asking.timed("db"), at_once(&[]));
    let (_, unknown) = asking.timed("bob").unwrap();
    assert!(unknown.unwrap_err().ends_with("Name or service not known"));
}

#[test]
fn an_answer_takes_as_long_as_a_packet_there_and_back() {
    let mut asking = asking(Conditions::ideal().latency(ms(100)));
    assert_eq!(asking.timed("ann").unwrap().0, ms(200));
}

#[test]
fn faults_delay_answers_let_them_fail_or_keep_them_away() {
    let mut asking = asking(Conditions::ideal());
    asking.inject("slow-names ann 3s 10s");
    assert_eq!(asking.timed("ann").unwrap().0, s(3));
    asking.simulation.run_for(s(7));
    assert_eq!(asking.timed("ann").unwrap().0, s(0));
    asking.inject("fail-names * 10s");
    let (after, failed) = asking.timed("ann").unwrap();
    assert_eq!(after, s(0));
    assert!(failed.unwrap_err().contains("Temporary failure in name resolution"));
    asking.simulation.run_for(s(10));
    asking.inject("mute-names ann 1s");
    assert_eq!(asking.timed("ann"), None);
    assert_eq!(asking.timed("ann").unwrap().0, s(0), "questions of later have answers");
    assert_eq!(asking.simulation.0.network.borrow().question_count(), 0);
}

#[test]
fn a_cancelled_question_has_no_answer_nor_has_one_from_before_a_crash() {
    let mut asking = asking(Conditions::ideal().latency(ms(100)));
    asking.ask("ann");
    asking.driver.cancel_resolve(asking.id);
    // The id may be used again; the answer to the first question is not taken for the second's.
    asking.simulation.run_for(ms(150));
    asking.ask("ann");
    asking.simulation.run_for(ms(50));
    assert!(asking.answer().is_none());
    asking.simulation.run_for(ms(150));
    // It has come, and is cancelled before it is reported.
    asking.driver.cancel_resolve(asking.id);
    assert!(asking.answer().is_none());
    asking.ask("ann");
    asking.inject("crash ann");
    asking.inject("restart ann");
    asking.simulation.run_for(s(1));
    assert!(asking.answer().is_none());
    assert_eq!(asking.simulation.0.network.borrow().question_count(), 0);
}

#[test]
fn a_programs_own_resolver_answers_without_the_network() {
    let mut asking = asking(Conditions::ideal().latency(ms(100)));
    asking.inject("mute-names ann 10s");
    asking.driver.set_resolver(Arc::new(|host: &str, port| {
        assert_ne!(host, "panics");
        Ok(vec![SocketAddr::from(([10, 0, 0, 7], port))])
    }));
    let seven = Ok(vec!["10.0.0.7:80".to_owned()]);
    assert_eq!(asking.timed("anything"), Some((Duration::ZERO, seven)));
    let panicked = Err("the resolver panicked".to_owned());
    assert_eq!(asking.timed("panics"), Some((Duration::ZERO, panicked)));
}

#[test]
fn a_single_fault_fails_the_answer_or_the_question() {
    let id = Arena::new().insert_with(|_| ());
    let faulty = |fault: &str| {
        let (script, injector) = (Script::new(), Injector::new(Some(fault.parse().unwrap())));
        (script.clone(), FaultyDriver::new(script.driver(), Rc::new(injector), "ann"))
    };
    let (script, mut driver) = faulty("1: EAI_AGAIN");
    driver.resolve("db", 80, id).unwrap();
    assert_eq!(script.asked(), Vec::<String>::new());
    let mut ready = Vec::new();
    assert!(driver.may_have_more(), "the loop does not sleep before it");
    driver.wait(&mut ready, None).unwrap();
    assert!(matches!(ready[..], [Ready::Resolved(token)] if token == id.to_bits()));
    let error = driver.take_answer(id).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "temporary failure in name resolution");
    // The next question is another call.
    driver.resolve("db", 80, id).unwrap();
    assert_eq!(script.asked(), ["db:80"]);
    script.resolve(Ok(Vec::new()));
    assert_eq!(driver.take_answer(id).unwrap().unwrap(), Vec::new());

    let (script, mut driver) = faulty("1: ENOMEM");
    assert!(driver.resolve("db", 80, id).is_err());
    assert_eq!(script.asked(), Vec::<String>::new());

    let (_, mut driver) = faulty("1: EAI_AGAIN");
    driver.resolve("db", 80, id).unwrap();
    driver.cancel_resolve(id);
    assert!(driver.take_answer(id).is_none());
}
