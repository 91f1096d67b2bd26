//! The arguments of encrypted endpoints: files of certificates and keys.

use super::description::{Argument, Arguments, Problem};
use crate::tls::{
    CertificateError, Certificates, ClientAuthentication, Identity, RootCertificates, TlsAcceptor,
    TlsConnector,
};

/// Arguments of Twisted's that mean nothing here, and what takes their place.
const REPLACED: [(&str, &str); 4] = [
    ("extraCertChain", "put the other certificates of the chain into the file of certKey"),
    ("sslmethod", "TLS 1.2 and 1.3 are spoken; a TlsAcceptor can be built to require 1.3"),
    ("dhParameters", "keys are exchanged over elliptic curves"),
    ("caCertsDir", "name one file with trustRoots"),
];

/// Takes the arguments of a server's side, of an endpoint whose kind is at `at`.
pub(super) fn take_acceptor(arguments: &mut Arguments, at: usize) -> Result<TlsAcceptor, Problem> {
    reject_replaced(arguments)?;
    let Some(key) = take(arguments, "privateKey")? else {
        return Problem::new(at, "no privateKey is given, the file of the key".to_owned());
    };
    let chain = take(arguments, "certKey")?;
    let clients = take(arguments, "clientRoots")?;
    // One file may have both.
    let chain_file = chain.as_ref().map_or(&key.value, |chain| &chain.value);
    let loaded = Certificates::from_files(chain_file, &key.value);
    let certificates = loaded.map_err(|error| blame(&error, &key, chain.as_ref()))?;
    let mut builder = TlsAcceptor::builder(&certificates);
    if let Some(clients) = clients {
        let roots = RootCertificates::from_file(&clients.value);
        let roots = roots.map_err(|error| blame(&error, &clients, None))?;
        builder = builder.client_authentication(ClientAuthentication::Required(roots));
    }
    Ok(builder.build())
}

/// Takes the arguments of a client's side, and the server's name, if it is given.
pub(super) fn take_connector(
    arguments: &mut Arguments,
    at: usize,
) -> Result<(TlsConnector, Option<Argument>), Problem> {
    reject_replaced(arguments)?;
    let trusted = match take(arguments, "trustRoots")? {
        Some(file) => {
            RootCertificates::from_file(&file.value).map_err(|error| blame(&error, &file, None))?
        }
        None => RootCertificates::system()
            .map_err(|error| Problem { at, message: error.to_string() })?,
    };
    let mut builder = TlsConnector::builder(&trusted);
    let (chain, key) = (take(arguments, "certificate")?, take(arguments, "privateKey")?);
    if let Some(chain) = chain {
        let key_file = key.as_ref().map_or(&chain.value, |key| &key.value);
        let loaded = Identity::from_files(&chain.value, key_file);
        let identity =
            loaded.map_err(|error| blame(&error, key.as_ref().unwrap_or(&chain), Some(&chain)))?;
        builder = builder.identity(&identity);
    } else if let Some(key) = key {
        return Problem::new(key.value_at, "privateKey is given, but no certificate".to_owned());
    }
    Ok((builder.build(), take(arguments, "serverName")?))
}

fn take(arguments: &mut Arguments, name: &str) -> Result<Option<Argument>, Problem> {
    let mut given = arguments.take_named(name).into_iter();
    let first = given.next();
    match given.next() {
        Some(second) => Problem::new(second.value_at, format!("{name} is given twice")),
        None => Ok(first),
    }
}

fn reject_replaced(arguments: &mut Arguments) -> Result<(), Problem> {
    for (name, instead) in REPLACED {
        if let Some(argument) = take(arguments, name)? {
            return Problem::new(argument.value_at, format!("{name} is not supported: {instead}"));
        }
    }
    Ok(())
}

/// Returns the problem with a file: at the argument that names it, as far as the error says.
fn blame(error: &CertificateError, key: &Argument, chain: Option<&Argument>) -> Problem {
    let message = error.to_string();
    let named = chain.filter(|chain| message.contains(&chain.value));
    Problem { at: named.unwrap_or(key).value_at, message }
}
