//! A preview in sentences.

use super::{Contradiction, Ends, LivePreview, NewDrop, Preview};

/// Pools, or VIPs, that are told one by one.
const TOLD: usize = 4;

/// `3.1 % of slots move, dns loses 2 of 3 backends, 0 new drops`.
pub fn summary(preview: &Preview, is_first: bool) -> String {
    let mut parts = Vec::new();
    if is_first {
        parts.push("nothing is served yet".to_owned());
    } else {
        parts.push(moves(preview.slots_moved, preview.slots));
    }
    let broken = preview.slots_moved - preview.slots_kept;
    if broken > 0 {
        parts.push(format!(
            "{} of them with their flows",
            share(broken, preview.slots_moved)
        ));
    }
    let losing: Vec<_> = preview.pools.iter().filter(|pool| !pool.loses.is_empty()).collect();
    parts.extend(losing.iter().take(TOLD).map(|pool| {
        format!(
            "{} loses {} of {}",
            pool.pool,
            pool.loses.len(),
            counted(pool.backends as usize, "backend")
        )
    }));
    if losing.len() > TOLD {
        parts.push(format!("{} more lose backends", counted(losing.len() - TOLD, "pool")));
    }
    if !preview.starts.is_empty() {
        parts.push(format!("{} new", counted(preview.starts.len(), "VIP")));
    }
    if !preview.silent.is_empty() {
        parts.push(format!(
            "{} forward nothing: {}",
            counted(preview.silent.len(), "VIP"),
            names(preview.silent.iter())
        ));
    }
    let ends = |which: Ends| preview.ends.values().filter(|ends| **ends == which).count();
    for (which, what) in [(Ends::Removed, "removed"), (Ends::Maint, "to maint")] {
        if ends(which) > 0 {
            parts.push(format!("{} {what}", counted(ends(which), "VIP")));
        }
    }
    parts.push(drops(&preview.new_drops, "VIP"));
    if !preview.contradictions.is_empty() {
        parts.push(format!(
            "{} to which the program does otherwise than the plan says",
            counted(preview.contradictions.len(), "packet")
        ));
    }
    let mut text = parts.join(", ");
    if let Some(live) = &preview.sampled {
        text.push_str("; ");
        text.push_str(&sampled(live));
    }
    text
}

/// `of 1,204 sampled packets 37 go to another backend (0 of established flows),
/// 0 new drops`.
fn sampled(live: &LivePreview) -> String {
    if live.packets == 0 {
        return format!("no packet came within {} ms", live.within_ms);
    }
    let mut text = format!(
        "of {} {} to another backend ({} of established flows), ",
        counted(live.packets as usize, "sampled packet"),
        match live.other_backend {
            1 => "1 goes".to_owned(),
            other => format!("{} go", thousands(other.into())),
        },
        thousands(live.of_established_flows.into()),
    );
    if live.ends > 0 {
        text.push_str(&counted(live.ends as usize, "packet"));
        text.push_str(" with what the plan takes away, ");
    }
    let dropped: u32 = live.new_drops.iter().map(|drop| drop.packets).sum();
    text.push_str(&thousands(dropped.into()));
    text.push_str(" new drops");
    text
}

fn moves(moved: u64, of: u64) -> String {
    if moved == 0 {
        "no slot moves".to_owned()
    } else {
        format!("{} of slots move", share(moved, of))
    }
}

/// In tenths of a percent, and never nothing of something.
fn share(part: u64, whole: u64) -> String {
    if part == whole {
        return "100 %".to_owned();
    }
    let tenths = ((part * 2000 + whole) / (whole * 2)).clamp(1, 999);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn drops(drops: &[NewDrop], what: &str) -> String {
    match drops.len() {
        0 => "0 new drops".to_owned(),
        number => format!(
            "new drops of {}: {}",
            counted(number, what),
            names(drops.iter().map(|drop| &drop.vip))
        ),
    }
}

fn names<'a>(all: impl ExactSizeIterator<Item = &'a String>) -> String {
    let further = all.len().saturating_sub(TOLD);
    let mut told: Vec<String> = all.take(TOLD).cloned().collect();
    if further > 0 {
        told.push(format!("and {} more", thousands(further as u64)));
    }
    told.join(", ")
}

/// Why an apply is refused.
pub fn dropped(drops: &[&NewDrop]) -> String {
    let first = drops.first().map_or("", |drop| &drop.verdict);
    format!(
        "packets of {} that stays would be dropped ({first}): {}",
        counted(drops.len(), "VIP"),
        names(drops.iter().map(|drop| &drop.vip))
    )
}

/// The same of packets that really came.
pub fn sampled_dropped(drops: &[&NewDrop]) -> String {
    let first = drops.first().map_or("", |drop| &drop.verdict);
    let packets: u32 = drops.iter().map(|drop| drop.packets).sum();
    format!(
        "{} that came just now would be dropped ({first}), of {}",
        counted(packets as usize, "packet"),
        names(drops.iter().map(|drop| &drop.vip))
    )
}

pub fn contradicted(first: &Contradiction, all: usize) -> String {
    let more = match all {
        0 | 1 => String::new(),
        all => format!(", and {} more", counted(all - 1, "packet")),
    };
    format!("VIP {}: {}{more}", first.vip, first.what)
}

fn counted(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", thousands(number as u64))
}

fn thousands(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", thousands(number / 1000), number % 1000)
    }
}
