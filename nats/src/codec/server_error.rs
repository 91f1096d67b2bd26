//! `ServerError`: what a server says in `-ERR`.

use std::error::Error;
use std::fmt;

/// What a server says in `-ERR`.
///
/// Displayed as the server's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The credentials are missing or wrong, or were not sent in time. The server closes the
    /// connection.
    Authorization(String),
    /// The credentials have expired. The server closes the connection.
    AuthenticationExpired(String),
    /// The user may not publish to a subject, or not subscribe to it. The connection stays.
    Permissions(String),
    /// This client does not read as fast as messages come. The server closes the connection.
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

impl ServerError {
    /// Tells the kind of an error by the server's words.
    pub fn parse(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let has = |words: &str| lower.contains(words);
        let kind = if has("expired") {
            Self::AuthenticationExpired
        } else if has("authorization violation") || has("authentication") {
            Self::Authorization
        } else if has("permissions violation") {
            Self::Permissions
        } else if has("slow consumer") {
            Self::SlowConsumer
        } else if has("stale connection") {
            Self::StaleConnection
        } else if has("maximum payload") {
            Self::MaxPayload
        } else if has("maximum control line") {
            Self::MaxControlLine
        } else if has("exceeded") {
            Self::LimitExceeded
        } else if has("tls required") || has("secure connection") {
            Self::TlsRequired
        } else {
            Self::Other
        };
        kind(text.to_owned())
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
        type Kind = fn(String) -> ServerError;
        let cases: [(&str, Kind); 14] = [
            ("Authorization Violation", Authorization),
            ("Authentication Timeout", Authorization),
            ("User Authentication Expired", AuthenticationExpired),
            ("Account Authentication Expired", AuthenticationExpired),
            ("Permissions Violation for Publish to \"a\"", Permissions),
            ("Permissions Violation for Subscription to \"a\"", Permissions),
            ("Slow Consumer", SlowConsumer),
            ("Stale Connection", StaleConnection),
            ("Maximum Payload Violation", MaxPayload),
            ("Maximum Control Line Exceeded", MaxControlLine),
            ("maximum connections exceeded", LimitExceeded),
            ("maximum subscriptions exceeded", LimitExceeded),
            ("Secure Connection - TLS Required", TlsRequired),
            ("Unknown Protocol Operation", Other),
        ];
        for (text, kind) in cases {
            assert_eq!(ServerError::parse(text), kind(text.to_owned()));
            assert_eq!(ServerError::parse(text).to_string(), text);
        }
    }
}
