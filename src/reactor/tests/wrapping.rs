//! Wrappers forward every callback: those of the list, so that a new one cannot be forgotten.

use super::*;
use crate::callback_kind::CallbackKind;
use crate::protocol::continuation;
use crate::{Delimiter, LineContext, LineReceiver, Lines, delegate_callbacks};

/// Names of the callbacks, in the order in which they came.
#[derive(Default)]
struct Heard(Vec<&'static str>);

/// A protocol that reports its callbacks to its factory.
struct Listener;

/// A wrapper that forwards nothing.
struct NonForwarding(Listener);

/// A wrapper that leaves out what a receiver has in place of `data_received`.
macro_rules! implement {
    (
        $made_kind:ident connection_made()
        $data_kind:ident data_received(data: &[u8])
        $($kind:ident $name:ident($($argument:ident: $type:ty)?))*
    ) => {
        impl Protocol<Heard> for Listener {
            implement! { @methods Context connection_made() $($name($($argument: $type)?))* }
            implement! { @methods Context data_received(data: &[u8]) }
        }

        impl LineReceiver<Heard> for Listener {
            const DELIMITER: Delimiter = Delimiter::Newline;
            const MAX_LENGTH: usize = 7;
            implement! { @methods LineContext connection_made() $($name($($argument: $type)?))* }
            implement! { @methods LineContext line_received(line: &[u8]) }
            implement! { @methods LineContext raw_data_received(data: &[u8]) }
            implement! { @methods LineContext line_length_exceeded(line: &[u8]) }
        }

        impl Protocol<Heard> for NonForwarding {
            delegate_callbacks! {
                Heard => |deaf, cx| (&mut deaf.0, cx),
                except connection_made, data_received, $($name),*
            }
        }
    };
    (@methods $context:ident $($name:ident($($argument:ident: $type:ty)?))*) => {
        $(fn $name(&mut self, cx: &mut $context<'_, Heard> $(, $argument: $type)?) {
            $(let _ = $argument;)?
            cx.factory.0.push(stringify!($name));
        })*
    };
}

crate::__callbacks! { implement {} }

/// A factory around another one, and its protocols.
#[derive(Default)]
struct Outer {
    heard: Heard,
    lost: usize,
}

struct Wrapper<P>(P);

impl Protocol<Outer> for Wrapper<Listener> {
    delegate_callbacks! {
        Outer => |wrapper, cx| (&mut wrapper.0, cx.map_factory(|outer| &mut outer.heard)),
        except connection_lost
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, Outer>, reason: &Reason) {
        cx.factory.lost += 1;
        let cx = &mut cx.map_factory(|outer| &mut outer.heard);
        Protocol::connection_lost(&mut self.0, cx, reason);
    }
}

impl<F, R: LineReceiver<F>> LineReceiver<F> for Wrapper<R> {
    delegate_callbacks! { LineReceiver<F> for R => |wrapper, cx| (&mut wrapper.0, cx) }
}

/// Calls every callback.
fn call_all<F: 'static>(protocol: &mut dyn Protocol<F>, factory: &mut F) {
    let mut fixture = Fixture::new(quiet);
    fixture.connect();
    let transport = fixture.transport(0);
    let cx = &mut Context::new(&transport, factory, &mut fixture.reactor);
    let timer = cx.set_timer(Duration::ZERO);
    for kind in CallbackKind::ALL {
        match kind {
            CallbackKind::ConnectionMade => protocol.connection_made(cx),
            CallbackKind::DataReceived => protocol.data_received(cx, b"x\r\n"),
            CallbackKind::HandshakeCompleted => protocol.handshake_completed(cx),
            CallbackKind::TimerFired => protocol.timer_fired(cx, timer),
            CallbackKind::Continued => {
                let call = |_: &mut NonForwarding, _: &mut Context<'_, Heard>| {};
                protocol.continued(cx, continuation(call));
            }
            CallbackKind::ReadingResumed => protocol.reading_resumed(cx),
            CallbackKind::TimedOut => protocol.timed_out(cx, TimeoutKind::Idle),
            CallbackKind::DrainRequested => protocol.drain_requested(cx),
            CallbackKind::ProducingPaused => protocol.producing_paused(cx),
            CallbackKind::ProducingResumed => protocol.producing_resumed(cx),
            CallbackKind::DescriptorReceived => {
                protocol.descriptor_received(cx, std::fs::File::open("/dev/null").unwrap().into());
            }
            CallbackKind::ProducerFinished => protocol.producer_finished(cx, Ok(0)),
            CallbackKind::WriteRejected => protocol.write_rejected(cx, 1),
            CallbackKind::ReadConnectionLost => protocol.read_connection_lost(cx),
            CallbackKind::WriteConnectionLost => protocol.write_connection_lost(cx),
            CallbackKind::ConnectionLost => protocol.connection_lost(cx, &Reason::Done),
        }
    }
}

fn all() -> Vec<&'static str> {
    CallbackKind::ALL.iter().map(|kind| kind.name()).collect()
}

#[test]
fn a_wrapper_in_another_factory_forwards_every_callback() {
    let mut outer = Outer::default();
    call_all(&mut Wrapper(Listener), &mut outer);
    assert_eq!((outer.heard.0, outer.lost), (all(), 1));
}

#[test]
fn a_box_forwards_every_callback() {
    let mut heard = Heard::default();
    let inner: Box<dyn Protocol<Heard>> = Box::new(Listener);
    call_all(&mut Box::new(inner), &mut heard);
    assert_eq!(heard.0, all());
}

#[test]
fn a_wrapper_of_a_receiver_forwards_every_callback() {
    let mut heard = Heard::default();
    call_all(&mut Lines::new(Wrapper(Wrapper(Listener))), &mut heard);
    let mut expected = all();
    expected[1] = "line_received";
    assert_eq!(heard.0, expected);
}

#[test]
fn a_wrapper_of_a_receiver_takes_over_what_only_receivers_have() {
    type Wrapped = Wrapper<Wrapper<Listener>>;
    assert_eq!(<Wrapped as LineReceiver<Heard>>::DELIMITER, Delimiter::Newline);
    assert_eq!(<Wrapped as LineReceiver<Heard>>::MAX_LENGTH, 7);
    let mut fixture = Fixture::new(quiet);
    fixture.connect();
    let (transport, mut heard) = (fixture.transport(0), Heard::default());
    let cx = &mut Context::new(&transport, &mut heard, &mut fixture.reactor);
    Lines::new(Wrapper(Wrapper(Listener))).with_receiver(cx, |receiver, cx| {
        receiver.raw_data_received(cx, b"x");
        receiver.line_length_exceeded(cx, b"x");
    });
    assert_eq!(heard.0, ["raw_data_received", "line_length_exceeded"]);
}

#[test]
fn what_is_excepted_is_not_forwarded() {
    let mut heard = Heard::default();
    call_all(&mut NonForwarding(Listener), &mut heard);
    assert!(heard.0.is_empty(), "{:?}", heard.0);
}
