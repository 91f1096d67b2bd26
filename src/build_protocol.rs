//! `build_protocol!`: a factory's most frequent method in one line.

/// Writes the two items of an `impl Factory` that every factory with a state needs: the protocol's
/// type, and a [`build_protocol`](crate::Factory::build_protocol) that always builds one. The
/// closure is given the factory. (Twisted's `Factory.protocol`)
///
/// ```
/// use std::io;
/// use twistor::{Context, Factory, Protocol, Reactor, build_protocol};
///
/// struct Room {
///     greeting: String,
///     visitors: u64,
/// }
///
/// struct Visitor {
///     number: u64,
/// }
///
/// impl Protocol<Room> for Visitor {
///     fn connection_made(&mut self, cx: &mut Context<'_, Room>) {
///         cx.transport.write(format!("{} number {}!\r\n", cx.factory.greeting, self.number));
///     }
/// }
///
/// impl Factory for Room {
///     build_protocol!(Visitor, |room| {
///         room.visitors += 1;
///         Visitor { number: room.visitors }
///     });
///
///     // The other methods stand beside it, as usual.
///     fn start_factory(&mut self, _reactor: &mut Reactor) -> io::Result<()> {
///         self.visitors = 0;
///         Ok(())
///     }
/// }
///
/// let mut reactor = Reactor::new()?;
/// let room = Room { greeting: "Welcome".to_owned(), visitors: 0 };
/// reactor.listen("tcp:0:interface=127.0.0.1", room)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A factory without a state is a closure, `|| Echo`. One that rejects clients, or that asks the
/// transport or the reactor, writes the method out.
#[macro_export]
macro_rules! build_protocol {
    ($protocol:ty, |$factory:pat_param| $build:expr $(,)?) => {
        type Protocol = $protocol;

        fn build_protocol(
            &mut self,
            _: &$crate::Transport,
            _: &mut $crate::Reactor,
        ) -> ::core::option::Option<$protocol> {
            let $factory = self;
            ::core::option::Option::Some($build)
        }
    };
}
