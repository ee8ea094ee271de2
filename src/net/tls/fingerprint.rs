//! Channel binding data that a certificate fixes.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA224WITHRSA,
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA224, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, Oid, asn1_rs::oid,
};
use x509_parser::prelude::X509Certificate;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

pub(crate) fn sha256(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// `tls-server-end-point` (RFC 5929 §4.1): the certificate hashed with the hash of its own
/// signature, SHA-256 in place of MD5 and SHA-1. None where the RFC leaves it undefined
/// (Ed25519 and other signatures without exactly one hash).
pub(crate) fn server_end_point(
    certificate: &CertificateDer<'_>,
    parsed: &X509Certificate<'_>,
) -> Option<Box<[u8]>> {
    let hash = match signature_hash(&parsed.signature_algorithm)? {
        SignatureHash::Sha224 => Sha224::digest(certificate).to_vec(),
        SignatureHash::Sha256 => Sha256::digest(certificate).to_vec(),
        SignatureHash::Sha384 => Sha384::digest(certificate).to_vec(),
        SignatureHash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    Some(hash.into())
}

/// MD5 and SHA-1 do not appear: they count as SHA-256 here.
#[derive(Debug, PartialEq)]
enum SignatureHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureHash> {
    let oid = &algorithm.algorithm;
    if *oid == OID_PKCS1_RSASSAPSS {
        let params = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
        return digest_hash(params.hash_algorithm_oid());
    }
    let ecdsa_with_sha1 = oid!(1.2.840.10045.4.1);
    if [OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, ecdsa_with_sha1].contains(oid)
        || [OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256].contains(oid)
    {
        Some(SignatureHash::Sha256)
    } else if [OID_PKCS1_SHA224WITHRSA, OID_SIG_ECDSA_WITH_SHA224].contains(oid) {
        Some(SignatureHash::Sha224)
    } else if [OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384].contains(oid) {
        Some(SignatureHash::Sha384)
    } else if [OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512].contains(oid) {
        Some(SignatureHash::Sha512)
    } else {
        None
    }
}

fn digest_hash(oid: &Oid<'_>) -> Option<SignatureHash> {
    if [OID_HASH_SHA1, OID_NIST_HASH_SHA256].contains(oid) {
        Some(SignatureHash::Sha256)
    } else if *oid == OID_NIST_HASH_SHA384 {
        Some(SignatureHash::Sha384)
    } else if *oid == OID_NIST_HASH_SHA512 {
        Some(SignatureHash::Sha512)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer;

    use super::*;

    fn hash_for(der: &[u8]) -> Option<SignatureHash> {
        let (rest, algorithm) = AlgorithmIdentifier::from_der(der).unwrap();
        assert!(rest.is_empty());
        signature_hash(&algorithm)
    }

    #[test]
    fn hash_of_the_signature_algorithm() {
        let rsa = |last: u8| {
            hash_for(&[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, last, 5, 0])
        };
        assert_eq!(rsa(4), Some(SignatureHash::Sha256), "MD5");
        assert_eq!(rsa(5), Some(SignatureHash::Sha256), "SHA-1");
        assert_eq!(rsa(11), Some(SignatureHash::Sha256));
        assert_eq!(rsa(12), Some(SignatureHash::Sha384));
        assert_eq!(rsa(13), Some(SignatureHash::Sha512));
        assert_eq!(rsa(14), Some(SignatureHash::Sha224));
        let ecdsa =
            |last: u8| hash_for(&[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, last]);
        assert_eq!(ecdsa(1), Some(SignatureHash::Sha224));
        assert_eq!(ecdsa(2), Some(SignatureHash::Sha256));
        assert_eq!(ecdsa(3), Some(SignatureHash::Sha384));
        assert_eq!(ecdsa(4), Some(SignatureHash::Sha512));
        assert_eq!(
            hash_for(&[0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]),
            Some(SignatureHash::Sha256),
            "ECDSA with SHA-1"
        );
        assert_eq!(hash_for(&[0x30, 5, 6, 3, 0x2b, 0x65, 0x70]), None, "Ed25519");
    }

    #[test]
    fn pss_names_its_hash_in_the_parameters() {
        let pss = |params: &[u8]| {
            let oid = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 10];
            let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
            let params = [&[0x30, length(params)][..], params].concat();
            let body = [&oid[..], &params].concat();
            hash_for(&[&[0x30, length(&body)][..], &body].concat())
        };
        let nist = |last: u8| [0xa0, 13, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last];
        assert_eq!(pss(&nist(1)), Some(SignatureHash::Sha256));
        assert_eq!(pss(&nist(2)), Some(SignatureHash::Sha384));
        assert_eq!(pss(&nist(3)), Some(SignatureHash::Sha512));
        assert_eq!(pss(&[]), Some(SignatureHash::Sha256), "default: SHA-1");
    }
}
