//! Conversions of numbers that lose something, each with what it does at the ends.

/// The whole part; 0 for what is negative or no number, the largest for what is larger.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
pub(crate) const fn whole(number: f64) -> u64 {
    number as u64
}

/// As [`whole`], for small numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is what is wanted")]
pub(crate) const fn small(number: f64) -> u32 {
    number as u32
}

/// With seven digits.
#[expect(clippy::cast_possible_truncation, reason = "digits past the seventh do not matter to what uses this")]
pub(crate) const fn single(number: f64) -> f32 {
    number as f32
}
