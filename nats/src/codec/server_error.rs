//! `ServerError`: what a server says in `-ERR`.

use std::error::Error;
use std::fmt;

/// What a server says in `-ERR`.
///
/// Displayed as the server's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The credentials are missing, wrong or revoked, or were not sent in time. The server closes
    /// the connection.
    Authorization(String),
    /// The credentials have expired. The server closes the connection.
    AuthenticationExpired(String),
    /// The user may not publish to a subject, or not subscribe to it. The connection stays.
    Permissions(String),
    /// This client does not read as fast as messages come. The server closes the connection.
    /// nats-server does that without this error; see
    /// [`Event::Disconnected`](crate::Event::Disconnected).
    SlowConsumer(String),
    /// The client has not answered to `PING`. The server closes the connection.
    StaleConnection(String),
    /// A payload is larger than [`ServerInfo::max_payload`](super::ServerInfo::max_payload). The
    /// server closes the connection.
    MaxPayload(String),
    /// A line is longer than the server takes. The server closes the connection.
    MaxControlLine(String),
    /// There are as many connections, or subscriptions, as the server or the account allows.
    LimitExceeded(String),
    /// The server speaks TLS only. It closes the connection.
    TlsRequired(String),
    /// Anything else.
    Other(String),
}

/// Makes a kind of error from the server's words.
type Kind = fn(String) -> ServerError;

/// How the words of each kind begin, in small letters; the first that fits counts. What follows may
/// be a subject, which may contain any of the others.
const KINDS: [(&str, Kind); 14] = [
    ("permissions violation", ServerError::Permissions),
    ("authorization violation", ServerError::Authorization),
    ("user authentication expired", ServerError::AuthenticationExpired),
    ("account authentication expired", ServerError::AuthenticationExpired),
    ("authentication expired", ServerError::AuthenticationExpired),
    ("user authentication", ServerError::Authorization),
    ("authentication", ServerError::Authorization),
    ("slow consumer", ServerError::SlowConsumer),
    ("stale connection", ServerError::StaleConnection),
    ("maximum payload", ServerError::MaxPayload),
    ("maximum control line", ServerError::MaxControlLine),
    ("maximum", ServerError::LimitExceeded),
    ("tls required", ServerError::TlsRequired),
    ("secure connection", ServerError::TlsRequired),
];

impl ServerError {
    /// Tells the kind of an error by the beginning of the server's words.
    pub fn parse(text: &str) -> Self {
        let begins = |words: &str| {
            text.get(..words.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(words))
        };
        let kind = KINDS.iter().find(|(words, _)| begins(words));
        kind.map_or(Self::Other as Kind, |(_, kind)| *kind)(text.to_owned())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization(text)
            | Self::AuthenticationExpired(text)
            | Self::Permissions(text)
            | Self::SlowConsumer(text)
            | Self::StaleConnection(text)
            | Self::MaxPayload(text)
            | Self::MaxControlLine(text)
            | Self::LimitExceeded(text)
            | Self::TlsRequired(text)
            | Self::Other(text) => f.write_str(text),
        }
    }
}

impl Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::ServerError::*;
    use super::*;

    #[test]
    fn the_words_of_a_server_have_a_kind() {
        let cases: [(&str, Kind); 22] = [
            ("Authorization Violation", Authorization),
            ("Authentication Timeout", Authorization),
            ("User Authentication Expired", AuthenticationExpired),
            ("Account Authentication Expired", AuthenticationExpired),
            ("Permissions Violation for Publish to \"a\"", Permissions),
            ("Permissions Violation for Subscription to \"a\"", Permissions),
            ("Permissions Violation for Publish with Reply of \"orders.expired\"", Permissions),
            ("Permissions Violation for Publish to \"slow consumer.exceeded\"", Permissions),
            ("permissions violation for subscription to \"authentication\"", Permissions),
            ("User Authentication Revoked", Authorization),
            ("Authentication Expired", AuthenticationExpired),
            ("Slow Consumer", SlowConsumer),
            ("Stale Connection", StaleConnection),
            ("Maximum Payload Violation", MaxPayload),
            ("Maximum Control Line Exceeded", MaxControlLine),
            ("maximum connections exceeded", LimitExceeded),
            ("maximum subscriptions exceeded", LimitExceeded),
            ("maximum account active connections exceeded", LimitExceeded),
            ("TLS Required", TlsRequired),
            ("Invalid Subject \"stale connection\"", Other),
            ("Secure Connection - TLS Required", TlsRequired),
            ("Unknown Protocol Operation", Other),
        ];
        for (text, kind) in cases {
            assert_eq!(ServerError::parse(text), kind(text.to_owned()));
            assert_eq!(ServerError::parse(text).to_string(), text);
        }
    }
}
