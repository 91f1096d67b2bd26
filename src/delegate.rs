//! Wrapping a protocol: `delegate_callbacks!`.

/// Forwards all callbacks of a wrapper to the protocol that it wraps, except those that the wrapper
/// implements itself. So a wrapper cannot forget one, not even one that a later version adds.
///
/// Invoke it in the wrapper's `impl` block. It begins with the factory `F`, in one of three forms:
///
/// - `F => |this, cx| (inner, inner_cx)`, in an `impl` of [`Protocol<F>`](crate::Protocol): `inner`
///   is the wrapped protocol, as a `&mut`, and `inner_cx` is its context: `cx` itself or, for a
///   protocol of another factory, the result of [`map_factory`](crate::Context::map_factory).
/// - `LineReceiver<F> for R => |this, cx| (inner, inner_cx)`, in an `impl` of
///   [`LineReceiver<F>`](crate::LineReceiver): the wrapped receiver has the type `R`, whose
///   `DELIMITER` and `MAX_LENGTH` the wrapper takes over as well.
/// - `F => Self::with_inner`, in an `impl` of `Protocol<F>`, for wrappers that do something around
///   each call. A callback then calls, for example, `Self::with_inner(self, cx, |inner, cx|
///   inner.timed_out(cx, kind))`.
///
/// After it, `except` names the callbacks that the wrapper implements itself. One that is named and
/// not implemented does what the trait does by default.
///
/// ```
/// use twistor::{Context, Factory, Protocol, Reactor, Reason, Transport, delegate_callbacks};
///
/// /// Counts the open connections of any other factory.
/// struct Counted<F> {
///     inner: F,
///     open: usize,
/// }
///
/// struct Counting<P>(P);
///
/// impl<F: Factory> Protocol<Counted<F>> for Counting<F::Protocol> {
///     delegate_callbacks! {
///         Counted<F> => |counting, cx| {
///             (&mut counting.0, cx.map_factory(|counted| &mut counted.inner))
///         },
///         except connection_made, connection_lost
///     }
///
///     fn connection_made(&mut self, cx: &mut Context<'_, Counted<F>>) {
///         cx.factory.open += 1;
///         self.0.connection_made(&mut cx.map_factory(|counted| &mut counted.inner));
///     }
///
///     fn connection_lost(&mut self, cx: &mut Context<'_, Counted<F>>, reason: &Reason) {
///         self.0.connection_lost(&mut cx.map_factory(|counted| &mut counted.inner), reason);
///         cx.factory.open -= 1;
///     }
/// }
///
/// impl<F: Factory> Factory for Counted<F> {
///     type Protocol = Counting<F::Protocol>;
///
///     fn build_protocol(
///         &mut self,
///         transport: &Transport,
///         reactor: &mut Reactor,
///     ) -> Option<Self::Protocol> {
///         self.inner.build_protocol(transport, reactor).map(Counting)
///     }
/// }
/// ```
///
/// A misspelt name is an error, here ``no callback is called `connection_left` ``:
///
/// ```compile_fail
/// use twistor::{Protocol, delegate_callbacks};
///
/// struct Logged<P>(P);
///
/// impl<F, P: Protocol<F>> Protocol<F> for Logged<P> {
///     delegate_callbacks! { F => |logged, cx| (&mut logged.0, cx), except connection_left }
/// }
/// ```
#[macro_export]
macro_rules! delegate_callbacks {
    (
        LineReceiver<$factory:ty> for $receiver:ty => |$this:ident, $cx:ident| $inner:expr
        $(, except $($except:ident),+)? $(,)?
    ) => {
        $crate::__callbacks! { $crate::__delegate {
            @line_receiver [$($($except)+)?] $receiver, $factory,
            (LineReceiver, LineContext<$factory>, |$this, $cx| $inner)
        } }
    };
    (
        $factory:ty => |$this:ident, $cx:ident| $inner:expr
        $(, except $($except:ident),+)? $(,)?
    ) => {
        $crate::__callbacks! { $crate::__delegate {
            @forward [$($($except)+)?] (Protocol, Context<$factory>, |$this, $cx| $inner)
        } }
    };
    ($factory:ty => $with_inner:path $(, except $($except:ident),+)? $(,)?) => {
        $crate::__callbacks! { $crate::__delegate {
            @forward [$($($except)+)?] (Protocol, Context<$factory>, $with_inner)
        } }
    };
}

