//! Seeded randomness: a failure names the seed that repeats it.

/// Set to one seed to repeat a failure, or to `from..to` to look further than a test does.
pub const SEED_VARIABLE: &str = "REPLINK_TEST_SEED";

/// Splitmix64: small, fast and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over all of `u64`.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        let scaled = (u128::from(self.number()) * limit as u128) >> 64;
        usize::try_from(scaled).unwrap()
    }

    /// One of `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// That many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// An array of them.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }
}

/// Runs `test` with the seeds `0..count`, or with those of [`SEED_VARIABLE`]. Says which one it
/// was when it fails.
pub fn for_each_seed(count: u64, mut test: impl FnMut(&mut Random)) {
    let range = match std::env::var(SEED_VARIABLE) {
        Ok(given) => parse(&given),
        Err(_) => 0..count,
    };
    for seed in range {
        let _name = NameOnPanic(seed);
        test(&mut Random::new(seed));
    }
}

fn parse(text: &str) -> std::ops::Range<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    text.split_once("..")
        .map_or_else(|| number(text)..number(text) + 1, |(from, to)| number(from)..number(to))
}

struct NameOnPanic(u64);

impl Drop for NameOnPanic {
    #[expect(clippy::print_stderr, reason = "this is for whoever reads the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {0}; repeat with {SEED_VARIABLE}={0}", self.0);
        }
    }
}
