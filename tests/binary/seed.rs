//! Seeds of tests with random steps: `PUSHFLOW_TEST_SEED` repeats the steps of a test that has failed.

/// Random numbers from a seed (xorshift).
pub(crate) struct Random(u64);

impl Random {
    /// The seed is that of the environment, or else this one. It is printed, which a failing test shows.
    pub(crate) fn new(seed: u64) -> Self {
        let chosen = std::env::var("PUSHFLOW_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = chosen.unwrap_or(seed).max(1);
        eprintln!("PUSHFLOW_TEST_SEED={seed} repeats these steps");
        Random(seed)
    }

    /// The next number, less than `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
