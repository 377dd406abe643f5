//! tcp, http and https.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{
    super::{http, socket::Path, tls},
    HOST, PATIENT, SHORT, probe, said,
};
use crate::{
    config::{Check, Statuses, Tls},
    health::probe::ProbeError,
};

/// Of backend.test and 127.0.0.1, signed by itself, until 2126.
const CERTIFICATE: &str = "MIIBnjCCAUSgAwIBAgIUJea4G1DsiPuV2Xb5t4IB30p67+8wCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMYmFja2VuZC50ZXN0MCAXDTI2MTEyMzA5MjkyM1oYDzIxMjYxMDMwMDkyOTIzWjAXMRUwEwYDVQQDDAxiYWNrZW5kLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARmjjNoYF+tCQDk4EKajB9x7a0JUAIUeV4RWVkKl+7XRzj+AidFYs2cTyjfSwthHNx/CWE3WImnXbLgRf8L4u/Jo2wwajAdBgNVHQ4EFgQUX7S65G5xu0VKJK6LDTiafhqnfycwHwYDVR0jBBgwFoAUX7S65G5xu0VKJK6LDTiafhqnfycwHQYDVR0RBBYwFIIMYmFja2VuZC50ZXN0hwR/AAABMAkGA1UdEwQCMAAwCgYIKoZIzj0EAwIDSAAwRQIhANifOWn5WRJ+XchokTT39dK6ek4QlNETC5QV/gFqpAscAiAOtvUPnuTgAD1z65+/0vkG+MY6kEXS3MJSz6H+gON0uQ==";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxdauJtQ/BUHmx1yg4IvyBTZv6eB+xGsvp6b4nhzAeGihRANCAARmjjNoYF+tCQDk4EKajB9x7a0JUAIUeV4RWVkKl+7XRzj+AidFYs2cTyjfSwthHNx/CWE3WImnXbLgRf8L4u/J";

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from(BASE64_STANDARD.decode(CERTIFICATE).expect("a constant"))
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((HOST, 0)).await.expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// Reads a request, answers with these bytes, and gives what was asked.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            Ok(_) | Err(_) => break,
        }
    }
    stream.write_all(answer).await.ok();
    stream.flush().await.ok();
    // Left open: who closes first is the test's business.
    tokio::time::sleep(SHORT).await;
    String::from_utf8(request).expect("requests are ASCII")
}

async fn http_server(bytes: &'static [u8]) -> (u16, JoinHandle<String>) {
    let (listener, port) = listener().await;
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody connects");
        answer(stream, bytes).await
    });
    (port, served)
}

async fn https_server(bytes: &'static [u8]) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        BASE64_STANDARD.decode(KEY).expect("a constant"),
    ));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate()], key))
        .expect("the certificate is of the key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, bytes).await;
            }
        }
    });
    port
}

fn check(port: u16, tls: Tls) -> Check {
    Check::Http {
        port,
        path: "/healthz?deep=1".to_owned(),
        host: None,
        tls,
        status: Statuses::default(),
    }
}

