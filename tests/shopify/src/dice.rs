//! Chance that repeats: everything random comes from the one seed of a run.

/// A stateless source of numbers: the same question has the same answer, in any order.
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a run.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5369_6d75_6c61_746f))
    }

    /// Dice for one concern, independent of those for others.
    #[must_use]
    pub fn of(self, concern: &str) -> Self {
        let named = concern.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mix(self.0 ^ named))
    }

    /// The `n`-th number.
    #[must_use]
    pub fn roll(self, n: u64) -> u64 {
        mix(self.0 ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The `n`-th number below `limit`.
    #[must_use]
    pub fn below(self, n: u64, limit: u64) -> u64 {
        self.roll(n) % limit.max(1)
    }

    /// Whether the `n`-th event of this probability happens.
    #[must_use]
    pub fn happens(self, n: u64, probability: f64) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let unit = (self.roll(n) >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// The `n`-th choice from a list.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    #[must_use]
    pub fn pick<T>(self, n: u64, from: &[T]) -> &T {
        let at = self.below(n, from.len() as u64);
        &from[usize::try_from(at).expect("below a length")]
    }

    /// A UUID, as Shopify uses for its delivery ids.
    #[must_use]
    pub fn uuid(self, n: u64) -> String {
        let (high, low) = (self.of("high").roll(n), self.of("low").roll(n));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0x0fff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}

/// Finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
