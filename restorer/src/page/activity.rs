//! A picture of what happened over time: a bar for each stretch, as high as there were changes in
//! it, in the colour of the worst change-set. Dragging over it chooses a stretch.

use backstock_proto::Timestamp;
use backstock_proto::journal::List;
use maud::{Markup, html};

use super::room::Room;
use super::shell;
use crate::change_set::{ChangeSet, Risk};

/// Bars.
const BARS: usize = 60;
/// The picture's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 120.0;
/// Where the bars stand.
const FLOOR: f64 = 98.0;
/// The least time that a picture of all of history shows, in microseconds.
const SPAN_MIN: i64 = 3_600_000_000;

/// From when to when; from the first change-set on, and until now, where nothing is said.
pub(super) type Stretch = (Option<Timestamp>, Option<Timestamp>);

#[derive(Clone, Copy)]
struct Bar {
    changes: u64,
    risk: Risk,
}

/// The part of what was asked for of which a page of change-sets, newest first, tells all: what stands on
/// other pages must not look as if nothing had happened. `later`: there are pages before it.
pub(super) fn stretch(list: &List<ChangeSet>, (from, to): Stretch, later: bool) -> Stretch {
    let oldest = list.items.last().filter(|_| list.next.is_some()).map(|set| set.to);
    let newest = list.items.first().filter(|_| later).map(|set| set.to);
    let newest = newest.map(|at| to.map_or(at, |to| at.min(to)));
    (oldest.or(from), newest.or(to))
}

/// Draws change-sets over a stretch of time.
pub(super) fn picture(room: &Room, sets: &[ChangeSet], (from, to): Stretch) -> Markup {
    let to = to.unwrap_or_else(|| room.clock.now());
    // Before the first of all nothing happened; before any other moment something may have.
    let from = match from {
        Some(from) => from.as_micros().min(to.as_micros()),
        None => {
            let first = sets.iter().map(|set| set.from).min().unwrap_or(to);
            first.as_micros().min(to.as_micros() - SPAN_MIN)
        }
    };
    let each = ((to.as_micros() - from) / BARS as i64).max(1);
    let mut bars = [Bar { changes: 0, risk: Risk::None }; BARS];
    for set in sets {
        let place =
            |at: Timestamp| (((at.as_micros() - from) / each).clamp(0, BARS as i64 - 1)) as usize;
        let (a, b) = (place(set.from), place(set.to));
        let share = (set.counts.changes / (b - a + 1) as u64).max(1);
        for bar in &mut bars[a..=b] {
            bar.changes += share;
            bar.risk = bar.risk.max(set.risk);
        }
    }
    let most = bars.iter().map(|bar| bar.changes).max().unwrap_or(0).max(1);
    let all: u64 = sets.iter().map(|set| set.counts.changes).sum();
    let width = WIDTH / BARS as f64;
    let said = format!(
        "{} in {} from {} to {}",
        shell::many(all, "change"),
        shell::many(sets.len() as u64, "change-set"),
        room.clock.short(Timestamp::from_micros(from)),
        room.clock.short(to)
    );
    html! {
        figure.activity {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(said) preserveAspectRatio="none"
                data-brush="" data-from=(from / 1_000) data-to=(to.as_micros() / 1_000) {
                line x1="0" x2=(WIDTH) y1=(FLOOR + 0.5) y2=(FLOOR + 0.5) class="floor" {}
                @for (n, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.changes > 0) {
                    // A tall bar does not hide that the others are there.
                    @let height = 6.0 + (FLOOR - 14.0) * (bar.changes as f64 / most as f64).sqrt();
                    rect.(class(bar.risk)) x=(format!("{:.1}", n as f64 * width + 1.5)) y=(format!("{:.1}", FLOOR - height))
                        width=(format!("{:.1}", width - 3.0)) height=(format!("{height:.1}")) rx="2" {
                        title { (shell::many(bar.changes, "change")) }
                    }
                }
                rect.brush x="0" y="0" width="0" height=(FLOOR) {}
            }
            figcaption.ticks aria-hidden="true" {
                @for n in 0..=4_i64 {
                    span { (room.clock.short(Timestamp::from_micros(from + (to.as_micros() - from) / 4 * n))) }
                }
            }
        }
    }
}

fn class(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}
