//! From the words of caps to a set of them, with everything that is wrong said at its place.

use std::fmt::Display;

use portcullis_caps::{Cap, CapSet, CapSetSpec, Held, Limit, MethodRule, Outage, Scope, Terms, Unit, Zone};
use portcullis_yaml::{Cx, Diagnostic, Span, Spanned, code};

use super::words::{
    About, AtOnceTerms, AtOnceWord, Count, CreditsTerms, CreditsWord, GatewaysWord, LimitWords, MethodWords,
    OutageWord, QuotaTerms, QuotaWord, RateTerms, RateWord, SetWords, SpendWords,
};

impl SetWords {
    /// The set that the words mean; what is wrong is pushed, and `None` is said. `span` is where they stand.
    pub fn compile(&self, scope: Scope, name: &str, span: Span, cx: &mut Cx<'_>) -> Option<CapSet> {
        let before = cx.diagnostics().error_count();
        let mut work = Work { cx, zone: Zone::utc(), gateways: self.gateways };
        if let Some(zone) = &self.zone {
            work.zone = work.zone(zone);
        }
        let spec = CapSetSpec {
            credits: self.each.credits.as_ref().and_then(|word| word.price()),
            outage: match self.outage {
                Some(OutageWord::Refuse) => Outage::Refuse,
                Some(OutageWord::LocalShare) | None => Outage::LocalShare,
            },
            shadow: self.shadow.unwrap_or(false),
            each: work.limits(&self.each),
            shared: self.shared.as_ref().map(|words| work.limits(words)).unwrap_or_default(),
            methods: work.rules(&self.each, self.shared.as_deref()),
            ..CapSetSpec::new(scope, name)
        };
        work.prices(&spec, span);
        let set = match CapSet::build(spec) {
            Ok(set) => Some(set),
            Err(errors) => {
                errors.iter().for_each(|error| work.refuse(span, error));
                None
            }
        };
        set.filter(|_| cx.diagnostics().error_count() == before)
    }

    /// Whether the words limit nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each.is_empty() && self.shared.as_ref().is_none_or(|words| words.is_empty())
    }
}

impl LimitWords {
    fn is_empty(&self) -> bool {
        let Self { requests, concurrency, connections, subscriptions, bytes, credits, methods } = self;
        requests.is_empty()
            && concurrency.is_none()
            && connections.is_none()
            && subscriptions.is_none()
            && bytes.is_none()
            && credits.is_none()
            && methods.is_empty()
    }
}

impl SpendWords {
    const fn is_empty(&self) -> bool {
        self.rate.is_none() && self.burst.is_none() && self.quota.is_none()
    }
}

impl CreditsWord {
    fn price(&self) -> Option<u32> {
        match self {
            Self::Price(price) => Some(*price),
            Self::Full(terms) => terms.price,
        }
    }

    const fn spend(&self) -> Option<&SpendWords> {
        match self {
            Self::Price(_) => None,
            Self::Full(CreditsTerms { spend, .. }) => Some(spend),
        }
    }
}

/// What compiling a set needs.
struct Work<'a, 'c> {
    cx: &'a mut Cx<'c>,
    zone: Zone,
    gateways: Option<Spanned<GatewaysWord>>,
}

impl Work<'_, '_> {
    fn refuse(&mut self, span: Span, why: impl Display) {
        self.cx.error(code::INVALID_VALUE, span, why.to_string());
    }

