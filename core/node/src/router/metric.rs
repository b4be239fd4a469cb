//! Route metrics: milliseconds of smoothed round trip, added up along the way (spec 6.5).

/// The metric of a retracted route.
pub(super) const INFINITE: u16 = u16::MAX;

/// Infinity stays infinite; every other sum stays below it.
pub(super) fn add(a: u16, b: u16) -> u16 {
    if a == INFINITE || b == INFINITE { INFINITE } else { a.saturating_add(b).min(INFINITE - 1) }
}

/// Floors at 0; infinity less something finite is infinite.
pub(super) fn subtract(a: u16, b: u16) -> u16 {
    if a == INFINITE { INFINITE } else { a.saturating_sub(b) }
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn metrics_add_as_in_the_vectors() {
        let vectors = vectors();
        let cases = vectors["metric_add"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let number = |name: &str| u16::try_from(case[name].as_u64().unwrap()).unwrap();
            assert_eq!(add(number("a"), number("b")), number("sum"), "{case}");
        }
    }

    #[test]
    fn subtraction_floors_at_zero_and_keeps_infinity() {
        assert_eq!(subtract(5, 10), 0);
        assert_eq!(subtract(25, 10), 15);
        assert_eq!(subtract(INFINITE, 10), INFINITE);
    }
}
