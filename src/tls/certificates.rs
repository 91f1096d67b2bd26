//! `Certificates`: a server's certificates, by server name, which can be read again while it runs.

use super::certificate_error::CertificateError;
use super::certificate_table::CertificateTable;
use super::identity::Identity;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::{fmt, fs, io};

/// A server's certificates, by server name, which can be read again while it runs. A handle: clones
/// share them, and may be used by several threads and acceptors.
///
/// A client names the server it wants (SNI, RFC 6066); an address is not a name. It gets the
/// certificate for this name, by the host names that the certificates contain (subject alternative
/// names): one for exactly this name, or else a wildcard such as `*.example.org`, which stands for
/// one label. Case and a trailing dot are ignored. If several
/// certificates are for one name, such as one of type ECDSA and one of type RSA, the client gets
/// the first whose signature it can check.
///
/// A client that names no server, or an unknown one, gets the first certificate of all, the
/// *default*. So a single certificate answers every name.
/// [`TlsAcceptorBuilder::reject_unknown_names`](super::TlsAcceptorBuilder::reject_unknown_names)
/// rejects clients that name an unknown server instead.
///
/// ```no_run
/// use twistor::tls::{Certificates, TlsAcceptor};
///
/// let certificates = Certificates::from_files("example.org.pem", "example.org-key.pem")?;
/// certificates.add_files("example.com.pem", "example.com-key.pem")?;
/// let acceptor = TlsAcceptor::builder(&certificates).build();
///
/// // After the files have been renewed:
/// if let Err(error) = certificates.reload() {
///     log::error!("still serving the old certificates: {error}");
/// }
/// # Ok::<(), twistor::tls::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held while certificates are read, so that what was read first does not replace what was read
    /// last.
    sources: Mutex<Vec<Source>>,
    table: RwLock<Arc<CertificateTable>>,
}

/// Where certificates come from.
enum Source {
    Memory(Identity),
    Files { chain: PathBuf, key: PathBuf },
    Directory(PathBuf),
}

impl Source {
    fn read(&self) -> Result<Vec<Identity>, CertificateError> {
        match self {
            Self::Memory(identity) => Ok(vec![identity.clone()]),
            Self::Files { chain, key } => Ok(vec![Identity::from_files(chain, key)?]),
            Self::Directory(directory) => {
                let failed = |source| CertificateError::Read { file: directory.clone(), source };
                let files = pem_files(directory).map_err(failed)?;
                if files.is_empty() {
                    return Err(CertificateError::EmptyDirectory { directory: directory.clone() });
                }
                files.iter().map(|file| Identity::from_file(file)).collect()
            }
        }
    }
}

/// Returns the files of a directory whose names end in `.pem`, in the order of their names. Hidden
/// files are drafts of editors and other programs.
fn pem_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if path.extension() == Some(OsStr::new("pem")) && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Certificates {
    /// Creates a set of one certificate, which [`reload`](Self::reload) leaves as it is.
    pub fn new(identity: Identity) -> Self {
        let table = CertificateTable::new(vec![identity.clone()]);
        Self::with(Source::Memory(identity), table)
    }

    /// Creates a set of one certificate, from two PEM files: the chain, and the private key. They
    /// may be the same file.
    ///
    /// # Errors
    ///
    /// As for [`Identity::from_files`].
    pub fn from_files(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, CertificateError> {
        Self::read(Source::Files { chain: chain.into(), key: key.into() })
    }

    /// Creates a set of the certificates of a directory: each file whose name ends in `.pem`, and
    /// does not begin with a dot, contains a chain and its private key. The first file in the order
    /// of the names has the default. (haproxy's `crt` with a directory; in Twisted `tls:` has one
    /// since version 26.10.)
    ///
    /// # Errors
    ///
    /// As for [`Identity::from_files`], for any of the files; if the directory cannot be read, or
    /// has no such file.
    pub fn from_directory(directory: impl Into<PathBuf>) -> Result<Self, CertificateError> {
        Self::read(Source::Directory(directory.into()))
    }

    fn read(source: Source) -> Result<Self, CertificateError> {
        let table = CertificateTable::new(source.read()?);
        Ok(Self::with(source, table))
    }

    fn with(source: Source, table: CertificateTable) -> Self {
        let (sources, table) = (Mutex::new(vec![source]), RwLock::new(Arc::new(table)));
        Self { shared: Arc::new(Shared { sources, table }) }
    }

    /// Adds a certificate, which [`reload`](Self::reload) leaves as it is.
    pub fn add(&self, identity: Identity) {
        let added = self.shared.add(Source::Memory(identity));
        debug_assert!(added.is_ok(), "only reading fails");
    }

    /// Adds a certificate from two PEM files.
    ///
    /// # Errors
    ///
    /// As for [`Identity::from_files`]; nothing is added then.
    pub fn add_files(
        &self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<(), CertificateError> {
        self.shared.add(Source::Files { chain: chain.into(), key: key.into() })
    }

    /// Reads all files and directories again. Handshakes that begin after that use what they
    /// contain now; connections that exist are not affected, and sessions can still be resumed (of
    /// TLS 1.2, if the new key is not RSA where the old one was ECDSA or Ed25519, or the reverse).
    ///
    /// It may be called while handshakes are going on, and by any thread. It blocks while it reads:
    /// with many files, or on a slow disk, call it by
    /// [`defer_to_thread`](crate::Reactor::defer_to_thread).
    ///
    /// # Errors
    ///
    /// If any of the files is not as it should be, as for [`Identity::from_files`]. Then nothing
    /// changes: all certificates are those from before. A program that renews certificates should
    /// replace each file by renaming a new one, and reload when it has replaced all of them.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let sources = self.shared.lock_sources();
        let mut identities = Vec::new();
        for source in sources.iter() {
            identities.extend(source.read()?);
        }
        self.shared.set_table(CertificateTable::new(identities));
        Ok(())
    }

    /// Returns the certificate for `name`, or the default one for no name.
    pub(super) fn find(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
        reject_unknown_names: bool,
    ) -> Option<Arc<CertifiedKey>> {
        let table = self.shared.table();
        match name {
            None => table.default(schemes),
            Some(name) if reject_unknown_names => table.for_name(name, schemes),
            Some(name) => table.for_name(name, schemes).or_else(|| table.default(schemes)),
        }
    }
}

// A lock that was held during a panic guards nothing half-done: each change is one assignment.
impl Shared {
    fn lock_sources(&self) -> impl std::ops::DerefMut<Target = Vec<Source>> + '_ {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> Arc<CertificateTable> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_table(&self, table: CertificateTable) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    fn add(&self, source: Source) -> Result<(), CertificateError> {
        let mut sources = self.lock_sources();
        let mut identities = self.table().identities().to_vec();
        identities.extend(source.read()?);
        sources.push(source);
        self.set_table(CertificateTable::new(identities));
        Ok(())
    }
}

impl fmt::Debug for Certificates {
    /// Writes the number of certificates, and nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.shared.table().identities().len();
        f.debug_struct("Certificates").field("count", &count).finish_non_exhaustive()
    }
}
