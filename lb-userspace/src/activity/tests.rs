use std::time::{Duration, Instant};

use lb_common::{
    abi::counters::{Counter, FIRST_FREE},
    verdict::Verdict,
};
use proptest::prelude::*;

use super::{Activity, Live};
use crate::{
    config::limits::{MAX_BACKENDS, MAX_VIPS},
    part::Part,
    plan::samples::{content, hops},
    revision::Revision,
};

const SECOND: Duration = Duration::from_secs(1);

/// A VIP's counter, the first there is.
const FIRST: u16 = FIRST_FREE as u16;

/// Counters of the verdicts, all zero, and then these.
fn counters(packets: &[u64]) -> Vec<Counter> {
    let verdicts = std::iter::repeat_n(0, FIRST_FREE as usize);
    let all = verdicts.chain(packets.iter().copied());
    all.map(|packets| Counter { packets, bytes: 0 }).collect()
}

/// Looks once a second, `packets` more each time.
fn looked(activity: &mut Activity, from: Instant, seconds: u32, start: u64, packets: u64) -> Instant {
    for second in 0..seconds {
        activity.look(
            &counters(&[start + u64::from(second) * packets]),
            from + SECOND * second,
        );
    }
    from + SECOND * (seconds - 1)
}

#[test]
fn rates_are_packets_a_second_over_seconds_and_over_a_minute() {
    let mut activity = Activity::default();
    let now = looked(&mut activity, Instant::now(), 120, 0, 300);
    let live = activity.counter(FIRST);
    assert_eq!((live.pps_now, live.pps_minute), (300, 300));
    assert_eq!((live.quiet_for, live.known_for), (Some(Duration::ZERO), SECOND * 119));

    // Silence: soon nothing comes now, and a minute later nothing came.
    let sum = 119 * 300;
    let after = looked(&mut activity, now + SECOND, 16, sum, 0);
    let live = activity.counter(FIRST);
    assert_eq!((live.pps_now, live.quiet_for), (0, Some(SECOND * 16)));
    assert!((200..=240).contains(&live.pps_minute), "{live:?}");
    looked(&mut activity, after + SECOND, 60, sum, 0);
    let live = activity.counter(FIRST);
    assert_eq!((live.pps_minute, live.quiet_for), (0, Some(SECOND * 76)));
}

#[test]
fn one_packet_in_a_while_is_never_a_rate_of_zero() {
    let mut activity = Activity::default();
    let now = looked(&mut activity, Instant::now(), 30, 0, 0);
    activity.look(&counters(&[1]), now + SECOND);
    assert_eq!(activity.counter(FIRST).pps_now, 1);
    assert_eq!(activity.counter(FIRST).pps_minute, 1);
}

#[test]
fn start_takes_what_was_counted_before_it_for_live_and_zero_for_never() {
    let mut activity = Activity::default();
    assert_eq!(activity.counter(FIRST), Live::UNKNOWN);
    let start = Instant::now();
    activity.look(&counters(&[1_000_000, 0]), start);
    let (counted, zero) = (activity.counter(FIRST), activity.counter(FIRST + 1));
    assert_eq!((counted.quiet_for, counted.pps_now), (Some(Duration::ZERO), 0));
    assert_eq!(zero.quiet_for, None);
    assert!(!counted.is_quiet_for(SECOND) && zero.is_quiet_for(SECOND));
    activity.look(&counters(&[1_000_000, 0]), start + SECOND * 9);
    let live = activity.counter(FIRST);
    assert_eq!((live.quiet_for, live.known_for), (Some(SECOND * 9), SECOND * 9));
}

#[test]
fn counter_of_a_new_owner_has_nothing_of_the_old_one() {
    let mut activity = Activity::default();
    let now = looked(&mut activity, Instant::now(), 90, 0, 500);
    activity.forget(&[FIRST]);
    assert_eq!(activity.counter(FIRST), Live::UNKNOWN);
    // Before a second is over the new one has counted more than the old one.
    activity.look(&counters(&[100_000]), now + SECOND);
    let live = activity.counter(FIRST);
    assert_eq!((live.known_for, live.quiet_for), (Duration::ZERO, Some(Duration::ZERO)));
    activity.look(&counters(&[100_050]), now + SECOND * 2);
    assert_eq!(activity.counter(FIRST).pps_minute, 50);

    // Zeroed by somebody else: known anew, too.
    activity.look(&counters(&[7]), now + SECOND * 3);
    assert_eq!(activity.counter(FIRST).known_for, Duration::ZERO);
    activity.look(&counters(&[9]), now + SECOND * 4);
    assert_eq!(activity.counter(FIRST).pps_minute, 2);
}

