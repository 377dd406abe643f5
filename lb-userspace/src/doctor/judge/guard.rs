//! Whether the kernel can keep others from what is the balancer's, and does.

use super::{super::facts::Facts, Finding, Level, bad, ok};
use crate::api::model::GuardState;

const CHECK: &str = "guard";

/// Off is what most hosts are, and nothing to warn of.
pub fn judge(facts: &Facts) -> Finding {
    let status = facts.guard.clone().unwrap_or_default();
    let asked = facts.network.as_ref().is_some_and(|network| network.config.node.guard);
    match status.state {
        GuardState::On => match status.refusals() {
            0 => ok(CHECK, "", "on; nothing was refused"),
            refused => ok(CHECK, "", format!("on; {refused} changes by others were refused")),
        },
        GuardState::Unavailable => missing(facts, status.reason.unwrap_or_default()),
        GuardState::Off => match obstacle(facts) {
            Some(obstacle) if asked => missing(facts, obstacle.to_owned()),
            Some(obstacle) => ok(CHECK, "", format!("off; this host has none to give: {obstacle}")),
            None if asked => ok(CHECK, "", "this host can; the daemon puts it on"),
            None => ok(CHECK, "", "off; this host can: `guard: true` in `node:`"),
        },
    }
}

/// It is asked for, and not there.
fn missing(facts: &Facts, measured: String) -> Finding {
    let why = "`guard: true` asks that other processes be kept from the balancer's maps, links and pins";
    let fix = match &facts.security {
        Some(modules) if !has_bpf(modules) => Some(format!(
            "put lsm={modules},bpf on the kernel's command line (GRUB_CMDLINE_LINUX), and reboot"
        )),
        Some(_) => None,
        None => Some("mount -t securityfs securityfs /sys/kernel/security".to_owned()),
    };
    bad(Level::Warn, CHECK, "", measured, why, fix)
}

/// What of the host's own speaks against it, as far as can be seen without trying.
fn obstacle(facts: &Facts) -> Option<&'static str> {
    if !facts.btf {
        return Some("the kernel does not say what its types are (CONFIG_DEBUG_INFO_BTF)");
    }
    match &facts.security {
        Some(modules) if has_bpf(modules) => None,
        Some(_) => Some("`bpf` is not among the security modules that are on (CONFIG_BPF_LSM, lsm=)"),
        None => Some("the kernel does not say which security modules are on (securityfs)"),
    }
}

fn has_bpf(modules: &str) -> bool {
    modules.split(',').any(|module| module == "bpf")
}
