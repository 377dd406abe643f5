use super::*;
use crate::plan::samples::content;

fn now() -> Timestamp {
    "2026-01-02T03:04:05.6Z".parse().expect("a time")
}

fn object(name: &str) -> ObjectName {
    name.parse().expect("an object")
}

fn wish(content: &Content, name: &str, wish: BackendWish) -> Content {
    let overrides = Overrides::wished(content, &object(name), wish, now()).expect("it can be");
    Content::new(content.config.clone(), overrides)
}

fn be2(content: &Content) -> (BackendState, u32) {
    let pool = content.in_force().pool("web").expect("a pool");
    let backend = pool.backend("be2").expect("a backend");
    (backend.state, backend.weight)
}

const DRAIN: BackendWish = BackendWish::Drain { deadline: None };

#[test]
fn what_is_in_force_is_the_file_with_the_overrides_in_it() {
    let base = content();
    assert!(
        std::ptr::eq(base.in_force(), &raw const base.config),
        "a copy without need"
    );
    let drained = wish(&base, "backend/web/be2", DRAIN);
    let light = wish(&drained, "backend/web/be2", BackendWish::Weight { weight: 5 });
    assert_eq!(be2(&light), (BackendState::Drain, 5));
    assert_eq!(light.config, base.config);
    let mut others = light.in_force().clone();
    others.pools[1].backends[1] = base.config.pools[1].backends[1].clone();
    assert_eq!(others, base.config, "something else changed, too");
}

#[test]
fn a_clone_that_is_changed_does_not_remember_what_was_in_force() {
    let drained = wish(&content(), "backend/web/be2", DRAIN);
    assert_eq!(be2(&drained).0, BackendState::Drain);
    let mut clone = drained.clone();
    clone.config.pools[1].backends[1].weight = 7;
    assert_eq!((be2(&clone), be2(&drained).1), ((BackendState::Drain, 7), 100));
}

#[test]
fn wishing_what_the_file_says_leaves_no_override() {
    let base = content();
    let drained = wish(&base, "backend/web/be2", DRAIN);
    assert_ne!(drained.digest(), base.digest());
    for back in [BackendWish::Ready, BackendWish::Reset] {
        assert_eq!(wish(&drained, "backend/web/be2", back), base);
    }
    let light = wish(&base, "backend/web/be2", BackendWish::Weight { weight: 5 });
    assert_eq!(
        wish(&light, "backend/web/be2", BackendWish::Weight { weight: 100 }),
        base
    );
    assert_eq!(
        be2(&wish(&light, "backend/web/be2", BackendWish::Ready)),
        (BackendState::Ready, 5)
    );
}

#[test]
fn ready_by_command_holds_against_a_file_that_says_drain() {
    let mut file = content();
    file.config.pools[1].backends[1].state = BackendState::Drain;
    let ready = wish(&file, "backend/web/be2", BackendWish::Ready);
    assert_eq!(be2(&ready).0, BackendState::Ready);
}

#[test]
fn deadline_is_a_time_in_whole_seconds_and_ends_with_the_drain() {
    let deadline = Some(Seconds(90));
    let drained = wish(&content(), "backend/web/be2", BackendWish::Drain { deadline });
    let until = drained.overrides.backend("web", "be2").and_then(|of| of.until);
    assert_eq!(
        until.map(|until| until.to_string()).as_deref(),
        Some("2026-01-02T03:05:36Z")
    );
    assert_eq!(wish(&drained, "backend/web/be2", BackendWish::Ready), content());
    let longer = wish(&drained, "backend/web/be2", DRAIN);
    assert_eq!(longer.overrides.backend("web", "be2").and_then(|of| of.until), None);
}

#[test]
fn what_cannot_be_is_refused_with_the_limit() {
    let refused =
        |name: &str, wish| Overrides::wished(&content(), &object(name), wish, now()).expect_err("it cannot be");
    let unknown = refused("backend/web/be9", DRAIN).to_string();
    assert_eq!(unknown, "there is no backend web/be9; there are be1, be2, be5");
    assert_eq!(
        refused("backend/nope/be9", DRAIN).to_string(),
        "there is no backend nope/be9: there is no such pool"
    );
    assert!(matches!(refused("pool/web", DRAIN), WishError::NotABackend(_)));
    let heavy = refused("backend/web/be2", BackendWish::Weight { weight: 65_536 });
    assert_eq!(heavy.to_string(), "weight 65536 is above the limit of 65535");
    let deadline = Some(Seconds(3601));
    let long = refused("backend/web/be2", BackendWish::Drain { deadline }).to_string();
    assert!(long.contains("3601s") && long.contains("1h"), "{long}");
}

#[test]
fn overrides_go_with_their_objects_and_with_nothing_else() {
    let both = wish(&wish(&content(), "backend/web/be2", DRAIN), "backend/dns/d1", DRAIN);
    let mut config = both.config.clone();
    assert_eq!(both.overrides.clone().within(&config), both.overrides);
    config.pools[1].backends.remove(1);
    let kept = both.overrides.within(&config);
    assert!(kept.backend("web", "be2").is_none() && kept.backend("dns", "d1").is_some());
}

#[test]
fn content_without_overrides_is_written_as_it_always_was() {
    let text = crate::digest::canonical_json(&content());
    assert!(text.ends_with(r#""overrides":{}}"#), "{text}");
    let drained = wish(&content(), "backend/web/be2", DRAIN);
    let text = crate::digest::canonical_json(&drained);
    assert!(
        text.ends_with(r#""overrides":{"backends":{"backend/web/be2":{"state":"drain"}}}}"#),
        "{text}"
    );
    let read: Content = serde_json::from_str(&text).expect("it is read back");
    assert_eq!((be2(&read), read.digest()), (be2(&drained), drained.digest()));
}