#[test]
fn counters_come_and_go_at_the_end() {
    let mut activity = Activity::default();
    let now = looked(&mut activity, Instant::now(), 20, 0, 10);
    activity.look(&counters(&[]), now + SECOND);
    assert_eq!(activity.counter(FIRST), Live::UNKNOWN);
    activity.look(&counters(&[1_000_000, 3]), now + SECOND * 2);
    activity.look(&counters(&[1_000_006, 4]), now + SECOND * 4);
    assert_eq!(activity.counter(FIRST).pps_now, 3);
    assert_eq!(activity.counter(FIRST + 1).pps_now, 1);
}

#[test]
fn verdicts_are_forwarded_or_dropped_or_neither() {
    let mut activity = Activity::default();
    let start = Instant::now();
    let mut counted = counters(&[]);
    for second in 0..20 {
        activity.look(&counted, start + SECOND * second);
        for (verdict, packets) in [
            (Verdict::ForwardTx, 100),
            (Verdict::ForwardRedirect, 20),
            (Verdict::PassNotVip, 1000),
            (Verdict::DropNoBackend, 5),
            (Verdict::DropTtl, 2),
        ] {
            counted[verdict as usize].packets += packets;
        }
    }
    assert_eq!((activity.total_pps(), activity.drops_pps()), (120, 7));
    assert_eq!(activity.pps_of(Verdict::DropTtl), 2);
}

#[test]
fn objects_are_found_by_name_and_strangers_are_not_known() {
    let content = Part::new(content());
    let revision = Revision::next(None, &content, &hops(&content), 0).expect("few objects");
    let state = &revision.state;
    let highest = revision.counters().max().expect("counters");
    let of_vip = state.vip_counters["web4"];
    let of_member = state.pools["web"].members["be2"].counter;
    let mut activity = Activity::default();
    let start = Instant::now();
    for second in 0..20_u32 {
        let mut counted = vec![Counter::default(); usize::from(highest) + 1];
        counted[usize::from(of_vip)].packets = u64::from(second) * 40;
        counted[usize::from(of_member)].packets = u64::from(second) * 30;
        activity.look(&counted, start + SECOND * second);
    }
    let lives = activity.of(state);
    assert_eq!(lives.vip("web4").pps_now, 40);
    assert_eq!(lives.vip("old").quiet_for, None);
    assert_eq!(lives.backend("web", "be2").pps_now, 30);
    assert_eq!(lives.backend("web", "be1").quiet_for, None);
    for stranger in [
        lives.vip("web5"),
        lives.backend("web", "be9"),
        lives.backend("webs", "be1"),
    ] {
        assert_eq!(stranger, Live::UNKNOWN);
        assert!(!stranger.is_quiet_for(SECOND));
    }
}

#[test]
fn backend_that_serves_a_pool_that_falls_back_on_it_is_live() {
    let mut content = content();
    content.config.pools[0].fallback_pool = Some("web".to_owned());
    let content = Part::new(crate::plan::Content::new(
        content.config.clone(),
        content.overrides.clone(),
    ));
    let revision = Revision::next(None, &content, &hops(&content), 0).expect("few objects");
    let guest = revision.state.pools["dns"].members["web/be1"].counter;
    let highest = revision.counters().max().expect("counters");
    let mut activity = Activity::default();
    let start = Instant::now();
    let mut counted = vec![Counter::default(); usize::from(highest) + 1];
    activity.look(&counted, start);
    counted[usize::from(guest)].packets = 1;
    activity.look(&counted, start + SECOND);
    let lives = activity.of(&revision.state);
    assert_eq!(lives.backend("web", "be1").quiet_for, Some(Duration::ZERO));
    assert_eq!(lives.backend("web", "be2").quiet_for, None);
}

