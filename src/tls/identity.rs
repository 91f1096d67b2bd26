//! `Identity`: a certificate chain and its private key.

use super::certificate_error::CertificateError;
use super::pem::Pem;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A certificate chain and its private key: what a server proves its identity with, and a client
/// that is asked to. Clones share them.
///
/// The chain begins with the certificate of the server or client itself; those of the authorities
/// between it and a root follow.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
}

impl Identity {
    /// Reads an identity from PEM files. One file may contain both.
    ///
    /// The first private key of its file counts, in any of the forms PKCS #8, PKCS #1 and SEC 1.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, if a certificate or the key is missing or cannot be used, or if
    /// the key does not belong to the first certificate. An expired certificate is not an error.
    ///
    /// ```no_run
    /// use twistor::tls::Identity;
    ///
    /// let identity = Identity::from_files("chain.pem", "key.pem")?;
    /// # Ok::<(), twistor::tls::CertificateError>(())
    /// ```
    pub fn from_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, CertificateError> {
        Self::new(&Pem::read(chain.as_ref())?, &Pem::read(key.as_ref())?)
    }

    /// Reads an identity from PEM in memory.
    ///
    /// # Errors
    ///
    /// As for [`from_files`](Self::from_files).
    pub fn from_pem(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, CertificateError> {
        Self::new(&Pem::of_text(chain.as_ref()), &Pem::of_text(key.as_ref()))
    }

    /// Reads an identity from one file with the chain and the key.
    pub(super) fn from_file(file: &Path) -> Result<Self, CertificateError> {
        let pem = Pem::read(file)?;
        Self::new(&pem, &pem)
    }

    fn new(chain_pem: &Pem, key_pem: &Pem) -> Result<Self, CertificateError> {
        let chain = chain_pem.certificates()?;
        let provider = ring::default_provider();
        let key = provider.key_provider.load_private_key(key_pem.key()?).map_err(|source| {
            CertificateError::UnsupportedKey { file: key_pem.file.clone(), source }
        })?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) => Ok(Self { key: Arc::new(key) }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(CertificateError::KeyMismatch {
                    certificate_file: chain_pem.file.clone(),
                    key_file: key_pem.file.clone(),
                })
            }
            Err(source) => {
                Err(CertificateError::InvalidCertificate { file: chain_pem.file.clone(), source })
            }
        }
    }

    pub(super) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    /// Writes the number of certificates, and nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.key.cert.len())
            .finish_non_exhaustive()
    }
}
