//! PEM: a text, and the file it came from.

use super::certificate_error::CertificateError;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};

/// How an encrypted key begins (PKCS #8), or a line near its beginning (the older form).
const MARKS_OF_ENCRYPTION: [&[u8]; 2] =
    [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

/// A text in PEM, and the file it came from.
pub(super) struct Pem {
    text: Vec<u8>,
    pub(super) file: Option<PathBuf>,
}

impl Pem {
    pub(super) fn read(file: &Path) -> Result<Self, CertificateError> {
        match fs::read(file) {
            Ok(text) => Ok(Self { text, file: Some(file.to_owned()) }),
            Err(source) => Err(CertificateError::Read { file: file.to_owned(), source }),
        }
    }

    pub(super) fn of_text(text: &[u8]) -> Self {
        Self { text: text.to_owned(), file: None }
    }

    fn problem(&self, error: &pem::Error) -> CertificateError {
        let problem = match error {
            pem::Error::MissingSectionEnd { end_marker } => {
                format!("the part {} does not end", String::from_utf8_lossy(end_marker))
            }
            pem::Error::IllegalSectionStart { line } => {
                format!("{} begins no part", String::from_utf8_lossy(line))
            }
            error => error.to_string(),
        };
        CertificateError::Pem { file: self.file.clone(), problem }
    }

    /// Returns all certificates, of which there is at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&self.text)
            .collect::<Result<_, _>>()
            .map_err(|error| self.problem(&error))?;
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate { file: self.file.clone() });
        }
        Ok(certificates)
    }

    /// Returns the first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        let contains = |mark: &&[u8]| memchr::memmem::find(&self.text, mark).is_some();
        match PrivateKeyDer::from_pem_slice(&self.text) {
            Ok(key) => Ok(key),
            // The older form is one that the parser takes for damaged.
            Err(_) if MARKS_OF_ENCRYPTION.iter().any(contains) => {
                Err(CertificateError::EncryptedKey { file: self.file.clone() })
            }
            Err(pem::Error::NoItemsFound) => {
                Err(CertificateError::NoKey { file: self.file.clone() })
            }
            Err(error) => Err(self.problem(&error)),
        }
    }
}
