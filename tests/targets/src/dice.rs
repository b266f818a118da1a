//! Chance that can be repeated: all of a test's choices follow from one number, which it prints.

/// SplitMix64: small, fast, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as this seed has it.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The seed of this run: the environment variable `VIERECK_SEED`, or a new one.
    ///
    /// # Panics
    /// When the variable is no number: chance would not repeat what was asked for.
    pub fn seed() -> u64 {
        match std::env::var("VIERECK_SEED") {
            Ok(text) => text.parse().expect("VIERECK_SEED is a number"),
            Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
        }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.any() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
