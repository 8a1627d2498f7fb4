//! Seeds of property tests: `PUSHFLOW_TEST_SEED` repeats the cases of a test that has failed.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngSeed};

/// The configuration of a property test with this number of cases. Its seed is printed, which a failing test shows.
pub(crate) fn property_test(cases: u32) -> Config {
    let chosen = std::env::var("PUSHFLOW_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let seed = chosen.unwrap_or_else(now);
    eprintln!("PUSHFLOW_TEST_SEED={seed} repeats these cases");
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() }
}
