use super::*;
use crate::{
    config::{Check, CheckVia, Damping, Initial, Milliseconds},
    part::Part,
    plan::{
        Content,
        samples::{content, hops},
    },
    revision::{Hops, Inputs},
};

fn checked(fall: u32) -> Health {
    Health {
        via: CheckVia::Tunnel,
        check: Check::Icmp {},
        interval: Milliseconds(1000),
        timeout: Milliseconds(1000),
        rise: 2,
        fall,
        initial: Initial::Down,
        slow_start: Milliseconds(0),
        floor: Percent::ZERO,
        velocity: None,
        damping: Damping::default(),
    }
}

/// A watch and what is published, as the daemon has them.
struct World {
    watch: Watch,
    revision: Revision,
    now: Moment,
    revisions: usize,
}

impl World {
    /// The sample's pool `web` is checked, and falls back on `dns`.
    fn new(fallback: bool) -> Self {
        let mut content = content();
        let web = content
            .config
            .pools
            .iter_mut()
            .find(|pool| pool.name == "web")
            .expect("web");
        web.health = Some(checked(2));
        web.fallback_pool = fallback.then(|| "dns".to_owned());
        let known = hops(&content);
        let content = Part::new(content);
        let revision = Revision::next(None, &content, &known, 0).expect("few objects");
        let mut world = Self {
            watch: Watch::default(),
            revision,
            now: Moment::default() + Duration::from_secs(1000),
            revisions: 0,
        };
        world.publish();
        world
    }

    /// All backends of `web` are checked once; `passed` says how it ended, and
    /// whether anything was heard.
    fn round(&mut self, ended: impl Fn(&str) -> (bool, bool)) {
        self.now += Duration::from_secs(1);
        let names: Vec<String> = self.backends();
        for backend in names {
            let (passed, heard) = ended(&backend);
            let seeing = Seeing {
                passed,
                heard,
                took: Duration::from_millis(1),
            };
            let id = id("web", &backend);
            self.watch
                .observe(&id, seeing, || "connection refused".to_owned(), self.now);
            self.now += Duration::from_millis(1);
        }
        self.publish();
    }

    fn backends(&self) -> Vec<String> {
        let pool = self.revision.config().pool("web").expect("web");
        pool.backends.iter().map(|backend| backend.name.clone()).collect()
    }

    fn publish(&mut self) {
        self.watch.follow(&self.revision, self.now);
        let standing = self.watch.standing(self.now);
        if self.revision.stands_otherwise(&standing).next().is_some() {
            let inputs = Inputs {
                hops: &Hops::new(),
                standing: &standing,
                now: 0,
            };
            let content = self.revision.state.content.clone();
            self.revision = Revision::following(Some(&self.revision), &content, &inputs).expect("few objects");
            self.revisions += 1;
        }
    }

    fn owners(&self) -> Vec<String> {
        let (_, tables) = self.revision.pool("web").expect("web");
        let owners = tables.current.counts().keys();
        let names = owners.filter_map(|owner| self.revision.member_name("web", *owner));
        names.map(str::to_owned).collect()
    }

    fn edit(&mut self, change: impl FnOnce(&mut Content)) {
        let mut content = Content::clone(&self.revision.state.content);
        change(&mut content);
        let known = hops(&content);
        self.revision = Revision::next(Some(&self.revision), &Part::new(content), &known, 0).expect("few objects");
        self.publish();
    }
}

const PASSED: (bool, bool) = (true, true);
const REFUSED: (bool, bool) = (false, true);
const SILENT: (bool, bool) = (false, false);

#[test]
fn backend_that_fails_loses_its_slots_alone_and_they_come_home() {
    let mut world = World::new(false);
    world.round(|_| PASSED);
    let before = world.revision.tables["web"].clone();
    let all = world.owners();
    for _ in 0..2 {
        world.round(|name| if name == "be1" { REFUSED } else { PASSED });
    }
    let after = &world.revision.tables["web"];
    let index = world.revision.state.pools["web"].members["be1"].index;
    let moved = before.current.moved(&after.current);
    assert_eq!(moved, before.current.counts()[&index], "others moved, too");
    // Its flows stay with it: it can be reached, and only its check says no.
    assert_eq!(after.dirty.len() as u32, moved);
    assert!(after.dirty.chains().values().all(|chain| chain.oldest() == index));
    assert_eq!(after.home, before.home);
    for _ in 0..2 {
        world.round(|_| PASSED);
    }
    assert_eq!(world.revision.tables["web"].current, before.current);
    assert_eq!(world.owners(), all);
}