/// Implements the steps of `delegate_callbacks`.
#[doc(hidden)]
#[macro_export]
macro_rules! __delegate {
    (@forward $except:tt $how:tt $($kind:ident $name:ident $argument:tt)*) => {
        $crate::__delegate! { @known $except [$($name)*] }
        $($crate::__delegate! { @unless $name $except { @method $how $name $argument } })*
    };

    // A receiver has two constants, and three callbacks in place of `data_received`.
    (
        @line_receiver [$($except:ident)*] $receiver:ty, $factory:ty, $how:tt
        $($kind:ident $name:ident $argument:tt)*
    ) => {
        const DELIMITER: $crate::Delimiter =
            <$receiver as $crate::LineReceiver<$factory>>::DELIMITER;
        const MAX_LENGTH: usize = <$receiver as $crate::LineReceiver<$factory>>::MAX_LENGTH;
        $crate::__delegate! {
            @forward [$($except)* data_received] $how
            $($kind $name $argument)*
            LineReceived line_received(line: &[u8])
            RawDataReceived raw_data_received(data: &[u8])
            LineLengthExceeded line_length_exceeded(line: &[u8])
        }
    };

    // Each name after `except` is the name of a callback.
    (@known [$($except:ident)*] $names:tt) => {
        $($crate::__delegate! { @unless $except $names { @unknown $except } })*
    };
    (@unknown $name:ident) => {
        ::core::compile_error!(::core::concat!(
            "no callback is called `", ::core::stringify!($name), "`"
        ));
    };

    // A wrapper may have continuations of its own.
    (
        @method ($trait:ident, $context:ident<$factory:ty>, |$this:ident, $cx:ident| $inner:expr)
        continued $argument:tt
    ) => {
        #[allow(trivial_bounds)]
        fn continued(
            &mut self,
            cx: &mut $crate::$context<'_, $factory>,
            continuation: $crate::Continuation,
        ) where
            $factory: 'static,
        {
            if let Err(continuation) = cx.call_continuation(self, continuation) {
                let ($this, $cx) = (self, cx);
                let (inner, mut inner_cx) = $inner;
                $crate::$trait::continued(inner, &mut inner_cx, continuation);
            }
        }
    };
    (
        @method ($trait:ident, $context:ident<$factory:ty>, $with_inner:path)
        continued $argument:tt
    ) => {
        #[allow(trivial_bounds)]
        fn continued(
            &mut self,
            cx: &mut $crate::$context<'_, $factory>,
            continuation: $crate::Continuation,
        ) where
            $factory: 'static,
        {
            if let Err(continuation) = cx.call_continuation(self, continuation) {
                $with_inner(self, cx, |inner, cx| inner.continued(cx, continuation));
            }
        }
    };
    (
        @method ($trait:ident, $context:ident<$factory:ty>, |$this:ident, $cx:ident| $inner:expr)
        $name:ident ($($argument:ident: $type:ty)?)
    ) => {
        fn $name(&mut self, cx: &mut $crate::$context<'_, $factory> $(, $argument: $type)?) {
            let ($this, $cx) = (self, cx);
            let (inner, mut inner_cx) = $inner;
            $crate::$trait::$name(inner, &mut inner_cx $(, $argument)?);
        }
    };
    (
        @method ($trait:ident, $context:ident<$factory:ty>, $with_inner:path)
        $name:ident ($($argument:ident: $type:ty)?)
    ) => {
        fn $name(&mut self, cx: &mut $crate::$context<'_, $factory> $(, $argument: $type)?) {
            $with_inner(self, cx, |inner, cx| inner.$name(cx $(, $argument)?));
        }
    };

    // Continues with the step in braces, unless the name is in the list. A macro can compare a name
    // only with one that is written in it.
    (@unless connection_made [connection_made $($rest:tt)*] $step:tt) => {};
    (@unless data_received [data_received $($rest:tt)*] $step:tt) => {};
    (@unless descriptor_received [descriptor_received $($rest:tt)*] $step:tt) => {};
    (@unless handshake_completed [handshake_completed $($rest:tt)*] $step:tt) => {};
    (@unless timer_fired [timer_fired $($rest:tt)*] $step:tt) => {};
    (@unless continued [continued $($rest:tt)*] $step:tt) => {};
    (@unless reading_resumed [reading_resumed $($rest:tt)*] $step:tt) => {};
    (@unless timed_out [timed_out $($rest:tt)*] $step:tt) => {};
    (@unless drain_requested [drain_requested $($rest:tt)*] $step:tt) => {};
    (@unless producing_paused [producing_paused $($rest:tt)*] $step:tt) => {};
    (@unless producing_resumed [producing_resumed $($rest:tt)*] $step:tt) => {};
    (@unless producer_finished [producer_finished $($rest:tt)*] $step:tt) => {};
    (@unless write_rejected [write_rejected $($rest:tt)*] $step:tt) => {};
    (@unless read_connection_lost [read_connection_lost $($rest:tt)*] $step:tt) => {};
    (@unless write_connection_lost [write_connection_lost $($rest:tt)*] $step:tt) => {};
    (@unless connection_lost [connection_lost $($rest:tt)*] $step:tt) => {};
    (@unless line_received [line_received $($rest:tt)*] $step:tt) => {};
    (@unless raw_data_received [raw_data_received $($rest:tt)*] $step:tt) => {};
    (@unless line_length_exceeded [line_length_exceeded $($rest:tt)*] $step:tt) => {};
    (@unless $name:ident [$other:ident $($rest:tt)*] $step:tt) => {
        $crate::__delegate! { @unless $name [$($rest)*] $step }
    };
    (@unless $name:ident [] { $($step:tt)* }) => {
        $crate::__delegate! { $($step)* }
    };
}
