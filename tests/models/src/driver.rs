//! In place of the library's driver: what wakes a reactor.

use crate::sleep::Sleep;
use std::fmt::Debug;

pub(crate) trait Wake: Debug + Send + Sync {
    fn wake(&self);
}

impl Wake for Sleep {
    fn wake(&self) {
        Self::wake(self);
    }
}