#[test]
fn nobody_is_taken_out_when_nothing_is_heard_from_anybody() {
    let mut world = World::new(false);
    world.round(|_| PASSED);
    let before = world.revision.tables["web"].current.clone();
    for _ in 0..5 {
        world.round(|_| SILENT);
    }
    assert!(world.watch.is_suspected());
    assert_eq!(world.revision.tables["web"].current, before);
    assert_eq!(world.watch.reasons("web"), [Reason::Suspicion].into());
    // One is heard: the others really are down.
    for _ in 0..2 {
        world.round(|name| if name == "be1" { PASSED } else { SILENT });
    }
    assert!(!world.watch.is_suspected());
    assert_eq!(world.owners(), ["be1"]);
}

#[test]
fn all_that_refuse_are_a_panic_and_no_suspicion() {
    let mut world = World::new(false);
    world.round(|_| PASSED);
    let before = world.revision.tables["web"].current.clone();
    for _ in 0..3 {
        world.round(|_| REFUSED);
    }
    assert_eq!(world.watch.reasons("web"), [Reason::Panic].into());
    assert_eq!(world.revision.tables["web"].current, before);
}

#[test]
fn fallback_takes_all_slots_and_gives_them_back_with_nothing_forgotten() {
    let mut world = World::new(true);
    world.round(|_| PASSED);
    let before = world.revision.tables["web"].clone();
    for _ in 0..2 {
        world.round(|_| REFUSED);
    }
    assert!(
        world.owners().iter().all(|name| name.starts_with("dns/")),
        "{:?}",
        world.owners()
    );
    assert_eq!(world.watch.reasons("web"), [Reason::Fallback].into());
    let there = &world.revision.tables["web"];
    assert_eq!(
        there.dirty.len(),
        lb_common::abi::table::SLOTS,
        "flows of the pool's own are kept"
    );
    for _ in 0..2 {
        world.round(|_| PASSED);
    }
    assert_eq!(world.revision.tables["web"].current, before.current);
    // Flows that began there stay there until they end, also when the pool falls
    // back no more.
    world.edit(|content| {
        let web = content
            .config
            .pools
            .iter_mut()
            .find(|pool| pool.name == "web")
            .expect("web");
        web.fallback_pool = None;
    });
    let members = &world.revision.state.pools["web"].members;
    let leaving: Vec<&String> = members
        .iter()
        .filter(|(_, member)| member.leaving.is_some())
        .map(|(name, _)| name)
        .collect();
    assert!(
        !leaving.is_empty() && leaving.iter().all(|name| name.starts_with("dns/")),
        "{leaving:?}"
    );
}

#[test]
fn what_is_published_is_where_a_restarted_daemon_begins() {
    let mut world = World::new(false);
    world.round(|_| PASSED);
    for _ in 0..2 {
        world.round(|name| if name == "be1" { REFUSED } else { PASSED });
    }
    let json = serde_json::to_string(&*world.revision.state.pools["web"]).expect("JSON");
    let read: crate::revision::PoolState = serde_json::from_str(&json).expect("the same");
    assert_eq!(read, *world.revision.state.pools["web"]);
    let before = world.revisions;
    world.watch = Watch::default();
    world.publish();
    world.round(|_| PASSED);
    assert!(!world.owners().contains(&"be1".to_owned()), "up after one check");
    world.round(|_| PASSED);
    assert!(world.owners().contains(&"be1".to_owned()));
    assert_eq!(world.revisions, before + 1);
}

impl World {
    /// The daemon is killed, and the next one reads what is published.
    fn restart(&mut self) {
        let pools = self.revision.state.pools.values_mut();
        for pool in pools {
            let read: crate::revision::PoolState = serde_json::from_str(&pool.json().text).expect("the same");
            *pool = Part::new(read);
        }
        self.watch = Watch::default();
        self.publish();
    }
}

