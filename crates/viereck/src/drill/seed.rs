//! Every choice of the drill comes from one printed number, so that a run can be made again.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u64);

impl Seed {
    /// This one.
    pub(super) fn new(number: u64) -> Self {
        Self(number)
    }

    /// Any one, small enough to be typed.
    pub(super) fn random() -> Self {
        let mut octets = [0; 4];
        // without randomness a fixed seed is as good as any
        let _ = SystemRandom::new().fill(&mut octets);
        Self(u32::from_be_bytes(octets).into())
    }

    /// The number itself.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// Choice `part` about thing `thing`: the same for the same three, spread evenly (SplitMix64).
    pub(super) fn of(self, thing: u64, part: u64) -> u64 {
        let mut state = self
            .0
            .wrapping_add(thing.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_gets_the_same_answer_and_another_one_another() {
        let seed = Seed::new(3);
        assert_eq!(seed.of(1, 2), seed.of(1, 2));
        assert_ne!(seed.of(1, 2), seed.of(2, 1));
        assert_ne!(seed.of(1, 2), Seed::new(4).of(1, 2));
    }
}
