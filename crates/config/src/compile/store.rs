//! `store:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_caps::{CapSet, CapSetSpec};
use portcullis_filters::caps::PlanSets;
use portcullis_snapshot::settings::{Journal, Redis, Store};
use portcullis_types::ByteSize;
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::raw::store::{RawJournal, RawRedis, RawStore};
use crate::raw::top::Top;

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

    /// Caps that gateways share need something to be shared by; without it each gateway would decide as in an outage.
    pub(super) fn check_shared(&mut self, top: &Top, sets: &PlanSets) {
        let has_redis = top.store.as_ref().is_some_and(|store| store.value.redis.is_some());
        if has_redis || top.store.is_broken() {
            return;
        }
        let caps = top.caps.as_ref();
        let gateway = caps.and_then(|caps| caps.gateway.as_ref()).map(|words| words.span);
        let of_plan = |name: &str| top.plans.iter().flatten().find(|plan| plan.name == name).map(|plan| plan.span);
        let of_consumer =
            |name: &str| caps?.consumers.iter().find(|consumer| consumer.name == name).map(|consumer| consumer.span);
        let PlanSets { gateway: all, plans, consumers } = sets;
        let gateway = all.iter().map(|set| (set, gateway));
        let plans = plans.iter().map(|set| (set, of_plan(&set.spec().name)));
        let consumers = consumers.iter().map(|set| (set, of_consumer(&set.spec().name)));
        for (set, span) in gateway.chain(plans).chain(consumers) {
            if let Some(span) = span.filter(|_| is_shared(set)) {
                let message = "gateways are to share caps of this, and there is nothing that they could share by";
                let help = "add `store: { redis: { url: \"redis://…\" } }`, or write `gateways: own`";
                self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
            }
        }
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

/// Whether gateways share any cap of a set.
fn is_shared(set: &CapSet) -> bool {
    let CapSetSpec { each, shared, methods, .. } = set.spec();
    let of_methods = methods.iter().flat_map(|rule| rule.each.iter().chain(&rule.shared));
    each.iter().chain(shared).chain(of_methods).any(|cap| cap.terms().is_some())
}
