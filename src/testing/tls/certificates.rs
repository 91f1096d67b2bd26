//! The certificates of the folder `certificates`, as PEM.

/// A certificate for tests, and its private key.
///
/// The key is public, since it is part of this library's source: encrypt no secrets with it, and do
/// not trust it outside of a test. The certificate is valid until the year 2120.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestCertificate {
    /// The certificate, as PEM. There is no intermediate one.
    pub certificate: &'static str,
    /// The private key, as PEM.
    pub key: &'static str,
}

macro_rules! certificate {
    ($name:literal) => {
        TestCertificate {
            certificate: include_str!(concat!("../certificates/", $name, ".pem")),
            key: include_str!(concat!("../certificates/", $name, "-key.pem")),
        }
    };
}

/// The authority that has issued all of these certificates but [`FOREIGN`]: the root that clients
/// and servers trust. Its private key does not exist any more.
pub const AUTHORITY: &str = include_str!("../certificates/authority.pem");

/// The authority that has issued [`FOREIGN`]. Its private key does not exist any more.
pub const FOREIGN_AUTHORITY: &str = include_str!("../certificates/foreign-authority.pem");

/// A server's certificate for `localhost`, `127.0.0.1`, `::1` and `example.test`; its key is of
/// type Ed25519.
pub const LOCALHOST: TestCertificate = certificate!("localhost");

/// A server's certificate for `*.wild.test`; its key is of type ECDSA, on the curve P-256.
pub const WILDCARD: TestCertificate = certificate!("wildcard");

/// A server's certificate for `localhost`, `127.0.0.1`, `::1` and `rsa.test`; its key is of type
/// RSA, of 2048 bits.
pub const RSA: TestCertificate = certificate!("rsa");

/// A client's certificate, for `client.test`; its key is of type Ed25519.
pub const CLIENT: TestCertificate = certificate!("client");

/// A certificate of an authority that nobody trusts, for the names of [`LOCALHOST`], for servers
/// and clients; its key is of type ECDSA, on the curve P-256.
pub const FOREIGN: TestCertificate = certificate!("foreign");
