//! Quantities as the config writes them: `250ms`, `64KiB`, `50/s`, `20%`.
//!
//! Every parser takes the whole string, refuses what it does not know with the forms it would have taken, and
//! never rounds silently.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a quantity could not be read. Its `Display` says which forms are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a duration.
    #[error("expected a duration such as `250ms`, `10s`, `5m`, `1h` or `1d`")]
    Duration,
    /// Not a size.
    #[error("expected a size such as `512B`, `64KiB`, `10MiB` or `1GiB`")]
    Size,
    /// Not a rate.
    #[error("expected a rate such as `50/s`, `100/m` or `1000000/month`")]
    Rate,
    /// Not a percentage between 0 and 100.
    #[error("expected a percentage from `0%` to `100%`, such as `2.5%`")]
    Percent,
    /// A value too large to hold.
    #[error("the value is too large")]
    TooLarge,
}

/// Splits `"250ms"` into `("250", "ms")`; the number may have a fraction.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text.split_at(end)
}

/// A decimal number as a whole and billionths, exactly: `"1.5"` is `(1, 500_000_000)`.
fn decimal(text: &str) -> Option<(u64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut billionths: u32 = fraction.parse().ok()?;
    for _ in fraction.len()..9 {
        billionths *= 10;
    }
    Some((whole.parse().ok()?, billionths))
}

/// Multiplies a decimal by a unit, exactly; `None` when it overflows.
fn scaled((whole, billionths): (u64, u32), unit: u64) -> Option<u64> {
    let fraction = u128::from(billionths) * u128::from(unit) / 1_000_000_000;
    let total = u128::from(whole).checked_mul(u128::from(unit))?.checked_add(fraction)?;
    u64::try_from(total).ok()
}

/// Reads `250us`, `250ms`, `1.5s`, `5m`, `1h` or `1d`; `0` alone is zero.
///
/// # Errors
/// [`QuantityError::Duration`] for any other form, [`QuantityError::TooLarge`] past 2^64 nanoseconds.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = split_unit(text);
    let nanos = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(QuantityError::Duration),
    };
    let number = decimal(number).ok_or(QuantityError::Duration)?;
    scaled(number, nanos).map(Duration::from_nanos).ok_or(QuantityError::TooLarge)
}

/// Writes a duration in the form [`parse_duration`] reads, in the largest unit that holds it exactly.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanos = duration.as_nanos();
    let unit = UNITS.iter().find(|(size, _)| nanos > 0 && nanos.is_multiple_of(*size));
    unit.map_or_else(|| "0".to_owned(), |(size, name)| format!("{}{name}", nanos / size))
}

/// Writes about how long a time is, for people: in the largest unit of which it is at least two, and whole ones of that
/// (`90s`, `119m`, `47h`, `3d`). Under a second it is `0s`.
#[must_use]
pub fn format_about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= 2 * unit).unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

/// A number of bytes. Written `512B`, `64KiB`, `10MiB`, `1GiB`; decimal `KB`, `MB`, `GB` are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `n` kibibytes.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }

    /// `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }

    /// The number as a `usize`, at most `usize::MAX`.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (number, unit) = split_unit(text);
        let bytes = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "" if number == "0" => 1,
            _ => return Err(QuantityError::Size),
        };
        let number = decimal(number).ok_or(QuantityError::Size)?;
        scaled(number, bytes).map(Self).ok_or(QuantityError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let unit = UNITS.iter().find(|(size, _)| self.0 >= *size && self.0.is_multiple_of(*size));
        match unit {
            Some((size, name)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A share from 0 to 100 %, held in millionths so that comparisons are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent {
    millionths: u32,
}

impl Percent {
    /// All of it.
    pub const ALL: Self = Self { millionths: 1_000_000 };

    /// A share in millionths; `None` past one million.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths <= 1_000_000 { Some(Self { millionths }) } else { None }
    }

    /// The share in millionths, 0 to 1,000,000.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// Whether a hash that is uniform over `u64` falls inside this share. Growing the share only adds members.
    #[must_use]
    pub const fn contains_hash(self, hash: u64) -> bool {
        // The high half times one million, shifted back: uniform over 0..1_000_000 without a division.
        ((hash >> 32) * 1_000_000) >> 32 < self.millionths as u64
    }
}

impl FromStr for Percent {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let number = text.strip_suffix('%').ok_or(QuantityError::Percent)?;
        let number = decimal(number).ok_or(QuantityError::Percent)?;
        let millionths = scaled(number, 10_000).ok_or(QuantityError::Percent)?;
        u32::try_from(millionths).ok().and_then(Self::from_millionths).ok_or(QuantityError::Percent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / 10_000, self.millionths % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{rest:04}");
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

/// So many per period. Written `50/s`, `100/m`, `5/h`, `10000/d`, `1000000/month`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many in one period.
    pub count: u64,
    /// The period.
    pub per: Period,
}

/// The period of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Month => "month",
        }
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (count, period) = text.split_once('/').ok_or(QuantityError::Rate)?;
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Rate);
        }
        let per = match period {
            "s" => Period::Second,
            "m" => Period::Minute,
            "h" => Period::Hour,
            "d" => Period::Day,
            "month" => Period::Month,
            _ => return Err(QuantityError::Rate),
        };
        Ok(Self { count: count.parse().map_err(|_| QuantityError::Rate)?, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_exactly() {
        for (text, nanos) in [("0", 0), ("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("1d", 86_400_000_000_000)] {
            let read = parse_duration(text).map(|d| d.as_nanos());
            assert_eq!(read, Ok(nanos), "{text}");
        }
        for text in ["", "5", "s", "1 s", "-1s", "1e3s", "1..5s", ".5s", "5.s", "5S", "1.0000000001s"] {
            assert_eq!(parse_duration(text), Err(QuantityError::Duration), "{text}");
        }
        assert_eq!(parse_duration("999999999999d"), Err(QuantityError::TooLarge));
    }

    #[test]
    fn writes_durations_as_it_reads_them() {
        for text in ["0", "250ms", "1500ms", "5m", "1h", "1d", "90s", "3us"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn writes_about_how_long_a_time_is() {
        for (seconds, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (200_000, "2d")]
        {
            assert_eq!(format_about(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn reads_and_writes_sizes() {
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1GiB", 1 << 30), ("0B", 0)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!("1.5KiB".parse(), Ok(ByteSize(1_536)));
        for text in ["64", "64K", "KiB", "-1B", "64 KiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(QuantityError::Size), "{text}");
        }
    }

    #[test]
    fn reads_and_writes_percentages() {
        for (text, millionths) in [("0%", 0), ("2.5%", 25_000), ("100%", 1_000_000), ("0.0001%", 1)] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!((percent.millionths(), percent.to_string().as_str()), (millionths, text));
        }
        for text in ["101%", "5", "%", "-1%", "1e1%"] {
            assert_eq!(text.parse::<Percent>(), Err(QuantityError::Percent), "{text}");
        }
    }

    #[test]
    fn a_larger_share_contains_the_smaller() {
        let share = |n| Percent::from_millionths(n).unwrap();
        for hash in (0..1_000u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            assert!(!share(0).contains_hash(hash) && Percent::ALL.contains_hash(hash));
            assert!(!share(50_000).contains_hash(hash) || share(100_000).contains_hash(hash));
        }
    }

    #[test]
    fn reads_and_writes_rates() {
        for text in ["50/s", "100/m", "1000000/month"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["50", "50/x", "/s", "-1/s", "1.5/s", "+5/s"] {
            assert_eq!(text.parse::<Rate>(), Err(QuantityError::Rate), "{text}");
        }
    }
}
