//! Certificates by server name, as a value.

use super::alternative_names::host_names;
use super::identity::Identity;
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Certificates by server name. Several may be for the same name, with keys of different types.
pub(super) struct CertificateTable {
    /// In the order of their preference, of which the first is the default.
    identities: Vec<Identity>,
    /// Positions of `identities` by name, in lower case; wildcards as they are.
    by_name: HashMap<String, Vec<usize>>,
}

impl CertificateTable {
    pub(super) fn new(identities: Vec<Identity>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, identity) in identities.iter().enumerate() {
            for name in identity.certified_key().cert.first().map_or(vec![], host_names) {
                by_name.entry(name).or_default().push(position);
            }
        }
        Self { identities, by_name }
    }

    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Returns the certificate for `name`: one for exactly this name, otherwise one for all names
    /// that differ in the first label.
    pub(super) fn for_name(
        &self,
        name: &str,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let positions = self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })?;
        suitable(positions.iter().map(|position| &self.identities[*position]), schemes)
    }

    /// Returns the certificate for clients that name no server.
    pub(super) fn default(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        suitable(self.identities.iter(), schemes)
    }
}

/// Returns the first certificate whose key can sign as the client wishes. If there is none, the
/// first one, so that rustls tells the client what does not fit.
fn suitable<'a>(
    mut identities: impl Iterator<Item = &'a Identity> + Clone,
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let first = identities.clone().next();
    let can_sign =
        |identity: &&Identity| identity.certified_key().key.choose_scheme(schemes).is_some();
    identities.find(can_sign).or(first).map(|identity| Arc::clone(identity.certified_key()))
}
