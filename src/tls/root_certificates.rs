//! `RootCertificates`: the authorities that are trusted.

use super::certificate_error::CertificateError;
use super::pem::Pem;
use rustls::RootCertStore;
use rustls_native_certs::CertificateResult;
use std::path::Path;
use std::sync::Arc;

/// The authorities whose certificates are trusted: by a client, for servers; by a server, for
/// clients. There is always at least one. Clones share them.
#[derive(Clone, Debug)]
pub struct RootCertificates {
    store: Arc<RootCertStore>,
}

impl RootCertificates {
    /// Returns the authorities that the operating system trusts for servers.
    ///
    /// On Unix the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. This reads some
    /// hundred kilobytes, which takes a while: call it once, before the reactor runs. A part that
    /// cannot be read is logged as a warning if there are others.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NoSystemRoots`] if there are none, as in many containers.
    pub fn system() -> Result<Self, CertificateError> {
        Self::of_system(rustls_native_certs::load_native_certs())
    }

    pub(super) fn of_system(found: CertificateResult) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        // Some that systems keep for compatibility cannot be used, and are no loss.
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let problems = found.errors.iter().map(ToString::to_string).collect();
            return Err(CertificateError::NoSystemRoots { problems });
        }
        for error in found.errors {
            log::warn!("some root certificates of the system are missing: {error}");
        }
        Ok(Self { store: Arc::new(store) })
    }

    /// Reads authorities from a PEM file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, contains no certificate, or one that cannot be used.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, CertificateError> {
        Self::new(&Pem::read(file.as_ref())?)
    }

    /// Reads authorities from PEM in memory.
    ///
    /// # Errors
    ///
    /// If it contains no certificate, or one that cannot be used.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, CertificateError> {
        Self::new(&Pem::of_text(pem.as_ref()))
    }

    fn new(pem: &Pem) -> Result<Self, CertificateError> {
        let mut store = RootCertStore::empty();
        for certificate in pem.certificates()? {
            store.add(certificate).map_err(|source| CertificateError::InvalidCertificate {
                file: pem.file.clone(),
                source,
            })?;
        }
        Ok(Self { store: Arc::new(store) })
    }

    /// Adds the authorities of another set.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        Arc::make_mut(&mut self.store).extend(more.store.roots.iter().cloned());
        self
    }

    pub(super) fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}
