//! `ServerInfo`: what a server says about itself.

use super::error::CodecError;
use serde_json::{Map, Value, json};

/// What a server says about itself in `INFO`. Fields that a server leaves out are empty, zero or
/// false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The server's id, another one after each start.
    pub server_id: String,
    /// The server's name.
    pub server_name: String,
    /// The server's version.
    pub version: String,
    /// The name of the cluster.
    pub cluster: String,
    /// The largest payload that the server takes, headers included, in bytes.
    pub max_payload: usize,
    /// The server understands headers.
    pub headers: bool,
    /// The server wants credentials.
    pub auth_required: bool,
    /// The server speaks TLS only.
    pub tls_required: bool,
    /// The server can speak TLS.
    pub tls_available: bool,
    /// JetStream is enabled.
    pub jetstream: bool,
    /// Lame duck mode: the server is about to shut down, and closes its connections one by one.
    pub lame_duck_mode: bool,
    /// Something to sign, for clients with an nkey.
    pub nonce: String,
    /// The number of this connection, for the server's log.
    pub client_id: u64,
    /// Addresses of the cluster's servers, `host:port` each.
    pub connect_urls: Vec<String>,
}

impl ServerInfo {
    /// Parses the JSON that follows `INFO` in a line.
    pub(super) fn parse(line: &[u8], json: &[u8]) -> Result<Self, CodecError> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
            return Err(CodecError::new("INFO without a JSON object", line));
        };
        let text = |name: &str| text(&fields, name).unwrap_or_default().to_owned();
        let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
        let number = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
        let urls = fields.get("connect_urls").and_then(Value::as_array);
        let urls = urls.into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            server_id: text("server_id"),
            server_name: text("server_name"),
            version: text("version"),
            cluster: text("cluster"),
            max_payload: usize::try_from(number("max_payload")).unwrap_or(usize::MAX),
            headers: flag("headers"),
            auth_required: flag("auth_required"),
            tls_required: flag("tls_required"),
            tls_available: flag("tls_available"),
            jetstream: flag("jetstream"),
            lame_duck_mode: flag("ldm"),
            nonce: text("nonce"),
            client_id: number("client_id"),
            connect_urls: urls.map(str::to_owned).collect(),
        })
    }

    /// Returns the JSON that follows `INFO`.
    pub(super) fn to_json(&self) -> String {
        json!({
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": self.version,
            "cluster": self.cluster,
            "proto": 1,
            "max_payload": self.max_payload,
            "headers": self.headers,
            "auth_required": self.auth_required,
            "tls_required": self.tls_required,
            "tls_available": self.tls_available,
            "jetstream": self.jetstream,
            "ldm": self.lame_duck_mode,
            "nonce": self.nonce,
            "client_id": self.client_id,
            "connect_urls": self.connect_urls,
        })
        .to_string()
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::ServerCommand;
    use super::*;

    #[test]
    fn the_info_of_a_real_server() {
        let line = br#"INFO {"server_id":"NDJ","server_name":"n1","version":"2.9.10",
            "proto":1,"git_commit":"",
            "go":"go1.19.4","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,
            "client_id":5,"client_ip":"127.0.0.1","connect_urls":["10.0.0.1:4222","[::1]:4222"],
            "ldm":true,"nonce":"abc"} "#;
        let ServerCommand::Info(info) = ServerCommand::parse(line).unwrap() else { panic!() };
        assert_eq!((info.server_name.as_str(), info.max_payload), ("n1", 1_048_576));
        assert!(info.headers && info.lame_duck_mode && !info.tls_required);
        assert_eq!(info.connect_urls, ["10.0.0.1:4222", "[::1]:4222"]);
        assert_eq!((info.nonce.as_str(), info.client_id), ("abc", 5));
        let mut out = Vec::new();
        ServerCommand::Info(info.clone()).write_to(&mut out);
        let again = ServerCommand::parse(out.strip_suffix(b"\r\n").unwrap()).unwrap();
        assert_eq!(again, ServerCommand::Info(info));
    }

    #[test]
    fn fields_of_another_type_count_as_missing() {
        let line =
            br#"INFO {"server_id":5,"max_payload":"x","headers":1,"connect_urls":[1,"a:1"]}"#;
        let ServerCommand::Info(info) = ServerCommand::parse(line).unwrap() else { panic!() };
        let connect_urls = vec!["a:1".to_owned()];
        assert_eq!(*info, ServerInfo { connect_urls, ..ServerInfo::default() });
    }
}
