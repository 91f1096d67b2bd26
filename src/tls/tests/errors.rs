//! What is wrong with certificates, keys and roots, in words.

use super::fixtures::{Folder, KINDS};
use crate::testing::tls::{AUTHORITY, CLIENT, LOCALHOST, RSA};
use crate::tls::{CertificateError, Certificates, Identity, RootCertificates};
use std::error::Error;
use std::path::Path;

/// The password is `test`.
pub(super) const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiEc6kLEsBbfAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOLGU2XLLQ+La4zi7ol+/dUEQAPl
BTLVomiJT52tZbqhCq0nvgooj1OcUDauZHAUMcic3VoMJlBxropoBbZxfgk6Edh5
XQlv8OAvVBNkBU5LH1w=
-----END ENCRYPTED PRIVATE KEY-----
";

/// The form of OpenSSL before version 3. The password is `test`.
pub(super) const ENCRYPTED_KEY_OLD: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,FC2C8FE6E370CF751ABBC7FC70AE5DB5

BDU991604PlcFLPTdp/3ZwhuqmQl8uN7PmU21idE9FnKYDhEixdDHKMCgt1FOFz0
gMmWaeP4mFLStDT2HfQqVWi6QFhAt8AZWSnW+bw7nFOs59mGrVgXT6kpU68f5CPR
YDQsIxiFaorh0vzJKSEq3J2BG6MI6akSBbCqd53REes=
-----END EC PRIVATE KEY-----
";

/// A key for key agreement, which cannot sign.
const KEY_OF_X25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIFBd19hHNmvimNoG/9QXMdVo/4ZIzmtBjUeV3mr91JtZ
-----END PRIVATE KEY-----
";

#[test]
fn errors_say_what_is_wrong_where_and_what_to_do() {
    let text = |chain: &str, key: &str| Identity::from_pem(chain, key).unwrap_err().to_string();
    let certificate = LOCALHOST.certificate;
    let cases = [
        (
            text("", LOCALHOST.key),
            "the PEM text contains no certificate: it needs a part that begins with \
             -----BEGIN CERTIFICATE-----",
        ),
        (
            text(certificate, certificate),
            "the PEM text contains no private key: it needs a part that begins with \
             -----BEGIN PRIVATE KEY-----",
        ),
        (
            text(certificate, ENCRYPTED_KEY),
            "the private key in the PEM text is encrypted: decrypt it with \
             `openssl pkey -in key.pem -out decrypted.pem`",
        ),
        (
            text(certificate, RSA.key),
            "the private key in the PEM text does not belong to the first certificate in the PEM \
             text: the server's own certificate comes first, then those of its authorities; and \
             both files must be renewed together",
        ),
        (
            text("-----BEGIN CERTIFICATE-----\n", LOCALHOST.key),
            "the PEM text is not valid PEM: the part CERTIFICATE does not end",
        ),
        (
            text("-----BEGIN CERTIFICATE----\n", LOCALHOST.key),
            "the PEM text is not valid PEM: -----BEGIN CERTIFICATE---- begins no part",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    assert_eq!(text(certificate, ENCRYPTED_KEY), text(certificate, ENCRYPTED_KEY_OLD));
    let unsupported = text(certificate, KEY_OF_X25519);
    assert!(unsupported.starts_with("the private key in the PEM text cannot be used ("));
    assert!(unsupported.ends_with("ECDSA on P-256 and P-384, and Ed25519"), "{unsupported}");
    let invalid = text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", RSA.key);
    assert!(invalid.starts_with("a certificate in the PEM text cannot be used: "), "{invalid}");
    let reversed = text(&format!("{AUTHORITY}{certificate}"), LOCALHOST.key);
    assert!(reversed.contains("own certificate comes first"), "{reversed}");
}

#[test]
fn errors_name_the_file_and_have_a_source() {
    let folder = Folder::new("errors");
    let (chain, key) = (folder.write("c.pem", LOCALHOST.certificate), folder.path("k.pem"));
    let missing = Identity::from_files(&chain, &key).unwrap_err();
    assert!(missing.to_string().starts_with(&format!("cannot read {}: ", key.display())));
    assert_eq!(format!("{missing:?}"), missing.to_string());
    assert!(missing.source().is_some());
    folder.write("k.pem", ENCRYPTED_KEY);
    let encrypted = Certificates::from_files(&chain, &key).unwrap_err();
    let CertificateError::EncryptedKey { file: Some(file), .. } = &encrypted else {
        panic!("{encrypted}")
    };
    assert_eq!(*file, key);
    assert!(encrypted.to_string().contains(&format!("openssl pkey -in {}", key.display())));
    assert!(RootCertificates::from_file(&key).unwrap_err().to_string().contains("no certificate"));
    // A directory where a file should be.
    assert!(matches!(
        Identity::from_files(folder.path(""), &key),
        Err(CertificateError::Read { .. })
    ));
}

#[test]
fn keys_are_read_in_each_form_and_shown_in_none() {
    for (kind, _) in KINDS {
        // Text around the parts does not matter, nor do other parts.
        let text = format!("Bag Attributes\n{}\r\n{}\n", kind.certificate, kind.key);
        let identity = Identity::from_pem(&text, &text).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity { certificates: 1, .. }");
        let windows = kind.key.replace('\n', "\r\n");
        assert!(Identity::from_pem(kind.certificate, windows).is_ok());
    }
    let chain = format!("{}{AUTHORITY}", CLIENT.certificate);
    let identity = Identity::from_pem(chain, CLIENT.key).unwrap();
    assert_eq!(identity.certified_key().cert.len(), 2);
}

#[test]
fn roots_are_at_least_one_and_each_of_them_is_valid() {
    let broken = format!("{AUTHORITY}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----");
    let error = RootCertificates::from_pem(broken).unwrap_err();
    assert!(matches!(error, CertificateError::InvalidCertificate { .. }));
    assert!(matches!(RootCertificates::from_pem(""), Err(CertificateError::NoCertificate { .. })));
    let roots = RootCertificates::from_pem(AUTHORITY).unwrap();
    assert_eq!(roots.clone().and(&roots).store().len(), 2);
    assert_eq!(roots.store().len(), 1);
}

#[test]
fn a_system_without_roots_is_told() {
    let of_system = |file: &Path| {
        RootCertificates::of_system(rustls_native_certs::load_certs_from_paths(Some(file), None))
    };
    let folder = Folder::new("system");
    let error = of_system(&folder.path("missing.pem")).unwrap_err().to_string();
    let begin = "the system has no root certificates: install them (on Debian the package \
                 ca-certificates), or name a file in the variable SSL_CERT_FILE; ";
    assert!(error.starts_with(begin) && error.contains("missing.pem"), "{error}");
    assert!(of_system(&folder.write("empty.pem", "")).is_err());
    let authority = folder.write("authority.pem", AUTHORITY);
    assert_eq!(of_system(&authority).unwrap().store().len(), 1);
    // Others are enough if a part of them is missing.
    let found =
        rustls_native_certs::load_certs_from_paths(Some(&authority), Some(&folder.path("missing")));
    assert!(!found.errors.is_empty());
    assert_eq!(RootCertificates::of_system(found).unwrap().store().len(), 1);
}
