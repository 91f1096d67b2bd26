//! Encrypted endpoints: their files, what is around what, and what is wrong with them.

use super::*;
use crate::testing::tls::{AUTHORITY, CLIENT, LOCALHOST, RSA};
use std::fs;
use std::path::PathBuf;

/// A folder with certificates, which is removed at the end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("twistor-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        files.write("chain.pem", LOCALHOST.certificate);
        files.write("key.pem", LOCALHOST.key);
        files.write("both.pem", &format!("{}{}", LOCALHOST.certificate, LOCALHOST.key));
        files.write("other-key.pem", RSA.key);
        files.write("roots.pem", AUTHORITY);
        files.write("client.pem", &format!("{}{}", CLIENT.certificate, CLIENT.key));
        files
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Puts the folder before each file that a description names with `@`.
    fn description(&self, description: &str) -> String {
        description.replace('@', &format!("{}/", self.0.display()))
    }

    fn server(&self, description: &str) -> Result<ServerEndpoint, ParseEndpointError> {
        self.description(description).parse()
    }

    fn client(&self, description: &str) -> Result<ClientEndpoint, ParseEndpointError> {
        self.description(description).parse()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_server_s_description_names_its_files_and_says_what_carries_it() {
    let files = Files::new("servers");
    for (description, address) in [
        ("ssl:8443:privateKey=@key.pem:certKey=@chain.pem", "0.0.0.0:8443"),
        ("ssl:8443:privateKey=@both.pem:interface=127.0.0.1", "127.0.0.1:8443"),
        ("ssl:interface=127.0.0.1:port=8443:privateKey=@both.pem", "127.0.0.1:8443"),
        ("ssl:privateKey=@both.pem:tcp:8443", "0.0.0.0:8443"),
        ("ssl:tcp6:8443:privateKey=@both.pem", "[::]:8443"),
        ("ssl:unix:/run/web:privateKey=@both.pem:clientRoots=@roots.pem", "unix:/run/web"),
        ("haproxy:ssl:8443:privateKey=@both.pem:trust=10.0.0.0/8", "0.0.0.0:8443"),
    ] {
        let endpoint = files.server(description).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(endpoint.address().unwrap().to_string(), address, "{description}");
        let certificates = endpoint.certificates().unwrap();
        certificates.reload().unwrap();
        assert_eq!(endpoint.proxies().is_some(), description.starts_with("haproxy"));
        let shown = endpoint.to_string();
        assert!(shown.trim_start_matches("haproxy:").starts_with("ssl:"), "{shown}");
    }
}

#[test]
fn a_client_s_description_names_the_server_or_connects_to_it() {
    let files = Files::new("clients");
    for (description, name) in [
        ("tls:localhost:443:trustRoots=@roots.pem", "localhost"),
        ("tls:127.0.0.1:443:trustRoots=@roots.pem", "127.0.0.1"),
        ("tls:[::1]:443:trustRoots=@roots.pem:timeout=3", "::1"),
        ("tls:127.0.0.1:443:trustRoots=@roots.pem:serverName=example.test", "example.test"),
        ("tls:unix:/run/web:trustRoots=@roots.pem:serverName=example.test", "example.test"),
        ("tls:localhost:443:trustRoots=@roots.pem:certificate=@client.pem", "localhost"),
        ("haproxy:tls:localhost:443:trustRoots=@roots.pem", "localhost"),
    ] {
        let endpoint = files.client(description).unwrap_or_else(|error| panic!("{error}"));
        let side = format!("{:?}", endpoint.tls().unwrap());
        assert!(side.contains(name), "{description}: {side}");
    }
}

#[test]
fn errors_say_which_file_and_point_at_it() {
    let files = Files::new("errors");
    for (description, mark, message) in [
        ("ssl:8443", "ssl", "no privateKey is given"),
        ("ssl:8443:privateKey=@missing.pem", "@missing", "missing.pem"),
        ("ssl:8443:privateKey=@key.pem:certKey=@missing.pem", "@missing", "missing.pem"),
        ("ssl:8443:privateKey=@other-key.pem:certKey=@chain.pem", "@", "does not"),
        ("ssl:8443:privateKey=@key.pem:privateKey=@key.pem", "@key.pem", "given twice"),
        ("ssl:8443:privateKey=@both.pem:sslmethod=TLSv1_METHOD", "TLSv1", "TLS 1.2 and 1.3"),
        ("ssl:8443:privateKey=@both.pem:extraCertChain=@chain.pem", "@", "the file of certKey"),
        ("ssl:ssl:8443:privateKey=@both.pem", "", "no privateKey is given"),
        ("ssl:haproxy:8443:privateKey=@both.pem", "ssl", "haproxy:ssl:8443"),
        ("ssl:https:privateKey=@both.pem", "https", "unknown type of endpoint"),
    ] {
        let error = files.server(description).unwrap_err();
        assert!(error.to_string().contains(message), "{description}: {error}");
        let marked = &files.description(description)[error.position()..];
        assert!(marked.starts_with(&files.description(mark)), "{error}");
    }
    for (description, message) in [
        ("tls:localhost:443:trustRoots=@missing.pem", "missing.pem"),
        ("tls:localhost:443:trustRoots=@key.pem", "no certificate"),
        ("tls:localhost:443:trustRoots=@roots.pem:privateKey=@key.pem", "but no certificate"),
        ("tls:unix:/run/web:trustRoots=@roots.pem", "no serverName is given"),
        ("tls:localhost:443:trustRoots=@roots.pem:serverName=a b", "a b"),
        ("tls:localhost:trustRoots=@roots.pem", "no port is given"),
    ] {
        let error = files.client(description).unwrap_err().to_string();
        assert!(error.contains(message), "{description}: {error}");
    }
}
