//! Limits of what is written as text: depth and length of integers.

/// A value is written down to this depth. serde_json reads 128 levels and Python about 1,000; what a value is put into takes some.
pub(super) const MOST_DEPTH: usize = 100;
/// Python writes and reads decimal integers up to this number of digits (`sys.set_int_max_str_digits`): longer ones take a time that
/// grows with the square of their length.
pub const MOST_DIGITS: usize = 4300;
/// So many bytes have about as many digits.
pub(super) const MOST_LONG_BYTES: usize = 1785;
