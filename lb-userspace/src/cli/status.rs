//! `holdfast status`.

use super::{
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{NONE, Tone, count, numbers, or_none, paint, plain, table, words},
};
use crate::{
    api::{
        client::Client,
        model::{BackendStatus, GuardState, HealthState, HealthStatus, LiveStatus, Mode, Pins, Status, VipStatus},
    },
    config::XdpMode,
    headline::{Headline, Weather, on_trial, out_of_sync},
    health::standing::Reason,
};

pub(super) async fn status(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let status = terminal.patiently("asking the daemon", client.status()).await?;
    terminal.answer(&status, text)?;
    Ok(Exit::Done)
}

/// The headline alone, after a command that changes how things stand.
pub(super) fn first_line(status: &Status, look: Look) -> String {
    let (weather, line) = Headline::from(status).text();
    paint(look.color, tone(weather), &plain(&line))
}

/// All of it; the first line says whether all is well.
pub(super) fn text(status: &Status, look: Look) -> String {
    let mut parts = vec![head(status, look), interfaces(status)];
    if !status.vips.is_empty() {
        parts.push(vips(status, look));
    }
    if !status.pools.is_empty() {
        parts.push(backends(status, look));
    }
    if status.pools.iter().any(|pool| pool.dirty_slots > 0) {
        parts.push(dirty(status));
    }
    parts.push(verdicts(status, look));
    parts.push(pins(&status.pins));
    parts.join("\n\n")
}

/// The headline, and what else is to be known at once.
fn head(status: &Status, look: Look) -> String {
    let mut lines = vec![first_line(status, look)];
    let also = Headline::from(status).also();
    lines.extend(also.map(|(weather, line)| paint(look.color, tone(weather), &plain(&line))));
    if status.mode != Mode::Normal
        && let Some(why) = out_of_sync(status)
    {
        lines.push(paint(
            look.color,
            Tone::Caution,
            &plain(&format!("▲ OUT OF SYNC {why}")),
        ));
    }
    if let Some(trial) = &status.trial
        && (status.damage.is_some() || status.mode != Mode::Normal)
    {
        lines.push(paint(look.color, Tone::Caution, &plain(&on_trial(trial))));
    }
    if let Some(problem) = &status.program_problem {
        lines.push(paint(
            look.color,
            Tone::Caution,
            &plain(&format!("▲ OLD PROGRAM {problem}")),
        ));
    }
    if status.lock.waiting > 0 {
        let waiting = format!("▲ {} plans wait for approvals: holdfast approvals", status.lock.waiting);
        lines.push(paint(look.color, Tone::Caution, &waiting));
    }
    if let Some(problem) = &status.journal_problem {
        lines.push(paint(look.color, Tone::Bad, &plain(&format!("▲ JOURNAL {problem}"))));
    }
    lines.extend(guard(status, look));
    lines.extend(unhealthy(status).map(|line| paint(look.color, Tone::Caution, &plain(&line))));
    if let Some(back) = &status.taken_back {
        lines.push(plain(&format!(
            "not served any more: generation {} ({})",
            back.generation, back.cause
        )));
    }
    lines.push(format!("environment {}", status.environment));
    lines.extend(overridden(status).map(|line| plain(&line)));
    lines.join("\n")
}

/// The guard in the kernel, if it is asked for.
fn guard(status: &Status, look: Look) -> Option<String> {
    let guard = &status.guard;
    let refused = match guard.refusals() {
        0 => String::new(),
        1 => "1 change by somebody else was refused".to_owned(),
        many => format!("{} changes by others were refused", count(many)),
    };
    let (tone, line) = match (guard.state, guard.refusals()) {
        (GuardState::Off, 0) => return None,
        (GuardState::Off, _) => (Tone::Caution, format!("guard in the kernel off; before, {refused}")),
        (GuardState::On, 0) => return Some("guard in the kernel on".to_owned()),
        (GuardState::On, _) => (Tone::Caution, format!("▲ GUARD in the kernel on; {refused}")),
        (GuardState::Unavailable, _) => {
            let reason = guard.reason.as_deref().unwrap_or("holdfast doctor says why");
            (Tone::Caution, format!("▲ GUARD in the kernel is not on: {reason}"))
        }
    };
    Some(paint(look.color, tone, &plain(&line)))
}

