//! A request is answered with one of the statuses. Redirects are answers, not
//! followed.

use std::net::IpAddr;

use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Version, body::Bytes, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{ProbeError, socket::Path, tcp, tls};
use crate::config::Statuses;

/// Bytes of an answer that are read; the rest is cut off.
const BODY: usize = 64 * 1024;

pub struct Request<'a> {
    pub port: u16,
    pub page: &'a str,
    pub host: Option<&'a str>,
    pub status: Statuses,
}

pub async fn check(path: &Path<'_>, request: &Request<'_>, tls: Option<TlsConnector>) -> Result<(), ProbeError> {
    let stream = tcp::connect(path, request.port).await?;
    let got = match tls {
        Some(connector) => {
            let stream = tls::connect(&connector, request.host, path.to, stream).await?;
            status(stream, path.to, request).await?
        }
        None => status(stream, path.to, request).await?,
    };
    let wanted = request.status;
    if (wanted.from..=wanted.to).contains(&got) {
        Ok(())
    } else {
        Err(ProbeError::Status { got, wanted })
    }
}

async fn status<S>(stream: S, to: IpAddr, request: &Request<'_>) -> Result<u16, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let asked = hyper::Request::builder()
        .method(Method::GET)
        .version(Version::HTTP_11)
        .uri(request.page)
        .header(header::HOST, host(to, request))
        .header(header::USER_AGENT, "holdfast-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeError::Question("the path or host cannot be sent"))?;
    let answered = async {
        let mut answer = sender.send_request(asked).await?;
        let status = answer.status().as_u16();
        let mut read = 0;
        while let Some(frame) = answer.frame().await {
            read += frame?.data_ref().map_or(0, Bytes::len);
            if read > BODY {
                break;
            }
        }
        Ok(status)
    };
    // The connection moves only as long as somebody polls it. It ends when the
    // server closes, and then the answer is there.
    tokio::pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        _ = connection => answered.await,
    }
    .map_err(broken)
}

fn host(to: IpAddr, request: &Request<'_>) -> String {
    if let Some(host) = request.host {
        return host.to_owned();
    }
    // RFC 3986 §3.2.2: an IPv6 address stands in brackets.
    match to {
        IpAddr::V4(address) => format!("{address}:{}", request.port),
        IpAddr::V6(address) => format!("[{address}]:{}", request.port),
    }
}

/// What the stream said, if it was the stream.
fn broken(error: hyper::Error) -> ProbeError {
    use std::error::Error as _;
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => match io.raw_os_error() {
            Some(errno) => std::io::Error::from_raw_os_error(errno).into(),
            None => tls::failed_read(io).unwrap_or(ProbeError::Http(error)),
        },
        None => ProbeError::Http(error),
    }
}
