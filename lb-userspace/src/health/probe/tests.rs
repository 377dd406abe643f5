//! Against real sockets on loopback.

mod datagrams;
mod programs;
mod streams;

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{ProbeError, Prober};
use crate::{
    config::Check,
    health::{Target, Via},
    revision::BackendId,
};

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Long enough for a busy machine; no test that passes waits for it.
const PATIENT: Duration = Duration::from_secs(20);
/// For those that are to run out of time.
const SHORT: Duration = Duration::from_millis(300);

async fn probe(check: Check, timeout: Duration) -> Result<(), ProbeError> {
    probe_at(HOST, check, timeout).await
}

async fn probe_at(address: IpAddr, check: Check, timeout: Duration) -> Result<(), ProbeError> {
    let backend = BackendId {
        pool: "web".to_owned(),
        backend: "be1".to_owned(),
    };
    let target = Target {
        address,
        check: Arc::new(check),
        interval: timeout,
        timeout,
        via: Via::Direct,
    };
    Prober::default().probe(&backend, &target).await
}

/// What operators read of an error.
fn said(result: Result<(), ProbeError>) -> String {
    result.expect_err("it was not to pass").to_string()
}