#[test]
fn velocity_holds_over_a_restart_and_writes_nothing_more() {
    let mut world = World::new(false);
    world.edit(|content| {
        let web = content.config.pools.iter_mut().find(|pool| pool.name == "web");
        let health = web.and_then(|pool| pool.health.as_mut()).expect("it is checked");
        health.velocity = Some(crate::config::Velocity {
            percent: 1,
            count: 1,
            window: Milliseconds(20_000),
        });
    });
    world.round(|_| PASSED);
    let one = |name: &str| if name == "be1" { REFUSED } else { PASSED };
    let two = |name: &str| if matches!(name, "be1" | "be2") { REFUSED } else { PASSED };
    world.round(one);
    world.round(one);
    let taken = world.now;
    assert!(!world.owners().contains(&"be1".to_owned()));
    let mut untouched = world.revisions;
    world.restart();
    assert_eq!(world.revisions, untouched, "a restart makes no revision");
    world.round(two);
    world.round(two);
    untouched += 1;
    assert_eq!(world.revisions, untouched, "be2 is known to be down");
    assert_eq!(world.watch.reasons("web"), [Reason::Velocity].into());
    world.restart();
    let mut last = world.now;
    while world.owners().contains(&"be2".to_owned()) {
        assert_eq!(world.revisions, untouched, "looking wrote something");
        last = world.now;
        world.round(two);
        world.restart();
        assert!(world.now < taken + Duration::from_secs(40), "it never goes");
    }
    let waited = world.now.saturating_duration_since(taken);
    assert!(waited >= Duration::from_millis(19_900), "{waited:?}");
    assert!(last < taken + Duration::from_secs(20), "later than the window's end");
    assert!(world.watch.reasons("web").is_empty());
}

#[test]
fn backend_that_is_held_down_stays_so_over_a_restart_for_as_long_as_without() {
    let mut world = World::new(false);
    world.edit(|content| {
        let web = content.config.pools.iter_mut().find(|pool| pool.name == "web");
        let health = web.and_then(|pool| pool.health.as_mut()).expect("it is checked");
        (health.rise, health.fall) = (1, 1);
        health.damping = Damping {
            suppress: 3000,
            reuse: 1000,
            half_life: Milliseconds(20_000),
        };
    });
    world.round(|_| PASSED);
    for nth in 0..8 {
        world.round(|name| if name == "be1" && nth % 2 == 0 { REFUSED } else { PASSED });
        world.restart();
    }
    let report = world.watch.backend("web", "be1", world.now).expect("it is checked");
    assert_eq!((report.condition, report.held), (Condition::Up, true));
    let due = world.watch.due().expect("it is released some time");
    world.restart();
    assert_eq!(world.watch.due(), Some(due));
    let revisions = world.revisions;
    while world.now + Duration::from_secs(2) < due {
        world.round(|_| PASSED);
        assert!(!world.owners().contains(&"be1".to_owned()));
    }
    assert_eq!(world.revisions, revisions, "a penalty that decays wrote something");
    world.now = due;
    assert_eq!(world.watch.tick(due).len(), 1);
    world.publish();
    assert!(world.owners().contains(&"be1".to_owned()));
}

#[test]
fn health_as_it_was_written_before_it_remembered_anything_is_read() {
    let read: MemberHealth = serde_json::from_str(r#"{"condition":"down","share":"0%"}"#).expect("as it was");
    assert_eq!((read.flaps, read.taken, read.down_since), (None, None, None));
    let written = serde_json::to_string(&read).expect("JSON");
    assert_eq!(written, r#"{"condition":"down","share":"0%"}"#);
}

#[test]
fn backend_that_joins_waits_for_its_checks_and_another_check_serves_at_once() {
    let mut world = World::new(false);
    world.round(|_| PASSED);
    let pool = |content: &mut Content| {
        content
            .config
            .pools
            .iter()
            .position(|pool| pool.name == "web")
            .expect("web")
    };
    world.edit(|content| {
        let at = pool(content);
        content.config.pools[at].backends[0].address = [10, 0, 9, 9].into();
    });
    assert!(
        !world.owners().contains(&"be1".to_owned()),
        "another host serves unseen"
    );
    for _ in 0..2 {
        world.round(|_| PASSED);
    }
    assert!(world.owners().contains(&"be1".to_owned()));
    let all = world.owners();
    world.edit(|content| {
        let at = pool(content);
        content.config.pools[at].health = Some(Health {
            check: Check::Tcp { port: 1 },
            ..checked(2)
        });
    });
    assert_eq!(world.owners(), all);
    // The first check decides alone.
    world.round(|name| if name == "be1" { REFUSED } else { PASSED });
    assert!(!world.owners().contains(&"be1".to_owned()));
}

#[test]
fn a_revision_that_health_says_nothing_in_is_written_as_it_always_was() {
    let content = Part::new(content());
    let revision = Revision::next(None, &content, &hops(&content), 0).expect("few objects");
    let json = revision.state.pools["web"].json().text.clone();
    assert!(!json.contains("health") && !json.contains("guest"), "{json}");
}
