//! Sequence numbers wrap: 16 bits, compared around the circle (spec 6.4).

const HALF: u16 = 0x8000;

/// Whether `a` is newer than `b`. Numbers exactly half the circle apart are neither.
pub(super) fn is_newer(a: u16, b: u16) -> bool {
    b.wrapping_sub(a) > HALF
}

/// Whether `a` is older than `b`.
pub(super) fn is_older(a: u16, b: u16) -> bool {
    a != b && b.wrapping_sub(a) < HALF
}

#[cfg(test)]
mod tests {
    use super::super::vectors;
    use super::*;

    #[test]
    fn sequence_numbers_compare_as_in_the_vectors() {
        let vectors = vectors();
        let cases = vectors["seqno_compare"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let number = |name: &str| u16::try_from(case[name].as_u64().unwrap()).unwrap();
            let (a, b) = (number("a"), number("b"));
            assert_eq!(is_older(a, b), case["a_lt_b"].as_bool().unwrap(), "{a} {b}");
            assert_eq!(is_newer(a, b), case["a_gt_b"].as_bool().unwrap(), "{a} {b}");
        }
    }
}
