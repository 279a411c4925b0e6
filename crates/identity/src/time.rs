//! Points in time, as the caller hands them in: this crate reads no clock.
//!
//! Times are UTC, in milliseconds since 1970. An [`Expiry`] is what a table of a million keys can afford: whole
//! seconds in 32 bits, good until 2106-02-07.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not the form of RFC 3339 section 5.6.
    #[error("expected a time such as `2027-01-31T12:00:00Z`")]
    Form,
    /// A month, day, hour, minute, second or offset that does not exist.
    #[error("there is no such time")]
    Range,
    /// After what the key table can hold.
    #[error("times after 2106-02-07 are not supported")]
    TooLate,
}

impl Timestamp {
    /// `millis` milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// `seconds` seconds after 1970.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, as in a JWT's NumericDate (RFC 7519 section 2).
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This time and a while.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when the clock went back.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339, UTC, whole seconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds() / 86_400, self.seconds() % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

/// Reads RFC 3339 section 5.6: `2027-01-31T12:00:00Z`, with a fraction or an offset too.
impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (date, rest) = text.split_once(['T', 't']).ok_or(TimeError::Form)?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let end = rest.find(['Z', 'z', '+', '-']).ok_or(TimeError::Form)?;
        let (clock, zone) = rest.split_at_checked(end).ok_or(TimeError::Form)?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        let real = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        if !real || year < 1970 || hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError::Range);
        }
        let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        let (east, offset) = offset(zone)?;
        let seconds = if east { seconds.checked_sub(offset) } else { seconds.checked_add(offset) };
        Ok(Self(seconds.ok_or(TimeError::Range)? * 1000 + milliseconds(fraction)?))
    }
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Result<[u64; N], TimeError> {
    let mut parts = text.split(separator);
    let mut read = [0; N];
    for (slot, width) in read.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()));
        *slot = part.and_then(|part| part.parse().ok()).ok_or(TimeError::Form)?;
    }
    if parts.next().is_some() { Err(TimeError::Form) } else { Ok(read) }
}

fn milliseconds(fraction: &str) -> Result<u64, TimeError> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TimeError::Form);
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    Ok(digits.fold(0, |total, digit| total * 10 + u64::from(digit - b'0')))
}

/// Seconds between local time and UTC, and whether local time is ahead.
fn offset(zone: &str) -> Result<(bool, u64), TimeError> {
    if matches!(zone, "Z" | "z") {
        return Ok((true, 0));
    }
    let (east, clock) = zone.strip_prefix('+').map_or((false, zone.strip_prefix('-')), |clock| (true, Some(clock)));
    let [hours, minutes] = numbers(clock.ok_or(TimeError::Form)?, ':', [2, 2])?;
    if hours > 23 || minutes > 59 { Err(TimeError::Range) } else { Ok((east, hours * 3600 + minutes * 60)) }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date, by the Gregorian calendar with the year begun in March.
const fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that many days after 1970-01-01.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + (month <= 2) as u64, month, day)
}

/// The second from which a key is no longer good, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(u32);

impl Expiry {
    /// No end.
    pub const NEVER: Self = Self(u32::MAX);

    /// From this second on.
    ///
    /// # Errors
    /// [`TimeError::TooLate`] past 32 bits of seconds.
    pub fn at(time: Timestamp) -> Result<Self, TimeError> {
        let seconds = u32::try_from(time.seconds()).ok().filter(|&seconds| seconds != u32::MAX);
        seconds.map(Self).ok_or(TimeError::TooLate)
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub const fn is_over(self, now: Timestamp) -> bool {
        self.0 != u32::MAX && now.seconds() >= self.0 as u64
    }

    /// The time it ends; `None` for never.
    #[must_use]
    pub fn time(self) -> Option<Timestamp> {
        (self != Self::NEVER).then(|| Timestamp::from_seconds(u64::from(self.0)))
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as `2027-01-31T12:00:00Z` or seconds since 1970")
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
                Ok(Timestamp::from_seconds(seconds))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339_and_says_what_is_wrong() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("2027-01-31T12:00:00Z", Ok(1_801_396_800_000)),
            ("2027-01-31t13:30:00.25+01:30", Ok(1_801_396_800_250)),
            ("2027-01-31T11:00:00-01:00", Ok(1_801_396_800_000)),
            ("2028-02-29T00:00:00Z", Ok(1_835_395_200_000)),
            ("2027-02-29T00:00:00Z", Err(TimeError::Range)),
            ("2027-13-01T00:00:00Z", Err(TimeError::Range)),
            ("2027-01-01T24:00:00Z", Err(TimeError::Range)),
            ("1969-12-31T23:59:59Z", Err(TimeError::Range)),
            ("2027-01-31", Err(TimeError::Form)),
            ("2027-1-31T00:00:00Z", Err(TimeError::Form)),
            ("2027-01-31T12:00:00", Err(TimeError::Form)),
            ("2027-01-31T12:00Z", Err(TimeError::Form)),
            ("2027-01-31T12:00:00.Z", Err(TimeError::Form)),
            ("", Err(TimeError::Form)),
        ] {
            assert_eq!(text.parse().map(Timestamp::millis), expected, "{text}");
        }
    }

    #[test]
    fn every_day_of_200_years_is_written_and_read_back() {
        for day in 0..73_000 {
            let time = Timestamp::from_seconds(day * 86_400 + day % 86_400);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn an_expiry_is_over_from_its_second_on() {
        let expiry = Expiry::at(Timestamp::from_seconds(100)).expect("a time");
        assert!(!expiry.is_over(Timestamp::from_millis(99_999)) && expiry.is_over(Timestamp::from_seconds(100)));
        assert!(!Expiry::NEVER.is_over(Timestamp::from_millis(u64::MAX)));
        assert_eq!(Expiry::at(Timestamp::from_seconds(u64::from(u32::MAX))), Err(TimeError::TooLate));
        assert_eq!((expiry.time(), Expiry::NEVER.time()), (Some(Timestamp::from_seconds(100)), None));
    }
}
