//! Padding: how many octets a length becomes, so that a ciphertext's length says little about its plaintext.
//!
//! Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019): all but
//! the leading bits of a length are rounded up, which costs at most 12 percent.

/// The padded length of a plaintext of `length` octets.
pub(crate) fn padded(length: usize) -> usize {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept_bits.min(exponent))) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::padded;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn padding_costs_at_most_twelve_percent_and_keeps_the_order(length in 0_usize..(1 << 40)) {
            let out = padded(length);
            prop_assert!(out >= length);
            prop_assert!((out - length) as f64 <= 0.12 * length as f64);
            prop_assert_eq!(padded(out), out);
            prop_assert!(padded(length + 1) >= out);
        }
    }

    #[test]
    fn known_lengths() {
        for (length, expected) in [
            (0, 0),
            (1, 1),
            (9, 10),
            (1_000, 1_024),
            (20_000, 20_480),
            (262_144, 262_144),
        ] {
            assert_eq!(padded(length), expected);
        }
    }
}
