//! `Nkey`: authentication by a key whose secret half stays with the client.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::error::Error;
use std::fmt;
use std::rc::Rc;

/// The first byte of a seed, whose five bits are `S`; the next five are the kind of the key.
const SEED: u8 = 18 << 3;
/// The first byte of a user's public key: `U`.
const USER: u8 = 20 << 3;

/// The key of a user: an Ed25519 key pair in NATS's writing. The server knows the public half, and
/// the secret half signs what the server asks at each connection.
///
/// ```
/// use twistor_nats::Nkey;
///
/// let nkey = Nkey::from_seed("SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU")?;
/// assert!(nkey.public_key().starts_with('U'));
/// # Ok::<(), twistor_nats::NkeyError>(())
/// ```
#[derive(Clone)]
pub struct Nkey {
    pair: Rc<Ed25519KeyPair>,
    public: Rc<str>,
}

impl Nkey {
    /// Parses the seed of a user, which begins with `SU`.
    ///
    /// # Errors
    ///
    /// [`NkeyError`], which does not show the seed.
    pub fn from_seed(seed: &str) -> Result<Self, NkeyError> {
        let error = |why| NkeyError { why };
        let bytes = BASE32_NOPAD.decode(seed.trim().as_bytes());
        let bytes = bytes.map_err(|_| error("it is not base 32"))?;
        let [body @ .., low, high] = bytes.as_slice() else { return Err(error("it is too short")) };
        if crc16(body) != u16::from_le_bytes([*low, *high]) {
            return Err(error("its checksum is wrong"));
        }
        let [first, second, secret @ ..] = body else { return Err(error("it is too short")) };
        if first & 0xf8 != SEED {
            return Err(error("it is no seed"));
        }
        if (first & 7) << 5 | second >> 3 != USER {
            return Err(error("it is not the seed of a user"));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(secret);
        let pair = pair.map_err(|_| error("it has not the length of a key"))?;
        let mut public = vec![USER];
        public.extend_from_slice(pair.public_key().as_ref());
        public.extend_from_slice(&crc16(&public).to_le_bytes());
        Ok(Self { public: BASE32_NOPAD.encode(&public).into(), pair: Rc::new(pair) })
    }

    /// Returns the public key, which begins with `U`.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// Signs what the server asks.
    pub(crate) fn sign(&self, nonce: &[u8]) -> String {
        BASE64URL_NOPAD.encode(self.pair.sign(nonce).as_ref())
    }
}

/// The checksum of keys: CRC-16 as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

/// Shows the public key.
impl fmt::Debug for Nkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nkey").field(&self.public).finish()
    }
}

/// A text that is no seed of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NkeyError {
    why: &'static str,
}

impl fmt::Display for NkeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the seed of a NATS user (SU..): {}", self.why)
    }
}

impl Error for NkeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair in the documentation of nats-server.
    const SEED_TEXT: &str = "SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU";

    #[test]
    fn a_seed_has_a_checksum_and_a_kind() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert!(Nkey::from_seed(SEED_TEXT).is_ok());
        let wrong = SEED_TEXT.replace("ORRBU", "ORRBA");
        for bad in ["", "SU", "SUAM1", &wrong, &SEED_TEXT[..40]] {
            let error = Nkey::from_seed(bad).unwrap_err().to_string();
            assert!(!error.contains("SUAM"), "{error}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let nkey = Nkey::from_seed(SEED_TEXT).unwrap();
        let shown = format!("{nkey:?}");
        assert!(shown.contains(nkey.public_key()) && !shown.contains("SUAM"), "{shown}");
    }
}
