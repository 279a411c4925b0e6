//! `store:`.

use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_caps::{CapSet, Limit};
use portcullis_filters::caps::{CapsConfig, PlanSets};
use portcullis_snapshot::settings::{Journal, Redis, RedisPlace, RedisTls, Store};
use portcullis_types::ByteSize;
use portcullis_yaml::{Decode, Diagnostic, Span, Spanned, code as yaml_code};

use super::{Compiler, all_filters};
use crate::code;
use crate::plan::{FilterPlan, HostPlan};
use crate::raw::store::{RawJournal, RawRedis, RawRedisTls, RawStore, StoreWord};
use crate::raw::top::Top;

/// The directory when none is said.
const DIRECTORY: &str = "data";
/// The longest prefix of keys.
const LONGEST_PREFIX: usize = 64;

impl Compiler<'_, '_> {
    /// What is said of a store; `None` where nothing is to be kept.
    pub(super) fn store(&mut self, word: &Spanned<StoreWord>) -> Option<Store> {
        match &word.value {
            StoreWord::Off => None,
            StoreWord::Kept(raw) => Some(self.said_store(word.span, raw)),
        }
    }

    /// Where callers are held to plans or quotas, a store that nobody asked for by name: quotas mean little when a crash
    /// forgets them, and nobody can bill for what was forgotten. `file` is a place in the main file.
    pub(super) fn implied_store(
        &mut self,
        top: &Top,
        sets: &PlanSets,
        hosts: &[HostPlan],
        file: Span,
    ) -> Option<Store> {
        if top.store.is_some() || top.store.is_broken() {
            return None;
        }
        let of_routes: Vec<CapsConfig> =
            hosts.iter().flat_map(all_filters).filter_map(|(filter, _)| self.caps_of(filter)).collect();
        let PlanSets { gateway, plans, consumers } = sets;
        let mut of_top = gateway.iter().chain(consumers);
        let lasts = !plans.is_empty()
            || of_top.any(has_quota)
            || of_routes.iter().any(|one| one.as_set().is_some_and(has_quota));
        let spends = !of_routes.is_empty();
        let path = self.cx.resolve(file, DIRECTORY);
        (spends && lasts).then(|| Store { path, journal: Journal::default(), redis: None, implied: true })
    }

    /// The settings of a filter, if it is `caps`. What is wrong with them was said when the filter was read.
    fn caps_of(&mut self, filter: &FilterPlan) -> Option<CapsConfig> {
        if filter.name == "caps" { self.cx.probe(|cx| CapsConfig::decode(&filter.settings, cx)) } else { None }
    }

    fn said_store(&mut self, span: Span, raw: &RawStore) -> Store {
        let (place, path) = raw.path.as_ref().map_or((span, DIRECTORY), |path| (path.span, path.value.as_str()));
        if path.is_empty() {
            let message = "the path of the store is empty";
            self.cx.push(Diagnostic::error(yaml_code::INVALID_VALUE, place, message).help("for example `path: data`"));
        }
        let path = self.cx.resolve(place, path);
        let journal = raw.journal.as_ref().map_or_else(Journal::default, |raw| self.journal(raw));
        Store { path, journal, redis: raw.redis.as_ref().map(|raw| self.redis(raw)), implied: false }
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
        let tls = self.redis_tls(raw, &places).unwrap_or_default();
        Redis {
            places,
            tls,
            user: raw.user.clone(),
            password: raw.password.as_ref().map(|password| password.expose().to_owned()),
            prefix: self.redis_prefix(raw.prefix.as_ref()).unwrap_or(default.prefix),
            timeout: self.time_within(raw.timeout, default.timeout, milli * 5..=milli * 400),
            forget_after: self.time_within(raw.forget_after, default.forget_after, milli * 5_000..=milli * 3_600_000),
        }
    }

