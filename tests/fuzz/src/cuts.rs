//! Input that arrives in pieces.

/// Cuts octets as the first two of them say: they are the seed of the lengths, which are mostly short. Gives the rest of the
/// octets, and the pieces that it falls into.
///
/// The lengths follow from the seed alone, so that a fuzzer may change the octets and keep the cuts, or the other way round.
#[must_use]
pub(crate) fn cut(input: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let Some((seed, wire)) = input.split_at_checked(2) else { return (&[], Vec::new()) };
    (wire, pieces(u16::from_be_bytes([seed[0], seed[1]]), wire))
}

/// The pieces of `wire` for a seed; 0 leaves it in one.
#[must_use]
pub(crate) fn pieces(seed: u16, wire: &[u8]) -> Vec<&[u8]> {
    if seed == 0 {
        return vec![wire];
    }
    let (mut pieces, mut rest, mut state) = (Vec::new(), wire, u32::from(seed));
    while !rest.is_empty() {
        // A linear congruential generator; its high bits are the good ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let shortest = 1 << (state >> 29);
        let length = (shortest + (state >> 16) as usize % shortest) / 2;
        let (piece, others) = rest.split_at(length.clamp(1, rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_and_none_is_empty() {
        let wire: Vec<u8> = (0..=255).cycle().take(3000).collect();
        for seed in 0..2000 {
            let pieces = pieces(seed, &wire);
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            assert_eq!(pieces.concat(), wire);
            assert!(seed == 0 || pieces.len() > 20, "{seed}: {}", pieces.len());
        }
    }
}
