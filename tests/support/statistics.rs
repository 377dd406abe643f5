//! Is a count of connections what the weights say, within chance?
//!
//! Pearson's χ² test of goodness of fit. A test that fires at a p-value under
//! [`FALSE_ALARM`] is wrong once in a million runs of a correct balancer.

/// Chance of rejecting a sample that does follow the weights.
pub const FALSE_ALARM: f64 = 1e-6;

/// How well counts fit weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Σ (observed − expected)² / expected.
    pub chi_square: f64,
    pub degrees_of_freedom: u32,
    /// Chance of a statistic at least this large, if the weights hold.
    pub p_value: f64,
}

impl Fit {
    /// Chance explains the difference.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.p_value >= FALSE_ALARM
    }
}

/// Tests counts against weights, both in the same order.
///
/// # Panics
/// If a weight is 0, or an expected count is under 5, where the χ²
/// approximation does not hold: take a larger sample.
#[must_use]
pub fn fit(observed: &[u64], weights: &[u32]) -> Fit {
    assert_eq!(observed.len(), weights.len(), "one weight for each count");
    let total: u64 = observed.iter().sum();
    let weight: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut chi_square = 0.0;
    for (&count, &share) in observed.iter().zip(weights) {
        let expected = exact(total) * f64::from(share) / exact(weight);
        assert!(
            expected >= 5.0,
            "{expected} connections expected: the sample is too small"
        );
        chi_square += (exact(count) - expected).powi(2) / expected;
    }
    let degrees_of_freedom = u32::try_from(observed.len() - 1).expect("few backends");
    Fit {
        chi_square,
        degrees_of_freedom,
        p_value: upper_gamma(f64::from(degrees_of_freedom) / 2.0, chi_square / 2.0),
    }
}

/// How far counts that should be alike are from what chance makes of them:
/// standard deviations of χ², positive if they differ too much, negative if
/// too little. Beyond ±6 chance is no explanation.
///
/// χ² of many degrees of freedom is as good as normal after Wilson and
/// Hilferty (1931).
///
/// # Panics
/// If fewer than five are expected of each, where χ² does not hold.
#[must_use]
pub fn deviation(observed: &[u32]) -> f64 {
    let total: u64 = observed.iter().map(|&count| u64::from(count)).sum();
    let expected = exact(total) / exact(observed.len() as u64);
    assert!(expected >= 5.0, "{expected} expected of each: the sample is too small");
    let chi_square: f64 = observed
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    let degrees = exact(observed.len() as u64 - 1);
    let variance = 2.0 / (9.0 * degrees);
    ((chi_square / degrees).cbrt() - (1.0 - variance)) / variance.sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "counts here stay far under 2^53")]
const fn exact(count: u64) -> f64 {
    count as f64
}

/// Terms of a series or steps of a fraction: far more than are needed for as
/// few degrees of freedom as there are backends.
const STEPS: u32 = 1000;
const TINY: f64 = 1e-300;

/// Regularized upper incomplete gamma function Q(a, x), by its series for
/// x < a + 1 and its continued fraction above: Numerical Recipes §6.2.
fn upper_gamma(shape: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 {
        1.0 - scale * lower_series(shape, x)
    } else {
        scale * upper_fraction(shape, x)
    }
}

fn lower_series(shape: f64, x: f64) -> f64 {
    let mut term = 1.0 / shape;
    let mut sum = term;
    for n in 1..STEPS {
        term *= x / (shape + f64::from(n));
        sum += term;
    }
    sum
}

/// Lentz's method, modified: neither numerator nor denominator becomes 0.
fn upper_fraction(shape: f64, x: f64) -> f64 {
    let mut partial = x + 1.0 - shape;
    let mut numerator = 1.0 / TINY;
    let mut denominator = 1.0 / partial;
    let mut fraction = denominator;
    for n in 1..STEPS {
        let n = f64::from(n);
        let step = n * (shape - n);
        partial += 2.0;
        denominator = 1.0 / non_zero(step * denominator + partial);
        numerator = non_zero(partial + step / numerator);
        fraction *= denominator * numerator;
    }
    fraction
}

fn non_zero(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

/// ln Γ(n/2) for the n/2 that degrees of freedom make, from Γ(1/2) = √π and
/// Γ(1) = 1 upwards.
fn ln_gamma(half_integer: f64) -> f64 {
    let mut at = half_integer;
    let mut sum = 0.0;
    while at > 1.0 {
        at -= 1.0;
        sum += at.ln();
    }
    if at < 1.0 {
        sum += std::f64::consts::PI.sqrt().ln();
    }
    sum
}

#[cfg(test)]
mod tests;
