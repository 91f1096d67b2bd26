//! The host names in certificates.

use super::fixtures::{KINDS, der};
use crate::testing::Random;
use crate::testing::tls::{AUTHORITY, CLIENT, LOCALHOST, RSA, WILDCARD};
use crate::tls::alternative_names::host_names;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

#[test]
fn names_are_those_of_the_extension() {
    let names = |certificate| host_names(&der(certificate));
    assert_eq!(names(&LOCALHOST), ["localhost", "example.test"]);
    assert_eq!(names(&WILDCARD), ["*.wild.test"]);
    assert_eq!(names(&RSA), ["rsa.test", "localhost"]);
    assert_eq!(names(&CLIENT), ["client.test"]);
    let authority = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap();
    assert!(host_names(&authority).is_empty());
}

#[test]
fn a_certificate_is_valid_for_the_names_that_are_found_in_it() {
    for (certificate, _) in KINDS {
        let certificate = der(&certificate);
        let parsed = ParsedCertificate::try_from(&certificate).unwrap();
        for name in host_names(&certificate) {
            let name = ServerName::try_from(name.replace('*', "any")).unwrap();
            verify_server_name(&parsed, &name).unwrap();
        }
    }
}

#[test]
fn damaged_certificates_have_fewer_names_and_no_panic() {
    let whole = der(&LOCALHOST);
    for length in 0..whole.len() {
        let cut = CertificateDer::from(&whole[..length]);
        assert!(host_names(&cut).is_empty(), "{length}");
    }
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        assert!(host_names(&CertificateDer::from(bytes)).len() < 50);
    }
}

#[test]
fn lengths_of_many_bytes_are_no_lengths() {
    for bytes in
        [&[0x30, 0x80][..], &[0x30, 0x85, 0, 0, 0, 0, 1, 0], &[0x30, 0x84, 255, 255, 255, 255]]
    {
        assert!(host_names(&CertificateDer::from(bytes)).is_empty());
    }
}
