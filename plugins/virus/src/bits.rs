//! A set that answers "certainly not" or "perhaps" by one look at memory: a Bloom filter whose bits for a value are in one word.
//!
//! A message gets a fresh copy of the filter's memory, page by page as it is touched. What is looked up in vain, which is almost
//! everything, touches little here.

/// Values for each word: with three bits for each value, one of a hundred others is taken for one of them.
const VALUES: usize = 4;

/// The set.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    /// As many as a power of two; none before there are values.
    words: Vec<u64>,
}

impl Bits {
    /// The set of these values, each spread over its 64 bits.
    pub(crate) fn of(values: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut bits = Self { words: vec![0; values.len().div_ceil(VALUES).next_power_of_two()] };
        for value in values {
            let word = bits.word(value);
            bits.words[word] |= mask(value);
        }
        bits
    }

    /// False if the value is not in the set.
    pub(crate) fn may_have(&self, value: u64) -> bool {
        let mask = mask(value);
        self.words.get(self.word(value)).is_some_and(|word| word & mask == mask)
    }

    fn word(&self, value: u64) -> usize {
        (value >> 14) as usize & self.words.len().wrapping_sub(1)
    }
}

/// The bits of a value in its word: others than those that choose the word, as long as there are fewer than 2^32.
fn mask(value: u64) -> u64 {
    1 << (value >> 58) | 1 << (value >> 52 & 63) | 1 << (value >> 46 & 63)
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn what_is_in_the_set_is_found_and_hardly_anything_else() {
        let spread = |value: u64| value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for count in [0, 1, 2, 10, 1000, 100_000] {
            let bits = Bits::of((0..count).map(spread).collect::<Vec<_>>().into_iter());
            assert!((0..count).all(|value| bits.may_have(spread(value))), "{count}");
            let others = (1_000_000..1_100_000).filter(|&value| bits.may_have(spread(value))).count();
            assert!(others < 3000, "{others} of 100,000 taken for one of {count}");
        }
        assert!(!Bits::default().may_have(0));
    }
}