#[tokio::test]
async fn tcp_passes_and_ends_with_a_reset() {
    let (listener, port) = listener().await;
    probe(Check::Tcp { port }, PATIENT).await.expect("somebody listens");
    let (mut stream, _) = listener.accept().await.expect("it connected");
    let read = stream.read(&mut [0; 16]).await;
    let error = read.expect_err("a reset, and no end of the stream");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn nobody_listening_is_refused_at_once() {
    let (listener, port) = listener().await;
    drop(listener);
    let refused = probe(Check::Tcp { port }, PATIENT).await;
    assert!(matches!(refused, Err(ProbeError::Refused)), "{refused:?}");
    let refused = probe(check(port, Tls::Off), PATIENT).await;
    assert_eq!(said(refused), "connection refused");
}

#[tokio::test]
async fn http_passes_with_a_status_of_the_range() {
    let (port, served) = http_server(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    probe(check(port, Tls::Off), PATIENT).await.expect("204 is of 200-399");
    let request = served.await.expect("the server ends");
    assert!(request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{request}");
    assert!(request.contains("connection: close\r\n"), "{request}");
}

#[tokio::test]
async fn http_asks_for_the_host_of_the_configuration() {
    let (port, served) = http_server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let check = Check::Http {
        port,
        path: "/".to_owned(),
        host: Some("www.example.net".to_owned()),
        tls: Tls::Off,
        status: Statuses { from: 200, to: 200 },
    };
    probe(check, PATIENT).await.expect("200 is 200");
    assert!(served.await.expect("it ends").contains("host: www.example.net\r\n"));
}

#[tokio::test]
async fn http_fails_with_another_status_and_says_which() {
    let (port, _served) = http_server(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(
        said(probe(check(port, Tls::Off), PATIENT).await),
        "status 503, wanted 200-399"
    );
}

#[tokio::test]
async fn redirect_is_an_answer_and_not_followed() {
    let (port, served) = http_server(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    probe(check(port, Tls::Off), PATIENT).await.expect("302 is of 200-399");
    assert_eq!(served.await.expect("it ends").matches("GET").count(), 1);
}

#[tokio::test]
async fn endless_body_is_cut_off() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    probe(check(port, Tls::Off), PATIENT)
        .await
        .expect("what came is enough");
}

#[tokio::test]
async fn what_is_not_http_fails() {
    let (port, _served) = http_server(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    assert_eq!(
        said(probe(check(port, Tls::Off), PATIENT).await),
        "the answer is not HTTP"
    );
}

#[tokio::test]
async fn silence_and_half_an_answer_run_out_of_time() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let (listener, port) = listener().await;
        let held = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody connects");
            stream.write_all(bytes).await.expect("the reader is there");
            tokio::time::sleep(PATIENT).await;
        });
        assert_eq!(
            said(probe(check(port, Tls::Off), SHORT).await),
            "no answer within 300ms"
        );
        held.abort();
    }
}

#[tokio::test]
async fn connection_that_breaks_off_is_a_reset_or_no_http() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            socket2::SockRef::from(&stream)
                .set_linger(Some(std::time::Duration::ZERO))
                .expect("it is a socket");
        }
    });
    let broken = probe(check(port, Tls::Off), PATIENT).await;
    assert!(
        matches!(broken, Err(ProbeError::Reset | ProbeError::Http(_))),
        "{broken:?}"
    );
}

#[tokio::test]
async fn any_certificate_passes_where_any_will_do() {
    let port = https_server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    probe(check(port, Tls::Any), PATIENT).await.expect("any will do");
}

#[tokio::test]
async fn tls_fails_where_nobody_speaks_it() {
    let (listener, port) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        tokio::time::sleep(SHORT).await;
    });
    let failed = probe(check(port, Tls::Any), PATIENT).await;
    assert!(matches!(failed, Err(ProbeError::Tls(_))), "{failed:?}");
}

async fn verified(host: Option<&str>, roots: RootCertStore) -> Result<(), ProbeError> {
    let port = https_server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let request = http::Request {
        port,
        page: "/",
        host,
        status: Statuses::default(),
    };
    let path = Path::direct(HOST);
    http::check(&path, &request, tls::verified(roots)).await
}

#[tokio::test]
async fn verified_certificate_must_hold_against_the_roots_and_the_name() {
    let mut roots = RootCertStore::empty();
    assert!(tls::verified(roots.clone()).is_none(), "nothing to verify with");
    roots.add(certificate()).expect("it is a certificate");
    verified(Some("backend.test"), roots.clone())
        .await
        .expect("it is its name");
    verified(Some("backend.test:8443"), roots.clone())
        .await
        .expect("a port is no part of it");
    verified(None, roots.clone()).await.expect("it is its address");
    let failed = verified(Some("other.test"), roots).await;
    assert!(matches!(failed, Err(ProbeError::Certificate(_))), "{failed:?}");
    // The certificate of somebody else, as a root.
    let other = RootCertStore {
        roots: Vec::from_iter(
            rustls_native_certs::load_native_certs()
                .certs
                .first()
                .map(|certificate| {
                    let mut one = RootCertStore::empty();
                    one.add(certificate.clone()).expect("the host's own");
                    one.roots.remove(0)
                }),
        ),
    };
    if !other.is_empty() {
        let failed = verified(Some("backend.test"), other).await;
        assert!(matches!(failed, Err(ProbeError::Certificate(_))), "{failed:?}");
    }
}
