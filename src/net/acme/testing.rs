//! The authority's half of tls-alpn-01 (RFC 8737 §3).

use std::sync::Arc;

use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::fake::Validation;
use crate::tls::testing::client;

pub(super) async fn check_tls_alpn(
    io: impl AsyncRead + AsyncWrite + Unpin,
    validation: &Validation,
) -> Result<(), String> {
    let config = Arc::new(client(&["acme-tls/1"]));
    let name = ServerName::try_from(validation.domain.clone()).unwrap();
    let stream = TlsConnector::from(config)
        .connect(name, io)
        .await
        .map_err(|error| format!("handshake: {error}"))?;
    let connection = stream.get_ref().1;
    if connection.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("wrong ALPN".to_owned());
    }
    let der = &connection.peer_certificates().ok_or("no certificate")?[0];
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let names = certificate.subject_alternative_name().ok().flatten().ok_or("no names")?;
    if names.value.general_names != [GeneralName::DNSName(&validation.domain)] {
        return Err("names other than the domain".to_owned());
    }
    let identifier = certificate
        .get_extension_unique(&oid!(1.3.6.1.5.5.7.1.31))
        .ok()
        .flatten()
        .ok_or("no acmeIdentifier")?;
    let digest = Sha256::digest(&validation.key_authorization);
    let expected = [&[0x04, 0x20][..], &digest].concat();
    if !identifier.critical || identifier.value != expected {
        return Err("wrong acmeIdentifier".to_owned());
    }
    Ok(())
}
