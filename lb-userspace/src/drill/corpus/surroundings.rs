//! What happens around the balancer.

use std::net::IpAddr;

use crate::drill::{
    error::{DrillError, Result},
    network,
    scene::Scene,
};

/// The services themselves go on: it is the checks that are wrong.
pub fn storm(scene: &mut Scene) -> Result<()> {
    scene.backends.iter().for_each(|backend| backend.pass_checks(false));
    let paused = scene.pause(3_000);
    scene.backends.iter().for_each(|backend| backend.pass_checks(true));
    scene.strike();
    paused
}

pub fn unanswered(scene: &mut Scene) -> Result<()> {
    let routes = |what: &str| -> Result<()> {
        for host in &scene.network.hosts {
            for balancer in scene.network.balancer() {
                let bits = match balancer {
                    IpAddr::V4(_) => 32,
                    IpAddr::V6(_) => 128,
                };
                network::ip(&host.name, &format!("route {what} blackhole {balancer}/{bits}"))?;
            }
        }
        Ok(())
    };
    routes("add")?;
    let paused = scene.pause(3_000);
    routes("del")?;
    scene.strike();
    paused
}

pub fn restarted(scene: &mut Scene) -> Result<()> {
    let Some(backend) = scene.backends.first() else {
        return Err(DrillError::Answer("a backend".to_owned()));
    };
    backend.serve(false);
    let paused = scene.pause(700);
    backend.serve(true);
    paused?;
    // Until it listens.
    scene.pause(200)?;
    scene.strike();
    Ok(())
}

pub fn down(scene: &mut Scene) -> Result<()> {
    let Some(first) = scene.network.interfaces.first().cloned() else {
        return Err(DrillError::Answer("an interface".to_owned()));
    };
    network::ip("lb", &format!("link set {first} down"))?;
    scene.pause(700)?;
    // As ifup does.
    scene.network.number_balancer()?;
    scene.strike();
    Ok(())
}
