//! The host names that a certificate is for: the DNS names among its subject alternative names.

use rustls::pki_types::CertificateDer;

// Tags of DER, X.690 section 8.1.2.
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The extensions of a certificate, RFC 5280 section 4.1.
const EXTENSIONS: u8 = 0xa3;
/// A DNS name, among other forms of a name, RFC 5280 section 4.2.1.6.
const DNS_NAME: u8 = 0x82;

/// The number of the extension with the subject alternative names: 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// Takes the next element from `input`. Returns its tag and its contents.
fn take<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, first], mut rest) = input.split_first_chunk()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        // The length's own length, in bytes: four are enough for any certificate.
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, after) = rest.split_at_checked(count)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (contents, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((tag, contents))
}

/// Takes the next element from `input`, which must have this tag. Returns its contents.
fn take_tagged<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(input).filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
}

/// Returns the elements of the extension with the alternative names.
fn names(certificate: &[u8]) -> Option<&[u8]> {
    let mut certificate = take_tagged(&mut &*certificate, SEQUENCE)?;
    let mut signed = take_tagged(&mut certificate, SEQUENCE)?;
    let mut extensions = loop {
        let (tag, contents) = take(&mut signed)?;
        if tag == EXTENSIONS {
            break contents;
        }
    };
    let mut extensions = take_tagged(&mut extensions, SEQUENCE)?;
    loop {
        let mut extension = take_tagged(&mut extensions, SEQUENCE)?;
        let (_, number) = take(&mut extension)?;
        let (mut tag, mut value) = take(&mut extension)?;
        // Whether the extension is critical stands there only if it is.
        if tag == BOOLEAN {
            (tag, value) = take(&mut extension)?;
        }
        if number == SUBJECT_ALTERNATIVE_NAME && tag == OCTET_STRING {
            return take_tagged(&mut value, SEQUENCE);
        }
    }
}

/// Returns the host names that a certificate is for, in lower case; `*.example.org` is one.
pub(super) fn host_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let mut rest = names(certificate).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((tag, name)) = take(&mut rest) {
        if let (DNS_NAME, Ok(name)) = (tag, std::str::from_utf8(name)) {
            found.push(name.to_ascii_lowercase());
        }
    }
    found
}
