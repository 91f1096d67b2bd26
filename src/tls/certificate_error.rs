//! Why certificates, keys or roots could not be loaded.

use rustls::Error as TlsError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why certificates, keys or roots could not be loaded.
///
/// Displayed and debugged as the same sentence: what is wrong, in which file, and what to do. A
/// `file` of `None` means PEM that did not come from a file.
#[non_exhaustive]
pub enum CertificateError {
    /// A file or directory cannot be read: it is missing, or this process may not.
    #[non_exhaustive]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// What looks like PEM is none, such as a part that does not end.
    #[non_exhaustive]
    Pem {
        /// Where it is.
        file: Option<PathBuf>,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no certificate.
    #[non_exhaustive]
    NoCertificate {
        /// Where one should be.
        file: Option<PathBuf>,
    },
    /// There is no private key.
    #[non_exhaustive]
    NoKey {
        /// Where one should be.
        file: Option<PathBuf>,
    },
    /// The private key is encrypted. A server that starts unattended cannot ask for the
    /// password.
    #[non_exhaustive]
    EncryptedKey {
        /// Where it is.
        file: Option<PathBuf>,
    },
    /// The type of the private key is none of those supported: RSA of 2048 to 8192 bits, ECDSA on
    /// the curves P-256 and P-384, and Ed25519; or the key is damaged.
    #[non_exhaustive]
    UnsupportedKey {
        /// Where it is.
        file: Option<PathBuf>,
        /// The error of rustls.
        source: TlsError,
    },
    /// The certificate cannot be decoded.
    #[non_exhaustive]
    InvalidCertificate {
        /// Where it is.
        file: Option<PathBuf>,
        /// The error of rustls.
        source: TlsError,
    },
    /// The private key belongs to another certificate than the first one. A pair of which only one
    /// file has been renewed yet looks like this.
    #[non_exhaustive]
    KeyMismatch {
        /// Where the certificate is.
        certificate_file: Option<PathBuf>,
        /// Where the key is.
        key_file: Option<PathBuf>,
    },
    /// The directory has no file whose name ends in `.pem`.
    #[non_exhaustive]
    EmptyDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The operating system has no root certificates.
    #[non_exhaustive]
    NoSystemRoots {
        /// What went wrong where they were looked for.
        problems: Vec<String>,
    },
}

/// A file as errors name it.
struct Place<'a>(&'a Option<PathBuf>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(file) => file.display().fmt(f),
            None => f.write_str("the PEM text"),
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => write!(f, "cannot read {}: {source}", file.display()),
            Self::Pem { file, problem } => {
                write!(f, "{} is not valid PEM: {problem}", Place(file))
            }
            Self::NoCertificate { file } => write!(
                f,
                "{} contains no certificate: it needs a part that begins with \
                 -----BEGIN CERTIFICATE-----",
                Place(file)
            ),
            Self::NoKey { file } => write!(
                f,
                "{} contains no private key: it needs a part that begins with \
                 -----BEGIN PRIVATE KEY-----",
                Place(file)
            ),
            Self::EncryptedKey { file } => {
                let name = file.as_ref().map_or("key.pem".into(), |file| file.to_string_lossy());
                write!(
                    f,
                    "the private key in {} is encrypted: decrypt it with \
                     `openssl pkey -in {name} -out decrypted.pem`",
                    Place(file)
                )
            }
            Self::UnsupportedKey { file, source } => write!(
                f,
                "the private key in {} cannot be used ({source}): supported are RSA of 2048 to \
                 8192 bits, ECDSA on P-256 and P-384, and Ed25519",
                Place(file)
            ),
            Self::InvalidCertificate { file, source } => {
                write!(f, "a certificate in {} cannot be used: {source}", Place(file))
            }
            Self::KeyMismatch { certificate_file, key_file } => write!(
                f,
                "the private key in {} does not belong to the first certificate in {}: the \
                 server's own certificate comes first, then those of its authorities; and both \
                 files must be renewed together",
                Place(key_file),
                Place(certificate_file)
            ),
            Self::EmptyDirectory { directory } => write!(
                f,
                "{} has no file whose name ends in .pem, with a certificate and its key",
                directory.display()
            ),
            Self::NoSystemRoots { problems } => {
                f.write_str(
                    "the system has no root certificates: install them (on Debian the package \
                     ca-certificates), or name a file in the variable SSL_CERT_FILE",
                )?;
                problems.iter().try_for_each(|problem| write!(f, "; {problem}"))
            }
        }
    }
}

impl fmt::Debug for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::UnsupportedKey { source, .. } | Self::InvalidCertificate { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
