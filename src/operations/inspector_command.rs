//! Commands of an inspection port. Pure.

use log::LevelFilter;
use std::time::Duration;

/// What `help` answers.
pub(super) const HELP: &str = "\
connections [NAME]  list connections, those whose protocol's name contains NAME
factories           list factories
ports               list open ports
timers              count timers
events              show the last events of the loop
metrics             show counters and times
close ID            close a connection gracefully
abort ID            reset a connection
drain [SECONDS]     stop gracefully, or say what a drain still waits for
log LEVEL           set the log level: off, error, warn, info, debug or trace
quit                end this session
";

/// A command of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Help,
    Connections { name: Option<&'a str> },
    Factories,
    Ports,
    Timers,
    Events,
    Metrics,
    Close { id: &'a str },
    Abort { id: &'a str },
    Drain { deadline: Option<Duration> },
    Log { level: LevelFilter },
    Quit,
}

impl<'a> Command<'a> {
    /// Parses a line; an error says what is wrong with it.
    pub(super) fn parse(line: &'a str) -> Result<Self, String> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = Some(rest.trim()).filter(|rest| !rest.is_empty());
        let required = |what| argument.ok_or(format!("{word} needs {what}"));
        let command = match word {
            "connections" => return Ok(Self::Connections { name: argument }),
            "close" => return Ok(Self::Close { id: required("the id of a connection")? }),
            "abort" => return Ok(Self::Abort { id: required("the id of a connection")? }),
            "drain" => {
                let deadline = argument.map(parse_seconds).transpose()?;
                return Ok(Self::Drain { deadline });
            }
            "log" => {
                let level = required("a level: off, error, warn, info, debug or trace")?;
                let level = level.parse().map_err(|_| format!("{level:?} is no log level"))?;
                return Ok(Self::Log { level });
            }
            "help" => Self::Help,
            "factories" => Self::Factories,
            "ports" => Self::Ports,
            "timers" => Self::Timers,
            "events" => Self::Events,
            "metrics" => Self::Metrics,
            "quit" => Self::Quit,
            _ => return Err(format!("unknown command {word:?}; help lists them")),
        };
        match argument {
            None => Ok(command),
            Some(_) => Err(format!("{word} takes no argument")),
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    seconds.map(Duration::from_secs).ok_or(format!("{text:?} is no number of seconds"))
}
