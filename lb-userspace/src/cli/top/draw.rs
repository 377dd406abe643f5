//! A [`Model`] on a screen. Pure: the same model and size, the same cells.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Cell, Paragraph, Row, Table},
};

use super::model::{Model, Order, Rate, Rates};
use crate::{
    api::model::{BackendStatus, Status},
    config::{VipState, XdpMode},
};

/// Columns of a sparkline.
const SPARK: usize = 12;
/// Rows of the verdicts at most.
const VERDICTS: u16 = 6;

pub fn draw(model: &Model, color: bool, frame: &mut Frame<'_>) {
    let none = Rates::default();
    let rates = model.rates().unwrap_or(&none);
    let [head, vips, backends, verdicts, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(2 + model.status().map_or(0, |status| status.vips.len().min(8) as u16)),
        Constraint::Min(3),
        Constraint::Length(1 + VERDICTS),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(model, rates, color, frame, head);
    if let Some(status) = model.status() {
        draw_vips(status, rates, frame, vips);
        draw_backends(model, status, rates, color, frame, backends);
        draw_verdicts(rates, color, frame, verdicts);
    }
    draw_foot(model, frame, foot);
}

const fn tinted(color: bool, tint: Color) -> Style {
    if color { Style::new().fg(tint) } else { Style::new() }
}

const fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn draw_head(model: &Model, rates: &Rates, color: bool, frame: &mut Frame<'_>, area: Rect) {
    let headline = super::plain(&model.headline());
    let tint = if headline.starts_with('●') {
        Color::Green
    } else {
        Color::Red
    };
    let forwarded = rates.forwarded();
    let line = format!(
        "forwarded {} pps  {} bps   dropped {} pps   {}",
        scaled(forwarded.packets),
        scaled(forwarded.bits),
        scaled(rates.dropped()),
        model.status().map_or(String::new(), interfaces),
    );
    let lines = vec![
        Line::styled(headline, tinted(color, tint).add_modifier(Modifier::BOLD)),
        Line::raw(line),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

fn interfaces(status: &Status) -> String {
    let interfaces = status.interfaces.iter().map(|interface| {
        let mode = interface.mode.map_or("NOT ATTACHED", XdpMode::name);
        format!("{} {mode}", interface.name)
    });
    interfaces.collect::<Vec<_>>().join(", ")
}

fn draw_vips(status: &Status, rates: &Rates, frame: &mut Frame<'_>, area: Rect) {
    let rows = status.vips.iter().map(|vip| {
        let rate = rates.vips.get(&vip.name).copied().unwrap_or_default();
        Row::new([
            Cell::new(vip.name.clone()),
            Cell::new(format!(
                "{}/{}",
                std::net::SocketAddr::new(vip.address, vip.port),
                vip.protocol
            )),
            Cell::new(match vip.state {
                VipState::Ready => vip.pool.clone(),
                VipState::Maint => vip.state.to_string(),
            }),
            right(scaled(rate.packets)),
            right(scaled(rate.bits)),
        ])
    });
    let widths = [
        Constraint::Length(14),
        Constraint::Min(24),
        Constraint::Length(12),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let header = Row::new([
        Cell::new("VIP"),
        Cell::new("ADDRESS"),
        Cell::new("POOL"),
        right("PPS".to_owned()),
        right("BPS".to_owned()),
    ]);
    frame.render_widget(Table::new(rows, widths).header(header.style(heading())), area);
}

fn right(text: String) -> Cell<'static> {
    Cell::new(Line::raw(text).right_aligned())
}

/// A backend, with what it is ordered by.
struct Shown<'a> {
    name: String,
    backend: &'a BackendStatus,
    rate: Rate,
    /// Of its pool's packets.
    share: f64,
}

fn shown<'a>(model: &Model, status: &'a Status, rates: &Rates) -> Vec<Shown<'a>> {
    let mut shown = Vec::new();
    for pool in &status.pools {
        let of = |backend: &BackendStatus| {
            let name = format!("{}/{}", pool.name, backend.name);
            rates.backends.get(&name).copied().unwrap_or_default()
        };
        let total: f64 = pool.backends.iter().map(|backend| of(backend).packets).sum();
        shown.extend(pool.backends.iter().map(|backend| Shown {
            name: format!("{}/{}", pool.name, backend.name),
            backend,
            rate: of(backend),
            share: if total > 0.0 { of(backend).packets / total } else { 0.0 },
        }));
    }
    shown.retain(|shown| shown.name.contains(&model.filter));
    shown.sort_by(|a, b| match model.order {
        Order::Traffic => b
            .rate
            .packets
            .total_cmp(&a.rate.packets)
            .then_with(|| a.name.cmp(&b.name)),
        Order::Name => a.name.cmp(&b.name),
        Order::Slots => b.backend.slots.cmp(&a.backend.slots).then_with(|| a.name.cmp(&b.name)),
    });
    shown
}

