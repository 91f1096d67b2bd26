//! A factory's own key, from within.

use super::*;
use std::any::type_name;

/// Notes what it is told of its key in each of its methods.
struct Noting {
    seen: Rc<RefCell<Vec<Option<FactoryKey<Self>>>>>,
}

struct Member;

impl Protocol<Noting> for Member {
    fn connection_made(&mut self, cx: &mut Context<'_, Noting>) {
        cx.factory.seen.borrow_mut().push(Some(cx.key()));
        // A part of a factory has no key.
        let part = cx.map_factory(|noting| &mut noting.seen).key();
        assert!(format!("{part:?}").contains("RefCell"), "{}", type_name::<Noting>());
    }
}

impl Factory for Noting {
    crate::build_protocol!(Member, |_noting| Member);

    fn start_factory(&mut self, reactor: &mut Reactor) -> io::Result<()> {
        self.seen.borrow_mut().push(reactor.key_of(self));
        let other = reactor.add_factory(|| Silent).unwrap();
        let of_other = reactor.with_factory(other, |other, reactor| {
            assert_eq!(reactor.key_of(self), None, "another one runs");
            reactor.key_of(other)
        });
        assert_eq!(of_other, Ok(Some(other)));
        assert!(reactor.remove_factory(other));
        self.seen.borrow_mut().push(reactor.key_of(self));
        Ok(())
    }

    fn stop_factory(&mut self, reactor: &mut Reactor) {
        self.seen.borrow_mut().push(reactor.key_of(self));
    }
}

struct Silent;

impl<F> Protocol<F> for Silent {}

#[test]
fn each_method_of_a_factory_learns_its_key() {
    let script = Script::new();
    let mut reactor = Reactor::with_driver(script.driver(), Settings::default());
    let seen = Rc::default();
    let port = reactor.listen_tcp(8007, Noting { seen: Rc::clone(&seen) }).unwrap();
    let _peer = script.connect();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_continue());
    assert_eq!(reactor.key_of(&Noting { seen: Rc::default() }), None, "none runs");
    reactor.stop();
    assert!(reactor.turn(Some(Duration::ZERO)).unwrap().is_break());
    assert_eq!(*seen.borrow(), [Some(port.key()); 4]);
}
