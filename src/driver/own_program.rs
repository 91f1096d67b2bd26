//! The program of this process, started once more.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitStatus};

/// A process that runs this program, with the arguments and the environment of this process.
/// Dropping it leaves the process alone.
#[derive(Debug)]
pub(crate) struct StartedProgram(Child);

impl StartedProgram {
    /// Starts the program, by the name that this process was started with: where a new version has
    /// been installed, that is what runs. (What this process runs may be a file that is gone.)
    pub(crate) fn start() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let unnamed = || io::Error::new(io::ErrorKind::NotFound, "this program has no name");
        let program: OsString = arguments.next().ok_or_else(unnamed)?;
        Command::new(program).args(arguments).spawn().map(Self)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Returns the status of the process if it has ended, which removes it from the system's table.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}
