//! `fallback:` of a route.
//!
//! Invariant: a route that another falls back to does not fall back to a route itself, so that no request goes round.

use std::collections::HashMap;

use portcullis_yaml::{Diagnostic, Span, Spanned, suggest};

use super::Compiler;
use crate::code;
use crate::plan::{FallbackPlan, ThenPlan};
use crate::raw::attempts::RawFallback;
use crate::raw::routes::RawRoute;

/// The route that a route falls back to, as it is written.
fn named(route: &RawRoute) -> Option<&Spanned<String>> {
    route.fallback.as_ref()?.value.route.as_ref()
}

impl Compiler<'_, '_> {
    pub(super) fn fallback(&mut self, route: &RawRoute) -> Option<FallbackPlan> {
        let Spanned { span, value: raw } = route.fallback.as_ref()?;
        self.one_at_most(raw);
        let stale = self.stale(raw, route);
        let then = if let Some(respond) = &raw.respond {
            self.respond(respond).map(Box::new).map(ThenPlan::Respond)
        } else if let Some(name) = &raw.to {
            self.cluster_named(name).map(ThenPlan::Cluster)
        } else {
            // Whether there is such a route is looked at when all are known.
            raw.route.as_ref().map(|name| ThenPlan::Route(name.value.as_str().into()))
        };
        if !stale && then.is_none() && !self.has_errors_inside(*span) {
            let diagnostic = Diagnostic::error(code::FALLBACK_INVALID, *span, "the fallback does nothing");
            self.cx.push(diagnostic.help("for example `fallback: { respond: { status: 503, body: later } }`"));
        }
        Some(FallbackPlan { stale, then })
    }

    fn one_at_most(&mut self, raw: &RawFallback) {
        let written = [
            ("respond", raw.respond.as_ref().map(|it| it.span)),
            ("to", raw.to.as_ref().map(|it| it.span)),
            ("route", raw.route.as_ref().map(|it| it.span)),
        ];
        let mut written = written.into_iter().filter_map(|(key, span)| Some((key, span?)));
        let Some((first, at)) = written.next() else { return };
        for (key, span) in written {
            let message = format!("`{key}` and `{first}` of one fallback: only one of them can be done");
            let diagnostic = Diagnostic::error(code::FALLBACK_INVALID, span, message);
            self.cx
                .push(diagnostic.related(at, format!("`{first}` is here")).help("keep one; only `stale` goes first"));
        }
    }

    fn stale(&mut self, raw: &RawFallback, route: &RawRoute) -> bool {
        let Some(Spanned { span, value: true }) = raw.stale else { return false };
        if route.cache.is_none() && !route.cache.is_broken() {
            let message = "the route has no cache that could hold a stale copy";
            let diagnostic = Diagnostic::error(code::FALLBACK_INVALID, span, message);
            self.cx.push(diagnostic.help("name a `cache`, or remove `stale`"));
        }
        true
    }

    /// Whether each route that is fallen back to is there, is another, and falls back to no route itself.
    pub(super) fn fallback_routes(&mut self, routes: &[Spanned<RawRoute>], host: &str) {
        let known: HashMap<&str, Option<Span>> = routes
            .iter()
            .map(|route| (route.value.name.value.as_str(), named(&route.value).map(|name| name.span)))
            .collect();
        for route in routes {
            let Some(to) = named(&route.value) else { continue };
            if to.value == route.value.name.value {
                let message = format!("the route `{}` cannot be its own fallback", to.value);
                self.cx.error(code::FALLBACK_INVALID, to.span, message);
                continue;
            }
            match known.get(to.value.as_str()) {
                None => {
                    let message = format!("the host `{host}` has no route `{}`", to.value);
                    let near = suggest(&to.value, known.keys().copied());
                    let others = || "a fallback names a route of the same host".to_owned();
                    let diagnostic = Diagnostic::error(code::UNKNOWN_ROUTE, to.span, message);
                    self.cx.push(diagnostic.help_suggest(near, others));
                }
                Some(Some(again)) => {
                    let message = format!("the route `{}` falls back to a route itself", to.value);
                    let diagnostic = Diagnostic::error(code::FALLBACK_INVALID, to.span, message);
                    let help = "name the last route here, or give that one a `respond` or a `to`";
                    self.cx.push(diagnostic.related(*again, "its own is here").help(help));
                }
                Some(None) => {}
            }
        }
    }
}