/// Pools in which who serves is not just who is healthy.
fn unhealthy(status: &Status) -> impl Iterator<Item = String> {
    status.pools.iter().flat_map(|pool| {
        let reasons = pool.reasons.iter();
        reasons.map(|reason| {
            format!(
                "▲ {} pool {}: {}",
                reason.to_string().to_uppercase(),
                pool.name,
                because(*reason)
            )
        })
    })
}

/// One sentence about each reason.
pub(super) const fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::Suspicion => "no check of any backend hears anything: this host is suspected, and nothing changes",
        Reason::Fallback => "too few backends are healthy: its fallback pool serves",
        Reason::Panic => "too few backends are healthy: all ready ones serve",
        Reason::Floor => "backends that are down stay in service, for health.floor",
        Reason::Velocity => "backends that are down stay in service for a while, for health.velocity",
    }
}

const fn tone(weather: Weather) -> Tone {
    match weather {
        Weather::Fair => Tone::Good,
        Weather::Caution => Tone::Caution,
        Weather::Bad => Tone::Bad,
    }
}

fn interfaces(status: &Status) -> String {
    let columns = [
        words("INTERFACE"),
        numbers("IFINDEX"),
        words("MODE"),
        numbers("PROG ID"),
        words("PROBLEM"),
    ];
    let rows = status.interfaces.iter().map(|interface| {
        vec![
            interface.name.clone(),
            interface.ifindex.to_string(),
            interface.mode.map_or("not attached", XdpMode::name).to_owned(),
            interface.prog_id.to_string(),
            or_none(interface.problem.as_ref()),
        ]
    });
    table(&columns, rows)
}

/// The VIPs; wide: with what came of late.
pub(super) fn vips(status: &Status, look: Look) -> String {
    const COLUMNS: [super::text::Column; 10] = [
        words("VIP"),
        words("ADDRESS"),
        numbers("PORT"),
        words("PROTOCOL"),
        words("POOL"),
        words("STATE"),
        numbers("PACKETS"),
        numbers("BYTES"),
        numbers("PPS"),
        numbers("QUIET"),
    ];
    let shown = if look.wide { COLUMNS.len() } else { COLUMNS.len() - 2 };
    let rows = status.vips.iter().map(|vip| {
        vec![
            vip.name.clone(),
            vip.address.to_string(),
            vip.port.to_string(),
            vip.protocol.to_string(),
            vip.pool.clone(),
            vip_state(vip),
            count(vip.traffic.packets),
            count(vip.traffic.bytes),
            count(vip.live.pps),
            quiet(&vip.live),
        ]
    });
    table(&COLUMNS[..shown], rows)
}

/// `maint (file: ready)`.
pub(super) fn vip_state(vip: &VipStatus) -> String {
    let file = vip.file_state.map(|state| format!(" (file: {state})"));
    format!("{}{}", vip.state, file.unwrap_or_default())
}

/// `12 s`; `never`.
pub(super) fn quiet(live: &LiveStatus) -> String {
    live.quiet_seconds
        .map_or_else(|| "never".to_owned(), |seconds| format!("{} s", count(seconds)))
}

/// The backends of every pool; wide: with what came of late, slots, MTU and next
/// hops.
pub(super) fn backends(status: &Status, look: Look) -> String {
    const COLUMNS: [super::text::Column; 14] = [
        words("POOL"),
        words("BACKEND"),
        words("ADDRESS"),
        numbers("WEIGHT"),
        words("STATE"),
        words("UP"),
        words("HEALTH"),
        numbers("PACKETS"),
        numbers("BYTES"),
        numbers("PPS"),
        numbers("QUIET"),
        numbers("SLOTS"),
        numbers("MTU"),
        words("NEXT HOP"),
    ];
    let shown = if look.wide { COLUMNS.len() } else { COLUMNS.len() - 5 };
    let rows = status
        .pools
        .iter()
        .flat_map(|pool| pool.backends.iter().map(|backend| backend_row(&pool.name, backend)));
    table(&COLUMNS[..shown], rows)
}

/// `up`, `down: connection refused`, `up, 35%`.
pub(super) fn health(health: &HealthStatus) -> String {
    let state = health.state.to_string();
    match (health.state, &health.error, health.share) {
        (HealthState::Unchecked, ..) => NONE.to_owned(),
        (HealthState::Down, Some(error), _) => format!("{state}: {error}"),
        (HealthState::Unknown | HealthState::Up, _, Some(share)) => format!("{state}, {share}"),
        (HealthState::Down | HealthState::Held | HealthState::Unknown | HealthState::Up, ..) => state,
    }
}