    /// The value, or its error at a place.
    fn take<T>(&mut self, span: Span, result: Result<T, impl Display>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(span, why);
                None
            }
        }
    }

    fn zone(&mut self, name: &Spanned<String>) -> Zone {
        self.take(name.span, Zone::named(&name.value)).unwrap_or_else(|| self.zone.clone())
    }

    /// Caps for all calls.
    fn limits(&mut self, words: &LimitWords) -> Vec<Cap> {
        let mut caps = Vec::new();
        self.spend(Unit::Requests, &words.requests, &mut caps);
        self.at_once(Held::Requests, words.concurrency.as_ref(), &mut caps);
        self.at_once(Held::Connections, words.connections.as_ref(), &mut caps);
        self.at_once(Held::Subscriptions, words.subscriptions.as_ref(), &mut caps);
        self.bytes_and_credits(words.bytes.as_ref(), words.credits.as_ref(), &mut caps);
        caps
    }

    /// Caps for calls of one method.
    fn method(&mut self, words: &MethodWords) -> Vec<Cap> {
        let mut caps = Vec::new();
        self.spend(Unit::Requests, &words.requests, &mut caps);
        self.at_once(Held::Requests, words.concurrency.as_ref(), &mut caps);
        self.at_once(Held::Subscriptions, words.subscriptions.as_ref(), &mut caps);
        self.bytes_and_credits(words.bytes.as_ref(), words.credits.as_ref(), &mut caps);
        caps
    }

    fn bytes_and_credits(
        &mut self,
        bytes: Option<&Spanned<SpendWords>>,
        credits: Option<&Spanned<CreditsWord>>,
        caps: &mut Vec<Cap>,
    ) {
        if let Some(bytes) = bytes {
            if bytes.is_empty() {
                self.refuse(bytes.span, "`bytes` limits nothing; write a `rate` or a `quota` under it");
            }
            self.spend(Unit::Bytes, bytes, caps);
        }
        if let Some(spend) = credits.and_then(|word| word.spend()) {
            self.spend(Unit::Credits, spend, caps);
        }
    }

    /// The rules of methods: what each may spend, and what all together.
    fn rules(&mut self, each: &LimitWords, shared: Option<&LimitWords>) -> Vec<MethodRule> {
        let mut rules: Vec<MethodRule> = Vec::new();
        for entry in &each.methods {
            let caps = self.method(&entry.value);
            let Some(pattern) = self.take(entry.span, entry.name.parse()) else { continue };
            let credits = entry.value.credits.as_ref().and_then(|word| word.price());
            rules.push(MethodRule { pattern, credits, each: caps, shared: Vec::new() });
        }
        if let Some(credits) = shared.and_then(|words| words.credits.as_ref()) {
            self.shared_price(credits);
        }
        for entry in shared.iter().flat_map(|words| &words.methods) {
            let caps = self.method(&entry.value);
            entry.value.credits.iter().for_each(|credits| self.shared_price(credits));
            let Some(pattern) = self.take(entry.span, entry.name.parse()) else { continue };
            match rules.iter_mut().find(|rule| rule.pattern == pattern) {
                Some(rule) => rule.shared = caps,
                None => rules.push(MethodRule { pattern, credits: None, each: Vec::new(), shared: caps }),
            }
        }
        rules
    }

    fn shared_price(&mut self, credits: &Spanned<CreditsWord>) {
        if credits.price().is_some() {
            self.refuse(credits.span, "what a call costs is no matter of `shared`; write the price outside of it");
        }
    }

    fn spend(&mut self, unit: Unit, words: &SpendWords, caps: &mut Vec<Cap>) {
        let rates = words.rate.iter().flatten().count();
        if let Some(burst) = words.burst.as_ref().filter(|_| rates != 1) {
            let help = match rates {
                0 => "write a `rate` beside it",
                _ => "in a list, write each as `{ limit: 10/s, burst: 20 }`",
            };
            let message = "`burst` belongs to one `rate`";
            self.cx.push(Diagnostic::error(code::INVALID_VALUE, burst.span, message).help(help));
        }
        for rate in words.rate.iter().flatten() {
            let cap = self.rate(unit, rate, words.burst.as_ref().filter(|_| rates == 1));
            caps.extend(cap);
        }
        for quota in words.quota.iter().flatten() {
            let cap = self.quota(unit, quota);
            caps.extend(cap);
        }
    }

    fn rate(&mut self, unit: Unit, word: &Spanned<RateWord>, beside: Option<&Spanned<Count>>) -> Option<Cap> {
        let span = word.span;
        let (limit, burst, about, gateways) = match &word.value {
            RateWord::Plain(limit) => (*limit, None, None, None),
            RateWord::Full(RateTerms { limit, burst, about, gateways }) => (*limit, *burst, Some(about), *gateways),
        };
        if let (Some(_), Some(beside)) = (burst, beside) {
            self.refuse(beside.span, "the rate says its `burst` already");
        }
        let burst = burst.or(beside.map(|burst| burst.value));
        self.check_size(unit, span, limit.is_size || burst.is_some_and(|burst| burst.is_size))?;
        let cap = Cap::rate(unit, limit.rate, burst.map_or(limit.rate.count, |burst| burst.count));
        let cap = self.take(span, cap)?;
        let cap = self.about(span, cap, about)?;
        self.shared_by_gateways(span, cap, gateways)
    }

    fn quota(&mut self, unit: Unit, word: &Spanned<QuotaWord>) -> Option<Cap> {
        let span = word.span;
        let (limit, zone, about, gateways) = match &word.value {
            QuotaWord::Plain(limit) => (*limit, None, None, None),
            QuotaWord::Full(QuotaTerms { limit, zone, about, gateways }) => {
                (*limit, zone.as_ref(), Some(about), *gateways)
            }
        };
        self.check_size(unit, span, limit.is_size)?;
        let zone = match zone {
            Some(name) => self.zone(name),
            None => self.zone.clone(),
        };
        let cap = self.take(span, Cap::quota(unit, limit.rate, zone))?;
        let cap = self.about(span, cap, about)?;
        self.shared_by_gateways(span, cap, gateways)
    }

    fn at_once(&mut self, held: Held, word: Option<&Spanned<AtOnceWord>>, caps: &mut Vec<Cap>) {
        let Some(word) = word else { return };
        let (most, about) = match &word.value {
            AtOnceWord::Plain(most) => (*most, None),
            AtOnceWord::Full(AtOnceTerms { limit, about }) => (*limit, Some(about)),
        };
        let cap = self.take(word.span, Cap::at_once(held, most));
        caps.extend(cap.and_then(|cap| self.about(word.span, cap, about)));
    }

    /// Only bytes are measured by sizes.
    fn check_size(&mut self, unit: Unit, span: Span, is_size: bool) -> Option<()> {
        if is_size && unit != Unit::Bytes {
            let message = format!("{} are counted, not measured in bytes", unit.as_str());
            let help = "write a number such as `10/s`, or put it under `bytes`";
            self.cx.push(Diagnostic::error(code::INVALID_VALUE, span, message).help(help));
            return None;
        }
        Some(())
    }

    fn about(&mut self, span: Span, cap: Cap, about: Option<&About>) -> Option<Cap> {
        let Some(about) = about else { return Some(cap) };
        let cap = match &about.name {
            Some(name) => self.take(span, cap.named(name))?,
            None => cap,
        };
        Some(if about.shadow.unwrap_or(false) { cap.in_shadow() } else { cap })
    }

    fn shared_by_gateways(&mut self, span: Span, cap: Cap, own: Option<GatewaysWord>) -> Option<Cap> {
        let (place, word) = match (own, &self.gateways) {
            (Some(own), _) => (span, own),
            (None, Some(all)) => (all.span, all.value),
            (None, None) => return Some(cap),
        };
        let before = self.cx.diagnostics().error_count();
        let terms = self.terms(place, word, cap.limit());
        if self.cx.diagnostics().error_count() > before && own.is_none() {
            // It is said once, not at every cap.
            self.gateways = None;
        }
        let Some(terms) = terms? else { return Some(cap) };
        self.take(span, cap.shared_by_gateways(terms))
    }

    /// The terms of a limit; `Some(None)` where each gateway counts for itself.
    fn terms(&mut self, span: Span, word: GatewaysWord, limit: &Limit) -> Option<Option<Terms>> {
        let fitting = Terms::for_limit(limit);
        let words = match word {
            GatewaysWord::Own => return Some(None),
            GatewaysWord::Shared => return Some(Some(fitting)),
            GatewaysWord::Leases(words) => words,
        };
        let most = words.most.unwrap_or(fitting.most);
        let terms = Terms {
            most,
            overdraft: words.overdraft.unwrap_or(if words.most.is_some() {
                (most / 8).max(1)
            } else {
                fitting.overdraft
            }),
            ahead: words.ahead.unwrap_or(Terms::AHEAD),
            ttl: words.ttl.unwrap_or(Terms::TTL.max(words.ahead.unwrap_or(Terms::AHEAD))),
        };
        self.take(span, terms.checked()).map(Some)
    }

    /// Warns of calls that cost more than is ever there at once.
    fn prices(&mut self, spec: &CapSetSpec, span: Span) {
        let price = |rule: &MethodRule| rule.credits.or(spec.credits).unwrap_or(1);
        let everything = spec.each.iter().chain(&spec.shared);
        let most = spec.methods.iter().map(|rule| (price(rule), Some(&rule.pattern)));
        let Some((price, pattern)) = most.chain([(spec.credits.unwrap_or(1), None)]).max_by_key(|(price, _)| *price)
        else {
            return;
        };
        for cap in everything {
            let at_most = match cap.limit() {
                Limit::Rate(Unit::Credits, bucket) => bucket.burst(),
                Limit::Quota(Unit::Credits, quota) => quota.limit,
                Limit::Rate(..) | Limit::Quota(..) | Limit::AtOnce(..) => continue,
            };
            if u64::from(price) > at_most {
                let what = pattern.map_or_else(|| "a call".to_owned(), |pattern| format!("a call of `{pattern}`"));
                let message = format!(
                    "{what} costs {price} credits, and `{}` never has more than {at_most}: it is always refused",
                    cap.name()
                );
                self.cx.warn(code::INVALID_VALUE, span, message);
            }
        }
    }
}
