//! What is said of a series of measurements: its least, its median and how far
//! its middle half spreads. A machine that switches between clock speeds has
//! no mean worth reporting.

use serde::Serialize;

/// A series, summed up. The unit is that of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub least: f64,
    pub median: f64,
    /// The quarter below which, and above which, a quarter of them lies.
    pub lower: f64,
    pub upper: f64,
}

impl Summary {
    /// `None`: there is nothing to sum up.
    pub fn of(measurements: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Self {
            least: *sorted.first()?,
            median: quantile(&sorted, 0.5),
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
        })
    }

    /// Of the differences between measurements of one round: two series, one
    /// of each for every round.
    pub fn of_differences(of: &[f64], from: &[f64]) -> Option<Self> {
        Self::of(of.iter().zip(from).map(|(of, from)| of - from))
    }
}

/// Between the two nearest of a sorted series, in proportion.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a place in a short series"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    let part = at - at.floor();
    sorted[below] + (sorted[above] - sorted[below]) * part
}

#[cfg(test)]
mod tests {
    use super::Summary;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn median_of_an_even_series_lies_between_its_middle_two() {
        let summary = Summary::of([40.0, 10.0, 30.0, 20.0]).expect("four of them");
        assert!(close(summary.median, 25.0), "{summary:?}");
        assert!(close(summary.least, 10.0), "{summary:?}");
        assert!(close(summary.lower, 17.5) && close(summary.upper, 32.5), "{summary:?}");
    }

    #[test]
    fn one_slow_round_moves_neither_median_nor_least() {
        let summary = Summary::of([50.0, 51.0, 52.0, 53.0, 9000.0]).expect("five of them");
        assert!(close(summary.median, 52.0), "{summary:?}");
        assert!(close(summary.least, 50.0), "{summary:?}");
    }

    #[test]
    fn differences_are_taken_within_a_round() {
        // The machine halves its speed in the second round: the medians of the
        // two series would be 15 apart, and every round says 10 or 20.
        let floor = [50.0, 100.0, 50.0];
        let program = [60.0, 120.0, 60.0];
        let summary = Summary::of_differences(&program, &floor).expect("three rounds");
        assert!(close(summary.median, 10.0), "{summary:?}");
        assert!(close(summary.upper, 15.0), "{summary:?}");
    }

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Summary::of([]), None);
        assert_eq!(Summary::of_differences(&[1.0], &[]), None);
    }
}
