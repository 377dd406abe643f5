//! The accidents. Each does for real what it says, by what an operator, a script
//! or a broken disk has at hand; what has to become of it stands beside it.

mod clocks;
mod disks;
mod files;
mod kernel;
mod lock;
mod processes;
mod surroundings;

use super::accident::{Accident, MENDED_MS, RESTARTED_MS, Window};

/// In the order in which they happen.
pub const ACCIDENTS: &[Accident] = &[
    // Files.
    Accident::refused("empty-file", "an empty file is applied", &["HF2000"], files::empty),
    Accident::refused(
        "blank-file",
        "a file of blanks and line feeds is applied",
        &["HF2000", "HF1"],
        files::blank,
    ),
    Accident::refused(
        "half-file",
        "half of the file, which still parses, is applied",
        &["HF2002", "HF2000"],
        files::half,
    ),
    Accident::refused(
        "wrong-environment",
        "the file of another environment is applied",
        &["HF2005"],
        files::elsewhere,
    ),
    Accident::refused(
        "doubled-file",
        "the file twice in one; each key twice",
        &["HF1"],
        files::doubled,
    ),
    Accident::refused(
        "garbage-file",
        "bytes that are no text, a directory, a pipe",
        &["HF1", "HF5006"],
        files::garbage,
    ),
    Accident::refused(
        "all-removed",
        "`removed:` names everything",
        &["HF2000", "HF1"],
        files::all_removed,
    ),
    Accident::refused(
        "blank-selector",
        "`--remove ''` and `removed: [\"\"]`",
        &["usage", "HF1"],
        files::blank_selector,
    ),
    Accident::refused(
        "emptied-pool",
        "a pool loses all of its backends, all named",
        &["HF2", "HF1"],
        files::emptied_pool,
    ),
    Accident::refused(
        "stale-plan",
        "a plan is applied after another change",
        &["HF2003"],
        files::stale_plan,
    )
    .moving(),
    Accident::refused(
        "racing-operators",
        "two operators apply plans of the same base at once",
        &["HF2003"],
        files::racing,
    )
    .moving(),
    Accident::healed(
        "swapped-file",
        "the file is emptied between plan and apply",
        MENDED_MS,
        files::swapped,
    )
    .moving(),
    // The lock.
    Accident::refused(
        "unapproved",
        "a removal nobody approved is applied",
        &["HF2073"],
        lock::unapproved,
    ),
    Accident::refused(
        "self-approval",
        "the author approves; one approves twice",
        &["HF2117", "HF2073"],
        lock::own,
    ),
    Accident::refused(
        "forged-approval",
        "signatures by a stranger, of other bytes, for another purpose, cut",
        &["HF21"],
        lock::forged,
    ),
    Accident::refused(
        "other-plans-approval",
        "signatures of one plan for another",
        &["HF2110", "HF2073"],
        lock::of_another,
    ),
    Accident::refused(
        "altered-plan",
        "an approved plan is edited to ask for no approvals",
        &["HF20", "HF5009"],
        lock::altered,
    ),
    Accident::refused(
        "revoked-approver",
        "an approver is struck off between approval and apply",
        &["HF2073", "HF2107"],
        lock::revoked,
    ),
    Accident::refused(
        "replayed-approval",
        "an applied plan and its approvals again",
        &["HF2003", "HF2074", "HF2110", "HF5004"],
        lock::replayed,
    )
    .moving(),
    Accident::refused(
        "expired-plan",
        "the clock goes a day forward; an approved plan is applied",
        &["HF2070", "HF2074", "HF5004"],
        clocks::forward,
    ),
    Accident::refused(
        "clock-back",
        "the clock goes ten years back; an approved plan is applied",
        &["HF2070", "HF2074", "HF5004"],
        clocks::back,
    ),
    Accident::refused("wipe", "root wipes, and nobody approved", &["HF20"], lock::wipe),
    Accident::refused(
        "empty-by-broken-glass",
        "an empty file, a half one, with the glass broken",
        &["HF2000", "HF2002"],
        lock::glass,
    ),
    Accident::refused(
        "last-interface",
        "every interface is detached",
        &["HF20"],
        lock::interfaces,
    ),
    // The kernel's objects, by somebody else with root.
    Accident::healed(
        "root-deleted",
        "CHUNKS loses the slot of the active root",
        MENDED_MS,
        kernel::root,
    ),
    Accident::healed(
        "vips-deleted",
        "CHUNKS loses the slot of the VIPs",
        MENDED_MS,
        kernel::vips,
    ),
    Accident::healed(
        "tables-deleted",
        "CHUNKS loses the slots of all lookup tables",
        MENDED_MS,
        kernel::tables,
    ),
    Accident::healed(
        "chunk-overwritten",
        "a line of each chunk is overwritten: the kernel refuses",
        MENDED_MS,
        kernel::frozen,
    ),
    Accident::healed(
        "active-zeroed",
        "ACTIVE is overwritten with zeros",
        MENDED_MS,
        kernel::zeroed,
    )
    .losing(Window::UntilHealed),
    Accident::healed(
        "active-garbled",
        "ACTIVE is overwritten with garbage",
        MENDED_MS,
        kernel::garbled,
    )
    .losing(Window::UntilHealed),
    Accident::healed(
        "node-overwritten",
        "NODE is overwritten with zeros",
        MENDED_MS,
        kernel::node,
    )
    .losing(Window::UntilHealed),
    Accident::healed(
        "programs-deleted",
        "PROGRAMS loses its entries",
        MENDED_MS,
        kernel::programs,
    )
    .losing(Window::UntilHealed),
    Accident::healed("link-detached", "bpftool link detach", MENDED_MS, kernel::detached).losing(Window::UntilHealed),
    Accident::healed(
        "xdp-off",
        "ip link set xdp off: the kernel refuses",
        MENDED_MS,
        kernel::xdp_off,
    ),
    Accident::healed(
        "pins-removed",
        "the pins of maps, links and programs are removed",
        MENDED_MS,
        kernel::pins,
    ),
    Accident::healed(
        "pin-directory-removed",
        "rm -rf of the pin directory",
        MENDED_MS,
        kernel::directory,
    ),
    Accident::healed(
        "pins-unmounted",
        "umount -l of the file system of the pins",
        MENDED_MS,
        kernel::unmounted,
    ),
    Accident::healed(
        "pins-covered",
        "another BPF file system is mounted over that of the pins",
        MENDED_MS,
        kernel::covered,
    ),
    Accident::healed(
        "pins-removed-and-killed",
        "rm -rf of the pin directory, kill -9 at once, start",
        RESTARTED_MS,
        kernel::directory_and_killed,
    )
    .losing(Window::UntilHealed),
    // The state.
    Accident::read_only("state-removed", "rm -rf of the state directory", disks::removed),
    Accident::read_only(
        "state-removed-and-restarted",
        "rm -rf of the state directory, kill -9, start",
        disks::removed_and_restarted,
    ),
    Accident::read_only("store-cut", "the store is cut to half, kill -9, start", disks::cut),
    Accident::read_only("store-emptied", "the store has 0 bytes, kill -9, start", disks::emptied),
    Accident::read_only(
        "store-flipped",
        "a byte in the middle of the store is another one, kill -9, start",
        disks::flipped,
    ),
    Accident::read_only(
        "store-of-another-host",
        "the machine id is another one, kill -9, start",
        disks::another_host,
    ),
    Accident::read_only(
        "older-backup",
        "the store of the generation before, kill -9, start",
        disks::older,
    )
    .moving(),
    Accident::read_only(
        "read-only-disk",
        "the disk of the state is read-only, kill -9, start",
        disks::protected,
    ),
    Accident::refused(
        "full-disk",
        "the disk of the state is full, and a change is applied",
        &["HF4001"],
        disks::full,
    ),
    // The daemon.
    Accident::healed("killed", "kill -9, start", RESTARTED_MS, processes::killed),
    Accident::healed(
        "killed-in-apply",
        "kill -9 at six moments of applies, start",
        RESTARTED_MS,
        processes::in_apply,
    )
    .moving(),
    Accident::healed(
        "killed-in-start",
        "kill -9 at six moments of starts, start",
        RESTARTED_MS,
        processes::in_start,
    ),
    Accident::healed(
        "killed-in-trial",
        "kill -9 while a generation is on trial, start: it is taken back",
        RESTARTED_MS,
        processes::in_trial,
    ),
    Accident::healed("hung", "SIGSTOP for two seconds", MENDED_MS, processes::hung),
    Accident::healed(
        "second-daemon",
        "a second daemon on the same state, pins and socket",
        MENDED_MS,
        processes::second,
    ),
    Accident::healed(
        "no-descriptors",
        "the daemon may open no file for two seconds",
        5_000,
        processes::no_descriptors,
    ),
    Accident::healed(
        "api-flood",
        "forty commands of one user at once; root's answer comes all the same",
        5_000,
        processes::flood,
    ),
    // What is around it.
    Accident::healed(
        "health-storm",
        "all checks of all backends are refused at once, for three seconds",
        15_000,
        surroundings::storm,
    ),
    Accident::healed(
        "checks-unanswered",
        "no answer to any check comes back, for three seconds",
        30_000,
        surroundings::unanswered,
    ),
    Accident::healed(
        "backend-restarted",
        "the service of a backend ends and starts",
        10_000,
        surroundings::restarted,
    )
    .losing(Window::NotOurs),
    Accident::healed(
        "interface-down",
        "the interface goes down and up",
        10_000,
        surroundings::down,
    )
    .losing(Window::NotOurs),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ACCIDENTS;

    #[test]
    fn accidents_have_names_of_their_own_that_can_be_typed() {
        let names: BTreeSet<&str> = ACCIDENTS.iter().map(|accident| accident.name).collect();
        assert_eq!(names.len(), ACCIDENTS.len());
        for name in names {
            let typed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(name.bytes().all(typed), "{name}");
        }
    }

    #[test]
    fn every_accident_is_in_the_guide() {
        let guide = include_str!("../../../../docs/drill.md");
        for accident in ACCIDENTS {
            assert!(guide.contains(&format!("`{}`", accident.name)), "{}", accident.name);
        }
    }
}