fn backend_row(pool: &str, backend: &BackendStatus) -> Vec<String> {
    vec![
        pool.to_owned(),
        backend.name.clone(),
        backend.address.to_string(),
        weight(backend),
        state(backend),
        super::objects::yes_no(backend.up).to_owned(),
        health(&backend.health),
        count(backend.traffic.packets),
        count(backend.traffic.bytes),
        count(backend.live.pps),
        quiet(&backend.live),
        count(u64::from(backend.slots)),
        or_none(backend.path.mtu),
        backend.next_hop.clone(),
    ]
}

/// `50 (file: 100)` where it was set by command.
pub(super) fn weight(backend: &BackendStatus) -> String {
    let set = backend.overridden.as_ref().filter(|over| over.set.weight.is_some());
    set.map_or_else(
        || backend.weight.to_string(),
        |over| format!("{} (file: {})", backend.weight, over.file_weight),
    )
}

/// `drain until … (file: ready)` where it was set by command.
pub(super) fn state(backend: &BackendStatus) -> String {
    let Some(over) = backend.overridden.as_ref().filter(|over| over.set.state.is_some()) else {
        return backend.state.to_string();
    };
    let until = over
        .set
        .until
        .map_or_else(String::new, |until| format!(" until {until}"));
    format!("{}{until} (file: {})", backend.state, over.file_state)
}

/// Backends and VIPs of which something was set by command, for the head.
fn overridden(status: &Status) -> Option<String> {
    const TOLD: usize = 5;
    let backends = status.pools.iter().flat_map(|pool| {
        let overridden = pool.backends.iter().filter(|backend| backend.overridden.is_some());
        overridden.map(move |backend| (&pool.name, backend))
    });
    let mut told: Vec<String> = backends
        .map(|(pool, backend)| {
            let over = backend.overridden.as_ref();
            let state = over.and_then(|over| over.set.state).map(|_| state(backend));
            let weight = over
                .and_then(|over| over.set.weight)
                .map(|_| format!("weight {}", weight(backend)));
            let what: Vec<String> = state.into_iter().chain(weight).collect();
            format!("{pool}/{} {}", backend.name, what.join(", "))
        })
        .collect();
    let vips = status.vips.iter().filter(|vip| vip.file_state.is_some());
    told.extend(vips.map(|vip| format!("{} {}", vip.name, vip_state(vip))));
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    (!told.is_empty()).then(|| format!("set by command: {}", told.join("; ")))
}

/// Whose flows are still to end, where owners of slots changed.
fn dirty(status: &Status) -> String {
    let columns = [words("POOL"), words("STILL HAS FLOWS"), numbers("DIRTY SLOTS")];
    let rows = status.pools.iter().flat_map(|pool| {
        let backends = pool
            .backends
            .iter()
            .map(|backend| (&backend.name, "", backend.dirty_slots));
        let leaving = pool
            .leaving
            .iter()
            .map(|leaving| (&leaving.name, " (leaving)", leaving.dirty_slots));
        let all = backends.chain(leaving).filter(|(.., slots)| *slots > 0);
        all.map(|(name, mark, slots)| vec![pool.name.clone(), format!("{name}{mark}"), count(u64::from(slots))])
    });
    table(&columns, rows)
}

/// Verdicts that packets came to; wide: every verdict there is.
fn verdicts(status: &Status, look: Look) -> String {
    let columns = [words("VERDICT"), numbers("PACKETS"), numbers("BYTES")];
    let shown = status
        .verdicts
        .iter()
        .filter(|(_, traffic)| look.wide || traffic.packets > 0);
    let mut rows: Vec<_> = shown
        .map(|(name, traffic)| vec![name.clone(), count(traffic.packets), count(traffic.bytes)])
        .collect();
    if rows.is_empty() {
        rows.push([NONE, "0", "0"].map(str::to_owned).into());
    }
    table(&columns, rows)
}

/// Where bpftool continues.
pub(super) fn pins(pins: &Pins) -> String {
    let columns = [words("PINNED"), numbers("ID"), words("PATH")];
    let programs = pins.programs.iter().map(|(path, id)| ("program", path, id));
    let maps = pins.maps.iter().map(|(path, id)| ("map", path, id));
    let rows = programs
        .chain(maps)
        .map(|(what, path, id)| vec![what.to_owned(), id.to_string(), format!("{}/{path}", pins.directory)]);
    table(&columns, rows)
}
