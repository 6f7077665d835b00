//! Certificates that the user names (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
//!
//! The usual self-signed certificate (`openssl req -x509`) is that of an authority, and webpki accepts no authority for a server. curl and Node.js accept
//! one that the user has named. So do we, if it is this very certificate, byte for byte: the holder of its key is the server that the user meant, and no other
//! certificate gains anything by it. Its dates and its names hold as for any other.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The variables that name certificates, in the place of the system's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What webpki says of an authority in the place of a server. It has looked at the dates before.
const AUTHORITY: &str = "CaUsedAsEndEntity";

/// How servers are verified where the user names certificates; `None` if that is as usual.
pub(super) fn named() -> Option<ClientConfig> {
    VARIABLES.iter().find_map(std::env::var_os)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let named = rustls_native_certs::load_native_certs();
    for error in named.errors {
        tracing::warn!("of the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name: {error}");
    }
    let verifier = NamedCertificates::new(named.certs, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(config)
}

#[derive(Debug)]
struct NamedCertificates {
    /// As webpki has it.
    usual: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl NamedCertificates {
    /// `None` if no certificate can be read.
    fn new(certificates: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        Some(Self { usual, certificates })
    }
}

impl ServerCertVerifier for NamedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let is_of_authority = matches!(&usual, Err(Error::InvalidCertificate(CertificateError::Other(why))) if why.to_string() == AUTHORITY);
        if !is_of_authority || !self.certificates.iter().any(|named| named.as_ref() == end_entity.as_ref()) {
            return usual;
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Of `openssl req -x509`, for `localhost`, from 2026 to 2126; and another one of the same name.
    const ONE: &str = "MIIBlTCCATugAwIBAgIUVeotAifYQE+z0kZ/bq/9CKa5RfIwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE0MDg0OFoYDzIxMjYxMTA1MTQwODQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASvLb/h3YGJ+ueHalRme0G9W+8WBAfTOIPrQaNTfmuWsQBhGFNT349wPRix0GvQKtePggMBhHEavENNKmvoY1buo2kwZzAdBgNVHQ4EFgQUSg/O1j85s2t+7k83AmZMdm6JxDEwHwYDVR0jBBgwFoAUSg/O1j85s2t+7k83AmZMdm6JxDEwDwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwIDSAAwRQIgCqJeU8mPBk/p/hM2bS43wEcKjL2D3fX7rMTIcG2qrpkCIQDn7rYbE99m/B4xHlLWWXOfPEJOtGjrHNw3jzUmC9FvNw==";
    const OTHER: &str = "MIIBlTCCATugAwIBAgIUVkiNscFopcTh0cu826y3I9aidR8wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTE0MDg0OFoYDzIxMjYxMTA1MTQwODQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASqUPlGDyoifJ+xtoc76i6NjrVMmM/zL++5iE34O3sYJ3WLXFocGfeAGdtrbxhRuEJlAGg/ca52O322nUm9SHDXo2kwZzAdBgNVHQ4EFgQUbdFiuoc7jUQfYubPFC+0rOs97lUwHwYDVR0jBBgwFoAUbdFiuoc7jUQfYubPFC+0rOs97lUwDwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwIDSAAwRQIhANjtVBeYgmBEVbBGtAe5DFuHXH4gLg0VXOP3LM2AaakaAiBG1SStHlupvG9wowtdayCurXPKZunM1DDAq8/nTgcoeg==";

    fn certificate(text: &str) -> CertificateDer<'static> {
        CertificateDer::from(STANDARD.decode(text).unwrap())
    }

    fn is_taken(presented: &str, named: &str, host: &'static str, year: u64) -> bool {
        let verifier =
            NamedCertificates::new(vec![certificate(named)], Arc::new(rustls::crypto::ring::default_provider()))
                .unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 8766));
        let host = ServerName::try_from(host).unwrap();
        verifier.verify_server_cert(&certificate(presented), &[], &host, &[], now).is_ok()
    }

    #[test]
    fn only_the_very_certificate_is_taken_for_its_names_and_its_time() {
        assert!(is_taken(ONE, ONE, "localhost", 2030));
        assert!(!is_taken(ONE, ONE, "example.com", 2030), "another name");
        assert!(!is_taken(ONE, ONE, "localhost", 2130), "it has expired");
        assert!(!is_taken(ONE, ONE, "localhost", 2020), "it isn't valid yet");
        assert!(!is_taken(OTHER, ONE, "localhost", 2030), "another one of the same name");
    }
}
