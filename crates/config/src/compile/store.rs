//! `store:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_snapshot::settings::{Journal, Redis, Store};
use portcullis_types::ByteSize;
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::raw::store::{RawJournal, RawRedis, RawStore};

/// The directory when none is said.
const DIRECTORY: &str = "data";
/// The longest prefix of keys.
const LONGEST_PREFIX: usize = 64;

impl Compiler<'_, '_> {
    pub(super) fn store(&mut self, raw: &Spanned<RawStore>) -> Store {
        let (span, raw) = (raw.span, &raw.value);
        let (place, path) = raw.path.as_ref().map_or((span, DIRECTORY), |path| (path.span, path.value.as_str()));
        if path.is_empty() {
            let message = "the path of the store is empty";
            self.cx.push(Diagnostic::error(yaml_code::INVALID_VALUE, place, message).help("for example `path: data`"));
        }
        let path = self.cx.resolve(place, path);
        let journal = raw.journal.as_ref().map_or_else(Journal::default, |raw| self.journal(raw));
        Store { path, journal, redis: raw.redis.as_ref().map(|raw| self.redis(raw)) }
    }

    fn journal(&mut self, raw: &RawJournal) -> Journal {
        let default = Journal::default();
        let second = Duration::from_secs(1);
        let rotate = self.bytes(raw.rotate, default.rotate.0, ByteSize::kib(64).0..=ByteSize::mib(16 << 10).0);
        Journal {
            window: self.time_within(raw.window, default.window, second..=second * 3_600),
            rotate: ByteSize(rotate),
            rotate_after: self.time(raw.rotate_after, default.rotate_after),
            keep: self.number(raw.keep, default.keep, 1..=10_000),
        }
    }

    fn redis(&mut self, raw: &RawRedis) -> Redis {
        let default = Redis::default();
        let milli = Duration::from_millis(1);
        let places = raw.places();
        if places.is_empty() {
            let message = "there is no server in this list";
            let help = "for example `url: redis://127.0.0.1:6379`";
            self.cx.push(Diagnostic::error(yaml_code::INVALID_VALUE, raw.url.span, message).help(help));
        }
        if let (Some(user), None) = (&raw.user, &raw.password) {
            let message = format!("the user `{user}` has no password");
            let help = "add `password: \"file:redis.password\"`";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, raw.url.span, message).help(help));
        }
        Redis {
            places,
            user: raw.user.clone(),
            password: raw.password.as_ref().map(|password| password.expose().to_owned()),
            prefix: self.redis_prefix(raw.prefix.as_ref()).unwrap_or(default.prefix),
            timeout: self.time_within(raw.timeout, default.timeout, milli * 5..=milli * 400),
            forget_after: self.time_within(raw.forget_after, default.forget_after, milli * 5_000..=milli * 3_600_000),
        }
    }

    fn redis_prefix(&mut self, prefix: Option<&Spanned<String>>) -> Option<String> {
        let prefix = prefix?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if (1..=LONGEST_PREFIX).contains(&prefix.value.len()) && prefix.value.bytes().all(fits) {
            return Some(prefix.value.clone());
        }
        let message = format!("`{}` cannot be what keys begin with", prefix.value);
        let help = "1 to 64 letters, digits and `-_.:`, for example `portcullis`";
        self.cx.push(Diagnostic::error(code::NAME_INVALID, prefix.span, message).help(help));
        None
    }

    fn time_within(
        &mut self,
        value: Option<Spanned<Duration>>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(value) = value else { return default };
        if range.contains(&value.value) {
            return value.value;
        }
        self.time_out_of_range(value, &range);
        default
    }
}