#[test]
fn largest_configuration_takes_six_megabytes_and_little_time() {
    let mut activity = Activity::default();
    let mut counted = counters(&vec![0; MAX_VIPS + MAX_BACKENDS]);
    let start = Instant::now();
    let looks = 130_u32;
    for second in 0..looks {
        for counter in &mut counted {
            counter.packets += 1000;
        }
        activity.look(&counted, start + SECOND * second);
    }
    assert!(activity.bytes() < 6_000_000, "{} bytes", activity.bytes());
    let begun = Instant::now();
    for second in looks..2 * looks {
        activity.look(&counted, start + SECOND * second);
    }
    let each = begun.elapsed() / looks;
    println!("{} bytes, {each:?} a look", activity.bytes());
    assert!(each < Duration::from_millis(50), "{each:?}");
}

proptest! {
    /// Against a record of every packet: never quieter, and never less known,
    /// than it was.
    #[test]
    fn quiet_is_never_more_than_the_time_since_the_last_packet(
        steps in prop::collection::vec((1_u64..3000, 0_u64..3, any::<bool>()), 1..80),
    ) {
        let start = Instant::now();
        let mut activity = Activity::default();
        let (mut now, mut packets, mut last, mut known) = (start, 0, None, None);
        for (milliseconds, more, given_away) in steps {
            now += Duration::from_millis(milliseconds);
            if given_away && more == 0 {
                activity.forget(&[FIRST]);
                (packets, last, known) = (0, None, None);
            }
            packets += more;
            activity.look(&counters(&[packets]), now);
            // The packet may have come at any time since the look before.
            if more > 0 {
                last = Some(now);
            }
            known = known.or(Some(now));
            let live = activity.counter(FIRST);
            let tick = super::TICK;
            prop_assert_eq!(live.quiet_for.is_none(), last.is_none());
            if let (Some(quiet), Some(last)) = (live.quiet_for, last) {
                prop_assert!(quiet <= now - last + tick, "{quiet:?}");
                prop_assert!(quiet + tick >= now - last);
            }
            let known_for = now - known.expect("just looked");
            prop_assert!(live.known_for <= known_for + tick && live.known_for + tick >= known_for);
        }
    }
}

#[test]
fn counter_that_somebody_cleared_is_not_quiet() {
    let mut activity = Activity::default();
    let now = looked(&mut activity, Instant::now(), 30, 0, 1);
    activity.look(&counters(&[0]), now + SECOND);
    let live = activity.counter(FIRST);
    assert_eq!(live.quiet_for, Some(Duration::ZERO));
    assert!(!live.is_quiet_for(SECOND));
    // It is, in time.
    activity.look(&counters(&[0]), now + SECOND * 3);
    assert!(activity.counter(FIRST).is_quiet_for(SECOND * 2));
}

#[test]
fn counters_that_were_made_anew_say_nothing_of_before() {
    let now = Instant::now();
    let mut activity = Activity::of_owners_before();
    activity.look(&counters(&[0]), now);
    assert_eq!(activity.counter(FIRST).quiet_for, Some(Duration::ZERO));
    // Of an owner that comes later all is known.
    activity.forget(&[FIRST]);
    activity.look(&counters(&[0]), now + SECOND);
    assert_eq!(activity.counter(FIRST).quiet_for, None);
}

#[test]
fn garbage_in_counters_is_counted_and_nothing_else() {
    let mut activity = Activity::default();
    let now = Instant::now();
    let ones: Vec<Counter> = (0..FIRST_FREE as usize + 4)
        .map(|_| Counter {
            packets: u64::MAX,
            bytes: u64::MAX,
        })
        .collect();
    activity.look(&counters(&[0, 0, 0, 0]), now);
    activity.look(&ones, now + SECOND * 20);
    assert_eq!(activity.total_pps(), activity.pps_of(Verdict::ForwardTx) * 2);
    assert!(activity.drops_pps() > 0);
    let most = activity.counter(FIRST).pps_now;
    assert!(most > 1 << 40);
    assert!(most.checked_mul(1 << 17).is_some(), "the sum over all counters");
}
