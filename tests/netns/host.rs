//! What is not for a VIP goes to the host as if there were no balancer.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use support::{
    addresses::{BALANCER, Family, NOT_A_VIP, VIPS},
    exchange::{self, Wire},
    ping::ping,
    rig::Rig,
    topology::{Shape, Topology},
};

const PORT: u16 = 8080;

#[test]
fn service_on_the_balancer_itself_is_reached_through_the_program() -> Result<()> {
    let rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    let _service = exchange::serve(&rig.network.balancer, "balancer", Wire::Http, PORT)?;
    for family in Family::BOTH {
        let target = SocketAddr::new(BALANCER.of(family), PORT);
        for source in Topology::client_addresses(family) {
            let client = &rig.network.client;
            let exchanged = client.run(|| exchange::exchange(Wire::Http, source, target, 100_000))??;
            ensure!(
                exchanged.is_intact() && exchanged.backend == "balancer",
                "{exchanged:?}"
            );
        }
    }
    let status = rig.installation.status()?;
    assert_eq!(status.forwarded().packets, 0, "{:?}", status.verdicts);
    Ok(())
}

#[test]
fn host_answers_ping_arp_and_neighbour_discovery() -> Result<()> {
    let rig = Rig::start_beside(Shape::TwoArm, 2, 2)?;
    for family in Family::BOTH {
        let balancer = BALANCER.of(family);
        ensure!(ping(&rig.network.client, balancer)?, "{balancer}: no answer");
        let before = rig.installation.status()?;
        // The router has to ask for the balancer's address again.
        rig.network.router.ip("neigh flush dev to-lb0")?;
        ensure!(
            ping(&rig.network.client, balancer)?,
            "{balancer}: no answer after the neighbour was forgotten"
        );
        let after = rig.installation.status()?;
        let passed = |verdict| after.packets(verdict) - before.packets(verdict);
        match family {
            Family::V4 => ensure!(passed("PassNotIp") >= 1, "no ARP passed the program"),
            // The question, and the echo request.
            Family::V6 => ensure!(passed("PassNotVip") >= 2, "no neighbour discovery passed the program"),
        }
        assert_eq!(after.dropped().packets, 0, "{:?}", after.verdicts);
        assert_eq!(after.packets("AnswerEcho"), 0, "the program answered for the host");
    }
    Ok(())
}

#[test]
fn ping_of_a_vip_is_answered_by_the_program_and_of_other_addresses_by_nobody() -> Result<()> {
    let rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    let client = &rig.network.client;
    for family in Family::BOTH {
        let before = rig.installation.status()?;
        for vip in VIPS {
            let vip = vip.of(family);
            ensure!(ping(client, vip)?, "{vip} does not answer");
        }
        // Routed to the balancer, and no VIP.
        let other = NOT_A_VIP.of(family);
        ensure!(!ping(client, other)?, "{other} answers");
        let after = rig.installation.status()?;
        let answered = after.packets("AnswerEcho") - before.packets("AnswerEcho");
        assert_eq!(answered, VIPS.len() as u64, "{:?}", after.verdicts);
        ensure!(
            after.packets("PassNotVip") > before.packets("PassNotVip"),
            "{other} did not come by"
        );
        assert_eq!(after.forwarded(), before.forwarded(), "a backend was asked");
    }
    Ok(())
}
