//! Whether this process has a successor. Data only.

use crate::driver::StartedProgram;

/// The successor of this process.
#[derive(Debug, Default)]
pub(super) enum Succession {
    #[default]
    None,
    /// This process has started one, which may take over.
    Started(StartedProgram),
    /// One has taken over.
    HandedOver,
}
