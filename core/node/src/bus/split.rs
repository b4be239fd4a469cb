//! How a message is cut into chunks (spec 8.4).
//!
//! Even parts: an old receiver drops a last chunk under 250 bytes, and wants at least one chunk for
//! every 1300 bytes, so neither cutting off 1300 at a time nor rounding up will do.

use std::ops::Range;

/// Bytes of the largest chunk.
const CHUNK: usize = 1300;

/// Into how many chunks a message of that length goes; none for an empty one.
pub(super) fn count(length: usize) -> usize {
    length.div_ceil(CHUNK)
}

/// The bytes of chunk `index` of `count`.
pub(crate) fn range(length: usize, count: usize, index: usize) -> Range<usize> {
    let bound = |part: usize| {
        let product = part as u128 * length as u128;
        product.checked_div(count as u128).map_or(0, |bound| bound as usize)
    };
    bound(index)..bound(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules of an old receiver (spec 8.4), none of the way it is built.
    fn old_receiver_takes(length: usize) -> Result<(), String> {
        let count = count(length);
        let slots = length.div_ceil(1300);
        let largest_index = length.div_ceil(250).max(1) - 1;
        let mut filled = vec![None; slots];
        let mut next = 0;
        for index in 0..count {
            let range = range(length, count, index);
            let size = range.len();
            if range.start != next || size > 1300 || range.end > length {
                return Err(format!("chunk {index} of {length} is {range:?}"));
            }
            next = range.end;
            if index > largest_index || (size < 250 && index != largest_index) {
                return Err(format!("chunk {index} of {length} has {size} bytes"));
            }
            if index >= filled.len() {
                filled.resize(index + 1, None);
            }
            filled[index] = Some(size);
        }
        let sum: usize = filled.iter().flatten().sum();
        let whole = filled.len() == count && filled.iter().all(Option::is_some) && sum == length;
        if whole { Ok(()) } else { Err(format!("{length} bytes are not whole")) }
    }

    #[test]
    fn an_old_receiver_takes_every_small_length_and_the_known_hard_ones() {
        for length in (0..20_000).chain([1_366_549, 1_000_000, 16 << 20]) {
            old_receiver_takes(length).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn an_old_receiver_takes_every_length(length in 0usize..(16 << 20)) {
            prop_assert_eq!(old_receiver_takes(length), Ok(()));
        }
    }
}
