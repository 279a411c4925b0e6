//! Numbers and durations that must lie in a range.

use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_types::ByteSize;
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Span, Spanned};

use super::Compiler;
use crate::code;

/// The longest a timeout may be: a day. Beyond it a unit was mistaken.
const LONGEST: Duration = Duration::from_secs(86_400);

impl Compiler<'_, '_> {
    fn out_of_range(&mut self, span: Span, message: String) {
        self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, span, message));
    }

    /// A number in a range, or the default; after an error, the default too.
    pub(super) fn number<T>(&mut self, value: Option<Spanned<u32>>, default: T, range: RangeInclusive<u32>) -> T
    where
        T: TryFrom<u32>,
    {
        let Some(Spanned { span, value }) = value else { return default };
        if range.contains(&value)
            && let Ok(value) = T::try_from(value)
        {
            return value;
        }
        self.out_of_range(span, format!("{value} is out of range: expected {} to {}", range.start(), range.end()));
        default
    }

    /// A size in a range, or the default.
    pub(super) fn bytes<T>(&mut self, value: Option<Spanned<ByteSize>>, default: T, range: RangeInclusive<u64>) -> T
    where
        T: TryFrom<u64>,
    {
        let Some(Spanned { span, value: size }) = value else { return default };
        if range.contains(&size.0)
            && let Ok(bytes) = T::try_from(size.0)
        {
            return bytes;
        }
        let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
        self.out_of_range(span, format!("{size} is out of range: expected {least} to {most}"));
        default
    }

    /// A time limit above zero and of at most a day, or the default.
    pub(super) fn time(&mut self, value: Option<Spanned<Duration>>, default: Duration) -> Duration {
        self.time_some(value).unwrap_or(default)
    }

    /// Says that a time is not in its range.
    pub(super) fn time_out_of_range(&mut self, time: Spanned<Duration>, range: &RangeInclusive<Duration>) {
        let [value, least, most] = [&time.value, range.start(), range.end()].map(|time| format_duration(*time));
        self.out_of_range(time.span, format!("{value} is out of range: expected {least} to {most}"));
    }

    /// A time limit above zero and of at most a day, if there is one.
    pub(super) fn time_some(&mut self, value: Option<Spanned<Duration>>) -> Option<Duration> {
        let Spanned { span, value } = value?;
        if value.is_zero() {
            self.out_of_range(span, "a time limit of 0 would always be over".to_owned());
            return None;
        }
        if value > LONGEST {
            let message = format!("{} is out of range: a time limit is at most 1d", format_duration(value));
            self.out_of_range(span, message);
            return None;
        }
        Some(value)
    }
}
