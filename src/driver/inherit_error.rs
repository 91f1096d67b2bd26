//! Why an inherited descriptor could not be taken.

use super::adopted::Problem;
use std::error::Error;
use std::fmt;
use std::io;

/// Why an inherited descriptor could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InheritError {
    /// The environment contradicts itself.
    Environment { variable: &'static str, value: String, expected: &'static str },
    /// No descriptor is meant by the selector; `inherited` lists those that there are.
    Missing { wanted: String, inherited: Vec<String> },
    /// The descriptor that is meant cannot be taken.
    Unusable { number: usize, name: String, problem: Problem },
}

impl fmt::Display for InheritError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment { variable, value, expected } => {
                write!(f, "the environment variable {variable}={value} is not {expected}")
            }
            Self::Missing { wanted, inherited } => {
                write!(f, "no inherited descriptor {wanted}; ")?;
                match inherited.as_slice() {
                    [] => f.write_str(
                        "none is inherited: LISTEN_PID and LISTEN_FDS pass none to this process",
                    ),
                    all => write!(f, "inherited are: {}", all.join(", ")),
                }
            }
            Self::Unusable { number, name, problem } => {
                write!(f, "the inherited descriptor {number} ({name}) {problem}")
            }
        }
    }
}

impl Error for InheritError {}

impl From<InheritError> for io::Error {
    fn from(error: InheritError) -> Self {
        let kind = match &error {
            InheritError::Missing { .. } => io::ErrorKind::NotFound,
            InheritError::Unusable { problem: Problem::Taken, .. } => io::ErrorKind::AddrInUse,
            InheritError::Environment { .. } | InheritError::Unusable { .. } => {
                io::ErrorKind::InvalidInput
            }
        };
        Self::new(kind, error)
    }
}
