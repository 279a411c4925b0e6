//! Days and months of a time zone, with their numbers and ends.
//!
//! A window is computed once, by the first request that falls into it, and read from two words after that. Windows
//! are numbered by the local calendar (days and months since 1970), so a number means the same after a plan's zone was
//! edited. The zones are those that the program was built with: two gateways of one release agree, whatever files
//! their machines have.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

#[cfg(test)]
mod tests;

/// What a quota is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

impl Period {
    /// The word of the config, of cap names and of messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A day or a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Days since 1970-01-01, or months since January 1970, of the local calendar.
    pub number: u32,
    /// The first second, since 1970 UTC.
    pub start: u64,
    /// The second after the last.
    pub end: u64,
}

/// Not a time zone that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone of the IANA database; write one such as `UTC` or `Europe/Berlin`")]
pub struct ZoneError(pub String);

/// A time zone and its current day and month. Clones share them.
#[derive(Clone)]
pub struct Zone(Arc<Calendars>);

struct Calendars {
    name: Box<str>,
    zone: TimeZone,
    day: Current,
    month: Current,
}

/// The window that was asked for last: its number with its end, and with its start. A reader that finds two numbers
/// computes the window itself.
#[derive(Default)]
struct Current {
    ends: AtomicU64,
    starts: AtomicU64,
}

/// Bits of a word that hold the second; the others hold the number.
const SECONDS: u32 = 36;

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::of("UTC", TimeZone::UTC)
    }

    /// The zone of an IANA name, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| ZoneError(name.to_owned()))?;
        Ok(Self::of(name, zone))
    }

    fn of(name: &str, zone: TimeZone) -> Self {
        Self(Arc::new(Calendars { name: name.into(), zone, day: Current::default(), month: Current::default() }))
    }

    /// The name it was made from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The day or month of a second since 1970.
    #[must_use]
    #[inline]
    pub fn window(&self, period: Period, unix: u64) -> Window {
        let current = match period {
            Period::Day => &self.0.day,
            Period::Month => &self.0.month,
        };
        if let Some(window) = current.get().filter(|window| (window.start..window.end).contains(&unix)) {
            return window;
        }
        let window = compute(&self.0.zone, period, unix).unwrap_or_else(|| by_utc(unix));
        current.set(window);
        window
    }
}

impl Current {
    #[inline]
    fn get(&self) -> Option<Window> {
        let (ends, starts) = (self.ends.load(Ordering::Relaxed), self.starts.load(Ordering::Relaxed));
        let number = u32::try_from(ends >> SECONDS).ok()?;
        let second = |word: u64| word & ((1 << SECONDS) - 1);
        (starts >> SECONDS == ends >> SECONDS).then(|| Window { number, start: second(starts), end: second(ends) })
    }

    fn set(&self, window: Window) {
        let number = u64::from(window.number) << SECONDS;
        self.ends.store(number | window.end, Ordering::Relaxed);
        self.starts.store(number | window.start, Ordering::Relaxed);
    }
}

/// `None` outside of the years that the calendar knows, -9999 to 9999.
fn compute(zone: &TimeZone, period: Period, unix: u64) -> Option<Window> {
    let date = Timestamp::from_second(i64::try_from(unix).ok()?).ok()?.to_zoned(zone.clone()).date();
    let (first, next, number) = match period {
        Period::Day => (date, date.tomorrow().ok()?, days_since_1970(date)?),
        Period::Month => {
            let first = date.first_of_month();
            (first, first.checked_add(1.month()).ok()?, months_since_1970(date)?)
        }
    };
    let second =
        |date: Date| u64::try_from(date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?.timestamp().as_second()).ok();
    let window = Window { number, start: second(first).unwrap_or(0), end: second(next)? };
    (window.end < 1 << SECONDS && window.number < 1 << (64 - SECONDS)).then_some(window)
}

fn days_since_1970(date: Date) -> Option<u32> {
    let hours = date.duration_since(Date::constant(1970, 1, 1)).as_hours();
    u32::try_from((hours / 24).max(0)).ok()
}

fn months_since_1970(date: Date) -> Option<u32> {
    let months = (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1;
    u32::try_from(months.max(0)).ok()
}

/// A day of 24 hours, for times that no calendar knows.
fn by_utc(unix: u64) -> Window {
    let day = unix / 86_400;
    let number = u32::try_from(day).unwrap_or(u32::MAX) & ((1 << (64 - SECONDS)) - 1);
    Window { number, start: day * 86_400, end: day.saturating_add(1).saturating_mul(86_400) }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
