//! Renewal of certificates while a server runs.

#[cfg(feature = "tls")]
use twistor::tls::Certificates;
use twistor::{Reactor, ServerEndpoint};

/// Reads the certificates of an endpoint that encrypts again at each SIGHUP.
#[cfg(feature = "tls")]
pub(crate) fn renew_those_of(endpoint: &ServerEndpoint, reactor: &mut Reactor) {
    if let Some(certificates) = endpoint.certificates() {
        renew(certificates, reactor);
    }
}

/// Does nothing: without the feature `tls` no endpoint encrypts, and the description of one is an
/// error that names the feature.
#[cfg(not(feature = "tls"))]
pub(crate) fn renew_those_of(_endpoint: &ServerEndpoint, _reactor: &mut Reactor) {}

/// Reads certificates again at each SIGHUP.
#[cfg(feature = "tls")]
pub(crate) fn renew(certificates: &Certificates, reactor: &mut Reactor) {
    let certificates = certificates.clone();
    let renewal = reactor.on_signal("SIGHUP", move |reactor| {
        let _reloading = reactor.notify_reloading();
        match certificates.reload() {
            Ok(()) => log::info!("serving the new certificates"),
            Err(error) => log::error!("still serving the old certificates: {error}"),
        }
    });
    if let Err(error) = renewal {
        log::warn!("certificates cannot be renewed: {error}");
    }
}
