//! Text for people, as it is to be seen.

use crate::{
    api::{
        fake,
        model::{Mode, Status},
    },
    cli::{status, terminal::Look},
};

fn first_line(status: &Status) -> String {
    let text = status::text(status, Look::default());
    text.lines().next().expect("there is a first line").to_owned()
}

#[test]
fn status_shows_all_that_is_served() {
    let golden = "\
● SERVING generation 41 revision 43, verified, digest 7f3a9c0a1b2c
environment lab

INTERFACE   IFINDEX   MODE     PROG ID   PROBLEM
lb0              12   native        57   -

VIP    ADDRESS        PORT   PROTOCOL   POOL   STATE   PACKETS       BYTES
web4   203.0.113.10    443   tcp        web    ready    41,870   2,679,680

POOL   BACKEND   ADDRESS     WEIGHT   STATE   UP    HEALTH   PACKETS       BYTES
web    be1       10.0.1.11      100   ready   yes   -         41,870   2,679,680

VERDICT     PACKETS       BYTES
ForwardTx    41,870   2,679,680

PINNED    ID   PATH
program   57   /sys/fs/bpf/holdfast/prog/balancer
map       61   /sys/fs/bpf/holdfast/map/ACTIVE
map       60   /sys/fs/bpf/holdfast/map/CHUNKS";
    assert_eq!(status::text(&fake::status(), Look::default()), golden);
}

#[test]
fn wide_status_has_slots_next_hops_and_every_verdict() {
    let look = Look {
        color: false,
        wide: true,
    };
    let text = status::text(&fake::status(), look);
    for shown in ["SLOTS", "65,536", "02:00:00:00:00:11 via lb0", "DropTtl"] {
        assert!(text.contains(shown), "{shown} is not in\n{text}");
    }
}

#[test]
fn first_line_says_that_the_file_was_refused() {
    let status = Status {
        in_sync: false,
        out_of_sync: Some("config.yaml refused 4 s ago (HF2000, uid 1000)".into()),
        ..fake::status()
    };
    let line = "▲ OUT OF SYNC config.yaml refused 4 s ago (HF2000, uid 1000). Serving generation 41, verified.";
    assert_eq!(first_line(&status), line);
}

#[test]
fn read_only_comes_before_out_of_sync_and_claims_no_verification() {
    let status = Status {
        in_sync: false,
        out_of_sync: Some("the file has 2 VIPs more".into()),
        mode: Mode::ReadOnly,
        mode_reason: Some("the kernel serves revision 44, which nobody recorded.".into()),
        ..fake::status()
    };
    let line = "▲ READ-ONLY the kernel serves revision 44, which nobody recorded. Serving generation 41.";
    assert_eq!(first_line(&status), line);
    let text = status::text(&status, Look::default());
    assert!(
        text.lines()
            .nth(1)
            .is_some_and(|line| line == "▲ OUT OF SYNC the file has 2 VIPs more")
    );
}

#[test]
fn nothing_served_is_not_called_serving() {
    let status = Status {
        generation: 0,
        ..fake::status()
    };
    assert_eq!(first_line(&status), "▲ NOT SERVING. Nothing is served yet.");
}

#[test]
fn colors_change_nothing_but_the_look() {
    let look = Look {
        color: true,
        wide: false,
    };
    let colored = status::text(&fake::status(), look);
    assert!(colored.starts_with("\u{1b}[32m●"), "{colored}");
    let plain = anstream::adapter::strip_str(&colored).to_string();
    assert_eq!(plain, status::text(&fake::status(), Look::default()));
}
