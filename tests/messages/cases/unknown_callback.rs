//! A wrapper that names a callback which does not exist.

use twistor::{Context, Protocol, Reason, delegate_callbacks};

struct Wrapper<P>(P);

impl<F, P: Protocol<F>> Protocol<F> for Wrapper<P> {
    delegate_callbacks! {
        F => |wrapper, cx| (&mut wrapper.0, cx),
        except connection_closed
    }

    fn connection_lost(&mut self, cx: &mut Context<'_, F>, reason: &Reason) {
        self.0.connection_lost(cx, reason);
    }
}

fn main() {}
