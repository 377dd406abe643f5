use super::*;

/// Upper critical values of χ² from tables: (degrees, statistic, p).
const CRITICAL: [(u32, f64, f64); 5] = [
    (1, 3.841_459, 0.05),
    (2, 13.815_51, 0.001),
    (3, 7.814_728, 0.05),
    (4, 18.466_83, 0.001),
    (10, 23.209_25, 0.01),
];

#[test]
fn p_values_agree_with_published_critical_values() {
    for (degrees, statistic, expected) in CRITICAL {
        let p = upper_gamma(f64::from(degrees) / 2.0, statistic / 2.0);
        assert!(
            (p / expected - 1.0).abs() < 1e-5,
            "{degrees} degrees of freedom, χ² {statistic}: p {p}, table {expected}"
        );
    }
}

#[test]
fn sample_that_follows_its_weights_holds() {
    let fit = fit(&[507, 489, 254, 750], &[100, 100, 50, 150]);
    assert!(fit.holds(), "{fit:?}");
}

#[test]
fn sample_skewed_by_a_quarter_is_rejected() {
    let fit = fit(&[625, 475, 450, 450], &[100, 100, 100, 100]);
    assert!(!fit.holds(), "{fit:?}");
}

#[test]
fn backend_that_nobody_reaches_is_rejected() {
    let fit = fit(&[700, 700, 600, 0], &[100, 100, 100, 100]);
    assert!(!fit.holds(), "{fit:?}");
}

#[test]
fn doubled_weight_that_is_ignored_is_rejected() {
    let fit = fit(&[500, 500, 500, 500], &[100, 100, 100, 200]);
    assert!(!fit.holds(), "{fit:?}");
}

/// Upper critical values of χ² for 100 degrees of freedom, from tables: the
/// statistic, and the deviation of a normal variable with that chance.
#[test]
fn deviations_agree_with_published_critical_values() {
    // Counts around 1,000,000; one pair is off by so many, the rest exact.
    for (off, chi_square, sigmas) in [(7885, 124.342, 1.645), (8644, 149.449, 3.090), (6242, 77.929, -1.645)] {
        let mut counts = [1_000_000; 101];
        (counts[0], counts[1]) = (1_000_000 + off, 1_000_000 - off);
        assert!((2.0 * f64::from(off).powi(2) / 1e6 - chi_square).abs() < 0.02);
        let got = deviation(&counts);
        assert!((got - sigmas).abs() < 0.02, "χ² {chi_square}: {got}, table {sigmas}");
    }
}
