use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend};

use super::{super::draw::draw, Key, Model, Order};
use crate::api::{fake, model::Status};

/// The fake's status after so many more packets for everything.
fn later(packets: u64) -> Status {
    let mut status = fake::status();
    for traffic in status.verdicts.values_mut() {
        traffic.packets += packets;
        traffic.bytes += packets * 100;
    }
    for vip in &mut status.vips {
        vip.traffic.packets += packets;
        vip.traffic.bytes += packets * 100;
    }
    for backend in status.pools.iter_mut().flat_map(|pool| &mut pool.backends) {
        backend.traffic.packets += packets;
        backend.traffic.bytes += packets * 100;
    }
    status
}

fn seen() -> Model {
    let mut model = Model::default();
    for (second, packets) in [(0, 0), (2, 3_000), (4, 9_000)] {
        model.learn(later(packets), Duration::from_secs(second));
    }
    model
}

fn screen(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
    terminal.draw(|frame| draw(model, false, frame)).expect("it is drawn");
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width));
    let text = lines.map(|cells| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    text.map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn rates_are_packets_over_the_time_between_looks() {
    let model = seen();
    let rates = model.rates().expect("two looks");
    let vip = rates.vips["web4"];
    assert!(
        (vip.packets - 3_000.0).abs() < 1e-6 && (vip.bits - 2_400_000.0).abs() < 1e-6,
        "{vip:?}"
    );
    assert_eq!(model.history("web/be1"), [1_500, 3_000]);
}

#[test]
fn screen_of_80_by_24_is_the_golden_one() {
    let drawn = screen(&seen(), 80, 24);
    assert_eq!(drawn, include_str!("golden.txt").trim_end_matches('\n'), "\n{drawn}");
}

#[test]
fn no_size_breaks_it() {
    for (width, height) in [(1, 1), (10, 3), (40, 10), (200, 60)] {
        assert!(!screen(&seen(), width, height).contains('\u{1b}'));
    }
}

#[test]
fn daemon_that_is_away_is_said_and_its_return_makes_no_wrong_rates() {
    let mut model = seen();
    model.lose("no daemon serves /run/x");
    assert!(screen(&model, 80, 24).starts_with("▲ DAEMON AWAY no daemon serves /run/x"));
    let before = model.rates().expect("of before").vips["web4"];
    // Long away: the first look is a new beginning.
    model.learn(later(1_000_000), Duration::from_secs(100));
    assert!(!model.is_away());
    assert_eq!(model.rates().expect("of before").vips["web4"], before);
    model.learn(later(1_000_010), Duration::from_secs(101));
    assert!((model.rates().expect("two looks").vips["web4"].packets - 10.0).abs() < 1e-6);
}

#[test]
fn keys_sort_filter_pause_and_quit() {
    let mut model = seen();
    assert!(!model.press(Key::Letter('s')));
    assert_eq!(model.order, Order::Name);
    for key in "/nothing like it".chars() {
        assert!(!model.press(Key::Letter(key)), "q is a letter of a filter");
    }
    assert!(!screen(&model, 80, 24).contains("be1"));
    model.press(Key::Escape);
    assert!(screen(&model, 80, 24).contains("be1"));
    model.press(Key::Letter('p'));
    model.learn(later(1_000_000), Duration::from_secs(5));
    assert!(
        (model.rates().expect("two looks").vips["web4"].packets - 3_000.0).abs() < 1e-6,
        "paused"
    );
    assert!(model.press(Key::Letter('q')));
    assert!(model.press(Key::Quit));
}