fn draw_backends(model: &Model, status: &Status, rates: &Rates, color: bool, frame: &mut Frame<'_>, area: Rect) {
    let shown = shown(model, status, rates);
    let room = usize::from(area.height.saturating_sub(1));
    let first = model.scroll.min(shown.len().saturating_sub(room));
    let rows = shown.iter().skip(first).take(room).map(|shown| {
        let backend = shown.backend;
        let style = if backend.up {
            Style::new()
        } else {
            tinted(color, Color::Red)
        };
        Row::new([
            Cell::new(shown.name.clone()),
            Cell::new(backend.state.to_string()),
            Cell::new(if backend.up { "up" } else { "DOWN" }),
            right(backend.weight.to_string()),
            right(backend.slots.to_string()),
            right(scaled(shown.rate.packets)),
            right(scaled(shown.rate.bits)),
            right(format!("{:.0}%", shown.share * 100.0)),
            Cell::new(spark(&model.history(&shown.name))),
        ])
        .style(style)
    });
    let widths = [
        Constraint::Min(14),
        Constraint::Length(5),
        Constraint::Length(4),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Length(SPARK as u16),
    ];
    let header = Row::new([
        Cell::new("BACKEND"),
        Cell::new("STATE"),
        Cell::new("UP"),
        right("WEIGHT".to_owned()),
        right("SLOTS".to_owned()),
        right("PPS".to_owned()),
        right("BPS".to_owned()),
        right("SHARE".to_owned()),
        Cell::new("PPS BEFORE"),
    ]);
    frame.render_widget(Table::new(rows, widths).header(header.style(heading())), area);
}

/// Verdicts with traffic: drops first, then by packets.
fn draw_verdicts(rates: &Rates, color: bool, frame: &mut Frame<'_>, area: Rect) {
    let mut verdicts: Vec<_> = rates.verdicts.iter().filter(|(_, rate)| rate.packets > 0.0).collect();
    verdicts.sort_by(|(a, x), (b, y)| {
        let drops = b.starts_with("Drop").cmp(&a.starts_with("Drop"));
        drops.then_with(|| y.packets.total_cmp(&x.packets))
    });
    let rows = verdicts.into_iter().take(usize::from(VERDICTS)).map(|(name, rate)| {
        let style = if name.starts_with("Drop") {
            tinted(color, Color::Red)
        } else {
            Style::new()
        };
        Row::new([
            Cell::new(name.clone()),
            right(scaled(rate.packets)),
            right(scaled(rate.bits)),
        ])
        .style(style)
    });
    let widths = [Constraint::Length(24), Constraint::Length(8), Constraint::Length(8)];
    let header = Row::new([Cell::new("VERDICT"), right("PPS".to_owned()), right("BPS".to_owned())]);
    frame.render_widget(Table::new(rows, widths).header(header.style(heading())), area);
}

fn draw_foot(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let mut text = format!("q quit  ↑↓ scroll  s sort: {}  / filter", model.order.name());
    if model.typing || !model.filter.is_empty() {
        text.push_str(": ");
        text.push_str(&super::plain(&model.filter));
        if model.typing {
            text.push('▏');
        }
    }
    text.push_str(if model.paused { "  p PAUSED" } else { "  p pause" });
    frame.render_widget(Paragraph::new(text), area);
}

/// `41.9k`: four characters and a half.
fn scaled(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let unit = UNITS.into_iter().find(|(unit, _)| number >= *unit);
    match unit {
        Some((unit, letter)) if number >= unit * 100.0 => format!("{:.0}{letter}", number / unit),
        Some((unit, letter)) => format!("{:.1}{letter}", number / unit),
        None => format!("{number:.0}"),
    }
}

/// The last looks, scaled to their highest.
fn spark(history: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = &history[history.len().saturating_sub(SPARK)..];
    let highest = last.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| BARS[(value * (BARS.len() as u64 - 1) / highest) as usize];
    last.iter().map(bar).collect()
}
