//! The list of a protocol's callbacks, from which everything is generated that treats them alike.

/// Passes the list of a protocol's callbacks to another macro, after that macro's own arguments.
///
/// Each entry is the callback's kind, its name, and its argument beside the context. To add a
/// callback, add it here, to `Protocol`, `LineReceiver` and `Callback`, and to `__delegate`.
#[doc(hidden)]
#[macro_export]
macro_rules! __callbacks {
    ($then:path { $($first:tt)* }) => {
        $then! {
            $($first)*
            ConnectionMade connection_made()
            DataReceived data_received(data: &[u8])
            DescriptorReceived descriptor_received(descriptor: $crate::Descriptor)
            HandshakeCompleted handshake_completed()
            TimerFired timer_fired(timer: $crate::TimerId)
            Continued continued(continuation: $crate::Continuation)
            ReadingResumed reading_resumed()
            TimedOut timed_out(kind: $crate::limits::TimeoutKind)
            DrainRequested drain_requested()
            ProducingPaused producing_paused()
            ProducingResumed producing_resumed()
            ProducerFinished producer_finished(result: ::std::io::Result<u64>)
            WriteRejected write_rejected(count: usize)
            ReadConnectionLost read_connection_lost()
            WriteConnectionLost write_connection_lost()
            ConnectionLost connection_lost(reason: &$crate::Reason)
        }
    };
}

macro_rules! define_kinds {
    ($($kind:ident $name:ident($($argument:ident: $type:ty)?))*) => {
        /// Identifies a callback of [`Protocol`](crate::Protocol).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            not(feature = "testing"),
            expect(unreachable_pub, reason = "it is public in the module `testing`")
        )]
        #[non_exhaustive]
        pub enum CallbackKind {
            $(
                #[doc = concat!(
                    "[`", stringify!($name), "`](crate::Protocol::", stringify!($name), ")"
                )]
                $kind,
            )*
        }

        impl CallbackKind {
            /// All kinds, in the order of their declaration.
            #[cfg(any(test, feature = "testing"))]
            #[cfg_attr(
                not(feature = "testing"),
                expect(unreachable_pub, reason = "it is public in the module `testing`")
            )]
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the name of the method, such as `data_received`.
            #[cfg_attr(
                not(feature = "testing"),
                expect(unreachable_pub, reason = "it is public in the module `testing`")
            )]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($name),)*
                }
            }
        }
    };
}

__callbacks! { define_kinds {} }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_name_of_its_method() {
        let [first, .., last] = CallbackKind::ALL else { panic!("there are none") };
        assert_eq!((first.name(), last.name()), ("connection_made", "connection_lost"));
        for (index, kind) in CallbackKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            let camel_case = kind.name().split('_').map(|word| {
                let (initial, rest) = word.split_at(1);
                initial.to_uppercase() + rest
            });
            assert_eq!(format!("{kind:?}"), camel_case.collect::<String>());
        }
    }
}
