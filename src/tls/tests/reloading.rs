//! Certificates that are read again while a server runs.

use super::errors::{ENCRYPTED_KEY, ENCRYPTED_KEY_OLD};
use super::fixtures::{Folder, VERSIONS, client, der};
use super::memory::shake;
use crate::testing::tls::{FOREIGN, LOCALHOST, RSA, TestCertificate, WILDCARD};
use crate::tls::{CertificateError, Certificates, TlsAcceptor};
use rustls::version::TLS13;
use std::fs;
use std::thread;

/// The certificate that a client gets.
fn served(server: &TlsAcceptor, name: &str) -> Vec<u8> {
    shake(server, &client(&TLS13), name).unwrap().client.peer.unwrap().to_vec()
}

fn write_pair(folder: &Folder, name: &str, pair: &TestCertificate) {
    folder.write(&format!("{name}.crt"), pair.certificate);
    folder.write(&format!("{name}.key"), pair.key);
}

#[test]
fn a_reload_serves_what_the_files_contain_now() {
    let folder = Folder::new("reload");
    write_pair(&folder, "a", &LOCALHOST);
    write_pair(&folder, "b", &WILDCARD);
    let certificates =
        Certificates::from_files(folder.path("a.crt"), folder.path("a.key")).unwrap();
    let server = TlsAcceptor::builder(&certificates).build();
    assert_eq!(served(&server, "localhost"), der(&LOCALHOST).to_vec());
    certificates.add_files(folder.path("b.crt"), folder.path("b.key")).unwrap();
    assert_eq!(served(&server, "a.wild.test"), der(&WILDCARD).to_vec());

    write_pair(&folder, "a", &RSA);
    assert_eq!(served(&server, "localhost"), der(&LOCALHOST).to_vec());
    certificates.reload().unwrap();
    assert_eq!(served(&server, "localhost"), der(&RSA).to_vec());
    assert_eq!(served(&server, "a.wild.test"), der(&WILDCARD).to_vec());
}

#[test]
fn a_reload_that_fails_changes_nothing_and_says_why() {
    let folder = Folder::new("failing");
    write_pair(&folder, "a", &LOCALHOST);
    write_pair(&folder, "b", &WILDCARD);
    let certificates =
        Certificates::from_files(folder.path("a.crt"), folder.path("a.key")).unwrap();
    certificates.add_files(folder.path("b.crt"), folder.path("b.key")).unwrap();
    let server = TlsAcceptor::builder(&certificates).build();

    let cases: [(&str, Option<&str>, &str); 9] = [
        ("b.crt", None, "cannot read "),
        ("b.key", None, "cannot read "),
        ("b.crt", Some(""), "contains no certificate"),
        ("b.key", Some(LOCALHOST.certificate), "contains no private key"),
        ("b.key", Some(ENCRYPTED_KEY), "is encrypted"),
        ("b.key", Some(ENCRYPTED_KEY_OLD), "is encrypted"),
        ("b.key", Some(LOCALHOST.key), "does not belong to the first certificate"),
        ("b.crt", Some(RSA.certificate), "does not belong to the first certificate"),
        ("b.crt", Some("-----BEGIN CERTIFICATE-----\nAAAA\n"), "is not valid PEM"),
    ];
    for (file, text, problem) in cases {
        // The first pair is renewed, and must not be served either.
        write_pair(&folder, "a", &RSA);
        write_pair(&folder, "b", &WILDCARD);
        match text {
            Some(text) => drop(folder.write(file, text)),
            None => fs::remove_file(folder.path(file)).unwrap(),
        }
        let error = certificates.reload().unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
        assert!(error.contains(folder.path(file).to_str().unwrap()), "{error}");
        assert_eq!(served(&server, "localhost"), der(&LOCALHOST).to_vec());
        assert_eq!(served(&server, "a.wild.test"), der(&WILDCARD).to_vec());
    }
    write_pair(&folder, "b", &WILDCARD);
    certificates.reload().unwrap();
    assert_eq!(served(&server, "localhost"), der(&RSA).to_vec());
}

#[test]
fn files_that_cannot_be_added_are_forgotten() {
    let folder = Folder::new("adding");
    write_pair(&folder, "a", &LOCALHOST);
    let certificates =
        Certificates::from_files(folder.path("a.crt"), folder.path("a.key")).unwrap();
    let missing = certificates.add_files(folder.path("b.crt"), folder.path("b.key"));
    assert!(matches!(missing, Err(CertificateError::Read { .. })));
    certificates.reload().unwrap();
    certificates.add(FOREIGN.identity());
    assert_eq!(format!("{certificates:?}"), "Certificates { count: 2, .. }");
    certificates.reload().unwrap();
    assert_eq!(format!("{certificates:?}"), "Certificates { count: 2, .. }");
}

#[test]
fn a_directory_is_read_again_with_the_files_that_it_then_has() {
    let folder = Folder::new("directory");
    let directory = folder.path("");
    let missing = Certificates::from_directory(folder.path("missing"));
    assert!(matches!(missing, Err(CertificateError::Read { .. })));
    let both = |pair: &TestCertificate| format!("{}{}", pair.key, pair.certificate);
    folder.write("readme", "");
    folder.write(".b.pem", "half-written");
    let empty = Certificates::from_directory(&directory);
    assert!(matches!(empty, Err(CertificateError::EmptyDirectory { .. })));
    folder.write("b.pem", &both(&LOCALHOST));
    let certificates = Certificates::from_directory(&directory).unwrap();
    let server = TlsAcceptor::builder(&certificates).build();
    assert_eq!(served(&server, "localhost"), der(&LOCALHOST).to_vec());

    folder.write("a.pem", &both(&RSA));
    folder.write("c.pem", &both(&WILDCARD));
    certificates.reload().unwrap();
    assert_eq!(served(&server, "localhost"), der(&RSA).to_vec());
    assert_eq!(served(&server, "127.0.0.1"), der(&RSA).to_vec());
    assert_eq!(served(&server, "a.wild.test"), der(&WILDCARD).to_vec());

    for name in ["a.pem", "b.pem", "c.pem"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    assert!(matches!(certificates.reload(), Err(CertificateError::EmptyDirectory { .. })));
    assert_eq!(served(&server, "localhost"), der(&RSA).to_vec());
}

/// Reloads by another thread: as many as take half a second, since reading a key of
/// type RSA takes long.
const RELOADS: usize = 1000;

/// Every so often the files are another pair.
const RELOADS_PER_PAIR: usize = 50;

#[test]
fn no_handshake_fails_while_another_thread_reloads() {
    let folder = Folder::new("threads");
    write_pair(&folder, "a", &LOCALHOST);
    let (chain, key) = (folder.path("a.crt"), folder.path("a.key"));
    let certificates = Certificates::from_files(chain, key).unwrap();
    let server = TlsAcceptor::builder(&certificates).resumption(false).build();
    thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            for reload in 0..RELOADS {
                if reload % RELOADS_PER_PAIR == 0 {
                    let is_even = reload / RELOADS_PER_PAIR % 2 == 0;
                    write_pair(&folder, "a", if is_even { &RSA } else { &LOCALHOST });
                }
                certificates.reload().unwrap();
            }
        });
        let mut handshakes = 0;
        while !reloads.is_finished() {
            for version in VERSIONS {
                let peer = shake(&server, &client(version), "localhost").unwrap().client.peer;
                assert!([RSA, LOCALHOST].map(|pair| Some(der(&pair))).contains(&peer));
                handshakes += 1;
            }
        }
        assert!(handshakes > 10, "{handshakes}");
    });
}