    /// How servers are verified; `None` where nothing is said of it, or after an error.
    fn redis_tls(&mut self, raw: &RawRedis, places: &[RedisPlace]) -> Option<RedisTls> {
        let secure = places.iter().filter(|place| place.is_tls()).count();
        if secure > 0 && secure < places.len() {
            let message = "some of these servers are spoken to by TLS, others in plain text";
            let help = "a password would go over both; write `rediss://` for all, or `redis://`";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, raw.url.span, message).help(help));
        }
        let said = raw.tls.as_ref()?;
        if secure == 0 && !places.is_empty() {
            let message = "`tls` is for servers at `rediss://`, and there is none";
            let help = "write `rediss://` in `url`, or leave `tls` out";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, said.span, message).help(help));
        }
        let RawRedisTls { server_name, ca, cert, key } = &said.value;
        let server_name = server_name.as_ref().map(|name| self.said_server_name(name));
        let ca = ca.as_ref().map(|path| self.authorities(path));
        let client = self.client_identity(cert.as_ref(), key.as_ref());
        let ca = ca.map_or(Some(None), |ca| ca.map(Some))?;
        Some(RedisTls {
            server_name: server_name.map_or(Some(None), |name| name.map(Some))?,
            ca: ca.map(|ca| ca.iter().map(|one| one.as_ref().to_vec()).collect()),
            client: client?,
        })
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
    pub(super) fn check_shared(&mut self, top: &Top, sets: &PlanSets, hosts: &[HostPlan]) {
        let has_redis = top.store.as_ref().is_some_and(|store| store.value.redis().is_some());
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
            if let Some(span) = span.filter(|_| set.is_shared_by_gateways()) {
                self.shared_by_nothing(span);
            }
        }
        for (filter, _) in hosts.iter().flat_map(all_filters) {
            let shared = |caps: &CapsConfig| caps.as_set().is_some_and(CapSet::is_shared_by_gateways);
            if self.caps_of(filter).as_ref().is_some_and(shared) {
                let said = filter.settings.get("gateways").map(|entry| entry.value.span);
                self.shared_by_nothing(said.unwrap_or(filter.settings.span));
            }
        }
    }

    fn shared_by_nothing(&mut self, span: Span) {
        let message = "gateways are to share caps of this, and there is nothing that they could share by";
        let help = "add `store: { redis: { url: \"redis://…\" } }`, or write `gateways: own`";
        self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
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

/// Whether a set has any quota.
fn has_quota(set: &CapSet) -> bool {
    set.caps().any(|cap| matches!(cap.limit(), Limit::Quota(..)))
}

#[cfg(test)]
mod tests {
    use crate::tests::kit::World;

    const HELD: &str = "filters: [{ anonymous: { plan: free } }, caps]";

    /// Where a config keeps what is spent, and whether nobody asked for it.
    fn kept(top: &str, host: &str) -> Option<(String, bool)> {
        let text = format!(
            "version: 1\nlisteners: {{ edge: {{ bind: '127.0.0.1:8080' }} }}\n\
             clusters: {{ web: {{ endpoints: ['127.0.0.1:9001'] }} }}\n{top}\n\
             hosts: [{{ names: ['*'], {host}, routes: [{{ name: all, to: web }}] }}]"
        );
        let candidate = World::default().candidate(&text);
        let store = candidate.checked().settings().store.clone();
        store.map(|store| (store.path.display().to_string(), store.implied))
    }

    #[test]
    fn what_is_spent_of_plans_and_quotas_is_kept_unless_the_config_says_otherwise() {
        let implied = Some(("data".to_owned(), true));
        assert_eq!(kept("plans: { free: { rate: 1/s } }", HELD), implied, "usage of plans may be billed");
        assert_eq!(kept("caps: { gateway: { shared: { quota: 9/d } } }", "filters: [caps]"), implied);
        assert_eq!(kept("caps: { consumers: { a: { quota: 9/d } } }", "filters: [caps]"), implied);
        assert_eq!(kept("", "filters: [{ caps: { shared: { bytes: { quota: 9/d } } } }]"), implied);
        assert_eq!(kept("store: off\nplans: { free: { quota: 9/d } }", HELD), None);
        let said = Some(("elsewhere".to_owned(), false));
        assert_eq!(kept("store: { path: elsewhere }\nplans: { free: {} }", HELD), said);
        assert_eq!(kept("store: {}", "filters: []"), Some(("data".to_owned(), false)));
    }

    #[test]
    fn where_no_plan_and_no_quota_holds_anybody_nothing_is_kept() {
        assert_eq!(kept("", "filters: []"), None);
        assert_eq!(kept("", "filters: [{ caps: { rate: 9/s } }]"), None);
        assert_eq!(kept("plans: { free: { quota: 9/d } }", "filters: []"), None, "no filter looks at plans");
    }
}
