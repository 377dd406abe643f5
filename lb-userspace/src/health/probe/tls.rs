//! TLS of checks: with any certificate, or with one that holds against the
//! host's roots.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::ProbeError;
use crate::config::Tls;

/// Made when first needed. The host's roots are read once: new ones count from
/// the daemon's next start.
#[derive(Default)]
pub struct Connectors {
    any: OnceLock<TlsConnector>,
    verified: OnceLock<Option<TlsConnector>>,
}

impl Connectors {
    pub fn of(&self, tls: Tls) -> Result<Option<TlsConnector>, ProbeError> {
        match tls {
            Tls::Off => Ok(None),
            Tls::Any => Ok(Some(self.any.get_or_init(any).clone())),
            Tls::Verified => {
                let found = self.verified.get_or_init(|| verified(host_roots())).clone();
                found.map(Some).ok_or(ProbeError::NoRoots)
            }
        }
    }
}

fn builder(provider: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the versions that rustls has")
}

fn any() -> TlsConnector {
    let provider = Arc::new(ring::default_provider());
    let config = builder(Arc::clone(&provider))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Arc::new(config).into()
}

fn host_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// `None`: there is nothing to verify with.
pub fn verified(roots: RootCertStore) -> Option<TlsConnector> {
    if roots.is_empty() {
        return None;
    }
    let config = builder(Arc::new(ring::default_provider()))
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(Arc::new(config).into())
}

pub async fn connect(
    connector: &TlsConnector,
    host: Option<&str>,
    to: IpAddr,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let name = match host {
        // A Host header may name a port, a certificate does not.
        Some(host) => ServerName::try_from(without_port(host).to_owned())
            .map_err(|_| ProbeError::Question("the host is no name that TLS can ask for"))?,
        None => ServerName::IpAddress(to.into()),
    };
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(failed_read(&error).unwrap_or_else(|| error.into())),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') => name,
        Some(_) | None => host,
    }
}

/// What rustls said inside an error of the stream.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
pub fn failed_read(error: &std::io::Error) -> Option<ProbeError> {
    let said = error.get_ref()?.downcast_ref::<rustls::Error>()?.clone();
    Some(match said {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => ProbeError::Certificate(said),
        _ => ProbeError::Tls(said),
    })
}

/// Whose certificate it is does not matter; that the other side has its key is
/// still part of the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
