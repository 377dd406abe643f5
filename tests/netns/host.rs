//! What is not for a VIP goes to the host as if there were no balancer.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use support::{
    addresses::{BALANCER, Family},
    exchange::{self, Wire},
    ping::ping,
    rig::Rig,
    topology::{Shape, Topology},
};

const PORT: u16 = 8080;

#[test]
fn service_on_the_balancer_itself_is_reached_through_the_program() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let _service = exchange::serve(&rig.network.balancer, "balancer", Wire::Http, PORT)?;
    let target = SocketAddr::new(BALANCER.of(Family::V4), PORT);
    for source in Topology::client_addresses(Family::V4) {
        let client = &rig.network.client;
        let exchanged = client.run(|| exchange::exchange(Wire::Http, source, target, 100_000))??;
        ensure!(
            exchanged.is_intact() && exchanged.backend == "balancer",
            "{exchanged:?}"
        );
    }
    let status = rig.installation.status()?;
    assert_eq!(status.forwarded().packets, 0, "{:?}", status.verdicts);
    Ok(())
}

#[test]
fn balancer_answers_ping_and_arp() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    ensure!(ping(&rig.network.client, BALANCER.of(Family::V4))?, "no answer");
    let before = rig.installation.status()?;
    // The router has to ask for the balancer's address again.
    rig.network.router.ip("neigh flush dev to-lb0")?;
    ensure!(
        ping(&rig.network.client, BALANCER.of(Family::V4))?,
        "no answer after the neighbour was forgotten"
    );
    let after = rig.installation.status()?;
    let arp = (after.verdicts["PassNotIp"] - before.verdicts["PassNotIp"]).packets;
    ensure!(arp >= 1, "no ARP passed the program");
    assert_eq!(after.dropped().packets, 0, "{:?}", after.verdicts);
    Ok(())
}
