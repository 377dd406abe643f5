//! What runs on backends: an echo that says whose it is, and a port for checks.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
};

use super::{
    adapt::CHECK_PORT,
    error::{DrillError, Result},
    network::{self, Host},
};
use crate::config::{Config, Protocol};

/// What a backend does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doing {
    traffic: bool,
    checks: bool,
    ended: bool,
}

/// A backend; ends when dropped.
#[derive(Debug)]
pub struct Backend {
    doing: watch::Sender<Doing>,
    thread: Option<JoinHandle<()>>,
}

/// Where it listens.
#[derive(Debug)]
struct Ports {
    name: String,
    tcp: Vec<u16>,
    udp: Vec<SocketAddr>,
}

impl Backend {
    /// Starts one that serves all VIPs of a configuration.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn start(host: &Host, config: &Config) -> Result<Self> {
        let of = |protocol| config.vips.iter().filter(move |vip| vip.protocol == protocol);
        let mut tcp: Vec<u16> = of(Protocol::Tcp).map(|vip| vip.port).collect();
        tcp.sort_unstable();
        tcp.dedup();
        let udp = of(Protocol::Udp).map(|vip| SocketAddr::new(vip.address, vip.port));
        let ports = Arc::new(Ports {
            name: host.name.clone(),
            tcp,
            udp: udp.collect(),
        });
        let (doing, seen) = watch::channel(Doing {
            traffic: true,
            checks: true,
            ended: false,
        });
        let namespace = host.name.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let entered = network::enter(&namespace);
            let failed = entered.is_err();
            ready.send(entered).ok();
            if failed {
                return;
            }
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(run(ports, seen));
            }
        });
        is_ready.recv().map_err(|_| DrillError::Stopped)??;
        Ok(Self {
            doing,
            thread: Some(thread),
        })
    }

    /// Answers traffic, or breaks all of its connections and answers no more.
    pub fn serve(&self, traffic: bool) {
        self.doing.send_modify(|doing| doing.traffic = traffic);
    }

    /// Answers checks, or refuses them.
    pub fn pass_checks(&self, checks: bool) {
        self.doing.send_modify(|doing| doing.checks = checks);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.doing.send_modify(|doing| doing.ended = true);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn run(ports: Arc<Ports>, mut doing: watch::Receiver<Doing>) {
    // Its tasks end with it.
    let (mut traffic, mut checks) = (None, None);
    loop {
        let now = *doing.borrow_and_update();
        if now.ended {
            return;
        }
        traffic = now
            .traffic
            .then(|| traffic.take().unwrap_or_else(|| serve(&ports, &ports.tcp, &ports.udp)));
        checks = now
            .checks
            .then(|| checks.take().unwrap_or_else(|| serve(&ports, &[CHECK_PORT], &[])));
        if doing.changed().await.is_err() {
            return;
        }
    }
}

fn serve(ports: &Arc<Ports>, tcp: &[u16], udp: &[SocketAddr]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for port in tcp {
        tasks.spawn(listen(Arc::clone(ports), *port));
    }
    for at in udp {
        tasks.spawn(answer(Arc::clone(ports), *at));
    }
    tasks
}

async fn listen(ports: Arc<Ports>, port: u16) {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await else {
        return;
    };
    // Ended with the listener, so that its connections break.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(echo(Arc::clone(&ports), stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn echo(ports: Arc<Ports>, mut stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let greeting = format!("{}\n", ports.name);
    if stream.write_all(greeting.as_bytes()).await.is_ok() {
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    }
}

#[expect(clippy::infinite_loop, reason = "the task is aborted when the drill ends")]
async fn answer(ports: Arc<Ports>, at: SocketAddr) {
    let Ok(socket) = UdpSocket::bind(at).await else {
        return;
    };
    let mut buffer = [0; 256];
    loop {
        // An error is an ICMP message about an earlier answer.
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let said = [ports.name.as_bytes(), b" ", &buffer[..length]].concat();
            socket.send_to(&said, from).await.ok();
        }
    }
}
