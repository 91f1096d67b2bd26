//! `Connect`: what a client says about itself.

use serde_json::{Map, Value};
use std::fmt;

/// What a client says about itself in `CONNECT`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connect {
    /// The client's name, for the server's log.
    pub name: Option<String>,
    /// The user, for authentication.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// The token, for authentication without a user.
    pub token: Option<String>,
    /// The public nkey.
    pub nkey: Option<String>,
    /// The JSON web token of the user.
    pub jwt: Option<String>,
    /// The signature of the server's nonce.
    pub signature: Option<String>,
    /// The connection is encrypted.
    pub tls_required: bool,
    /// Whether messages that the client publishes reach its own subscriptions.
    pub echo: bool,
    /// The client takes messages with headers, and so an answer at once if nobody listens to a
    /// request (`no_responders`), which is one. A server without headers
    /// ([`ServerInfo::headers`](super::ServerInfo::headers)) rejects a client that wants them.
    pub headers: bool,
}

impl Connect {
    /// Returns the JSON that follows `CONNECT`: without `+OK` for each command (`verbose`), and
    /// with later `INFO`s (`protocol`).
    pub fn to_json(&self) -> String {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        add("verbose", false.into());
        add("pedantic", false.into());
        add("tls_required", self.tls_required.into());
        add("lang", "rust".into());
        add("version", env!("CARGO_PKG_VERSION").into());
        add("protocol", 1.into());
        add("echo", self.echo.into());
        add("headers", self.headers.into());
        add("no_responders", self.headers.into());
        let credentials = [
            ("name", &self.name),
            ("user", &self.user),
            ("pass", &self.password),
            ("auth_token", &self.token),
            ("nkey", &self.nkey),
            ("jwt", &self.jwt),
            ("sig", &self.signature),
        ];
        for (name, value) in credentials {
            if let Some(value) = value {
                add(name, value.as_str().into());
            }
        }
        Value::Object(fields).to_string()
    }
}

/// Shows no credentials.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("name", &self.name)
            .field("user", &self.user)
            .field("tls_required", &self.tls_required)
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_said() {
        let user = Some("a\"b\r\n".to_owned());
        let json = Connect { user, echo: true, ..Connect::default() }.to_json();
        assert!(!json.contains(['\r', '\n']), "{json}");
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["user"], "a\"b\r\n");
        assert_eq!((&value["echo"], &value["verbose"]), (&true.into(), &false.into()));
        assert!(value.get("pass").is_none() && value.get("auth_token").is_none());
    }

    #[test]
    fn passwords_are_not_shown() {
        let password = Some("geheim".to_owned());
        let shown = format!("{:?}", Connect { password, ..Connect::default() });
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
