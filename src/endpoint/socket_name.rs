//! Names by which processes that take listening sockets over from each other call them.

use super::server::ServerCarrier;
use crate::address::Address;

/// Returns the name of a socket with this address: one line, without tabs.
pub(crate) fn name_of_address(address: &Address) -> String {
    match address {
        Address::Tcp(address) => format!("tcp:{address}"),
        // The working directory of the other process may be another one.
        Address::Unix(name) => match name.as_path().and_then(|it| std::path::absolute(it).ok()) {
            Some(path) => Address::Unix(path.as_path().into()).to_string(),
            None => address.to_string(),
        },
        Address::Host(_) => address.to_string(),
    }
}

impl ServerCarrier {
    /// Returns the name of the socket that is asked for, whatever its backlog and permissions are
    /// to be.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Tcp(endpoint) => name_of_address(&endpoint.address().into()),
            Self::Unix(endpoint) => name_of_address(&endpoint.address().clone().into()),
            Self::Inherited(endpoint) => endpoint.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::endpoint::ServerEndpoint;

    #[test]
    fn a_name_says_which_socket_and_nothing_else() {
        let here = std::env::current_dir().unwrap();
        let relative = format!("unix:{}/web.sock", here.display());
        for (description, name) in [
            ("tcp:8007", "tcp:0.0.0.0:8007"),
            ("tcp:8007:interface=127.0.0.1:backlog=5", "tcp:127.0.0.1:8007"),
            ("tcp6:0", "tcp:[::]:0"),
            ("haproxy:tcp:8007", "tcp:0.0.0.0:8007"),
            ("unix:/run/web.sock:mode=660", "unix:/run/web.sock"),
            ("unix:web.sock", &*relative),
            ("unix:/run/a\tb", "unix:/run/a\\tb"),
            ("systemd:name=web", "systemd:name=web"),
            ("fd:3", "fd:3"),
        ] {
            let endpoint: ServerEndpoint = description.parse().unwrap();
            assert_eq!(endpoint.carrier().name(), name, "{description}");
        }
    }
}
