//! `routes:` of a host.

use portcullis_policy::HostPattern;
use portcullis_types::{ByteSize, Dialect};
use portcullis_yaml::{Diagnostic, Span, Spanned, suggest};

use super::Compiler;
use super::filters::ChainSpec;
use super::hosts::dialect;
use super::limits;
use crate::code;
use crate::place::place;
use crate::plan::RoutePlan;
use crate::raw::routes::RawRoute;

/// The largest request body by default: enough for forms and API calls, too little to fill a disk unasked.
const BODY_LIMIT: ByteSize = ByteSize::mib(10);
/// Lines of a route that `explain` shows.
const ROUTE_LINES: u32 = 60;

/// What a route has from its host.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    pub(super) names: &'a [HostPattern],
    pub(super) dialect: Dialect,
}

impl Compiler<'_, '_> {
    pub(super) fn route(&mut self, raw: Spanned<RawRoute>, host: Host<'_>) -> Option<(RoutePlan, ChainSpec)> {
        let Spanned { span, value: mut raw } = raw;
        self.check_name(&raw.name.value, raw.name.span, "route");
        let before = self.cx.diagnostics().error_count();
        let matcher = self.matcher(raw.matches.as_ref());
        let judged = !raw.matches.is_broken() && self.cx.diagnostics().error_count() == before;
        let action = self.action(&raw, &matcher.path);
        let cache = raw.cache.as_ref().map(|name| self.cache(name));
        let owner = format!("hosts/{}/routes/{}", host.name, raw.name.value);
        let (filters, chain) = self.filters(raw.filters.take().unwrap_or_default(), &owner);
        if let Some(action) = &action {
            self.check_forwards(action, &chain);
        }
        let plan = RoutePlan {
            label: format!("{}/{}", host.name, raw.name.value).into(),
            name: raw.name.value.as_str().into(),
            matcher,
            judged,
            action: action?,
            filters,
            body_limit: Some(raw.body_limit.unwrap_or(BODY_LIMIT).0).filter(|limit| *limit > 0),
            dialect: raw.errors.map_or(host.dialect, dialect),
            cache: cache.map_or(Some(None), |cache| cache.map(Some))?,
            limits: self.route_limits(raw.limits.as_ref()),
            priority: raw.priority.map(limits::priority).unwrap_or_default(),
            tracing: self.route_tracing(raw.tracing.as_ref()),
            upgrade: raw.upgrade.is_none_or(|upgrade| upgrade.value),
            hedge: raw.hedge.is_none_or(|hedge| hedge.value),
            idempotent: raw.idempotent.is_some_and(|idempotent| idempotent.value),
            place: place(self.cx.sources(), span, ROUTE_LINES),
        };
        if plan.judged {
            self.warn_return(&plan, raw.name.span, host.names);
        }
        Some((plan, chain))
    }

    fn cache(&mut self, name: &Spanned<String>) -> Option<String> {
        let known: Vec<&str> = self.seams.caches.keys().copied().collect();
        if known.contains(&name.value.as_str()) {
            return Some(name.value.clone());
        }
        let message = format!("this binary has no cache `{}`", name.value);
        let diagnostic = Diagnostic::error(code::UNKNOWN_CACHE, name.span, message);
        let near = suggest(&name.value, known.iter().copied());
        let others =
            || if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        self.cx.fail(diagnostic.help_suggest(near, others))
    }

    /// Names stand in metrics, logs and addresses of the admin API.
    pub(super) fn check_name(&mut self, name: &str, span: Span, what: &str) {
        const LONGEST: usize = 100;
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !name.is_empty() && name.len() <= LONGEST && name.bytes().all(fits) {
            return;
        }
        let message = format!("`{name}` cannot be the name of a {what}");
        let help = format!("use letters, digits, `_`, `-` and `.`, at most {LONGEST} of them");
        self.cx.push(Diagnostic::error(code::NAME_INVALID, span, message).help(help));
    }
}
